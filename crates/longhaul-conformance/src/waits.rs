//! The contract of runs that wait for their children, for a signal or for a person, and hold no slot meanwhile.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use longhaul::{
    Action, AttemptError, Children, Claim, Claimed, ErrorKind, Finish, KeyConfig, LeaseStatus, NewJob,
    Outcome, Start, State, WaitsFor,
};

use crate::Fixture;
use crate::fixture::{ok, park, within};
use crate::jobs::{
    HOUR, LEASE, cancelled, claim, completed, failed, finish, id, json, limited, named, retry, secs, step,
    unique,
};

const CANCEL: Action = Action::cancel(LEASE);

/// A run that waits.
pub(crate) fn waits(on: WaitsFor, timeout: Option<Duration>) -> Outcome {
    Outcome::Waits { on, timeout, error: None }
}

fn children(timeout: Option<Duration>) -> Outcome {
    waits(WaitsFor::Children, timeout)
}

fn approval(timeout: Option<Duration>) -> Outcome {
    waits(WaitsFor::Signal("approve".into()), timeout)
}

fn person() -> Outcome {
    let error = Some(AttemptError::new(ErrorKind::Timeout, "the model did not answer"));
    Outcome::Waits { on: WaitsFor::Person, timeout: None, error }
}

fn child(name: &str, parent: &str) -> NewJob {
    NewJob { parent: Some(id(parent)), ..named(name) }
}

fn counted(total: u64, completed: u64, failed: u64, cancelled: u64) -> Option<Children> {
    Some(Children { total, completed, failed, cancelled })
}

async fn counts(fx: &Fixture, name: &str) -> Option<Children> {
    fx.job(&id(name)).await.children
}

/// A running job with children that run, too.
async fn family(fx: &Fixture, parent: &str, names: &[&str]) -> (Claimed, Vec<Claimed>) {
    let running = fx.running_from(named(parent)).await;
    fx.enqueue_all(names.iter().map(|name| child(name, parent)).collect()).await;
    let claimed = fx.claim(claim()).await;
    assert_eq!(claimed.len(), names.len(), "the children are available, and nothing else");
    (running, claimed)
}

/// "A child of a job that has begun and not ended is counted."
pub async fn a_child_of_a_job_that_has_begun_and_not_ended_is_counted(fx: &Fixture) {
    let parent = fx.running_from(named("p")).await;
    assert_eq!(counts(fx, "p").await, None);
    let before = fx.job(&id("p")).await.last_event;
    fx.enqueue_all(vec![child("a", "p"), child("b", "p")]).await;
    assert_eq!(counts(fx, "p").await, counted(2, 0, 0, 0));
    assert_eq!(fx.job(&id("p")).await.last_event, before + 2, "its readers are told of each");
    assert!(fx.offer(child("a", "p")).await.is_duplicate());
    assert_eq!(counts(fx, "p").await, counted(2, 0, 0, 0), "once");
    let claimed = fx.claim(claim()).await;
    fx.end(&claimed[0].lease, completed()).await;
    assert_eq!(counts(fx, "p").await, counted(2, 1, 0, 0));

    // Between two attempts, and while it waits.
    fx.end(&parent.lease, retry(secs(5))).await;
    fx.enqueue(child("c", "p")).await;
    fx.end(&claimed[1].lease, failed()).await;
    assert_eq!(counts(fx, "p").await, counted(3, 1, 1, 0));
    assert_eq!(fx.state(&id("p")).await, State::Scheduled);
    let last = fx.claim_one().await.lease;
    fx.clock.advance(secs(5));
    fx.end(&fx.claim_one().await.lease, children(None)).await;
    fx.enqueue(NewJob { queue: "elsewhere".into(), ..child("d", "p") }).await;
    assert_eq!(counts(fx, "p").await, counted(4, 1, 1, 0));
    fx.end(&last, completed()).await;
    assert_eq!(fx.state(&id("p")).await, State::Blocked);
    assert_eq!(fx.act(&id("d"), CANCEL).await, 1);
    assert_eq!(counts(fx, "p").await, counted(4, 2, 1, 1));
    assert_eq!(fx.claim_ids().await, [id("p")]);

    // A closing job that runs takes more children, and waits for them if it wants.
    fx.enqueue_all(vec![NewJob { start: Start::AfterChildren, ..named("all") }, child("e", "all")]).await;
    fx.end(&fx.claim_one().await.lease, completed()).await;
    let closing = fx.claim_one().await.lease;
    fx.enqueue(child("f", "all")).await;
    assert_eq!(counts(fx, "all").await, counted(2, 1, 0, 0));
    fx.end(&closing, children(None)).await;
    fx.end(&fx.claim_one().await.lease, completed()).await;
    assert_eq!(fx.claim_ids().await, [id("all")]);
}

