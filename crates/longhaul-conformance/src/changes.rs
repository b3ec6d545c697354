//! The contract of [`Store::changes`](longhaul::Store::changes).

use std::sync::{Arc, Mutex};

use longhaul::{
    Action, AttemptError, CancelReason, Change, Claim, ErrorKind, Finish, JobId, KeptChange, NewJob,
    Observer, Outcome, Start, State,
};

use crate::Fixture;
use crate::jobs::{
    KIND, QUEUE, claim, completed, delayed, finish, id, job, named, retry, secs, slots, unique,
};

use State::{Available, Blocked, Cancelled, Completed, Failed, Running, Scheduled};

#[derive(Debug, Default)]
struct ChangeLog(Mutex<Vec<KeptChange>>);

impl Observer for ChangeLog {
    fn changed(&self, change: &Change<'_>) {
        if change.queue != "elsewhere" {
            assert_eq!((change.kind, change.queue), (KIND, QUEUE), "{change:?}");
            self.0.lock().expect("no test panicked in here").push(change.into());
        }
    }
}

impl ChangeLog {
    /// The changes since the last call. A store reports them at the latest when it answers the next call.
    async fn take(&self, fx: &Fixture) -> Vec<KeptChange> {
        fx.workers().await;
        std::mem::take(&mut *self.0.lock().expect("no test panicked in here"))
    }

    async fn moves(&self, fx: &Fixture) -> Vec<(JobId, Option<State>, Option<State>)> {
        self.take(fx).await.into_iter().map(|reported| (reported.id, reported.from, reported.to)).collect()
    }
}

/// Begins to listen; `None` where another process makes the changes.
fn listen(fx: &Fixture) -> Option<Arc<ChangeLog>> {
    let log = Arc::new(ChangeLog::default());
    fx.store.changes()?.observe(&log);
    Some(log)
}

fn sorted<T: Ord>(mut moves: Vec<T>) -> Vec<T> {
    moves.sort();
    moves
}

/// "Every change of state is told once."
pub async fn every_change_of_state_is_told_once(fx: &Fixture) {
    let Some(log) = listen(fx) else { return };
    let moved = async |what: &str, expected: &[(&str, Option<State>, Option<State>)]| {
        let expected = expected.iter().map(|(name, from, to)| (id(name), *from, *to)).collect();
        assert_eq!(sorted(log.moves(fx).await), sorted::<(JobId, _, _)>(expected), "{what}");
    };
    let later = NewJob { id: Some(id("later")), ..delayed(secs(10)) };
    fx.enqueue_all(vec![named("a"), later, named("a")]).await;
    moved("an enqueue", &[("a", None, Some(Available)), ("later", None, Some(Scheduled))]).await;
    fx.enqueue_all(vec![NewJob { id: Some(id("u")), ..unique("k", None) }, unique("k", None)]).await;
    moved("a unique job and one that joins it", &[("u", None, Some(Available))]).await;
    let leases = fx.claim_leases().await;
    moved("a claim", &[("a", Some(Available), Some(Running)), ("u", Some(Available), Some(Running))]).await;
    fx.end(&leases[0], completed()).await;
    fx.finish(&leases[0], completed()).await;
    moved("a completion, sent twice", &[("a", Some(Running), Some(Completed))]).await;
    fx.end(&leases[1], retry(secs(5))).await;
    moved("a retry", &[("u", Some(Running), Some(Scheduled))]).await;
    fx.clock.advance(secs(10));
    fx.sweep().await;
    let due = [("later", Some(Scheduled), Some(Available)), ("u", Some(Scheduled), Some(Available))];
    moved("a promotion", &due).await;
    let leases = fx.claim_leases().await;
    moved("a claim", &[("u", Some(Available), Some(Running)), ("later", Some(Available), Some(Running))])
        .await;
    let (u, later) = (&leases[0], &leases[1]);
    let (u, later) = if u.id == id("u") { (u, later) } else { (later, u) };
    let turn = Finish { follow_ups: vec![named("next")], ..finish(u, completed()) };
    fx.finish_and_claim(vec![turn], Claim { queues: vec![slots(QUEUE, 1)], ..claim() }).await;
    let expected = [
        ("u", Some(Running), Some(Completed)),
        ("next", None, Some(Available)),
        ("next", Some(Available), Some(Running)),
    ];
    moved("a turn with a follow-up", &expected).await;
    fx.crash_workers().await;
    let rescued = [("next", Some(Running), Some(Available)), ("later", Some(Running), Some(Available))];
    moved("a rescue", &rescued).await;
    fx.finish(later, completed()).await;
    moved("a lost finish", &[]).await;
    let all = longhaul::JobFilter { queues: vec![QUEUE.into()], ..longhaul::JobFilter::default() };
    fx.act_on(&all, Action::cancel(secs(5)), 100).await;
    let cancelled = [("next", Some(Available), Some(Cancelled)), ("later", Some(Available), Some(Cancelled))];
    moved("a cancel", &cancelled).await;
    fx.act(&id("next"), Action::Retry).await;
    moved("a retry by hand", &[("next", Some(Cancelled), Some(Available))]).await;
    fx.act(&id("next"), Action::SetPriority { priority: 5 }).await;
    moved("another priority", &[]).await;
    fx.claim_ids().await;
    fx.act(&id("next"), Action::cancel(secs(5))).await;
    moved("a request to stop is no change", &[("next", Some(Available), Some(Running))]).await;
    fx.clock.advance(secs(5));
    fx.sweep().await;
    moved("a fence", &[("next", Some(Running), Some(Cancelled))]).await;
    fx.act(&id("later"), Action::Delete).await;
    moved("a removal", &[("later", Some(Cancelled), None)]).await;

    let parent = NewJob { start: Start::AfterChildren, ..named("parent") };
    let child = NewJob { parent: Some(id("parent")), ..named("child") };
    fx.enqueue_all(vec![parent, child, NewJob { start: Start::AfterChildren, ..named("lonely") }]).await;
    let reported = sorted(log.moves(fx).await);
    assert!(reported.contains(&(id("parent"), None, Some(Blocked))), "{reported:?}");
    assert!(reported.contains(&(id("child"), None, Some(Available))), "{reported:?}");
    let last = reported.iter().filter(|(name, ..)| *name == id("lonely")).map(|(_, _, to)| *to).max();
    assert_eq!(last, Some(Some(Available)), "a job with no children to wait for is available");
    let leases = fx.claim_leases().await;
    log.moves(fx).await;
    for lease in &leases {
        fx.end(lease, completed()).await;
    }
    let reported = log.moves(fx).await;
    assert!(reported.contains(&(id("parent"), Some(Blocked), Some(Available))), "{reported:?}");
}

