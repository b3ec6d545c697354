//! The contract of [`Store::sweep`](longhaul::Store::sweep), but for the pruning.

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::{Action, ErrorKind, EventBody, LeaseStatus, NewJob, Outcome, QueueConfig, State, Swept};

use crate::Fixture;
use crate::jobs::{
    HOUR, LEASE, QUEUE, chunk, completed, delayed, finish, id, job, json, named, retry, secs, unique,
};

const MILLISECOND: Duration = Duration::from_millis(1);

/// "A sweep promotes what is due."
pub async fn a_sweep_promotes_what_is_due(fx: &Fixture) {
    let claimed = fx.running().await;
    fx.end(&claimed.lease, retry(secs(10))).await;
    let early = fx.enqueue(delayed(secs(10))).await;
    let other = fx.enqueue(NewJob { queue: "elsewhere".into(), ..delayed(secs(10)) }).await;
    let late = fx.enqueue(delayed(secs(10) + MILLISECOND)).await;
    fx.clock.advance(secs(10) - MILLISECOND);
    assert_eq!(fx.sweep().await, Swept::default());
    fx.clock.advance(MILLISECOND);
    let before = fx.job(&early).await;
    assert_eq!(fx.sweep().await, Swept { promoted: 3, ..Swept::default() });
    for id in [&claimed.lease.id, &early, &other] {
        assert_eq!(fx.state(id).await, State::Available);
    }
    assert_eq!(fx.state(&late).await, State::Scheduled);
    let after = fx.job(&early).await;
    assert_eq!((after.last_event, after.run_at), (before.last_event + 1, before.run_at));
    assert_eq!(fx.sweep().await, Swept::default(), "once");
}

/// "A rescued job keeps its place."
pub async fn a_rescued_job_keeps_its_place(fx: &Fixture) {
    let first = fx.running().await;
    fx.clock.advance(secs(4));
    let second = fx.enqueue(job()).await;
    fx.clock.advance(LEASE);
    assert_eq!(fx.sweep().await, Swept { rescued: 1, ..Swept::default() });
    assert_eq!(fx.claim_ids().await, [first.lease.id, second], "what was begun goes before what was not");
}

/// "A sweep rescues jobs whose lease has expired."
pub async fn a_sweep_rescues_jobs_whose_lease_has_expired(fx: &Fixture) {
    let (first, second) = (fx.running().await, fx.running().await);
    fx.record(&first.lease, vec![chunk("1")]).await;
    fx.clock.advance(LEASE - MILLISECOND);
    assert_eq!(fx.sweep().await, Swept::default(), "a lease is not over before its time");
    fx.clock.advance(2 * MILLISECOND);
    assert_eq!(fx.state(&first.lease.id).await, State::Running, "nothing happens by itself");
    assert_eq!(fx.sweep().await, Swept { rescued: 2, ..Swept::default() });
    for lease in [&first.lease, &second.lease] {
        let record = fx.job(&lease.id).await;
        assert_eq!(record.state, State::Available, "it may run again at once");
        assert_eq!(fx.heartbeat(lease).await, LeaseStatus::Lost);
        assert_eq!(fx.finish(lease, completed()).await, LeaseStatus::Lost);
    }
    assert_eq!(fx.sweep().await, Swept::default(), "once");
    let bodies: Vec<EventBody> = fx.events(&first.lease.id).await.into_iter().map(|e| e.body).collect();
    assert!(bodies.contains(&EventBody::Chunk { data: json("1") }), "what it had to say is kept");
    let mut again = fx.claim_ids().await;
    again.sort();
    let mut expected = vec![first.lease.id, second.lease.id];
    expected.sort();
    assert_eq!(again, expected);
}