/// "A child of a job that has not begun or has ended is not counted."
pub async fn a_child_of_a_job_that_has_not_begun_or_has_ended_is_not_counted(fx: &Fixture) {
    fx.enqueue(named("p")).await;
    fx.enqueue(NewJob { queue: "elsewhere".into(), ..child("early", "p") }).await;
    fx.enqueue(NewJob { queue: "elsewhere".into(), ..child("orphan", "nobody") }).await;
    let parent = fx.claim_one().await.lease;
    assert_eq!(fx.job(&id("p")).await.children, None, "it is lineage, and no more");
    fx.end(&parent, children(None)).await;
    assert_eq!(fx.state(&id("p")).await, State::Available, "so there is nobody to wait for");
    fx.end(&fx.claim_one().await.lease, completed()).await;
    fx.enqueue(NewJob { queue: "elsewhere".into(), ..child("late", "p") }).await;
    assert_eq!(fx.job(&id("p")).await.children, None);
    assert_eq!(fx.job(&id("late")).await.parent, Some(id("p")));
}

/// "A run that waits for its children gives its slot back and costs no attempt."
pub async fn a_run_that_waits_for_its_children_gives_its_slot_back_and_costs_no_attempt(fx: &Fixture) {
    let one = KeyConfig { slots: Some(1), ..KeyConfig::default() };
    ok("configure a key", fx.store.set_key("k", Some(&one)).await);
    let parent = fx.running_from(limited("p", &["k"])).await;
    fx.enqueue(NewJob { parent: Some(id("p")), ..limited("a", &["k"]) }).await;
    assert!(fx.claim_ids().await.is_empty(), "the parent has the only slot");
    fx.record(&parent.lease, vec![step("split", "1")]).await;
    fx.end(&parent.lease, children(None)).await;
    let record = fx.job(&id("p")).await;
    assert_eq!((record.state, record.waits_for), (State::Blocked, Some(WaitsFor::Children)));
    assert_eq!((record.attempt, record.wakes_at, record.run_at), (0, None, fx.now()));
    assert_eq!(fx.heartbeat(&parent.lease).await, LeaseStatus::Lost);
    let first = fx.claim_one().await;
    assert_eq!(first.lease.id, id("a"));
    fx.end(&first.lease, completed()).await;
    let again = fx.claim_one().await;
    assert_eq!((&again.lease.id, again.attempt), (&id("p"), 1));
    assert_eq!(again.steps, BTreeMap::from([("split".into(), json("1"))]), "its steps are there");
}

/// "A run that waits for children and has none unfinished goes on at once."
pub async fn a_run_that_waits_for_children_and_has_none_unfinished_goes_on_at_once(fx: &Fixture) {
    let parent = fx.running_from(named("p")).await;
    fx.end(&parent.lease, children(Some(HOUR))).await;
    let record = fx.job(&id("p")).await;
    assert_eq!((record.state, record.attempt, record.run_at), (State::Available, 0, fx.now()));
    assert_eq!((record.waits_for, record.wakes_at), (None, None));
    assert_eq!(fx.claim_one().await.attempt, 1);
}