/// "A change tells when the wait or the run before it began."
pub async fn a_change_tells_when_the_wait_or_the_run_before_it_began(fx: &Fixture) {
    let Some(log) = listen(fx) else { return };
    let due = fx.now().plus(secs(10));
    fx.enqueue(NewJob { id: Some(id("a")), ..delayed(secs(10)) }).await;
    fx.clock.advance(secs(12));
    let lease = fx.claim_one().await.lease;
    let began = fx.now();
    let reported = log.take(fx).await;
    let starts = reported.last().expect("the claim was reported");
    assert_eq!((starts.to, starts.attempt, starts.at, starts.since), (Some(Running), 1, began, Some(due)));
    fx.clock.advance(secs(7));
    fx.end(&lease, completed()).await;
    let ended = log.take(fx).await;
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].to, ended[0].attempt, ended[0].at), (Some(Completed), 1, fx.now()));
    assert_eq!(ended[0].since, Some(began));
    // A run with something to say takes another way in some stores.
    let lease = fx.running().await.lease;
    let began = fx.now();
    log.take(fx).await;
    fx.clock.advance(secs(3));
    fx.finish_all(vec![Finish { entries: vec![crate::jobs::log("x")], ..finish(&lease, completed()) }]).await;
    assert_eq!(log.take(fx).await[0].since, Some(began));
}

/// "A failed attempt is told with its message."
pub async fn a_failed_attempt_is_told_with_its_message(fx: &Fixture) {
    let Some(log) = listen(fx) else { return };
    let error = |message: &str| AttemptError::new(ErrorKind::Error, message);
    let lease = fx.running_from(NewJob { max_crashes: 0, ..job() }).await.lease;
    log.take(fx).await;
    fx.end(&lease, Outcome::Retry { error: error("try again"), delay: secs(0) }).await;
    let reported = log.take(fx).await;
    assert_eq!((reported[0].to, reported[0].error.as_deref()), (Some(Available), Some("try again")));
    let lease = fx.claim_one().await.lease;
    fx.end(&lease, Outcome::Snoozed { delay: secs(0) }).await;
    assert!(log.take(fx).await.iter().all(|reported| reported.error.is_none()), "a snooze is no failure");
    let lease = fx.claim_one().await.lease;
    log.take(fx).await;
    fx.end(&lease, Outcome::Failed { error: error("for good") }).await;
    let reported = log.take(fx).await;
    assert_eq!((reported[0].to, reported[0].error.as_deref()), (Some(Failed), Some("for good")));
    let lease = fx.running_from(NewJob { max_crashes: 0, ..job() }).await.lease;
    fx.crash_workers().await;
    let reported = log.take(fx).await;
    let poisoned = reported.last().expect("the crash was reported");
    assert_eq!((&poisoned.id, poisoned.to), (&lease.id, Some(Failed)));
    assert!(poisoned.error.as_deref().is_some_and(|message| message.contains("poison")), "{poisoned:?}");
    let lease = fx.running().await.lease;
    log.take(fx).await;
    fx.end(&lease, Outcome::Cancelled { reason: "no more".into(), cancel_reason: CancelReason::Asked }).await;
    assert_eq!(log.take(fx).await[0].error, None, "a cancel is none");
}