/// "A rescue costs no attempt and counts as a crash."
pub async fn a_rescue_costs_no_attempt_and_counts_as_a_crash(fx: &Fixture) {
    let claimed = fx.running_from(NewJob { max_attempts: 2, ..job() }).await;
    fx.end(&claimed.lease, retry(Duration::ZERO)).await;
    for crashes in 1..=3 {
        let claimed = fx.claim_one().await;
        assert_eq!(claimed.attempt, 2, "every time");
        assert_eq!(fx.crash_workers().await.rescued, 1);
        let record = fx.job(&claimed.lease.id).await;
        assert_eq!((record.attempt, record.crashes, record.interruptions), (1, crashes, 0));
        let error = &record.errors[record.errors.len() - 1];
        assert_eq!((error.kind, error.attempt, error.at), (ErrorKind::Crash, 2, fx.now()));
        assert_eq!(record.errors.len(), 1 + crashes as usize);
    }
}

/// "A job that crashed too often fails as poison."
pub async fn a_job_that_crashed_too_often_fails_as_poison(fx: &Fixture) {
    let id = fx.enqueue(NewJob { max_crashes: 2, ..job() }).await;
    for _ in 0..2 {
        fx.claim_one().await;
        assert_eq!(fx.crash_workers().await, Swept { rescued: 1, ..Swept::default() });
    }
    let last = fx.claim_one().await;
    assert_eq!(fx.crash_workers().await, Swept { poisoned: 1, ..Swept::default() });
    let record = fx.job(&id).await;
    assert_eq!((record.state, record.crashes, record.finished_at), (State::Failed, 3, Some(fx.now())));
    let error = &record.errors[record.errors.len() - 1];
    assert_eq!(error.kind, ErrorKind::Crash);
    assert!(error.message.contains("poison"), "{} says why", error.message);
    assert_eq!(fx.finish(&last.lease, completed()).await, LeaseStatus::Lost);
    assert!(fx.claim_ids().await.is_empty());

    fx.running_from(NewJob { max_crashes: 0, ..job() }).await;
    assert_eq!(fx.crash_workers().await.poisoned, 1, "with no crash to spare, the first one");

    // Only crashes count: a job that was given back as often is as healthy as ever.
    let claimed = fx.running_from(NewJob { max_crashes: 1, ..named("healthy") }).await;
    fx.end(&claimed.lease, Outcome::Released).await;
    fx.end(&fx.claim_one().await.lease, Outcome::Released).await;
    fx.claim_one().await;
    assert_eq!(fx.crash_workers().await.rescued, 1);
}

/// "A rescued job asked to cancel is cancelled."
pub async fn a_rescued_job_asked_to_cancel_is_cancelled(fx: &Fixture) {
    let claimed = fx.running_from(NewJob { max_crashes: 0, ..unique("k", None) }).await;
    fx.act(&claimed.lease.id, Action::cancel(HOUR)).await;
    fx.clock.advance(LEASE + secs(1));
    let swept = fx.sweep().await;
    assert_eq!((swept.rescued, swept.poisoned), (0, 0), "it is neither made available nor failed");
    let record = fx.job(&claimed.lease.id).await;
    assert_eq!((record.state, record.cancel_requested), (State::Cancelled, false));
    assert_eq!(record.finished_at, Some(fx.now()));
    assert_eq!(fx.finish(&claimed.lease, completed()).await, LeaseStatus::Lost);
    fx.clock.advance(2 * HOUR);
    assert_eq!(fx.sweep().await, Swept::default());
    assert!(fx.claim_ids().await.is_empty());
}