/// "The last child to end lets a waiting run go on."
pub async fn the_last_child_to_end_lets_a_waiting_run_go_on(fx: &Fixture) {
    let (parent, claimed) = family(fx, "p", &["a", "b", "c"]).await;
    fx.end(&parent.lease, children(None)).await;
    fx.clock.advance(secs(5));
    fx.end(&claimed[0].lease, completed()).await;
    fx.end(&claimed[1].lease, failed()).await;
    assert_eq!((fx.state(&id("p")).await, counts(fx, "p").await), (State::Blocked, counted(3, 1, 1, 0)));
    let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
    park(fx, waiting.as_mut()).await;
    fx.end(&claimed[2].lease, cancelled()).await;
    let freed = ok("claim", within("a parent that goes on", waiting).await);
    assert_eq!((&freed[0].lease.id, freed[0].attempt), (&id("p"), 1));
    let record = fx.job(&id("p")).await;
    assert_eq!((record.children, record.run_at), (counted(3, 1, 1, 1), fx.now()));
    // It waits again for children of its second go.
    fx.enqueue(child("d", "p")).await;
    fx.end(&freed[0].lease, children(None)).await;
    assert_eq!(fx.state(&id("p")).await, State::Blocked);
    fx.end(&fx.claim_one().await.lease, completed()).await;
    assert_eq!(fx.claim_ids().await, [id("p")]);
}

/// "A child that ends before its parent waits is not waited for."
pub async fn a_child_that_ends_before_its_parent_waits_is_not_waited_for(fx: &Fixture) {
    let (parent, claimed) = family(fx, "p", &["a", "b"]).await;
    fx.end(&claimed[0].lease, completed()).await;
    // The second ends in the same call as the parent's run.
    let ends = vec![finish(&claimed[1].lease, completed()), finish(&parent.lease, children(None))];
    assert_eq!(fx.finish_all(ends).await, [LeaseStatus::Held; 2]);
    let record = fx.job(&id("p")).await;
    assert_eq!((record.state, record.children), (State::Available, counted(2, 2, 0, 0)));
}

/// "A wait for children ends after its timeout."
pub async fn a_wait_for_children_ends_after_its_timeout(fx: &Fixture) {
    let (parent, claimed) = family(fx, "p", &["a"]).await;
    fx.end(&parent.lease, children(Some(secs(10)))).await;
    let record = fx.job(&id("p")).await;
    let wakes_at = fx.now().plus(secs(10));
    assert_eq!((record.wakes_at, record.run_at), (Some(wakes_at), wakes_at));
    fx.clock.advance(secs(9));
    assert_eq!(fx.sweep().await.promoted, 0);
    fx.clock.advance(secs(1));
    let again = fx.claim_one().await;
    assert_eq!((&again.lease.id, again.attempt), (&id("p"), 1));
    fx.heartbeat(&claimed[0].lease).await;
    fx.end(&claimed[0].lease, completed()).await;
    assert_eq!((fx.state(&id("p")).await, counts(fx, "p").await), (State::Running, counted(1, 1, 0, 0)));
}

/// "A child that is deleted or retried by hand keeps no waiting run back."
pub async fn a_child_that_is_deleted_or_retried_by_hand_keeps_no_waiting_run_back(fx: &Fixture) {
    let (parent, claimed) = family(fx, "p", &["a", "b", "c"]).await;
    // One is deleted before the parent waits, one while it does.
    for (child, name) in claimed.iter().zip(["a", "b"]).take(1) {
        fx.end(&child.lease, failed()).await;
        assert_eq!(fx.act(&id(name), Action::Delete).await, 1);
    }
    fx.end(&parent.lease, children(None)).await;
    fx.end(&claimed[1].lease, completed()).await;
    assert_eq!(fx.act(&id("b"), Action::Delete).await, 1);
    // The last is retried while the parent waits, and waited for anew.
    fx.enqueue(NewJob { queue: "elsewhere".into(), ..child("d", "p") }).await;
    fx.end(&claimed[2].lease, failed()).await;
    assert_eq!(fx.act(&id("c"), Action::Retry).await, 1);
    assert_eq!(fx.act(&id("d"), CANCEL).await, 1);
    assert_eq!((fx.state(&id("p")).await, counts(fx, "p").await), (State::Blocked, counted(4, 1, 1, 1)));
    fx.end(&fx.claim_one().await.lease, completed()).await;
    let again = fx.claim_one().await;
    assert_eq!((again.lease.id, counts(fx, "p").await), (id("p"), counted(4, 2, 1, 1)));
}

