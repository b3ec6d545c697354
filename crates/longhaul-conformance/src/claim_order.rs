//! The contract of the order in which jobs are claimed.

use std::time::Duration;

use longhaul::{JobId, NewJob, Outcome, PRIORITY_STEP};

use crate::Fixture;
use crate::jobs::{delayed, id, named, retry, secs};

fn prior(name: &str, priority: i32) -> NewJob {
    NewJob { priority, ..named(name) }
}

/// Claims one by one, as a worker with one slot does.
async fn claim_singly(fx: &Fixture, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(fx.claim_one().await.lease.id);
    }
    ids
}

/// "Jobs of one priority are claimed in the order they were enqueued."
pub async fn jobs_of_one_priority_are_claimed_in_the_order_they_were_enqueued(fx: &Fixture) {
    // The ids are in no order, and most of the jobs have one time of creation.
    let names = ["m", "z", "a", "q", "b", "y", "c", "x"];
    fx.enqueue_all(names[..3].iter().map(|name| prior(name, 7)).collect()).await;
    for name in &names[3..5] {
        fx.enqueue(prior(name, 7)).await;
    }
    fx.clock.advance(Duration::from_millis(1));
    fx.enqueue_all(names[5..].iter().map(|name| prior(name, 7)).collect()).await;
    let expected: Vec<JobId> = names.map(id).to_vec();
    assert_eq!(claim_singly(fx, 3).await, expected[..3], "into one slot at a time");
    assert_eq!(fx.claim_ids().await, expected[3..], "and many at once, answered in the same order");
}

/// "A scheduled job takes its turn from when it falls due."
pub async fn a_scheduled_job_takes_its_turn_from_when_it_falls_due(fx: &Fixture) {
    let due_in = |name: &str, seconds| NewJob { id: Some(id(name)), ..delayed(secs(seconds)) };
    fx.enqueue_all(vec![due_in("c", 20), due_in("a", 10), due_in("b", 10)]).await;
    fx.clock.advance(secs(15));
    fx.enqueue(named("between")).await;
    fx.clock.advance(secs(15));
    fx.enqueue(named("late")).await;
    // None was looked at between its time and now: who notices that a job is due, and when, does not matter.
    let expected = ["a", "b", "between", "c", "late"].map(id);
    assert_eq!(fx.claim_ids().await, expected);

    let retried = fx.running_from(named("retried")).await;
    fx.end(&retried.lease, retry(secs(10))).await;
    fx.enqueue(named("before")).await;
    fx.clock.advance(secs(10));
    assert_eq!(fx.sweep().await.promoted, 1);
    fx.clock.advance(secs(1));
    fx.enqueue(named("after")).await;
    assert_eq!(fx.claim_ids().await, ["before", "retried", "after"].map(id), "a retry, too");
}

/// "Higher priority goes first."
pub async fn higher_priority_goes_first(fx: &Fixture) {
    let jobs = [("low", -100), ("mid", 0), ("high", 1), ("higher", 99), ("highest", 100), ("mid-2", 0)];
    fx.enqueue_all(jobs.map(|(name, priority)| prior(name, priority)).to_vec()).await;
    let expected = ["highest", "higher", "high", "mid", "mid-2", "low"].map(id);
    assert_eq!(claim_singly(fx, 2).await, expected[..2]);
    assert_eq!(fx.claim_ids().await, expected[2..]);

    let back = fx.running_from(prior("back", 5)).await;
    fx.enqueue(prior("other", 4)).await;
    fx.end(&back.lease, Outcome::Released).await;
    assert_eq!(fx.claim_ids().await, [id("back"), id("other")], "a released job keeps its priority");
}

/// "A low priority is overtaken for a bounded time only."
pub async fn a_low_priority_is_overtaken_for_a_bounded_time_only(fx: &Fixture) {
    // Two steps of priority are a head start of two minutes: within them the higher one overtakes.
    fx.enqueue(prior("low", -1)).await;
    fx.clock.advance(2 * PRIORITY_STEP - Duration::from_millis(1));
    fx.enqueue(prior("high", 1)).await;
    assert_eq!(claim_singly(fx, 2).await, ["high", "low"].map(id));

    fx.enqueue(prior("low-2", -1)).await;
    fx.clock.advance(2 * PRIORITY_STEP + Duration::from_millis(1));
    fx.enqueue(prior("high-2", 1)).await;
    assert_eq!(claim_singly(fx, 2).await, ["low-2", "high-2"].map(id));

    // The greatest difference there is, under a constant stream of the highest.
    fx.enqueue(prior("lowest", -100)).await;
    for hour in 0..4 {
        let name = format!("stream-{hour}");
        fx.enqueue(prior(&name, 100)).await;
        assert_eq!(claim_singly(fx, 1).await, [id(&name)]);
        fx.clock.advance(60 * PRIORITY_STEP);
    }
    fx.enqueue(prior("stream-4", 100)).await;
    assert_eq!(claim_singly(fx, 2).await, ["lowest", "stream-4"].map(id), "200 steps are 200 minutes");
}
