//! The contract of the history: what a sweep prunes, and what is left of it.

use longhaul::{
    AWAITED_FOR, Action, Dependency, EnqueueStatus, GONE_FOR, JobFilter, JobId, Keep, Lookup, NewJob,
    Outcome, QueueConfig, Retention, Start, State, Swept,
};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{HOUR, QUEUE, cancelled, claim, completed, failed, id, job, named, secs, slots, unique};

const DAY: std::time::Duration = secs(24 * 3600);

/// Runs a job in `queue` to its end.
async fn ended(fx: &Fixture, queue: &'static str, name: &str, outcome: Outcome) -> JobId {
    // Ahead of any other job that may wait there.
    fx.enqueue(NewJob { queue: queue.into(), priority: 100, ..named(name) }).await;
    let claimed = fx.claim(longhaul::Claim { queues: vec![slots(queue, 1)], ..claim() }).await;
    assert_eq!(claimed[0].lease.id, id(name));
    fx.end(&claimed[0].lease, outcome).await;
    id(name)
}

async fn set_retention(fx: &Fixture, queue: &str, retention: Retention) {
    fx.set_queue(queue, &QueueConfig { retention, ..QueueConfig::default() }).await;
}

fn age(seconds: u64) -> Keep {
    Keep { age: Some(secs(seconds)), count: None }
}

fn count(count: u64) -> Keep {
    Keep { age: None, count: Some(count) }
}

/// "A sweep prunes by age."
pub async fn a_sweep_prunes_by_age(fx: &Fixture) {
    let retention = Retention { completed: age(60), failed: age(120), cancelled: age(180) };
    set_retention(fx, QUEUE, retention).await;
    let good = ended(fx, QUEUE, "good", completed()).await;
    let bad = ended(fx, QUEUE, "bad", failed()).await;
    let stopped = ended(fx, QUEUE, "stopped", cancelled()).await;
    let other = ended(fx, "elsewhere", "other", completed()).await;
    fx.enqueue(named("waiting")).await;
    let left = async || fx.list(&JobFilter { queues: vec![QUEUE.into()], ..JobFilter::default() }).await;

    fx.clock.advance(secs(59));
    assert_eq!(fx.sweep().await, Swept::default());
    fx.clock.advance(secs(2));
    let young = ended(fx, QUEUE, "young", completed()).await;
    assert_eq!(fx.sweep().await, Swept { pruned: 1, ..Swept::default() });
    assert_eq!(left().await, [young.clone(), id("waiting"), stopped.clone(), bad], "a minute: {good}");
    fx.clock.advance(secs(60));
    assert_eq!(fx.sweep().await.pruned, 2);
    assert_eq!(left().await, [id("waiting"), stopped], "each outcome by its own age");
    fx.clock.advance(secs(60));
    assert_eq!(fx.sweep().await.pruned, 1);
    assert_eq!(left().await, [id("waiting")], "what has not ended is never pruned");
    assert_eq!(fx.state(&other).await, State::Completed, "each queue by its own");

    // A queue for which nothing was set keeps completed and cancelled jobs for a day, failed ones for 14.
    let bad = ended(fx, "elsewhere", "bad-2", failed()).await;
    let stopped = ended(fx, "elsewhere", "stopped-2", cancelled()).await;
    fx.clock.advance(DAY - secs(1000));
    assert_eq!(fx.sweep().await.pruned, 0);
    fx.clock.advance(secs(1001));
    assert_eq!(fx.sweep().await.pruned, 2);
    assert_eq!(fx.lookup_all(&[other, stopped]).await, [Lookup::Gone, Lookup::Gone]);
    fx.clock.advance(13 * DAY - secs(10));
    assert_eq!(fx.sweep().await.pruned, 0);
    assert_eq!(fx.state(&bad).await, State::Failed);
    fx.clock.advance(secs(10));
    assert_eq!(fx.sweep().await.pruned, 1);
}