/// "Retrying a parent by hand keeps the counts of its children."
pub async fn retrying_a_parent_by_hand_keeps_the_counts_of_its_children(fx: &Fixture) {
    let (parent, claimed) = family(fx, "p", &["a", "b", "c"]).await;
    fx.end(&claimed[0].lease, completed()).await;
    fx.end(&parent.lease, failed()).await;
    // A child that ends while its parent has ended is counted, or the parent would wait for it for ever.
    fx.end(&claimed[1].lease, completed()).await;
    assert_eq!(counts(fx, "p").await, counted(3, 2, 0, 0));
    assert_eq!(fx.act(&id("p"), Action::Retry).await, 1);
    let again = fx.claim_one().await;
    fx.end(&again.lease, children(None)).await;
    assert_eq!(fx.state(&id("p")).await, State::Blocked, "one is left");
    fx.end(&claimed[2].lease, completed()).await;
    assert_eq!((fx.state(&id("p")).await, counts(fx, "p").await), (State::Available, counted(3, 3, 0, 0)));
    // A child that is retried by hand after its parent has completed is counted as what it is.
    fx.end(&fx.claim_one().await.lease, completed()).await;
    let ended = fx.job(&id("p")).await;
    assert_eq!(fx.act(&id("a"), Action::Retry).await, 1);
    assert_eq!(counts(fx, "p").await, counted(3, 2, 0, 0));
    fx.end(&fx.claim_one().await.lease, failed()).await;
    let record = fx.job(&id("p")).await;
    assert_eq!((record.state, record.children), (State::Completed, counted(3, 2, 1, 0)));
    assert_eq!((record.output, record.finished_at), (ended.output, ended.finished_at));
}

/// "A run that waits for a signal gives its slot back and costs no attempt."
pub async fn a_run_that_waits_for_a_signal_gives_its_slot_back_and_costs_no_attempt(fx: &Fixture) {
    let one = KeyConfig { slots: Some(1), ..KeyConfig::default() };
    ok("configure a key", fx.store.set_key("k", Some(&one)).await);
    let first = fx.running_from(NewJob { unique: unique("u", None).unique, ..limited("a", &["k"]) }).await;
    fx.enqueue(limited("b", &["k"])).await;
    fx.end(&first.lease, approval(None)).await;
    let record = fx.job(&id("a")).await;
    assert_eq!((record.state, record.attempt), (State::Blocked, 0));
    assert_eq!(record.waits_for, Some(WaitsFor::Signal("approve".into())));
    assert_eq!((record.wakes_at, record.run_at), (None, fx.now()));
    assert!(fx.offer(unique("u", None)).await.is_duplicate(), "it holds its unique key");
    assert_eq!(fx.claim_ids().await, [id("b")], "and no slot");
    fx.clock.advance(24 * HOUR);
    fx.sweep().await;
    assert_eq!(fx.state(&id("a")).await, State::Blocked, "it waits for as long as it takes");
    assert_eq!(fx.act(&id("a"), Action::Delete).await, 0);
    assert_eq!(fx.act(&id("a"), Action::Retry).await, 0);
}

