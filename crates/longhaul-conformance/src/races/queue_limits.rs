use futures::future::BoxFuture;
use longhaul::{Claim, Error, Keep, Longhaul, OnFull, QueueConfig, Rate, Retention, State};

use super::{CROWD, ROUNDS, both, meet};
use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{QUEUE, claim, completed, finish, job, retry, secs, slots, worker};

fn with_slots(slots: Option<u32>) -> QueueConfig {
    QueueConfig { slots, ..QueueConfig::default() }
}

async fn running(fx: &Fixture) -> u64 {
    fx.counts(QUEUE).await.get(&State::Running).copied().unwrap_or_default()
}

/// N workers that end what they run and claim more, of a queue that has fewer slots.
pub async fn no_more_jobs_run_than_a_queue_has_slots_whoever_claims(fx: &Fixture) {
    fx.set_queue(QUEUE, &with_slots(Some(3))).await;
    fx.enqueue_all((0..ROUNDS).map(|_| job()).collect()).await;
    let mut done = 0;
    while done < ROUNDS {
        let before = done;
        let work = |fx: Fixture, number: usize| -> BoxFuture<'static, usize> {
            Box::pin(async move {
                let worker = worker(&format!("w{number}"));
                let claim = || Claim { worker: worker.clone(), queues: vec![slots(QUEUE, 2)], ..claim() };
                let held = fx.claim(claim()).await;
                let finishes = held.iter().map(|claimed| finish(&claimed.lease, completed())).collect();
                let turn = fx.finish_and_claim(finishes, claim()).await;
                assert!(running(&fx).await <= 3);
                let finishes: Vec<_> =
                    turn.claimed.iter().map(|claimed| finish(&claimed.lease, completed())).collect();
                let more = finishes.len();
                if more > 0 {
                    fx.finish_all(finishes).await;
                }
                held.len() + more
            })
        };
        done += meet(fx, CROWD, work).await.into_iter().sum::<usize>();
        assert_eq!((running(fx).await, fx.queue(QUEUE).await.used), (0, Some(0)));
        assert!(done > before, "somebody is given a job");
    }
}

/// Slots are set and taken away while jobs are claimed and end.
pub async fn slots_that_are_set_while_jobs_begin_and_end_are_counted_once(fx: &Fixture) {
    for round in 0..ROUNDS {
        fx.enqueue_all(vec![job(), job(), job()]).await;
        let (one, other) = (fx.clone(), fx.clone());
        let begin_and_end = async move {
            let claimed = one.claim(claim()).await;
            let ends = claimed.iter().enumerate().map(|(n, claimed)| {
                finish(&claimed.lease, if n % 2 == 0 { completed() } else { retry(secs(0)) })
            });
            let mut ends: Vec<_> = ends.collect();
            // Some of them run on.
            ends.truncate(2);
            if !ends.is_empty() {
                one.finish_all(ends).await;
            }
        };
        let set = async move {
            other.set_queue(QUEUE, &with_slots((round % 3 > 0).then_some(4))).await;
        };
        both(begin_and_end, set).await;
        fx.set_queue(QUEUE, &with_slots(Some(if round % 2 == 0 { 4 } else { 5 }))).await;
        assert_eq!(fx.queue(QUEUE).await.used, Some(running(fx).await), "round {round}");
        fx.crash_workers().await;
        assert_eq!(fx.queue(QUEUE).await.used, Some(0), "round {round}");
        fx.set_queue(QUEUE, &QueueConfig::default()).await;
        let rest = fx.claim(claim()).await;
        fx.finish_all(rest.iter().map(|claimed| finish(&claimed.lease, completed())).collect()).await;
    }
}

/// N callers that change a field each of a queue's configuration, which is read and written as a whole.
pub async fn changes_of_different_fields_of_a_queue_are_all_kept(fx: &Fixture) {
    for round in 0..ROUNDS / 4 {
        let queue = format!("queue-{round}");
        let changed = queue.clone();
        meet(fx, CROWD, move |fx, number| {
            let queue = changed.clone();
            Box::pin(async move {
                let longhaul = Longhaul::over(fx.store);
                let change = |config: &mut QueueConfig| {
                    let keep = Keep { age: Some(secs(number as u64)), count: Some(number as u64) };
                    match number {
                        0 => config.fair = true,
                        1 => config.slots = Some(7),
                        2 => config.rate = Some(Rate { n: 5, per: secs(1), burst: Some(2) }),
                        3 => config.max_waiting = Some(9),
                        4 => config.on_full = OnFull::DropNewest,
                        5 => config.retention.completed = keep,
                        6 => config.retention.failed = keep,
                        _ => config.retention.cancelled = keep,
                    }
                    Ok::<(), Error>(())
                };
                ok("change a queue", longhaul.change_queue(&queue, change).await);
            })
        })
        .await;
        let keep = |number| Keep { age: Some(secs(number)), count: Some(number) };
        let all = QueueConfig {
            retention: Retention { completed: keep(5), failed: keep(6), cancelled: keep(7) },
            fair: true,
            slots: Some(7),
            rate: Some(Rate { n: 5, per: secs(1), burst: Some(2) }),
            max_waiting: Some(9),
            on_full: OnFull::DropNewest,
        };
        assert_eq!(fx.queue(&queue).await.config, all);
    }
}
