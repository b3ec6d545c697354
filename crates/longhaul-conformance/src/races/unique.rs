use futures::future::BoxFuture;
use longhaul::{
    Action, EnqueueStatus, Enqueued, JobFilter, JobRecord, LeaseStatus, NewJob, OnClash, State, Unique,
};

use super::{CROWD, ROUNDS, both, meet};
use crate::Fixture;
use crate::jobs::{completed, delayed, id, job, json, secs};

fn keyed(key: &str, on_clash: OnClash) -> NewJob {
    let period = (on_clash == OnClash::Throttle).then_some(secs(60));
    NewJob { unique: Some(Unique { on_clash, period, ..Unique::new(key) }), ..job() }
}

async fn unfinished(fx: &Fixture) -> Vec<JobRecord> {
    let states = State::ALL.into_iter().filter(|state| !state.is_finished()).collect();
    fx.list_records(&JobFilter { states, ..JobFilter::default() }).await
}

/// N enqueuers of one unique key, each of which supersedes the one before.
pub async fn many_superseders_leave_one_holder(fx: &Fixture) {
    for round in 0..ROUNDS / 2 {
        let offer = move |fx: Fixture, _| -> BoxFuture<'static, Enqueued> {
            Box::pin(async move { fx.offer(keyed(&format!("k{round}"), OnClash::Supersede)).await })
        };
        let answers = meet(fx, CROWD, offer).await;
        assert!(answers.iter().all(|answer| answer.status == EnqueueStatus::Created), "{answers:?}");
        let left = unfinished(fx).await;
        assert_eq!(left.len(), 1, "all but one were superseded: {left:?}");
        let joined = fx.offer(keyed(&format!("k{round}"), OnClash::Join)).await;
        assert_eq!((&joined.id, joined.is_duplicate()), (&left[0].id, true), "which holds the key");
        fx.end(&fx.claim_one().await.lease, completed()).await;
    }
}

/// N enqueuers of one unique key whose jobs run once they are quiet.
pub async fn one_of_many_debounced_enqueuers_creates_the_job(fx: &Fixture) {
    for round in 0..ROUNDS / 2 {
        let offer = move |fx: Fixture, number| -> BoxFuture<'static, Enqueued> {
            let on_clash =
                OnClash::Debounce { delay: secs(10), max_delay: None, edge: longhaul::Edge::Trailing };
            let job = NewJob { args: json(&number_of(number)), ..keyed(&format!("k{round}"), on_clash) };
            Box::pin(async move { fx.offer(job).await })
        };
        let answers = meet(fx, CROWD, offer).await;
        let created = answers.iter().filter(|answer| answer.status == EnqueueStatus::Created).count();
        let replaced = answers.iter().filter(|answer| answer.status == EnqueueStatus::Replaced).count();
        assert_eq!((created, replaced), (1, CROWD - 1), "{answers:?}");
        assert!(answers.iter().all(|answer| answer.id == answers[0].id), "all are given the one job");
        fx.clock.advance(secs(10));
        fx.end(&fx.claim_one().await.lease, completed()).await;
        assert!(unfinished(fx).await.is_empty());
    }
}

fn number_of(number: usize) -> String {
    number.to_string()
}

/// N enqueuers of one unique key of which one is let through in each period.
pub async fn one_of_many_throttled_enqueuers_creates_the_job(fx: &Fixture) {
    for _ in 0..ROUNDS / 2 {
        let offer = |fx: Fixture, _| -> BoxFuture<'static, Enqueued> {
            Box::pin(async move { fx.offer(keyed("k", OnClash::Throttle)).await })
        };
        let answers = meet(fx, CROWD, offer).await;
        let created = answers.iter().filter(|answer| answer.status == EnqueueStatus::Created).count();
        assert_eq!(created, 1, "{answers:?}");
        // The period is over at the same moment for all, and the job may wait, run or have ended.
        fx.clock.advance(secs(60));
    }
    assert_eq!(unfinished(fx).await.len(), ROUNDS / 2);
}

