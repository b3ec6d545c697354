//! The contract of the times of a job: when it expires, and when it must have ended.

use std::time::Duration;

use longhaul::{
    Action, CancelReason, Claim, Deadline, LeaseStatus, NewJob, Outcome, STOP_GRACE, Start, State, Swept,
};

use crate::Fixture;
use crate::jobs::{
    HOUR, LEASE, QUEUE, claim, completed, delayed, failed, id, named, retry, secs, slots, worker,
};

const MILLISECOND: Duration = Duration::from_millis(1);

fn expiring(name: &str, time: Duration) -> NewJob {
    NewJob { expires_in: Some(time), ..named(name) }
}

fn due(name: &str, time: Duration) -> NewJob {
    NewJob { deadline: Some(Deadline::In(time)), ..named(name) }
}

async fn assert_cancelled(fx: &Fixture, name: &str, reason: CancelReason) {
    let job = fx.job(&id(name)).await;
    assert_eq!((job.state, job.cancel_reason), (State::Cancelled, Some(reason)), "{name}");
    assert_eq!(job.finished_at, Some(fx.now()), "{name}");
}

/// "A sweep cancels a job that was not started before its expiry."
pub async fn a_sweep_cancels_a_job_that_was_not_started_before_its_expiry(fx: &Fixture) {
    let closing = NewJob { start: Start::AfterChildren, ..expiring("blocked", secs(10)) };
    let child = NewJob { parent: Some(id("blocked")), queue: "elsewhere".into(), ..named("child") };
    let scheduled = NewJob { start: Start::After(secs(5)), ..expiring("scheduled", secs(10)) };
    let late = NewJob { start: Start::After(HOUR), ..expiring("late", secs(10)) };
    fx.enqueue_all(vec![expiring("available", secs(10)), scheduled, late, closing, child]).await;
    fx.enqueue(expiring("longer", secs(11))).await;
    let expires_at = Some(fx.now().plus(secs(10)));
    assert_eq!(fx.job(&id("available")).await.expires_at, expires_at);
    fx.clock.advance(secs(10) - MILLISECOND);
    assert_eq!(fx.sweep().await, Swept { promoted: 1, ..Swept::default() });
    fx.clock.advance(MILLISECOND);
    assert_eq!(fx.sweep().await, Swept { expired: 4, ..Swept::default() });
    for name in ["available", "scheduled", "late", "blocked"] {
        assert_cancelled(fx, name, CancelReason::Expired).await;
    }
    assert_eq!(fx.job(&id("available")).await.expires_at, expires_at, "it goes on telling when");
    assert_eq!(fx.sweep().await, Swept::default(), "once");
    assert_eq!(fx.claim_ids().await, [id("longer")]);

    // A child that expires is counted by its batch, and gives its key up.
    let closing = NewJob { start: Start::AfterChildren, ..named("closing") };
    let unique = crate::jobs::unique("k", None).unique;
    let child = NewJob { parent: Some(id("closing")), unique, ..expiring("expires", secs(10)) };
    fx.enqueue_all(vec![closing, child]).await;
    fx.clock.advance(secs(10));
    fx.sweep().await;
    let closing = fx.job(&id("closing")).await;
    assert_eq!(
        (closing.state, closing.children.map(|children| children.cancelled)),
        (State::Available, Some(1))
    );
    fx.enqueue(crate::jobs::unique("k", None)).await;
}

/// "A job past its expiry or its deadline is not claimed."
pub async fn a_job_past_its_expiry_or_its_deadline_is_not_claimed(fx: &Fixture) {
    let scheduled = NewJob { start: Start::After(secs(5)), ..expiring("scheduled", secs(10)) };
    fx.enqueue_all(vec![expiring("a", secs(10)), due("b", secs(10)), scheduled, named("c")]).await;
    fx.enqueue_all((0..50).map(|n| NewJob { priority: 1, ..expiring(&format!("e{n}"), secs(10)) }).collect())
        .await;
    fx.clock.advance(secs(10));
    let one = Claim { queues: vec![slots(QUEUE, 1)], ..claim() };
    let claimed = fx.claim(one).await;
    assert_eq!(claimed.len(), 1, "though no sweep has cancelled those before it");
    assert_eq!(claimed[0].lease.id, id("c"));
    assert!(fx.claim_ids().await.is_empty());
    assert_eq!(fx.sweep().await.expired, 53);
}

