//! The bounds of a job's log.

use longhaul::{Event, EventBody, KEPT_EVENT_BYTES, KEPT_EVENTS, Lease, LeaseStatus};

use crate::Fixture;
use crate::jobs::chunk;

/// The numbers that the chunks of a log carry.
fn chunks(events: &[Event]) -> Vec<u64> {
    let number = |event: &Event| match &event.body {
        EventBody::Chunk { data } => data.to::<u64>().ok(),
        _ => None,
    };
    events.iter().filter_map(number).collect()
}

/// Reads the log from an event on, in pieces, as a reader who resumes does.
async fn read_on(fx: &Fixture, lease: &Lease, mut after: u64) -> Vec<Event> {
    let mut read = Vec::new();
    loop {
        let piece = fx.events_after(&lease.id, after, 1_000).await;
        let Some(last) = piece.last() else { return read };
        after = last.seq;
        read.extend(piece);
    }
}

/// "A log beyond its bound loses its oldest entries and tells of the gap."
pub async fn a_log_beyond_its_bound_loses_its_oldest_entries_and_tells_of_the_gap(fx: &Fixture) {
    let lease = fx.running().await.lease;
    let written = KEPT_EVENTS as u64 + 500;
    let mut first = None;
    for from in (0..written).step_by(500) {
        let entries = (from..from + 500).map(|n| chunk(&n.to_string())).collect();
        assert_eq!(fx.record(&lease, entries).await, LeaseStatus::Held);
        if first.is_none() {
            first = fx.events(&lease.id).await.last().map(|event| event.seq);
        }
    }
    let read = read_on(fx, &lease, 0).await;
    assert_eq!(read[0].body, EventBody::Gap, "it is told first");
    assert_eq!(read.iter().filter(|event| event.body == EventBody::Gap).count(), 1, "and once");
    assert!(read.is_sorted_by(|a, b| a.seq < b.seq));
    let kept = chunks(&read);
    assert!(kept.len() <= KEPT_EVENTS && kept.len() > KEPT_EVENTS * 8 / 10, "{} are kept", kept.len());
    assert!(kept.is_sorted_by(|a, b| a + 1 == *b), "the newest, without another gap");
    assert_eq!(kept.last(), Some(&(written - 1)));

    let resumed = read_on(fx, &lease, first.unwrap_or_default() - 400).await;
    assert_eq!(resumed[0].body, EventBody::Gap, "to a reader who resumes before the oldest entry, too");
    let informed = read_on(fx, &lease, read[1].seq).await;
    assert!(
        informed.iter().all(|event| event.body != EventBody::Gap),
        "a reader who missed nothing hears of none"
    );
}

/// "A log of large entries is bounded by their bytes."
pub async fn a_log_of_large_entries_is_bounded_by_their_bytes(fx: &Fixture) {
    let lease = fx.running().await.lease;
    let large = format!("\"{}\"", "x".repeat(60_000));
    let entries = KEPT_EVENT_BYTES / 60_000 + 20;
    for _ in 0..entries.div_ceil(20) {
        assert_eq!(fx.record(&lease, vec![chunk(&large); 20]).await, LeaseStatus::Held);
    }
    let read = read_on(fx, &lease, 0).await;
    assert_eq!(read[0].body, EventBody::Gap);
    let bytes: usize = read
        .iter()
        .map(|event| match &event.body {
            EventBody::Chunk { data } => data.as_str().len(),
            _ => 0,
        })
        .sum();
    assert!(bytes <= KEPT_EVENT_BYTES && bytes > KEPT_EVENT_BYTES / 2, "{bytes} bytes are kept");
}
