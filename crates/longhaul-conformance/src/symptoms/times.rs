//! Symptoms of times far ahead: run at once, ended at once, overflowed.

use std::pin::pin;
use std::time::Duration;

use longhaul::{
    Action, Backoff, Claim, EnqueueStatus, LeaseStatus, NewJob, Outcome, Policy, Start, State, Swept,
    Timestamp, Unique,
};

use crate::Fixture;
use crate::fixture::{ok, park, within};
use crate::jobs::{HOUR, LEASE, claim, completed, delayed, id, idempotent, job, named, retry, secs, worker};

/// 2³¹ and 2³² milliseconds, and ten years, beyond which a remote store sends no duration.
const FAR: [Duration; 3] = [secs(2_147_484), secs(4_294_968), secs(315_360_000)];
/// 9999-12-30: the last day that is in the year 9999 everywhere on Earth.
const LAST_DAY: Timestamp = Timestamp(253_402_128_000_000);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Delays that overflow 32 bits of milliseconds, and moments up to the last that can be written.
pub async fn a17_a_job_far_ahead_waits_for_its_time(fx: &Fixture) {
    let begin = fx.now();
    let at = |delay| begin.plus(delay);
    let mut jobs: Vec<NewJob> = FAR.into_iter().map(delayed).collect();
    jobs.push(NewJob { start: Start::At(LAST_DAY), ..job() });
    for start in [Start::After(Duration::MAX), Start::At(Timestamp::MAX), Start::At(Timestamp(i64::MAX))] {
        let endless = fx.enqueue(NewJob { start, ..job() }).await;
        assert!(fx.job(&endless).await.run_at >= at(FAR[2]), "at the end of time, or as far as can be sent");
        fx.act(&endless, Action::cancel(LEASE)).await;
    }
    let due = FAR.map(at).into_iter().chain([LAST_DAY]);
    let ids: Vec<_> = fx.enqueue_all(jobs).await.into_iter().map(|answer| answer.id).collect();
    for (id, due) in ids.iter().zip(due) {
        let record = fx.job(id).await;
        assert_eq!((record.state, record.run_at), (State::Scheduled, due));
    }
    assert_eq!(fx.sweep().await, Swept::default());
    let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
    park(fx, waiting.as_mut()).await;
    let now = fx.enqueue(named("now")).await;
    let claimed = ok("claim", within("a job that is due beside others that are far ahead", waiting).await);
    assert_eq!(claimed.iter().map(|claimed| &claimed.lease.id).collect::<Vec<_>>(), [&now]);
    fx.end(&claimed[0].lease, completed()).await;

    for (id, delay) in ids.iter().zip(&FAR) {
        fx.clock.advance(at(*delay).since(fx.now()) - MILLISECOND);
        assert!(fx.claim_ids().await.is_empty(), "a millisecond early");
        fx.clock.advance(MILLISECOND);
        let lease = fx.claim_one().await.lease;
        assert_eq!(lease.id, *id);
        fx.end(&lease, completed()).await;
    }
}

/// Whatever a run may ask for: a delay, a limit of its own, a lease.
pub async fn a17_a_run_that_is_put_off_for_years_does_not_come_back_at_once(fx: &Fixture) {
    for delay in FAR.into_iter().chain([Duration::MAX]) {
        let key = format!("provider-{}", delay.as_secs());
        for outcome in [retry(delay), Outcome::Snoozed { delay }, Outcome::RateLimited { delay }] {
            let job = NewJob { limit_keys: vec![key.clone()], ..job() };
            let lease = fx.running_from(job).await.lease;
            fx.end(&lease, outcome).await;
            let record = fx.job(&lease.id).await;
            assert_eq!(record.state, State::Scheduled);
            let least = fx.now().plus(delay.min(FAR[2]));
            assert!((least..=Timestamp::MAX).contains(&record.run_at), "{:?}", record.run_at);
            assert!(delay > FAR[2] || record.run_at == least);
            assert_eq!(fx.sweep().await.promoted, 0);
        }
    }
}

/// A time of years does not overflow into one that is over at once.
pub async fn a17_a_timeout_lease_grace_or_period_of_years_does_not_end_at_once(fx: &Fixture) {
    for (number, long) in FAR.into_iter().enumerate() {
        let (key, promise) = (format!("k{number}"), format!("i{number}"));
        let policy = Policy { timeout: Some(long), ..Policy::default() };
        let unique = Some(Unique { period: Some(long), ..Unique::new(key) });
        let mut cached = NewJob { policy, unique, ..idempotent(&promise, "f") };
        if let Some(idempotency) = &mut cached.idempotency {
            idempotency.keep_for = long;
        }
        let first = fx.enqueue(cached.clone()).await;
        let claimed = fx.claim(Claim { lease_for: long, ..claim() }).await.remove(0);
        assert_eq!(claimed.policy, policy);
        fx.clock.advance(secs(1_000_000));
        assert_eq!(taken(fx).await, 0, "its lease is not over");
        assert_eq!(
            fx.heartbeat_all(&worker("w1"), std::slice::from_ref(&claimed.lease), long).await,
            [LeaseStatus::Held]
        );
        fx.clock.advance(long - secs(1));
        assert_eq!(taken(fx).await, 0, "nor after a heartbeat");
        assert_eq!(fx.act(&first, Action::cancel(long)).await, 1);
        let beat = fx.heartbeat_all(&worker("w1"), std::slice::from_ref(&claimed.lease), long).await;
        assert_eq!(beat, [LeaseStatus::CancelRequested]);
        fx.clock.advance(long - secs(1));
        assert_eq!(taken(fx).await, 0, "nor is its grace");
        fx.end_asked(&claimed.lease, completed()).await;

        fx.clock.advance(long - secs(1));
        fx.sweep().await;
        let (again, keyed) = (fx.offer(cached.clone()).await, NewJob { idempotency: None, ..cached });
        assert_eq!((again.id, again.status), (first.clone(), EnqueueStatus::Duplicate));
        assert_eq!(fx.offer(keyed.clone()).await.id, first, "its key holds for the period");
        fx.clock.advance(secs(2));
        let free = fx.enqueue(keyed).await;
        fx.act(&free, Action::cancel(LEASE)).await;
    }
}

/// The number of jobs that a sweep reclaims from their workers.
async fn taken(fx: &Fixture) -> u64 {
    let swept = fx.sweep().await;
    swept.rescued + swept.poisoned + swept.fenced
}

/// A thousand attempts and a wait that grows with each: the last ones' power is no number any more.
pub async fn a17_a_backoff_over_a_thousand_attempts_stays_at_its_longest_wait(fx: &Fixture) {
    let backoff = Backoff { base: secs(60), factor: 1_000_000.0, max: HOUR, jitter: 0.0 };
    let policy = Policy { backoff: Some(backoff), ..Policy::default() };
    fx.enqueue(NewJob { max_attempts: 1_000, policy, ..named("a") }).await;
    for attempt in 1..=40 {
        let claimed = fx.claim_one().await;
        assert_eq!((claimed.attempt, claimed.max_attempts, claimed.policy), (attempt, 1_000, policy));
        // As if 959 attempts had gone before.
        let delay = backoff.delay(if attempt == 1 { 1 } else { 959 + attempt });
        assert_eq!(delay, if attempt == 1 { secs(60) } else { HOUR });
        fx.end(&claimed.lease, retry(delay)).await;
        assert_eq!(fx.job(&id("a")).await.run_at, fx.now().plus(delay));
        fx.clock.advance(delay);
    }
}
