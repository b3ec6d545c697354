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

/// A job that has done the steps `a`, `b`, `c` in its first attempt and `d` in its second, and has ended so.
async fn stepped(fx: &Fixture, name: &str, end: longhaul::Outcome) {
    let steps = |names: &[&str]| names.iter().map(|name| step(name, &format!("\"{name}\""))).collect();
    let first = fx.running_from(named(name)).await.lease;
    fx.record(&first, steps(&["b", "a"])).await;
    fx.record(&first, steps(&["c"])).await;
    fx.end(&first, retry(secs(0))).await;
    let second = fx.claim_one().await.lease;
    fx.record(&second, steps(&["d"])).await;
    fx.end(&second, end).await;
}

fn from(step: &str, args: Option<&str>) -> Action {
    Action::RetryFrom { step: step.into(), args: args.map(json) }
}

/// "Retrying from a step forgets it and those after it."
pub async fn retrying_from_a_step_forgets_it_and_those_after_it(fx: &Fixture) {
    let error = longhaul::AttemptError::new(longhaul::ErrorKind::Error, "no");
    let person =
        longhaul::Outcome::Waits { on: longhaul::WaitsFor::Person, timeout: None, error: Some(error) };
    for (round, end) in [failed(), crate::jobs::cancelled(), person].into_iter().enumerate() {
        let name = format!("job-{round}");
        stepped(fx, &name, end).await;
        assert_eq!(fx.act(&id(&name), from("c", None)).await, 1);
        let record = fx.job(&id(&name)).await;
        assert_eq!((record.state, record.attempt, record.waits_for), (State::Available, 0, None));
        let steps = ok("list steps", fx.store.steps(&id(&name)).await).unwrap_or_default();
        let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["b", "a"], "by the order in which they were done, and not by their names");
        let again = fx.claim_one().await;
        assert_eq!(again.steps.keys().collect::<Vec<_>>(), ["a", "b"]);
        // What was forgotten is done anew, and comes after the others.
        fx.record(&again.lease, vec![step("c", "\"again\"")]).await;
        fx.end(&again.lease, failed()).await;
        let before = fx.job(&id(&name)).await;
        assert_eq!(
            fx.act(&id(&name), from("b", Some(r#"{"width": 7}"#))).await,
            1,
            "the first one is all of them"
        );
        let again = fx.claim_one().await;
        assert_eq!((again.args, again.steps.len()), (json(r#"{"width": 7}"#), 0));
        assert_eq!(fx.job(&id(&name)).await.errors, before.errors, "its history is kept");
        fx.end(&again.lease, completed()).await;
    }
    // Other args and the steps before: whoever says so knows that they fit.
    stepped(fx, "other", failed()).await;
    assert_eq!(fx.act(&id("other"), from("a", Some("1"))).await, 1);
    let again = fx.claim_one().await;
    assert_eq!((again.args, again.steps["b"].as_str()), (json("1"), "\"b\""));
}

/// "Retrying from a step that is not there does nothing."
pub async fn retrying_from_a_step_that_is_not_there_does_nothing(fx: &Fixture) {
    stepped(fx, "a", failed()).await;
    let before = (fx.seen(&id("a")).await, ok("list steps", fx.store.steps(&id("a")).await));
    for step in ["e", "", "A", "b "] {
        assert_eq!(fx.act(&id("a"), from(step, Some("1"))).await, 0);
    }
    assert_eq!((fx.seen(&id("a")).await, ok("list steps", fx.store.steps(&id("a")).await)), before);
    let running = fx.running().await.lease;
    fx.record(&running, vec![step("b", "1")]).await;
    assert_eq!(fx.act(&running.id, from("b", None)).await, 0, "nor does an unfinished job begin anew");
}

/// "Retrying a completed job from a step does nothing."
pub async fn retrying_a_completed_job_from_a_step_does_nothing(fx: &Fixture) {
    stepped(fx, "a", completed()).await;
    let before = fx.seen(&id("a")).await;
    assert_eq!(fx.act(&id("a"), from("c", None)).await, 0, "the outputs of the steps before are forgotten");
    assert_eq!(fx.seen(&id("a")).await, before);
}
