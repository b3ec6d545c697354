//! The contract of limit keys: a run that comes to its provider's limit pauses all jobs of its key.

use std::pin::pin;
use std::time::Duration;

use longhaul::{Action, Claim, JobId, LeaseStatus, NewJob, Outcome, State};

use crate::Fixture;
use crate::fixture::{ok, park, within};
use crate::jobs::{HOUR, LEASE, QUEUE, claim, completed, id, job, limited, named, retry, secs, slots};

fn rate_limited(delay: Duration) -> Outcome {
    Outcome::RateLimited { delay }
}

/// Pauses `key` from now on, by a run of its own that is done with afterwards.
async fn pause(fx: &Fixture, key: &str, delay: Duration) {
    let queue = format!("pausing-{key}");
    let name = id(&format!("pauses-{key}"));
    fx.enqueue(NewJob { queue: queue.clone().into(), ..limited(name.as_str(), &[key]) }).await;
    let claimed = fx.claim(Claim { queues: vec![slots(&queue, 1)], ..claim() }).await.remove(0);
    fx.end(&claimed.lease, rate_limited(delay)).await;
    assert_eq!(fx.act(&name, Action::cancel(LEASE)).await, 1);
}

/// "A job of a paused limit key is not claimed."
pub async fn a_job_of_a_paused_limit_key_is_not_claimed(fx: &Fixture) {
    fx.enqueue(limited("before", &["provider"])).await;
    pause(fx, "provider", secs(10)).await;
    fx.enqueue(limited("after", &["provider"])).await;
    assert!(fx.claim_ids().await.is_empty());
    let record = fx.job(&id("before")).await;
    assert_eq!((record.state, record.run_at), (State::Available, fx.now()), "it waits where it is");
    assert_eq!((record.attempt, record.limit_keys), (0, vec!["provider".to_owned()]));
    fx.clock.advance(secs(10) - Duration::from_millis(1));
    assert!(fx.claim_ids().await.is_empty(), "until the pause is over");
    fx.clock.advance(Duration::from_millis(1));
    assert_eq!(fx.claim_ids().await, [id("before"), id("after")]);
}

/// "Jobs of other keys are claimed past those of a paused one."
pub async fn jobs_of_other_keys_are_claimed_past_those_of_a_paused_one(fx: &Fixture) {
    pause(fx, "provider", secs(10)).await;
    for number in 0..7 {
        fx.enqueue(limited(&format!("paused-{number}"), &["provider"])).await;
    }
    fx.enqueue(named("free")).await;
    fx.enqueue(limited("other", &["another"])).await;
    let two = Claim { queues: vec![slots(QUEUE, 2)], ..claim() };
    let ids: Vec<JobId> = fx.claim(two).await.into_iter().map(|claimed| claimed.lease.id).collect();
    assert_eq!(ids, [id("free"), id("other")]);
    fx.enqueue(named("late")).await;
    assert_eq!(fx.claim_ids().await, [id("late")], "and so it goes on");
}

/// "Jobs of a paused key keep their order."
pub async fn jobs_of_a_paused_key_keep_their_order(fx: &Fixture) {
    for name in ["a", "b", "c"] {
        fx.enqueue(limited(name, &["provider"])).await;
        fx.clock.advance(secs(1));
    }
    fx.enqueue(NewJob { priority: 1, ..limited("first", &["provider"]) }).await;
    pause(fx, "provider", secs(300)).await;
    assert!(fx.claim_ids().await.is_empty());
    fx.clock.advance(secs(300));
    assert_eq!(fx.claim_ids().await, [id("first"), id("a"), id("b"), id("c")]);
}

/// "A job whose time is over keeps no other of its limit keys back."
pub async fn a_job_whose_time_is_over_keeps_no_other_of_its_limit_keys_back(fx: &Fixture) {
    fx.enqueue(limited("waits", &["provider"])).await;
    let over =
        NewJob { priority: 100, expires_in: Some(secs(5)), ..limited("over", &["provider", "another"]) };
    fx.enqueue(over).await;
    ok("pause a key", fx.store.pause_key("provider", secs(5)).await);
    assert!(fx.claim_ids().await.is_empty());
    // The pause ends when the job does that goes before the other, and no sweep has ended it yet.
    fx.clock.advance(secs(5));
    assert_eq!(fx.claim_ids().await, [id("waits")]);
    assert_eq!(fx.state(&id("over")).await, State::Available);
    assert_eq!(fx.sweep().await.expired, 1);
}

/// "A waiting claim answers when a pause ends."
pub async fn a_waiting_claim_answers_when_a_pause_ends(fx: &Fixture) {
    pause(fx, "provider", secs(10)).await;
    fx.enqueue(limited("a", &["provider"])).await;
    let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
    park(fx, waiting.as_mut()).await;
    fx.clock.advance(secs(10));
    let claimed = ok("claim", within("the end of a pause", waiting).await);
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].lease.id, id("a"));
}

/// "A rate limited run costs no attempt."
pub async fn a_rate_limited_run_costs_no_attempt(fx: &Fixture) {
    let job = NewJob { max_attempts: 1, ..limited("a", &["provider"]) };
    let mut claimed = fx.running_from(job).await;
    for _ in 0..3 {
        assert_eq!(claimed.attempt, 1);
        fx.end(&claimed.lease, rate_limited(secs(5))).await;
        let record = fx.job(&id("a")).await;
        assert_eq!((record.state, record.attempt), (State::Scheduled, 0));
        assert_eq!((record.run_at, record.interruptions, record.crashes), (fx.now().plus(secs(5)), 0, 0));
        assert!(record.errors.is_empty(), "nor is it a failure");
        fx.clock.advance(secs(5));
        claimed = fx.claim_one().await;
    }
    fx.end(&claimed.lease, completed()).await;
}

