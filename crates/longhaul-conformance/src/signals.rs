//! The contract of [`Store::signal`](longhaul::Store::signal).

use std::collections::BTreeMap;
use std::pin::pin;

use longhaul::admit::{MAX_SIGNAL_BYTES, MAX_STEP_NAME_BYTES};
use longhaul::{Action, Claim, Error, Lease, Outcome, Signalled, State, WaitsFor};

use crate::Fixture;
use crate::fixture::{ok, park, within};
use crate::jobs::{HOUR, claim, completed, failed, id, json, named, retry, secs, step};
use crate::waits::waits;

async fn signal(fx: &Fixture, job: &str, name: &str, value: &str) -> Signalled {
    ok("signal", fx.store.signal(&id(job), name, &json(value)).await)
}

fn wait_for(name: &str) -> Outcome {
    waits(WaitsFor::Signal(name.into()), None)
}

/// A job that waits for a signal.
async fn waiting(fx: &Fixture, job: &str, name: &str) -> Lease {
    let lease = fx.running_from(named(job)).await.lease;
    fx.end(&lease, wait_for(name)).await;
    lease
}

/// "A signal lets the job that waits for it go on."
pub async fn a_signal_lets_the_job_that_waits_for_it_go_on(fx: &Fixture) {
    let lease = waiting(fx, "a", "approve: Grüße").await;
    fx.clock.advance(secs(5));
    assert_eq!(signal(fx, "a", "approve: Grüße", r#"{"by": "ann", "n": 1.50}"#).await, Signalled::Accepted);
    let record = fx.job(&id("a")).await;
    assert_eq!((record.state, record.attempt, record.run_at), (State::Available, 0, fx.now()));
    assert_eq!((record.waits_for, record.wakes_at), (None, None));
    assert_eq!(fx.finish(&lease, completed()).await, longhaul::LeaseStatus::Lost);
    let again = fx.claim_one().await;
    assert_eq!(again.attempt, 1);
    let kept =
        BTreeMap::from([("signal:approve: Grüße".into(), json(r#"{"value":{"by": "ann", "n": 1.50}}"#))]);
    assert_eq!(again.steps, kept, "as it was sent");
    // With a timeout that has not passed, too, which means nothing after that.
    fx.end(&again.lease, waits(WaitsFor::Signal("more".into()), Some(secs(10)))).await;
    assert_eq!(signal(fx, "a", "more", "null").await, Signalled::Accepted);
    let once = fx.claim_one().await.lease;
    fx.clock.advance(HOUR);
    assert_eq!(fx.heartbeat(&once).await, longhaul::LeaseStatus::Held);
    assert_eq!(fx.sweep().await.promoted, 0);
}

/// "A signal of another name keeps the wait."
pub async fn a_signal_of_another_name_keeps_the_wait(fx: &Fixture) {
    waiting(fx, "a", "approve").await;
    let before = fx.job(&id("a")).await;
    for name in ["deny", "approve2", "Approve", "signal:approve"] {
        assert_eq!(signal(fx, "a", name, "1").await, Signalled::Accepted);
    }
    assert_eq!(fx.job(&id("a")).await, before, "nor does it change anything that a reader could see");
    assert!(fx.claim_ids().await.is_empty());
    // Nor does a signal to a job that waits for something else than signals.
    let parent = fx.running_from(named("p")).await.lease;
    fx.enqueue(longhaul::NewJob { parent: Some(id("p")), queue: "elsewhere".into(), ..named("child") }).await;
    fx.end(&parent, waits(WaitsFor::Children, None)).await;
    assert_eq!(signal(fx, "p", "children", "1").await, Signalled::Accepted);
    assert_eq!(fx.state(&id("p")).await, State::Blocked);
}

/// "The first signal of a name wins."
pub async fn the_first_signal_of_a_name_wins(fx: &Fixture) {
    waiting(fx, "a", "approve").await;
    assert_eq!(signal(fx, "a", "approve", "1").await, Signalled::Accepted);
    assert_eq!(signal(fx, "a", "approve", "2").await, Signalled::Sent);
    let again = fx.claim_one().await;
    assert_eq!(signal(fx, "a", "approve", "3").await, Signalled::Sent);
    assert_eq!(again.steps["signal:approve"], json(r#"{"value":1}"#));
    // The run that finds its wait over records that; whichever of the two comes first stands.
    fx.record(&again.lease, vec![step("signal:approve", r#"{"timed_out":true}"#)]).await;
    fx.record(&again.lease, vec![step("signal:other", r#"{"timed_out":true}"#)]).await;
    assert_eq!(signal(fx, "a", "other", "4").await, Signalled::Sent);
    fx.end(&again.lease, retry(secs(0))).await;
    let steps = fx.claim_one().await.steps;
    assert_eq!(steps["signal:approve"], json(r#"{"value":1}"#));
    assert_eq!(steps["signal:other"], json(r#"{"timed_out":true}"#));
}

/// "An early signal is kept."
pub async fn an_early_signal_is_kept(fx: &Fixture) {
    let scheduled = longhaul::NewJob { start: longhaul::Start::After(secs(10)), ..named("a") };
    fx.enqueue(scheduled).await;
    assert_eq!(signal(fx, "a", "one", "1").await, Signalled::Accepted);
    assert_eq!(fx.state(&id("a")).await, State::Scheduled, "which does not make it run sooner");
    fx.clock.advance(secs(10));
    fx.sweep().await;
    assert_eq!(signal(fx, "a", "two", "2").await, Signalled::Accepted);
    let first = fx.claim_one().await;
    assert_eq!(first.steps.len(), 2);
    assert_eq!(signal(fx, "a", "three", "3").await, Signalled::Accepted);
    assert_eq!(fx.heartbeat(&first.lease).await, longhaul::LeaseStatus::Held, "its run goes on");
    fx.end(&first.lease, wait_for("three")).await;
    let again = fx.claim_one().await;
    assert_eq!(again.steps["signal:three"], json(r#"{"value":3}"#));
    // A failed job that is retried by hand finds it, too.
    fx.end(&again.lease, failed()).await;
    assert_eq!(fx.act(&id("a"), Action::Retry).await, 1);
    assert_eq!(fx.claim_one().await.steps.len(), 3);
}

/// "A signal is listed among the steps of its job."
pub async fn a_signal_is_listed_among_the_steps_of_its_job(fx: &Fixture) {
    let lease = fx.running_from(named("a")).await.lease;
    fx.record(&lease, vec![step("ocr", "1")]).await;
    fx.end(&lease, wait_for("approve")).await;
    fx.clock.advance(secs(5));
    signal(fx, "a", "approve", r#"["x"]"#).await;
    let steps = ok("list steps", fx.store.steps(&id("a")).await).expect("the job is there");
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["ocr", "signal:approve"]);
    let kept = &steps[1];
    assert_eq!((kept.started_at, kept.finished_at), (Some(fx.now()), Some(fx.now())));
    assert_eq!((kept.attempt, &kept.output), (0, &Some(json(r#"{"value":["x"]}"#))));
}

/// "A signal to a job that has ended changes nothing."
pub async fn a_signal_to_a_job_that_has_ended_changes_nothing(fx: &Fixture) {
    for (name, end) in [("a", completed()), ("b", failed()), ("c", crate::jobs::cancelled())] {
        let lease = fx.running_from(named(name)).await.lease;
        signal(fx, name, "early", "1").await;
        fx.end(&lease, end).await;
        let before = (fx.seen(&id(name)).await, ok("list steps", fx.store.steps(&id(name)).await));
        assert_eq!(signal(fx, name, "approve", "1").await, Signalled::Ended);
        assert_eq!(signal(fx, name, "early", "2").await, Signalled::Ended);
        let after = (fx.seen(&id(name)).await, ok("list steps", fx.store.steps(&id(name)).await));
        assert_eq!(before, after);
    }
}

/// "A signal to an unknown job says so."
pub async fn a_signal_to_an_unknown_job_says_so(fx: &Fixture) {
    assert_eq!(signal(fx, "unknown", "approve", "1").await, Signalled::Unknown);
    let lease = fx.running_from(named("gone")).await.lease;
    fx.end(&lease, completed()).await;
    assert_eq!(fx.act(&id("gone"), Action::Delete).await, 1);
    assert_eq!(signal(fx, "gone", "approve", "1").await, Signalled::Unknown);
    // A job that is made anew under the id has signals of its own.
    let again = fx.running_from(named("gone")).await;
    assert_eq!(again.steps, BTreeMap::new());
}

/// "A signal that cannot be kept is refused."
pub async fn a_signal_that_cannot_be_kept_is_refused(fx: &Fixture) {
    waiting(fx, "a", "approve").await;
    let long = "x".repeat(MAX_STEP_NAME_BYTES);
    let huge = format!("\"{}\"", "x".repeat(MAX_SIGNAL_BYTES));
    let cases = [
        ("", "1", "signal name"),
        ("a\0b", "1", "signal name"),
        (&long, "1", "signal name"),
        ("approve", &huge, "value"),
        ("approve", r#""\u0000""#, "value"),
    ];
    for (name, value, field) in cases {
        match fx.store.signal(&id("a"), name, &json(value)).await {
            Err(Error::Invalid { field: refused, .. }) => assert_eq!(refused, field),
            other => panic!("signal {name:?} was to be refused, not {other:?}"),
        }
    }
    assert_eq!(fx.state(&id("a")).await, State::Blocked);
    let most = format!("\"{}\"", "x".repeat(MAX_SIGNAL_BYTES - 2));
    assert_eq!(signal(fx, "a", "approve", &most).await, Signalled::Accepted);
}

/// "A waiting claim answers when a signal comes."
pub async fn a_waiting_claim_answers_when_a_signal_comes(fx: &Fixture) {
    waiting(fx, "a", "approve").await;
    let mut claiming = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
    park(fx, claiming.as_mut()).await;
    signal(fx, "a", "approve", "1").await;
    let claimed = ok("claim", within("a signal", claiming).await);
    assert_eq!(claimed[0].lease.id, id("a"));
}