/// "A wait for a signal that has come goes on at once."
pub async fn a_wait_for_a_signal_that_has_come_goes_on_at_once(fx: &Fixture) {
    let first = fx.running_from(named("a")).await;
    ok("signal", fx.store.signal(&id("a"), "approve", &json("1")).await);
    fx.end(&first.lease, approval(Some(HOUR))).await;
    let record = fx.job(&id("a")).await;
    assert_eq!((record.state, record.attempt, record.run_at), (State::Available, 0, fx.now()));
    assert_eq!((record.waits_for, record.wakes_at), (None, None));
    // One that is recorded by the run itself, in the call that ends it.
    let again = fx.claim_one().await;
    let entries = vec![step("signal:deny", r#"{"timed_out":true}"#)];
    let on = waits(WaitsFor::Signal("deny".into()), None);
    fx.finish_all(vec![Finish { entries, ..finish(&again.lease, on) }]).await;
    assert_eq!(fx.state(&id("a")).await, State::Available);
}

/// "A wait for a signal ends after its timeout."
pub async fn a_wait_for_a_signal_ends_after_its_timeout(fx: &Fixture) {
    let first = fx.running_from(named("a")).await;
    fx.end(&first.lease, approval(Some(secs(60)))).await;
    let wakes_at = fx.now().plus(secs(60));
    let record = fx.job(&id("a")).await;
    assert_eq!((record.state, record.wakes_at, record.run_at), (State::Blocked, Some(wakes_at), wakes_at));
    fx.clock.advance(secs(59));
    assert!(fx.claim_ids().await.is_empty());
    fx.clock.advance(secs(2));
    let again = fx.claim_one().await;
    assert_eq!((again.attempt, again.steps), (1, BTreeMap::new()), "and finds that no signal has come");
    let record = fx.job(&id("a")).await;
    assert_eq!(
        (record.run_at, record.wakes_at),
        (wakes_at, None),
        "its turn counts from when the wait was over"
    );
    // One that is over at once is no wait.
    fx.end(&again.lease, approval(Some(Duration::ZERO))).await;
    assert_eq!(fx.claim_one().await.attempt, 1);
}

/// "A sweep lets waits that are over go on."
pub async fn a_sweep_lets_waits_that_are_over_go_on(fx: &Fixture) {
    for (n, timeout) in [secs(5), secs(10), secs(10)].into_iter().enumerate() {
        let lease = fx.running_from(named(&n.to_string())).await.lease;
        fx.end(&lease, approval(Some(timeout))).await;
    }
    fx.clock.advance(secs(10));
    assert_eq!(fx.sweep_some(2).await.promoted, 2);
    assert_eq!(fx.sweep_some(2).await.promoted, 1);
    assert!(fx.sweep().await.is_empty());
    assert_eq!(fx.claim_ids().await, ["0", "1", "2"].map(id), "by the ends of their waits");
}

/// "A wait that is over is claimed without a sweep."
pub async fn a_wait_that_is_over_is_claimed_without_a_sweep(fx: &Fixture) {
    let first = fx.running_from(named("a")).await;
    fx.end(&first.lease, approval(Some(secs(10)))).await;
    fx.clock.advance(secs(10));
    let turn = fx.finish_and_claim(Vec::new(), claim()).await;
    assert_eq!(turn.claimed.len(), 1);
    assert_eq!((&turn.claimed[0].lease.id, turn.claimed[0].attempt), (&id("a"), 1));
}

/// "A waiting claim answers when a wait is over."
pub async fn a_waiting_claim_answers_when_a_wait_is_over(fx: &Fixture) {
    let first = fx.running_from(named("a")).await;
    fx.end(&first.lease, approval(Some(secs(10)))).await;
    let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
    park(fx, waiting.as_mut()).await;
    fx.clock.advance(secs(10));
    let claimed = ok("claim", within("a wait that is over", waiting).await);
    assert_eq!(claimed[0].lease.id, id("a"));

    // One that begins while the claim waits.
    let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
    park(fx, waiting.as_mut()).await;
    fx.end(&claimed[0].lease, waits(WaitsFor::Signal("more".into()), Some(secs(10)))).await;
    park(fx, waiting.as_mut()).await;
    fx.clock.advance(secs(10));
    let claimed = ok("claim", within("a wait that began later and is over", waiting).await);
    assert_eq!(claimed[0].lease.id, id("a"));
}

/// "A wait of a job asked to cancel ends it as cancelled."
pub async fn a_wait_of_a_job_asked_to_cancel_ends_it_as_cancelled(fx: &Fixture) {
    for outcome in [children(None), approval(Some(HOUR)), person()] {
        let (parent, kids) = family(fx, "p", &["a"]).await;
        assert_eq!(fx.act(&id("p"), CANCEL).await, 1);
        fx.end_asked(&parent.lease, outcome.clone()).await;
        let record = fx.job(&id("p")).await;
        assert_eq!((record.state, record.waits_for), (State::Cancelled, None), "{outcome:?}");
        fx.end(&kids[0].lease, completed()).await;
        assert_eq!(fx.state(&id("p")).await, State::Cancelled, "it is not set free after that");
        for name in ["p", "a"] {
            assert_eq!(fx.act(&id(name), Action::Delete).await, 1);
        }
    }
}

/// "A job that waits for a person keeps its attempts and its error."
pub async fn a_job_that_waits_for_a_person_keeps_its_attempts_and_its_error(fx: &Fixture) {
    let first =
        fx.running_from(NewJob { max_attempts: 1, unique: unique("u", None).unique, ..named("a") }).await;
    fx.record(&first.lease, vec![step("ocr", "1")]).await;
    fx.end(&first.lease, person()).await;
    let record = fx.job(&id("a")).await;
    assert_eq!((record.state, record.waits_for), (State::Blocked, Some(WaitsFor::Person)));
    assert_eq!((record.attempt, record.finished_at, record.wakes_at), (1, None, None));
    let error = AttemptError {
        attempt: 1,
        at: fx.now(),
        ..AttemptError::new(ErrorKind::Timeout, "the model did not answer")
    };
    assert_eq!(record.errors, [error]);
    assert!(fx.offer(unique("u", None)).await.is_duplicate(), "it has not ended");
    fx.clock.advance(24 * 100 * HOUR);
    fx.sweep().await;
    assert_eq!(fx.state(&id("a")).await, State::Blocked);
    assert_eq!(fx.act(&id("a"), Action::Delete).await, 0);
}

/// "Retrying a job that waits for a person starts it anew."
pub async fn retrying_a_job_that_waits_for_a_person_starts_it_anew(fx: &Fixture) {
    let one = KeyConfig { slots: Some(1), ..KeyConfig::default() };
    ok("configure a key", fx.store.set_key("k", Some(&one)).await);
    let closing = NewJob { start: Start::AfterChildren, ..named("all") };
    let kept = NewJob { max_attempts: 2, parent: Some(id("all")), ..limited("a", &["k"]) };
    fx.enqueue_all(vec![closing, kept]).await;
    let first = fx.claim_one().await;
    fx.record(&first.lease, vec![step("ocr", "1")]).await;
    fx.end(&first.lease, person()).await;
    assert_eq!(counts(fx, "all").await, counted(1, 0, 0, 0), "it has not ended");
    assert_eq!(fx.act(&id("a"), Action::Retry).await, 1);
    let record = fx.job(&id("a")).await;
    assert_eq!((record.state, record.attempt, record.run_at), (State::Available, 0, fx.now()));
    assert_eq!((record.waits_for, record.errors.len()), (None, 1));
    let again = fx.claim_one().await;
    assert_eq!((again.attempt, &again.steps["ocr"]), (1, &json("1")), "all attempts, and its steps");
    fx.end(&again.lease, person()).await;
    assert_eq!(fx.act(&id("a"), Action::RetryWith { args: json("7") }).await, 1);
    let again = fx.claim_one().await;
    assert_eq!((again.args, again.steps), (json("7"), BTreeMap::new()));
    fx.end(&again.lease, completed()).await;
    assert_eq!(counts(fx, "all").await, counted(1, 1, 0, 0), "counted once");
}

/// "Cancelling a job that waits for a person ends it."
pub async fn cancelling_a_job_that_waits_for_a_person_ends_it(fx: &Fixture) {
    let first = fx.running_from(named("a")).await;
    fx.enqueue(crate::depends::after_any_end("b", &["a"])).await;
    fx.end(&first.lease, person()).await;
    assert_eq!(fx.state(&id("b")).await, State::Blocked, "it has not ended");
    assert_eq!(fx.act(&id("a"), CANCEL).await, 1);
    let record = fx.job(&id("a")).await;
    assert_eq!((record.state, record.waits_for), (State::Cancelled, None));
    assert_eq!(fx.claim_ids().await, [id("b")]);
}

/// "Cancelling a blocked job ends its wait."
pub async fn cancelling_a_blocked_job_ends_its_wait(fx: &Fixture) {
    for outcome in [children(Some(HOUR)), approval(Some(HOUR))] {
        let (parent, kids) = family(fx, "p", &["a"]).await;
        fx.end(&parent.lease, outcome).await;
        assert_eq!(fx.act(&id("p"), CANCEL).await, 1);
        let record = fx.job(&id("p")).await;
        assert_eq!((record.state, record.waits_for, record.wakes_at), (State::Cancelled, None, None));
        fx.end(&kids[0].lease, completed()).await;
        fx.clock.advance(HOUR);
        assert_eq!(fx.sweep().await.promoted, 0, "neither its time nor its children set it free");
        assert_eq!(fx.state(&id("p")).await, State::Cancelled);
        for name in ["p", "a"] {
            assert_eq!(fx.act(&id(name), Action::Delete).await, 1);
        }
    }
}