/// "A sweep fences off a cancelled job after its grace."
pub async fn a_sweep_fences_off_a_cancelled_job_after_its_grace(fx: &Fixture) {
    let claimed = fx.running().await;
    fx.act(&claimed.lease.id, Action::cancel(secs(40))).await;
    for _ in 0..2 {
        fx.clock.advance(secs(20) - MILLISECOND);
        assert_eq!(fx.heartbeat(&claimed.lease).await, LeaseStatus::CancelRequested);
        assert_eq!(fx.sweep().await, Swept::default(), "it has its grace");
    }
    fx.clock.advance(3 * MILLISECOND);
    assert_eq!(fx.heartbeat(&claimed.lease).await, LeaseStatus::CancelRequested, "its lease is no grace");
    assert_eq!(fx.sweep().await, Swept { fenced: 1, ..Swept::default() });
    let record = fx.job(&claimed.lease.id).await;
    assert_eq!((record.state, record.cancel_requested), (State::Cancelled, false));
    assert_eq!((record.finished_at, record.attempt), (Some(fx.now()), 1));
    let ended = fx.seen(&claimed.lease.id).await;
    assert_eq!(fx.heartbeat(&claimed.lease).await, LeaseStatus::Lost);
    assert_eq!(fx.record(&claimed.lease, vec![chunk("1")]).await, LeaseStatus::Lost);
    assert_eq!(fx.finish(&claimed.lease, completed()).await, LeaseStatus::Lost);
    assert_eq!(fx.seen(&claimed.lease.id).await, ended);

    // Run again by hand, it has a new lease, and the old request to stop is not held against it.
    assert_eq!(fx.act(&claimed.lease.id, Action::Retry).await, 1);
    let again = fx.claim_one().await;
    assert!(again.lease.token > claimed.lease.token);
    assert_eq!(fx.heartbeat(&again.lease).await, LeaseStatus::Held);
    assert_eq!(fx.finish(&claimed.lease, completed()).await, LeaseStatus::Lost);
    fx.clock.advance(secs(20));
    assert_eq!(fx.sweep().await, Swept::default());
}

/// "A sweep does no more than its limit."
pub async fn a_sweep_does_no_more_than_its_limit(fx: &Fixture) {
    let mut config = QueueConfig::default();
    config.retention.completed.age = Some(secs(10));
    fx.set_queue(QUEUE, &config).await;
    let ended: Vec<_> = fx.claim_many(5).await.iter().map(|lease| finish(lease, completed())).collect();
    fx.finish_all(ended).await;
    fx.claim_many(5).await;
    let stubborn = fx.claim_many(5).await;
    for lease in &stubborn {
        fx.act(&lease.id, Action::cancel(secs(10))).await;
    }
    fx.heartbeat_all(&crate::jobs::worker("w1"), &stubborn, HOUR).await;
    fx.enqueue_all((0..5).map(|_| delayed(secs(10))).collect()).await;
    fx.clock.advance(LEASE + secs(11));

    let mut total = Swept::default();
    for sweeps in 1.. {
        let swept = fx.sweep_some(2).await;
        assert!(swept.promoted <= 2 && swept.pruned <= 2, "{swept:?}");
        assert!(swept.rescued <= 2 && swept.fenced <= 2, "{swept:?}");
        total.promoted += swept.promoted;
        total.rescued += swept.rescued;
        total.fenced += swept.fenced;
        total.pruned += swept.pruned;
        assert!(sweeps <= 20, "what is left over is done by the next sweeps: {total:?}");
        if swept.is_empty() {
            break;
        }
    }
    assert_eq!(total, Swept { promoted: 5, rescued: 5, fenced: 5, pruned: 5, ..Swept::default() });
    let counts = BTreeMap::from([(State::Available, 10), (State::Cancelled, 5)]);
    assert_eq!(fx.counts(QUEUE).await, counts);
}

/// "A sweep with nothing to do says so."
pub async fn a_sweep_with_nothing_to_do_says_so(fx: &Fixture) {
    assert!(fx.sweep().await.is_empty(), "an empty store");
    let claimed = fx.running().await;
    fx.end(&claimed.lease, completed()).await;
    let keyed = fx.running_from(NewJob { id: Some(id("keyed")), ..unique("k", Some(secs(1))) }).await;
    fx.end(&keyed.lease, completed()).await;
    let running = fx.running().await;
    fx.act(&running.lease.id, Action::cancel(HOUR)).await;
    fx.enqueue_all(vec![delayed(HOUR), job()]).await;
    fx.heartbeat_all(&crate::jobs::worker("silent"), &[], LEASE).await;
    for _ in 0..3 {
        assert_eq!(fx.sweep().await, Swept::default());
        fx.clock.advance(secs(25));
        fx.heartbeat(&running.lease).await;
    }
    // A worker and a key were forgotten meanwhile, which is no news of a job.
    fx.clock.advance(secs(25));
    assert_eq!(fx.sweep().await, Swept::default());
}
