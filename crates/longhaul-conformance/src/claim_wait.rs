//! The contract of claims that wait, and of claims that are given up.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use longhaul::{Action, Claim, Claimed, Finish, JobId, NewJob, Outcome, State};

use crate::Fixture;
use crate::fixture::{ok, park, within};
use crate::jobs::{
    HOUR, LEASE, QUEUE, claim, completed, delayed, failed, finish, id, job, kind, named, retry, secs, slots,
};

fn waiting_claim() -> Claim {
    Claim { wait: HOUR, queues: vec![slots(QUEUE, 1)], ..claim() }
}

/// Opens a claim, waits until it waits, does `arrive`, and checks that the claim then has the job.
async fn assert_answered_by(fx: &Fixture, what: &str, arrive: impl Future<Output = JobId>) {
    let mut waiting = pin!(fx.store.claim(waiting_claim()));
    park(fx, waiting.as_mut()).await;
    let arrived = arrive.await;
    let claimed = ok("claim", within(what, waiting).await);
    let ids: Vec<&JobId> = claimed.iter().map(|claimed| &claimed.lease.id).collect();
    assert_eq!(ids, [&arrived], "{what}");
    assert_eq!(fx.state(&arrived).await, State::Running, "{what}");
    fx.end(&claimed[0].lease, completed()).await;
}

/// "A waiting claim answers when a job arrives."
pub async fn a_waiting_claim_answers_when_a_job_arrives(fx: &Fixture) {
    assert_answered_by(fx, "an enqueue", async { fx.enqueue(job()).await }).await;

    let predecessor = fx.running().await;
    let follow_up = async {
        let follow_ups = vec![named("next")];
        fx.finish_all(vec![Finish { follow_ups, ..finish(&predecessor.lease, completed()) }]).await;
        id("next")
    };
    assert_answered_by(fx, "a follow-up", follow_up).await;

    let released = fx.running().await;
    let release = async {
        fx.end(&released.lease, Outcome::Released).await;
        released.lease.id.clone()
    };
    assert_answered_by(fx, "a release", release).await;

    let retried = fx.running().await;
    let at_once = async {
        fx.end(&retried.lease, retry(Duration::ZERO)).await;
        retried.lease.id.clone()
    };
    assert_answered_by(fx, "a retry without a delay", at_once).await;

    let broken = fx.running().await;
    fx.end(&broken.lease, failed()).await;
    let by_hand = async {
        assert_eq!(fx.act(&broken.lease.id, Action::Retry).await, 1);
        broken.lease.id.clone()
    };
    assert_answered_by(fx, "a retry by hand", by_hand).await;

    let orphan = fx.running().await;
    let rescue = async {
        fx.clock.advance(LEASE + secs(1));
        assert_eq!(fx.sweep().await.rescued, 1);
        orphan.lease.id.clone()
    };
    assert_answered_by(fx, "a rescue", rescue).await;

    // A job that the claim cannot take is no answer, and must not use up the wait either.
    let unknown = async {
        fx.enqueue(NewJob { kind: "unheard-of".into(), ..job() }).await;
        fx.enqueue(NewJob { version: 2, ..job() }).await;
        fx.enqueue(job()).await
    };
    assert_answered_by(fx, "a kind that it knows, after others", unknown).await;
}

/// "A waiting claim answers when a scheduled job falls due."
pub async fn a_waiting_claim_answers_when_a_scheduled_job_falls_due(fx: &Fixture) {
    // Known before the claim waits.
    let first = fx.enqueue(delayed(secs(100))).await;
    let later = fx.enqueue(delayed(secs(200))).await;
    assert_answered_by(fx, "a job that was scheduled before", async {
        fx.clock.advance(secs(100));
        first
    })
    .await;

    // Scheduled, for an earlier time than any known, while the claim waits.
    assert_answered_by(fx, "a job that was scheduled since", async {
        let sooner = fx.enqueue(delayed(secs(5))).await;
        fx.clock.advance(secs(5));
        sooner
    })
    .await;

    assert_answered_by(fx, "the one that was always known", async {
        fx.clock.advance(secs(100));
        later
    })
    .await;

    let claimed = fx.running().await;
    assert_answered_by(fx, "a retry", async {
        fx.end(&claimed.lease, retry(secs(5))).await;
        fx.clock.advance(secs(5));
        claimed.lease.id.clone()
    })
    .await;
}

/// "A waiting claim answers with nothing after its wait."
pub async fn a_waiting_claim_answers_with_nothing_after_its_wait(fx: &Fixture) {
    let at_once = within("a claim that does not wait", fx.store.claim(claim())).await;
    assert!(ok("claim", at_once).is_empty());

    fx.enqueue(delayed(HOUR)).await;
    let wait = secs(20);
    let begin = fx.now();
    let mut waiting = pin!(fx.store.claim(Claim { wait, ..claim() }));
    park(fx, waiting.as_mut()).await;
    fx.clock.advance(wait - Duration::from_millis(1));
    park(fx, waiting.as_mut()).await;
    let claimed: Vec<Claimed> = within("a wait that is over", async {
        // A store with threads of its own may begin to wait only now, so its end is at no certain time.
        loop {
            fx.clock.advance(Duration::from_millis(1));
            if let std::task::Poll::Ready(answer) = futures::poll!(waiting.as_mut()) {
                return ok("claim", answer);
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(claimed.is_empty());
    assert!(fx.now() >= begin.plus(wait));
}

/// "A dropped claim takes nothing."
pub async fn a_dropped_claim_takes_nothing(fx: &Fixture) {
    // While it waits.
    let mut given_up = Box::pin(fx.store.claim(waiting_claim()));
    park(fx, given_up.as_mut()).await;
    drop(given_up);
    let first = fx.enqueue(job()).await;
    assert_taken_once(fx, &first).await;

    // When a job has arrived, and at whatever point of its way the answer then is.
    for yields in 0..20 {
        let mut given_up = Box::pin(fx.store.claim(waiting_claim()));
        assert!(futures::poll!(given_up.as_mut()).is_pending());
        let arrived = fx.enqueue(job()).await;
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        drop(given_up);
        assert_taken_once(fx, &arrived).await;
    }

    // When there was a job from the start: the claim may have been answered by its first poll, or never sent.
    for yields in 0..20 {
        let there = fx.enqueue(job()).await;
        let mut given_up = Box::pin(fx.store.claim(waiting_claim()));
        if let std::task::Poll::Ready(claimed) = futures::poll!(given_up.as_mut()) {
            fx.end(&ok("claim", claimed)[0].lease, completed()).await;
            continue;
        }
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        drop(given_up);
        assert_taken_once(fx, &there).await;
    }
}

/// The next claim gets the job, with nothing used up by the one that was dropped. It may wait, because a store
/// with threads of its own may have to take the job back first.
async fn assert_taken_once(fx: &Fixture, id: &JobId) {
    let claim = Claim { kinds: vec![kind("resize", 1)], ..waiting_claim() };
    let claimed = ok("claim", within("a claim after a dropped one", fx.store.claim(claim)).await);
    let claimed = claimed.into_iter().next().unwrap_or_else(|| panic!("{id} is there to be taken"));
    assert_eq!((&claimed.lease.id, claimed.attempt), (id, 1));
    let record = fx.job(id).await;
    assert_eq!((record.attempt, record.crashes, record.interruptions), (1, 0, 0));
    fx.end(&claimed.lease, completed()).await;
}
