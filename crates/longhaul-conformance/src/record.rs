//! The contract of [`Store::record`](longhaul::Store::record).

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::{Action, Entry, EventBody, Lease, LeaseStatus, LogLevel, Outcome, Progress, Record, Swept};

use crate::Fixture;
use crate::jobs::{LEASE, chunk, completed, failed, id, json, log, progress, retry, secs, step};

/// "Recorded entries are read back in order."
pub async fn recorded_entries_are_read_back_in_order(fx: &Fixture) {
    let (one, two) = (fx.running().await, fx.running().await);
    let start = fx.job(&one.lease.id).await.last_event;
    let text = "line\nGrüße \u{1} \" ' 😀";
    let levels = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
    let logs = levels.map(|level| Entry::Log { level, message: text.into() });
    let bare = Progress { percent: 33.333_333_333_333_336, message: String::new(), data: None };
    let mut first = vec![chunk(r#"{"z" :1.0, "a":"\u00e9"}"#), Entry::Progress(progress(0.0))];
    first.extend(logs);
    let second = vec![Entry::Progress(bare), chunk("null"), Entry::Progress(progress(100.0))];

    let began = fx.now();
    let of = |lease: &Lease, entries: &[Entry]| Record { lease: lease.clone(), entries: entries.to_vec() };
    let both = vec![of(&one.lease, &first), of(&two.lease, &[chunk("2")])];
    assert_eq!(fx.record_all(both).await, [LeaseStatus::Held; 2]);
    fx.clock.advance(secs(2));
    assert_eq!(fx.record(&one.lease, second.clone()).await, LeaseStatus::Held);
    assert_eq!(fx.record(&one.lease, Vec::new()).await, LeaseStatus::Held, "nothing is an entry, too");

    let events = fx.events_after(&one.lease.id, start, 100).await;
    let expected: Vec<EventBody> = first.iter().chain(&second).cloned().map(body).collect();
    let bodies: Vec<EventBody> = events.iter().map(|event| event.body.clone()).collect();
    assert_eq!(bodies, expected);
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?} rise");
    assert!(events.iter().all(|event| event.attempt == 1));
    let times: Vec<_> = events.iter().map(|event| event.at).collect();
    assert_eq!(times[..first.len()], vec![began; first.len()], "each has the time at which it was written");
    assert_eq!(times[first.len()..], vec![fx.now(); second.len()]);
    assert_eq!(fx.job(&one.lease.id).await.last_event, numbers[numbers.len() - 1]);

    let others: Vec<EventBody> = fx.events(&two.lease.id).await.into_iter().map(|e| e.body).collect();
    assert_eq!(others[1..], [EventBody::Chunk { data: json("2") }], "each job has a log of its own");
}

fn body(entry: Entry) -> EventBody {
    match entry {
        Entry::Progress(progress) => EventBody::Progress(progress),
        Entry::Log { level, message } => EventBody::Log { level, message },
        Entry::Chunk { data } => EventBody::Chunk { data },
        Entry::Step { name, .. } => panic!("step {name} writes no event"),
    }
}

/// "The last progress is the job's progress."
pub async fn the_last_progress_is_the_job_s_progress(fx: &Fixture) {
    let claimed = fx.running().await;
    let shown = async || fx.job(&claimed.lease.id).await.progress;
    assert_eq!(shown().await, None);
    let entries = vec![Entry::Progress(progress(80.0)), Entry::Progress(progress(10.5)), chunk("1")];
    fx.record(&claimed.lease, entries).await;
    assert_eq!(shown().await, Some(progress(10.5)), "the last, not the greatest");
    let bare = Progress { percent: 12.0, message: String::new(), data: None };
    fx.record(&claimed.lease, vec![Entry::Progress(bare.clone())]).await;
    assert_eq!(shown().await, Some(bare.clone()), "all of it, so that old data does not stay");
    fx.record(&claimed.lease, vec![log("hm")]).await;
    assert_eq!(shown().await, Some(bare));
    let entries = vec![Entry::Progress(progress(99.0))];
    let last = longhaul::Finish { entries, ..crate::jobs::finish(&claimed.lease, completed()) };
    fx.finish_all(vec![last]).await;
    assert_eq!(shown().await, Some(progress(99.0)), "that of the finish, too");
}

/// "A record with an old token changes nothing."
pub async fn a_record_with_an_old_token_changes_nothing(fx: &Fixture) {
    let old = fx.running().await.lease;
    fx.end(&old, Outcome::Released).await;
    let entries = || vec![chunk("1"), Entry::Progress(progress(1.0)), step("ocr", "1")];
    let waiting = fx.seen(&old.id).await;
    assert_eq!(fx.record(&old, entries()).await, LeaseStatus::Lost, "given back");
    assert_eq!(fx.seen(&old.id).await, waiting);

    let new = fx.claim_one().await.lease;
    let running = fx.seen(&old.id).await;
    let never = Lease { token: new.token + 1, ..new.clone() };
    let unknown = Lease { id: id("unknown"), token: 1 };
    for lease in [&old, &never, &unknown] {
        assert_eq!(fx.record(lease, entries()).await, LeaseStatus::Lost, "{lease:?}");
    }
    assert_eq!(fx.seen(&old.id).await, running);

    let of = |lease: &Lease| Record { lease: lease.clone(), entries: vec![chunk("9")] };
    let statuses = fx.record_all(vec![of(&old), of(&new), of(&unknown)]).await;
    assert_eq!(statuses, [LeaseStatus::Lost, LeaseStatus::Held, LeaseStatus::Lost], "each for itself");
    assert_eq!(fx.events(&new.id).await.len(), running.1.len() + 1, "only the current lease's entry");

    fx.end(&new, retry(Duration::ZERO)).await;
    let last = fx.claim_one().await;
    assert_eq!(last.steps, BTreeMap::new(), "no step was done");
    fx.end(&last.lease, completed()).await;
    let ended = fx.seen(&old.id).await;
    assert_eq!(fx.record(&last.lease, entries()).await, LeaseStatus::Lost, "after its end");
    assert_eq!(fx.seen(&old.id).await, ended);
}

/// "The first output of a step stays."
pub async fn the_first_output_of_a_step_stays(fx: &Fixture) {
    let claimed = fx.running().await;
    fx.record(&claimed.lease, vec![step("a", "1"), step("a", "2"), step("b", "1")]).await;
    fx.record(&claimed.lease, vec![step("b", "2"), step("a", "3")]).await;
    let with_finish = longhaul::Finish {
        entries: vec![step("b", "3")],
        ..crate::jobs::finish(&claimed.lease, retry(Duration::ZERO))
    };
    assert_eq!(fx.finish_all(vec![with_finish]).await, [LeaseStatus::Held]);
    let second = fx.claim_one().await;
    let first = BTreeMap::from([("a".to_owned(), json("1")), ("b".to_owned(), json("1"))]);
    assert_eq!(second.steps, first);
    fx.record(&second.lease, vec![step("a", "4")]).await;
    fx.end(&second.lease, retry(Duration::ZERO)).await;
    assert_eq!(fx.claim_one().await.steps, first, "over attempts, too");
}

/// "A step writes no event."
pub async fn a_step_writes_no_event(fx: &Fixture) {
    let claimed = fx.running().await;
    let before = fx.seen(&claimed.lease.id).await;
    assert_eq!(fx.record(&claimed.lease, vec![step("a", "1"), step("b", "2")]).await, LeaseStatus::Held);
    assert_eq!(fx.seen(&claimed.lease.id).await, before);
    fx.record(&claimed.lease, vec![step("c", "1"), chunk("1"), step("d", "1")]).await;
    let after = fx.events_after(&claimed.lease.id, before.0.last_event, 10).await;
    let bodies: Vec<EventBody> = after.into_iter().map(|event| event.body).collect();
    assert_eq!(bodies, [EventBody::Chunk { data: json("1") }], "entries around it are written");
    fx.end(&claimed.lease, failed()).await;
}

/// "A record tells of a requested cancel."
pub async fn a_record_tells_of_a_requested_cancel(fx: &Fixture) {
    let claimed = fx.running().await;
    assert_eq!(fx.record(&claimed.lease, vec![chunk("1")]).await, LeaseStatus::Held);
    fx.act(&claimed.lease.id, Action::cancel(LEASE)).await;
    let before = fx.events(&claimed.lease.id).await.len();
    assert_eq!(fx.record(&claimed.lease, vec![chunk("2")]).await, LeaseStatus::CancelRequested);
    assert_eq!(fx.events(&claimed.lease.id).await.len(), before + 1, "and does what was asked");
    assert_eq!(fx.sweep().await, Swept::default());
}