/// "A rate limited run pauses its first limit key."
pub async fn a_rate_limited_run_pauses_its_first_limit_key(fx: &Fixture) {
    let first = fx.running_from(limited("first", &["provider"])).await;
    let second = fx.running_from(limited("second", &["provider"])).await;
    fx.end(&first.lease, rate_limited(secs(10))).await;
    fx.enqueue(limited("third", &["provider"])).await;
    assert!(fx.claim_ids().await.is_empty(), "for every worker");
    // Who runs already is not stopped; the provider will tell it.
    fx.end(&second.lease, retry(secs(1))).await;
    fx.clock.advance(secs(1));
    fx.sweep().await;
    assert!(fx.claim_ids().await.is_empty(), "a retry that falls due within the pause waits on");
    fx.clock.advance(secs(9));
    assert_eq!(fx.claim_ids().await.len(), 3);
    let both = fx.running_from(limited("both", &["first", "second"])).await;
    fx.end(&both.lease, rate_limited(secs(10))).await;
    fx.enqueue_all(vec![limited("of-first", &["first"]), limited("of-second", &["second"])]).await;
    assert_eq!(fx.claim_ids().await, [id("of-second")]);
}

/// "A longer pause is not shortened by a shorter one."
pub async fn a_longer_pause_is_not_shortened_by_a_shorter_one(fx: &Fixture) {
    let first = fx.running_from(limited("first", &["provider"])).await;
    let second = fx.running_from(limited("second", &["provider"])).await;
    fx.end(&first.lease, rate_limited(secs(60))).await;
    fx.end(&second.lease, rate_limited(secs(5))).await;
    let end = fx.now().plus(secs(60));
    assert_eq!(fx.job(&id("second")).await.run_at, end, "who is told less waits as long");
    fx.clock.advance(secs(5));
    assert!(fx.claim_ids().await.is_empty());
    fx.clock.advance(secs(55));
    assert_eq!(fx.claim_ids().await.len(), 2);
}

/// "A rate limited run without a key waits alone."
pub async fn a_rate_limited_run_without_a_key_waits_alone(fx: &Fixture) {
    let claimed = fx.running_from(named("a")).await;
    fx.enqueue(named("b")).await;
    fx.end(&claimed.lease, rate_limited(secs(10))).await;
    assert_eq!(fx.claim_ids().await, [id("b")]);
    fx.clock.advance(secs(10));
    assert_eq!(fx.claim_ids().await, [id("a")]);
}

/// "A rate limited run of a lost lease pauses nothing."
pub async fn a_rate_limited_run_of_a_lost_lease_pauses_nothing(fx: &Fixture) {
    let old = fx.running_from(limited("a", &["provider"])).await.lease;
    fx.crash_workers().await;
    assert_eq!(fx.finish(&old, rate_limited(secs(60))).await, LeaseStatus::Lost);
    fx.enqueue(limited("b", &["provider"])).await;
    assert_eq!(fx.claim_ids().await, [id("a"), id("b")]);
}

/// "Very many jobs of a paused key keep no other back."
pub async fn very_many_jobs_of_a_paused_key_keep_no_other_back(fx: &Fixture) {
    pause(fx, "provider", secs(600)).await;
    let key = || NewJob { limit_keys: vec!["provider".into()], ..job() };
    for _ in 0..3 {
        fx.enqueue_all((0..1_000).map(|_| key()).collect()).await;
    }
    fx.enqueue(named("free")).await;
    let waiting = fx.store.claim(Claim { wait: HOUR, queues: vec![slots(QUEUE, 1)], ..claim() });
    let claimed = ok("claim", within("a job behind very many paused ones", waiting).await);
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].lease.id, id("free"));
}

/// "Very many keys that are paused keep no other back."
pub async fn very_many_keys_that_are_paused_keep_no_other_back(fx: &Fixture) {
    ok("pause", fx.store.pause_key("provider", secs(600)).await);
    for hundreds in 0..15 {
        let tenants = (0..100).map(|n| NewJob {
            limit_keys: vec![format!("tenant:{hundreds}-{n}"), "provider".into()],
            ..job()
        });
        fx.enqueue_all(tenants.collect()).await;
    }
    fx.enqueue(limited("free", &["tenant:0-0"])).await;
    let waiting = fx.store.claim(Claim { wait: HOUR, queues: vec![slots(QUEUE, 1)], ..claim() });
    let claimed = ok("claim", within("a job behind very many paused keys", waiting).await);
    assert_eq!(claimed[0].lease.id, id("free"));
    assert_eq!(claimed.len(), 1);
    ok("resume", fx.store.resume_key("provider").await);
    let mut resumed = 0;
    while resumed < 1_500 {
        let waiting = fx.store.claim(Claim { wait: HOUR, ..claim() });
        let claimed = ok("claim", within("jobs of very many keys", waiting).await);
        resumed += claimed.len();
    }
    assert_eq!(resumed, 1_500);
}
