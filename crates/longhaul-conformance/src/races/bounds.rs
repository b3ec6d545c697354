use futures::future::BoxFuture;
use longhaul::{EnqueueStatus, OnFull, QueueConfig, State};

use super::{CROWD, ROUNDS, meet};
use crate::Fixture;
use crate::jobs::{QUEUE, claim, completed, finish, job};

/// N enqueuers of a queue that is nearly full; answers what each was told.
async fn crowd(fx: &Fixture, on_full: OnFull) -> Vec<EnqueueStatus> {
    let config = QueueConfig { max_waiting: Some(3), on_full, ..QueueConfig::default() };
    fx.set_queue(QUEUE, &config).await;
    let offer = |fx: Fixture, _| -> BoxFuture<'static, Vec<EnqueueStatus>> {
        Box::pin(async move {
            let answers = fx.enqueue_all(vec![job(), job()]).await;
            answers.into_iter().map(|answer| answer.status).collect()
        })
    };
    meet(fx, CROWD, offer).await.into_iter().flatten().collect()
}

/// Runs what waits, and answers how many there were.
async fn run_all(fx: &Fixture) -> usize {
    let claimed = fx.claim(claim()).await;
    fx.finish_all(claimed.iter().map(|claimed| finish(&claimed.lease, completed())).collect()).await;
    claimed.len()
}

/// A queue that refuses what comes when it is full.
pub async fn no_more_jobs_wait_than_a_full_queue_lets(fx: &Fixture) {
    for _ in 0..ROUNDS / 4 {
        let statuses = crowd(fx, OnFull::Reject).await;
        let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
        assert_eq!((count(EnqueueStatus::Created), count(EnqueueStatus::Full)), (3, 2 * CROWD - 3));
        assert_eq!(run_all(fx).await, 3);
    }
}

/// A queue that drops what came first when it is full.
pub async fn a_full_queue_that_drops_the_oldest_keeps_as_many_as_may_wait(fx: &Fixture) {
    let mut dropped = 0;
    for _ in 0..ROUNDS / 4 {
        let statuses = crowd(fx, OnFull::DropOldest).await;
        assert!(statuses.iter().all(|status| *status == EnqueueStatus::Created), "{statuses:?}");
        dropped += 2 * CROWD as u64 - 3;
        assert_eq!(fx.counts(QUEUE).await.get(&State::Cancelled), Some(&dropped));
        assert_eq!(run_all(fx).await, 3);
    }
}