/// "A job that was started does not expire."
pub async fn a_job_that_was_started_does_not_expire(fx: &Fixture) {
    let expiring = |name: &str| expiring(name, secs(10));
    let runs = fx.running_from(expiring("runs")).await;
    for (name, outcome) in [
        ("retried", retry(secs(20))),
        ("snoozed", Outcome::Snoozed { delay: secs(20) }),
        ("released", Outcome::Released),
    ] {
        let claimed = fx.running_from(NewJob { priority: 1, ..expiring(name) }).await;
        fx.end(&claimed.lease, outcome).await;
    }
    fx.clock.advance(secs(20));
    assert_eq!(fx.sweep().await, Swept { promoted: 2, ..Swept::default() });
    fx.end(&runs.lease, completed()).await;
    assert_eq!(fx.claim_ids().await.len(), 3);
}

/// "A sweep cancels a waiting job at its deadline."
pub async fn a_sweep_cancels_a_waiting_job_at_its_deadline(fx: &Fixture) {
    let retried = fx.running_from(due("retried", secs(10))).await;
    assert_eq!(fx.job(&id("retried")).await.deadline, Some(fx.now().plus(secs(10))));
    fx.end(&retried.lease, retry(secs(5))).await;
    fx.enqueue_all(vec![
        due("available", secs(10)),
        NewJob { start: Start::After(HOUR), ..due("late", secs(10)) },
    ])
    .await;
    let at = Some(Deadline::At(fx.now().plus(secs(10))));
    fx.enqueue(NewJob { deadline: at, ..named("at") }).await;
    fx.clock.advance(secs(10));
    assert_eq!(fx.sweep().await.expired, 4);
    for name in ["retried", "available", "late", "at"] {
        assert_cancelled(fx, name, CancelReason::Deadline).await;
    }
    let past = Some(Deadline::At(fx.now().minus(HOUR)));
    fx.enqueue(NewJob { deadline: past, ..named("past") }).await;
    assert!(fx.claim_ids().await.is_empty());
    assert_eq!(fx.sweep().await.expired, 1);
    // The earlier of the two times is the reason.
    fx.enqueue(NewJob { expires_in: Some(secs(5)), ..due("both", secs(6)) }).await;
    fx.clock.advance(secs(10));
    fx.sweep().await;
    assert_cancelled(fx, "both", CancelReason::Expired).await;
}

/// "A sweep asks a running job to stop at its deadline."
pub async fn a_sweep_asks_a_running_job_to_stop_at_its_deadline(fx: &Fixture) {
    let (first, second) =
        (fx.running_from(due("a", secs(10))).await, fx.running_from(due("b", secs(10))).await);
    fx.clock.advance(secs(10));
    assert_eq!(fx.sweep().await, Swept { expired: 2, ..Swept::default() });
    assert_eq!(fx.sweep().await, Swept::default(), "once");
    for lease in [&first.lease, &second.lease] {
        assert_eq!(fx.heartbeat(lease).await, LeaseStatus::CancelRequested);
        assert_eq!(fx.job(&lease.id).await.cancel_reason, Some(CancelReason::Deadline));
    }
    fx.end_asked(&first.lease, retry(secs(1))).await;
    assert_cancelled(fx, "a", CancelReason::Deadline).await;
    fx.heartbeat_all(&worker("w1"), std::slice::from_ref(&second.lease), HOUR).await;
    fx.clock.advance(STOP_GRACE);
    assert_eq!(fx.sweep().await.fenced, 1, "one that does not stop is fenced off");
    assert_cancelled(fx, "b", CancelReason::Deadline).await;

    // Who was asked to stop sooner is left alone; a longer grace becomes shorter.
    let (soon, later) =
        (fx.running_from(due("soon", secs(10))).await, fx.running_from(due("later", secs(10))).await);
    fx.heartbeat_all(&worker("w1"), &[soon.lease.clone(), later.lease.clone()], 2 * HOUR).await;
    fx.act(&id("soon"), Action::cancel(secs(20))).await;
    fx.act(&id("later"), Action::cancel(HOUR)).await;
    fx.clock.advance(secs(10));
    assert_eq!(fx.sweep().await, Swept { expired: 1, ..Swept::default() });
    assert_eq!(fx.job(&id("soon")).await.cancel_reason, Some(CancelReason::Asked));
    assert_eq!(fx.job(&id("later")).await.cancel_reason, Some(CancelReason::Deadline));
    // A worker that comes to an end by itself in that time has done its work.
    fx.end_asked(&later.lease, completed()).await;
    let done = fx.job(&id("later")).await;
    assert_eq!((done.state, done.cancel_reason), (State::Completed, None));
}

