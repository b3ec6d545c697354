//! The contracts of [`Store::put_samples`](longhaul::Store::put_samples) and
//! [`Store::samples`](longhaul::Store::samples).

use longhaul::{Error, Sample, Timestamp, admit};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{HOUR, json, secs};

fn sample(series: &str, at: i64, source: &str, body: &str) -> Sample {
    Sample {
        series: series.into(),
        at: Timestamp(at),
        source: source.into(),
        keep_for: HOUR,
        body: json(body),
    }
}

async fn put(fx: &Fixture, samples: &[Sample]) {
    ok("keep samples", fx.store.put_samples(samples).await);
}

async fn read(fx: &Fixture, series: &str, from: i64) -> Vec<Sample> {
    ok("read samples", fx.store.samples(series, Timestamp(from)).await)
}

/// The parts that tell one sample from another, and the body.
fn parts(samples: &[Sample]) -> Vec<(&str, i64, &str, &str)> {
    samples.iter().map(|s| (s.series.as_str(), s.at.0, s.source.as_str(), s.body.as_str())).collect()
}

/// "A sample is read back in its series."
pub async fn a_sample_is_read_back_in_its_series(fx: &Fixture) {
    put(fx, &[]).await;
    put(fx, &[sample("stats", 60, "a", r#"{"n": 1.50}"#), sample("stats:2", 60, "a", "2")]).await;
    assert_eq!(parts(&read(fx, "stats", 0).await), [("stats", 60, "a", r#"{"n": 1.50}"#)]);
    assert_eq!(parts(&read(fx, "stats:2", 0).await), [("stats:2", 60, "a", "2")]);
    assert!(read(fx, "stat", 0).await.is_empty());
    let large = format!("\"{}\"", "x".repeat(admit::MAX_SAMPLE_BYTES - 2));
    put(fx, &[sample("large", 0, "a", &large)]).await;
    assert_eq!(read(fx, "large", 0).await[0].body.as_str(), large);
}

/// "A later sample of the same moment and source takes the place of the earlier one."
pub async fn a_later_sample_of_the_same_moment_and_source_takes_the_place_of_the_earlier_one(fx: &Fixture) {
    put(fx, &[sample("s", 60, "a", "1"), sample("s", 60, "b", "2")]).await;
    put(fx, &[sample("s", 60, "a", "3"), sample("s", 60, "a", "4")]).await;
    assert_eq!(parts(&read(fx, "s", 0).await), [("s", 60, "a", "4"), ("s", 60, "b", "2")]);
    // Its time counts from then.
    fx.clock.advance(HOUR - secs(1));
    put(fx, &[sample("s", 60, "b", "5")]).await;
    fx.clock.advance(secs(1));
    fx.sweep().await;
    assert_eq!(parts(&read(fx, "s", 0).await), [("s", 60, "b", "5")]);
}

/// "A sample is forgotten after its time."
pub async fn a_sample_is_forgotten_after_its_time(fx: &Fixture) {
    put(fx, &[sample("s", 1, "a", "1"), Sample { keep_for: secs(10), ..sample("s", 2, "a", "2") }]).await;
    fx.clock.advance(secs(10));
    assert_eq!(parts(&read(fx, "s", 0).await), [("s", 1, "a", "1")], "also before a sweep");
    fx.sweep().await;
    fx.clock.advance(HOUR);
    fx.sweep().await;
    assert!(read(fx, "s", 0).await.is_empty());
}

/// "A sample that cannot be kept is refused."
pub async fn a_sample_that_cannot_be_kept_is_refused(fx: &Fixture) {
    let large = format!("\"{}\"", "x".repeat(admit::MAX_SAMPLE_BYTES));
    for (bad, expected) in [
        (sample("a b", 1, "a", "1"), "series"),
        (sample("s", 1, "", "1"), "source"),
        (sample("s", 1, "a", &large), "body"),
        (sample("s", 1, "a", r#""\u0000""#), "body"),
    ] {
        let refused = fx.store.put_samples(&[sample("s", 1, "good", "1"), bad]).await;
        assert!(matches!(&refused, Err(Error::Invalid { field, .. }) if field == expected), "{refused:?}");
    }
    assert!(read(fx, "s", 0).await.is_empty(), "all of a call are kept or none");
}

/// "Samples come by moment and source from the moment asked for."
pub async fn samples_come_by_moment_and_source_from_the_moment_asked_for(fx: &Fixture) {
    let order = [(1, "a"), (2, "a"), (2, "b"), (10, "a"), (1_000, "c")];
    for (at, source) in [order[3], order[2], order[0], order[4], order[1]] {
        put(fx, &[sample("s", at, source, "1")]).await;
    }
    let samples = read(fx, "s", 2).await;
    let found: Vec<_> = samples.iter().map(|sample| (sample.at.0, sample.source.as_str())).collect();
    assert_eq!(found, order[1..]);
    let many: Vec<_> = (0..longhaul::MAX_SAMPLES as i64 + 5).map(|at| sample("many", at, "a", "1")).collect();
    for some in many.chunks(1_000) {
        put(fx, some).await;
    }
    let found = read(fx, "many", 0).await;
    assert_eq!((found.len(), found[0].at.0), (longhaul::MAX_SAMPLES, 0), "the oldest");
}