/// "A sweep prunes by count."
pub async fn a_sweep_prunes_by_count(fx: &Fixture) {
    let kept_for_ever = Keep { age: None, count: None };
    let retention = Retention { completed: count(2), failed: count(0), cancelled: kept_for_ever };
    set_retention(fx, QUEUE, retention).await;
    fx.enqueue(NewJob { priority: -100, ..named("last") }).await;
    for name in ["a", "b", "c", "d"] {
        ended(fx, QUEUE, name, completed()).await;
        ended(fx, QUEUE, &format!("{name}-failed"), failed()).await;
        ended(fx, QUEUE, &format!("{name}-cancelled"), cancelled()).await;
        ended(fx, "elsewhere", &format!("{name}-other"), completed()).await;
        fx.clock.advance(secs(1));
    }
    // Which one is newest is a matter of when it ended, not of when it was enqueued.
    let claimed = fx.claim_one().await;
    assert_eq!(claimed.lease.id, id("last"));
    fx.end(&claimed.lease, completed()).await;

    assert_eq!(fx.sweep().await, Swept { pruned: 3 + 4, ..Swept::default() });
    let left = |state| JobFilter { queues: vec![QUEUE.into()], states: vec![state], ..JobFilter::default() };
    assert_eq!(fx.list(&left(State::Completed)).await, [id("d"), id("last")]);
    assert_eq!(fx.list(&left(State::Failed)).await, [], "none is a count, too");
    assert_eq!(fx.list(&left(State::Cancelled)).await.len(), 4);
    assert_eq!(fx.counts("elsewhere").await.get(&State::Completed), Some(&4), "each queue by its own");
    assert_eq!(fx.sweep().await, Swept::default(), "once");
    fx.clock.advance(365 * DAY);
    assert_eq!(fx.sweep().await.pruned, 4, "without an age nothing of the queue grows too old");

    set_retention(
        fx,
        QUEUE,
        Retention { cancelled: Keep { age: Some(HOUR), count: Some(3) }, ..Retention::default() },
    )
    .await;
    assert_eq!(fx.sweep().await.pruned, 6, "a changed configuration holds for what is there");
    for name in ["w", "x", "y", "z"] {
        ended(fx, QUEUE, name, cancelled()).await;
        fx.clock.advance(secs(1));
    }
    assert_eq!(fx.sweep().await.pruned, 1, "both bounds hold: the count");
    fx.clock.advance(HOUR);
    assert_eq!(fx.sweep().await.pruned, 3, "and the age");
}

