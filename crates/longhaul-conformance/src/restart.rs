//! The contract of [`Store::act`](longhaul::Store::act) where it changes more of a job than its state.

use longhaul::{Action, Error, JobFilter, NewJob, State, admit};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{KIND, LEASE, completed, delayed, failed, id, job, json, named, retry, secs, step};

/// "Retrying with args replaces them and forgets the steps."
pub async fn retrying_with_args_replaces_them_and_forgets_the_steps(fx: &Fixture) {
    let with = |args: &str| Action::RetryWith { args: json(args) };
    for end in [failed(), completed()] {
        let lease = fx.running().await.lease;
        fx.record(&lease, vec![step("paid", "1")]).await;
        assert_eq!(fx.act(&lease.id, with("{}")).await, 0, "an unfinished job keeps its args");
        fx.end(&lease, end).await;
        assert_eq!(fx.act(&lease.id, with(r#"{"width": 12345678901234567890, "x": 1.50}"#)).await, 1);
        let job = fx.job(&lease.id).await;
        assert_eq!(job.args.as_str(), r#"{"width": 12345678901234567890, "x": 1.50}"#);
        assert_eq!((job.state, job.attempt), (State::Available, 0));
        let claimed = fx.claim_one().await;
        assert_eq!((claimed.lease.id, claimed.args.as_str()), (lease.id, job.args.as_str()));
        assert!(claimed.steps.is_empty(), "they were those of the former args");
    }
}

/// "Retrying with args that cannot be kept is refused."
pub async fn retrying_with_args_that_cannot_be_kept_is_refused(fx: &Fixture) {
    let lease = fx.running().await.lease;
    fx.end(&lease, failed()).await;
    let before = fx.seen(&lease.id).await;
    let large = format!("\"{}\"", "x".repeat(longhaul::MAX_ARGS_BYTES));
    for args in [large.as_str(), r#""\u0000""#, r#"{"a":1,"a":2}"#] {
        let refused =
            fx.store.act(&JobFilter::id(lease.id.clone()), Action::RetryWith { args: json(args) }, 1).await;
        assert!(matches!(&refused, Err(Error::Invalid { field, .. }) if field == "args"), "{refused:?}");
    }
    let odd = fx.store.act(&JobFilter::default(), Action::SetPriority { priority: 101 }, 1).await;
    assert!(matches!(&odd, Err(Error::Invalid { field, .. }) if field == "priority"), "{odd:?}");
    assert_eq!(fx.seen(&lease.id).await, before);
    assert!(ok("check", admit::action(&Action::SetPriority { priority: -100 }).map(|()| true)));
}

/// "A new priority moves a waiting job to its place."
pub async fn a_new_priority_moves_a_waiting_job_to_its_place(fx: &Fixture) {
    for name in ["a", "b", "c"] {
        fx.enqueue(named(name)).await;
    }
    fx.enqueue(NewJob { id: Some(id("later")), ..delayed(secs(1)) }).await;
    let parent = NewJob { start: longhaul::Start::AfterChildren, ..named("parent") };
    let child = NewJob { parent: Some(id("parent")), queue: "elsewhere".into(), ..named("child") };
    fx.enqueue_all(vec![parent, child]).await;
    let to = |priority| Action::SetPriority { priority };
    assert_eq!(fx.act(&id("c"), to(1)).await, 1);
    assert_eq!(fx.act(&id("a"), to(-1)).await, 1);
    assert_eq!(fx.act(&id("later"), to(10)).await, 1);
    assert_eq!(fx.act(&id("parent"), to(20)).await, 1);
    assert_eq!(fx.job(&id("c")).await.position, Some(1));
    assert_eq!(fx.state(&id("later")).await, State::Scheduled, "its time stays");
    fx.act(&id("child"), Action::cancel(LEASE)).await;
    fx.clock.advance(secs(1));
    assert_eq!(fx.claim_ids().await, ["parent", "later", "c", "b", "a"].map(id));
    // All that fit, in one call.
    fx.enqueue_all(vec![job(); 25]).await;
    let all = JobFilter { kinds: vec![KIND.into()], states: vec![State::Available], ..JobFilter::default() };
    assert_eq!(fx.act_on(&all, to(7), 100).await, 25);
    assert!(fx.list_records(&all).await.iter().all(|job| job.priority == 7));
}

/// "A new priority counts for a running job once it waits again."
pub async fn a_new_priority_counts_for_a_running_job_once_it_waits_again(fx: &Fixture) {
    let lease = fx.running().await.lease;
    assert_eq!(fx.act(&lease.id, Action::SetPriority { priority: 3 }).await, 1);
    let running = fx.job(&lease.id).await;
    assert_eq!((running.state, running.priority), (State::Running, 3));
    fx.enqueue(named("other")).await;
    fx.clock.advance(secs(1));
    fx.end(&lease, retry(secs(0))).await;
    assert_eq!(fx.claim_ids().await, [lease.id, id("other")]);
}

/// "A new priority is told to the readers of the job."
pub async fn a_new_priority_is_told_to_the_readers_of_the_job(fx: &Fixture) {
    fx.enqueue(named("a")).await;
    let before = fx.job(&id("a")).await.last_event;
    fx.act(&id("a"), Action::SetPriority { priority: 3 }).await;
    assert!(fx.job(&id("a")).await.last_event > before);
    let told = fx.events_after(&id("a"), before, 10).await;
    assert_eq!(told.len(), 1, "its state, told anew");
}

/// "A finished job keeps its priority."
pub async fn a_finished_job_keeps_its_priority(fx: &Fixture) {
    let lease = fx.running().await.lease;
    fx.end(&lease, failed()).await;
    let before = fx.seen(&lease.id).await;
    assert_eq!(fx.act(&lease.id, Action::SetPriority { priority: 3 }).await, 0);
    assert_eq!(fx.seen(&lease.id).await, before);
}

/// "A job that has the priority already is left alone."
pub async fn a_job_that_has_the_priority_already_is_left_alone(fx: &Fixture) {
    fx.enqueue_all(vec![job(), job(), job()]).await;
    let all = JobFilter::default();
    let mut done = Vec::new();
    // As whoever works through a large number does it: until nothing is left to be done.
    for _ in 0..3 {
        done.push(fx.act_on(&all, Action::SetPriority { priority: 4 }, 2).await);
    }
    assert_eq!(done, [2, 1, 0]);
    let acted = ok("act", fx.store.act(&all, Action::SetPriority { priority: 4 }, 2).await);
    assert_eq!((acted.matched, acted.done, acted.complete), (3, 0, true));
}
