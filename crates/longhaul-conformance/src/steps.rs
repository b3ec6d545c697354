//! The contract of [`Store::steps`](longhaul::Store::steps).

use longhaul::{Entry, StepRecord};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{completed, id, json, retry, secs};

fn step(name: &str, output: &str, seconds: u64) -> Entry {
    Entry::Step { name: name.into(), output: json(output), took: secs(seconds) }
}

async fn steps(fx: &Fixture, name: &longhaul::JobId) -> Vec<StepRecord> {
    ok("list steps", fx.store.steps(name).await).unwrap_or_else(|| panic!("{name} was to be found"))
}

/// "Steps tell their attempts and times in the order in which they were done."
pub async fn steps_tell_their_attempts_and_times_in_the_order_in_which_they_were_done(fx: &Fixture) {
    let first = fx.running().await;
    assert!(steps(fx, &first.lease.id).await.is_empty());
    fx.clock.advance(secs(10));
    let began = fx.now();
    // In one call, and not in the order of their names.
    fx.record(&first.lease, vec![step("upload", "1", 4), step("download", "2.50", 0)]).await;
    fx.end(&first.lease, retry(secs(5))).await;
    fx.clock.advance(secs(5));
    let second = fx.claim_one().await;
    fx.record(&second.lease, vec![step("upload", "\"again\"", 1), step("convert", "null", 2)]).await;
    let record = |name: &str, attempt, started: u64, finished: u64, output: &str| StepRecord {
        name: name.into(),
        attempt,
        started_at: Some(began.plus(secs(finished)).minus(secs(started))),
        finished_at: Some(began.plus(secs(finished))),
        output: Some(json(output)),
    };
    let expected = [
        record("upload", 1, 4, 0, "1"),
        record("download", 1, 0, 0, "2.50"),
        record("convert", 2, 2, 5, "null"),
    ];
    assert_eq!(steps(fx, &first.lease.id).await, expected);
}

/// "A completed job keeps the times of its steps without their outputs."
pub async fn a_completed_job_keeps_the_times_of_its_steps_without_their_outputs(fx: &Fixture) {
    let lease = fx.running().await.lease;
    fx.record(&lease, vec![step("a", "1", 3), step("b", "2", 1)]).await;
    let before = steps(fx, &lease.id).await;
    // In the call that ends the run, too.
    let end =
        longhaul::Finish { entries: vec![step("c", "3", 0)], ..crate::jobs::finish(&lease, completed()) };
    fx.finish_all(vec![end]).await;
    let after = steps(fx, &lease.id).await;
    assert_eq!(after.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(after.iter().all(|step| step.output.is_none()));
    let times = |steps: &[StepRecord]| {
        steps.iter().map(|step| (step.attempt, step.started_at, step.finished_at)).collect::<Vec<_>>()
    };
    assert_eq!(times(&after)[..2], times(&before));
    assert_eq!(fx.act(&lease.id, longhaul::Action::Retry).await, 1);
    assert!(steps(fx, &lease.id).await.is_empty(), "a retry begins from nothing");
}

/// "Steps of an unknown job are none."
pub async fn steps_of_an_unknown_job_are_none(fx: &Fixture) {
    assert_eq!(ok("list steps", fx.store.steps(&id("unknown")).await), None);
    let lease = fx.running().await.lease;
    fx.record(&lease, vec![step("a", "1", 3)]).await;
    fx.end(&lease, completed()).await;
    fx.act(&lease.id, longhaul::Action::Delete).await;
    assert_eq!(ok("list steps", fx.store.steps(&lease.id).await), None);
    fx.running_from(longhaul::NewJob { id: Some(lease.id.clone()), ..crate::jobs::job() }).await;
    assert!(steps(fx, &lease.id).await.is_empty(), "a job of the same id has steps of its own");
}