/// A job is claimed while another takes its place.
pub async fn a_replace_and_a_claim_have_one_winner(fx: &Fixture) {
    for round in 0..ROUNDS {
        let key = format!("k{round}");
        let holder = fx.enqueue(keyed(&key, OnClash::Join)).await;
        let newcomer = NewJob { args: json("\"new\""), ..keyed(&key, OnClash::Replace) };
        let (one, other) = (fx.clone(), fx.clone());
        let (answer, claimed) =
            both(async move { one.offer(newcomer).await }, async move { other.claim_one().await }).await;
        assert_eq!((&answer.id, &claimed.lease.id), (&holder, &holder));
        let is_new = claimed.args.as_str() == "\"new\"";
        match answer.status {
            EnqueueStatus::Replaced => assert!(is_new, "the run has the args that have replaced others"),
            EnqueueStatus::Duplicate => assert!(!is_new, "whoever came too late was told so"),
            status => panic!("{status:?}"),
        }
        assert_eq!(fx.job(&holder).await.args, claimed.args);
        fx.end(&claimed.lease, completed()).await;
    }
}

/// A holder ends while it is superseded.
pub async fn a_supersede_while_the_holder_ends_leaves_one_holder(fx: &Fixture) {
    for round in 0..ROUNDS {
        let key = format!("k{round}");
        let running = fx.running_from(keyed(&key, OnClash::Join)).await.lease;
        let newcomer = NewJob { id: Some(id(&format!("new-{round}"))), ..keyed(&key, OnClash::Supersede) };
        let (one, other, lease) = (fx.clone(), fx.clone(), running.clone());
        let (created, status) = both(async move { one.enqueue(newcomer).await }, async move {
            other.finish(&lease, completed()).await
        })
        .await;
        assert_ne!(status, LeaseStatus::Lost, "a run that is asked to stop may complete");
        assert_eq!(fx.state(&running.id).await, State::Completed);
        let late = NewJob { unique: keyed(&key, OnClash::Join).unique, ..delayed(secs(1)) };
        assert_eq!(fx.offer(late).await.id, created, "the newcomer holds the key");
        assert_eq!(fx.act(&running.id, Action::Retry).await, 0);
        fx.end(&fx.claim_one().await.lease, completed()).await;
    }
}

/// N enqueuers of one unique key, each of which is to follow the job that runs.
pub async fn one_of_many_followers_waits_behind_the_running_job(fx: &Fixture) {
    for round in 0..ROUNDS / 2 {
        let running = fx.running_from(keyed(&format!("k{round}"), OnClash::Join)).await.lease;
        let offer = move |fx: Fixture, number| -> BoxFuture<'static, Enqueued> {
            let job =
                NewJob { args: json(&number_of(number)), ..keyed(&format!("k{round}"), OnClash::Follow) };
            Box::pin(async move { fx.offer(job).await })
        };
        let answers = meet(fx, CROWD, offer).await;
        let created = answers.iter().filter(|answer| answer.status == EnqueueStatus::Created).count();
        let replaced = answers.iter().filter(|answer| answer.status == EnqueueStatus::Replaced).count();
        assert_eq!((created, replaced), (1, CROWD - 1), "{answers:?}");
        assert!(answers.iter().all(|answer| answer.id == answers[0].id), "one waits");
        assert!(fx.claim_ids().await.is_empty(), "for the end of the other");
        fx.end(&running, completed()).await;
        let next = fx.claim_one().await.lease;
        assert_eq!(next.id, answers[0].id);
        fx.end(&next, completed()).await;
        assert!(unfinished(fx).await.is_empty());
    }
}

/// A holder ends while it is followed.
pub async fn a_follow_while_the_holder_ends_is_freed_or_created_anew(fx: &Fixture) {
    for round in 0..ROUNDS {
        let key = format!("k{round}");
        let running = fx.running_from(keyed(&key, OnClash::Join)).await.lease;
        let newcomer = NewJob { id: Some(id(&format!("new-{round}"))), ..keyed(&key, OnClash::Follow) };
        let (one, other) = (fx.clone(), fx.clone());
        let (created, ()) = both(async move { one.enqueue(newcomer).await }, async move {
            other.end(&running, completed()).await
        })
        .await;
        assert_eq!(fx.state(&created).await, State::Available, "in either order");
        let late = NewJob { unique: keyed(&key, OnClash::Join).unique, ..delayed(secs(1)) };
        assert_eq!(fx.offer(late).await.id, created, "the newcomer holds the key");
        fx.end(&fx.claim_one().await.lease, completed()).await;
    }
}