/// "A claim tells the time that is left until the deadline."
pub async fn a_claim_tells_the_time_that_is_left_until_the_deadline(fx: &Fixture) {
    fx.enqueue(due("a", secs(60))).await;
    fx.clock.advance(secs(15));
    let claimed = fx.claim_one().await;
    assert_eq!(claimed.deadline_in, Some(secs(45)));
    fx.end(&claimed.lease, retry(secs(5))).await;
    fx.clock.advance(secs(5));
    assert_eq!(fx.claim_one().await.deadline_in, Some(secs(40)), "of all its attempts");
    assert_eq!(fx.running().await.deadline_in, None);
}

/// "A run that was cut off at its deadline says so."
pub async fn a_run_that_was_cut_off_at_its_deadline_says_so(fx: &Fixture) {
    let end = |cancel_reason| Outcome::Cancelled { reason: "too late".into(), cancel_reason };
    for reason in [CancelReason::Deadline, CancelReason::Asked] {
        let claimed = fx.running_from(named(reason.as_str())).await;
        fx.end(&claimed.lease, end(reason)).await;
        assert_cancelled(fx, reason.as_str(), reason).await;
    }
    let asked = fx.running_from(named("a")).await;
    fx.act(&id("a"), Action::Cancel { grace: LEASE, reason: CancelReason::Parent }).await;
    fx.end_asked(&asked.lease, end(CancelReason::Deadline)).await;
    assert_cancelled(fx, "a", CancelReason::Parent).await;
}

/// "A cancelled job says why."
pub async fn a_cancelled_job_says_why(fx: &Fixture) {
    let cancel = |reason| Action::Cancel { grace: secs(5), reason };
    fx.enqueue(NewJob { id: Some(id("waits")), ..delayed(HOUR) }).await;
    fx.act(&id("waits"), cancel(CancelReason::Parent)).await;
    assert_cancelled(fx, "waits", CancelReason::Parent).await;

    let stops = fx.running_from(named("stops")).await;
    fx.act(&id("stops"), cancel(CancelReason::Asked)).await;
    assert_eq!(
        fx.job(&id("stops")).await.cancel_reason,
        Some(CancelReason::Asked),
        "while it is to stop, too"
    );
    fx.end_asked(&stops.lease, Outcome::Released).await;
    assert_cancelled(fx, "stops", CancelReason::Asked).await;

    fx.running_from(named("fenced")).await;
    fx.act(&id("fenced"), cancel(CancelReason::Parent)).await;
    fx.clock.advance(secs(5));
    fx.sweep().await;
    assert_cancelled(fx, "fenced", CancelReason::Parent).await;

    fx.running_from(named("crashes")).await;
    fx.act(&id("crashes"), Action::Cancel { grace: HOUR, reason: CancelReason::Parent }).await;
    fx.crash_workers().await;
    assert_cancelled(fx, "crashes", CancelReason::Parent).await;

    for (name, outcome) in [("completes", completed()), ("fails", failed())] {
        let ends = fx.running_from(named(name)).await;
        fx.act(&id(name), cancel(CancelReason::Asked)).await;
        fx.end_asked(&ends.lease, outcome).await;
        assert_eq!(fx.job(&id(name)).await.cancel_reason, None, "{name}");
    }
    let listed = fx.list_records(&longhaul::JobFilter::default()).await;
    let reasons = listed.iter().filter(|job| job.cancel_reason.is_some()).count();
    assert_eq!(reasons, 4, "lists say it, too");
}

/// "Retrying forgets the times of a job and why it was cancelled."
pub async fn retrying_forgets_the_times_of_a_job_and_why_it_was_cancelled(fx: &Fixture) {
    fx.enqueue_all(vec![expiring("a", secs(10)), due("b", secs(10))]).await;
    fx.clock.advance(secs(10));
    fx.sweep().await;
    for name in ["a", "b"] {
        assert_eq!(fx.act(&id(name), Action::Retry).await, 1);
        let job = fx.job(&id(name)).await;
        assert_eq!((job.expires_at, job.deadline, job.cancel_reason), (None, None, None), "{name}");
    }
    fx.clock.advance(HOUR);
    assert_eq!(fx.sweep().await, Swept::default());
    let claimed = fx.claim(claim()).await;
    assert_eq!(claimed.len(), 2);
    assert!(claimed.iter().all(|claimed| claimed.deadline_in.is_none()));
    assert_eq!(fx.sweep().await, Swept::default());
}