/// "A sweep keeps a job whose unique key is held."
pub async fn a_sweep_keeps_a_job_whose_unique_key_is_held(fx: &Fixture) {
    let old = Keep { age: Some(secs(60)), count: Some(1) };
    set_retention(fx, QUEUE, Retention { completed: old, ..Retention::default() }).await;
    let cached = NewJob { id: Some(id("cached")), ..unique("k", Some(HOUR)) };
    let claimed = fx.running_from(cached).await;
    fx.end(&claimed.lease, completed()).await;
    let uncached = fx.running_from(NewJob { id: Some(id("uncached")), ..unique("k2", None) }).await;
    fx.end(&uncached.lease, completed()).await;
    fx.clock.advance(HOUR - secs(1));
    ended(fx, QUEUE, "young", completed()).await;
    assert_eq!(fx.sweep().await.pruned, 1);
    assert_eq!(fx.lookup(&id("uncached")).await, Lookup::Gone);
    let answer = fx.offer(unique("k", None)).await;
    assert_eq!(answer.id, id("cached"), "whoever joins it finds it");
    assert_eq!(fx.job(&answer.id).await.output, Some(crate::jobs::json(r#"{"bytes": 1.50}"#)));
    fx.clock.advance(secs(62));
    assert_eq!(fx.sweep().await.pruned, 2, "its age counts from the end of the key's period");
    assert_eq!(fx.lookup(&id("cached")).await, Lookup::Gone);
    fx.enqueue(NewJob { priority: -100, ..unique("k", None) }).await;

    // Only a completion holds its key for the period.
    let claimed = fx.running_from(unique("k3", Some(HOUR))).await;
    fx.end(&claimed.lease, cancelled()).await;
    set_retention(fx, QUEUE, Retention { cancelled: age(60), ..Retention::default() }).await;
    fx.clock.advance(secs(61));
    assert_eq!(fx.sweep().await.pruned, 1);
    assert_eq!(fx.lookup(&claimed.lease.id).await, Lookup::Gone);
}

/// "A sweep keeps a job while one that depends on it has not ended."
pub async fn a_sweep_keeps_a_job_while_one_that_depends_on_it_has_not_ended(fx: &Fixture) {
    let at_once = Keep { age: Some(secs(60)), count: Some(0) };
    set_retention(fx, QUEUE, Retention { completed: at_once, ..Retention::default() }).await;
    let dependant = |name: &str| NewJob {
        queue: "elsewhere".into(),
        depends_on: vec![Dependency::on_any_end(id("first"))],
        ..named(name)
    };
    fx.enqueue_all(vec![named("first"), dependant("one"), dependant("two")]).await;
    let lease = fx.claim_one().await.lease;
    fx.end(&lease, completed()).await;
    let other = ended(fx, QUEUE, "other", completed()).await;
    assert_eq!(fx.sweep().await, Swept { pruned: 1, ..Swept::default() });
    assert_eq!(fx.lookup(&other).await, Lookup::Gone, "no job depends on it");
    fx.clock.advance(HOUR);
    assert_eq!(fx.sweep().await, Swept::default());
    assert_eq!(fx.job(&id("first")).await.output, Some(crate::jobs::json(r#"{"bytes": 1.50}"#)));

    let elsewhere = || longhaul::Claim { queues: vec![slots("elsewhere", 1)], lease_for: HOUR, ..claim() };
    for (name, pruned) in [("one", 0), ("two", 1)] {
        let claimed = fx.claim(elsewhere()).await;
        assert_eq!(claimed[0].lease.id, id(name));
        fx.clock.advance(AWAITED_FOR);
        assert_eq!(fx.sweep().await.pruned, 0, "{name} runs");
        fx.end(&claimed[0].lease, failed()).await;
        assert_eq!(fx.sweep().await.pruned, 0, "retention looks again after a while");
        fx.clock.advance(AWAITED_FOR);
        assert_eq!(fx.sweep().await.pruned, pruned);
    }
    assert_eq!(fx.lookup(&id("first")).await, Lookup::Gone);

    // By its age, too; and by hand it is deleted whatever depends on it.
    set_retention(fx, QUEUE, Retention { completed: age(60), ..Retention::default() }).await;
    let kept = ended(fx, QUEUE, "kept", completed()).await;
    let deleted = ended(fx, QUEUE, "deleted", completed()).await;
    let after = |on: &JobId| NewJob {
        queue: "elsewhere".into(),
        depends_on: vec![Dependency::on_any_end(on.clone())],
        ..job()
    };
    fx.enqueue_all(vec![after(&kept), after(&deleted)]).await;
    fx.clock.advance(secs(61));
    assert_eq!(fx.sweep().await.pruned, 0);
    assert_eq!(fx.act(&deleted, Action::Delete).await, 1);
    let claimed = fx.claim(elsewhere()).await;
    fx.end(&claimed[0].lease, completed()).await;
    fx.clock.advance(AWAITED_FOR + secs(61));
    assert_eq!(fx.sweep().await.pruned, 1);
    assert_eq!(fx.lookup_all(&[kept, deleted]).await, [Lookup::Gone, Lookup::Gone]);
}

/// "A sweep keeps a child while its parent has not ended."
pub async fn a_sweep_keeps_a_child_while_its_parent_has_not_ended(fx: &Fixture) {
    let at_once = Keep { age: Some(secs(60)), count: Some(0) };
    set_retention(fx, QUEUE, Retention { completed: at_once, ..Retention::default() }).await;
    let parent = |name: &str, start| NewJob { queue: "elsewhere".into(), start, ..named(name) };
    let child = |name: &str, parent: &str| NewJob { parent: Some(id(parent)), ..named(name) };
    fx.enqueue_all(vec![
        parent("plain", Start::Now),
        child("of-plain", "plain"),
        parent("closing", Start::AfterChildren),
        child("of-closing", "closing"),
        child("of-none", "never-there"),
    ])
    .await;
    let run_on = |queue: &'static str| async move {
        let claimed =
            fx.claim(longhaul::Claim { queues: vec![slots(queue, 1)], lease_for: HOUR, ..claim() }).await;
        fx.end(&claimed[0].lease, completed()).await;
    };
    for _ in 0..3 {
        run_on(QUEUE).await;
    }
    assert_eq!(fx.sweep().await.pruned, 1, "of-none has no parent that is there");
    assert_eq!(fx.lookup(&id("of-none")).await, Lookup::Gone);
    fx.clock.advance(HOUR);
    assert_eq!(fx.sweep().await.pruned, 0, "both parents may read what their children have made");
    assert_eq!(fx.offer(child("of-plain", "plain")).await.status, EnqueueStatus::Duplicate);

    run_on("elsewhere").await;
    assert_eq!(fx.sweep().await.pruned, 0, "retention looks again after a while");
    fx.clock.advance(AWAITED_FOR);
    assert_eq!(fx.sweep().await.pruned, 1, "one parent has ended");
    run_on("elsewhere").await;
    fx.clock.advance(AWAITED_FOR);
    assert_eq!(fx.sweep().await.pruned, 1);
    let children = [id("of-plain"), id("of-closing")];
    assert_eq!(fx.lookup_all(&children).await, [Lookup::Gone, Lookup::Gone]);
}

/// "A pruned job is gone for a day and then unknown."
pub async fn a_pruned_job_is_gone_for_a_day_and_then_unknown(fx: &Fixture) {
    set_retention(fx, QUEUE, Retention { completed: age(60), ..Retention::default() }).await;
    let pruned = ended(fx, QUEUE, "pruned", completed()).await;
    let deleted = ended(fx, QUEUE, "deleted", failed()).await;
    let reborn = ended(fx, QUEUE, "reborn", failed()).await;
    fx.clock.advance(secs(100));
    assert_eq!(fx.sweep().await.pruned, 1);
    assert_eq!(fx.act(&deleted, Action::Delete).await, 1);
    assert_eq!(fx.act(&reborn, Action::Delete).await, 1);

    let all = [pruned.clone(), deleted.clone(), reborn.clone()];
    assert_eq!(fx.lookup_all(&all).await, [Lookup::Gone, Lookup::Gone, Lookup::Gone]);
    for id in &all {
        let events = ok("read events", fx.store.events(id, 0, 10, secs(0)).await);
        assert_eq!(events, None, "nothing of it is left");
    }
    assert!(fx.list(&JobFilter::default()).await.is_empty());
    fx.enqueue(named("reborn")).await;
    assert_eq!(fx.state(&reborn).await, State::Available, "its id may be used again");

    fx.clock.advance(GONE_FOR - secs(1));
    fx.sweep().await;
    assert_eq!(fx.lookup_all(&[pruned.clone(), deleted.clone()]).await, [Lookup::Gone, Lookup::Gone]);
    fx.clock.advance(secs(2));
    for when in ["without a sweep", "with one"] {
        let lookups = fx.lookup_all(&[pruned.clone(), deleted.clone()]).await;
        assert_eq!(lookups, [Lookup::Unknown, Lookup::Unknown], "{when}");
        fx.sweep().await;
    }
    assert_eq!(fx.state(&reborn).await, State::Available, "the new one is not the old one's remains");
}
