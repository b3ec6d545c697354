//! The shapes of load, the same for every target.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longhaul::clock::Stopwatch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::Result;
use crate::probe::Probe;
use crate::report::{Latency, Run};
use crate::sizes::Bound;

/// Jobs of one bulk call.
const BULK: u64 = 1_000;
/// The time between two jobs of `pickup`.
const PICKUP_EVERY: Duration = Duration::from_millis(25);
/// The time that a worker has to come to rest before the first job of `pickup`.
const SETTLE: Duration = Duration::from_secs(1);
/// The time for which the last jobs of `pickup` are waited for.
const PICKUP_PATIENCE: Duration = Duration::from_secs(10);

/// Sends jobs, so many at a time, each answered before its task sends the next. Counts those that were answered.
pub(crate) async fn in_flight<S, F>(callers: usize, bound: Bound, send: S) -> Result<Run>
where
    S: Fn(u64) -> F + Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let running = Stopwatch::start();
    let mut tasks: JoinSet<Result<u64>> = JoinSet::new();
    for _ in 0..callers {
        let (send, next) = (send.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            let mut answered = 0;
            while running.elapsed() < bound.time {
                let id = next.fetch_add(1, Ordering::Relaxed);
                if id >= bound.jobs {
                    break;
                }
                send(id).await?;
                answered += 1;
            }
            Ok(answered)
        });
    }
    let mut jobs = 0;
    while let Some(caller) = tasks.join_next().await {
        jobs += caller??;
    }
    Ok(Run { jobs, time: running.elapsed(), ..Run::default() })
}

/// Sends jobs 1,000 a call, one call after the other.
pub(crate) async fn in_bulk<S, F>(bound: Bound, mut send: S) -> Result<Run>
where
    S: FnMut(Range<u64>) -> F,
    F: Future<Output = Result<()>>,
{
    let running = Stopwatch::start();
    let mut jobs = 0;
    while jobs < bound.jobs && running.elapsed() < bound.time {
        let end = bound.jobs.min(jobs + BULK);
        send(jobs..end).await?;
        jobs = end;
    }
    Ok(Run { jobs, time: running.elapsed(), ..Run::default() })
}

/// The probe of a [`pickup`] of so many jobs.
pub(crate) fn pickup_probe(jobs: u64) -> Arc<Probe> {
    Probe::new(jobs + 1)
}

/// Sends a job each 25 ms to a worker that idles, and measures from just before each call to the handler.
/// Job 0 only wakes everything up.
pub(crate) async fn pickup<S, F>(probe: &Probe, jobs: u64, send: S) -> Result<Run>
where
    S: Fn(u64) -> F,
    F: Future<Output = Result<()>>,
{
    send(0).await?;
    tokio::time::sleep(SETTLE).await;
    let mut ticks = tokio::time::interval(PICKUP_EVERY);
    // A call that takes long delays the next one, and does not cause a burst that would measure a queue.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let running = Stopwatch::start();
    let mut sent = Vec::new();
    for id in 1..=jobs {
        ticks.tick().await;
        sent.push((id, probe.now()));
        send(id).await?;
    }
    let time = running.elapsed();
    probe.all_called(PICKUP_PATIENCE).await;
    let wait = |(id, at): &(u64, Duration)| Some(probe.called_at(*id)?.saturating_sub(*at));
    let waits: Vec<Duration> = sent.iter().filter_map(wait).collect();
    let called = waits.len() as u64;
    let latency = Latency::of(waits).ok_or("failed to pick up: no job reached its handler")?;
    let note = if called == jobs { String::new() } else { format!("{} jobs did not arrive", jobs - called) };
    Ok(Run { jobs: called, time, latency: Some(latency), note })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(jobs: u64) -> Bound {
        Bound { jobs, time: Duration::from_secs(60) }
    }

    #[tokio::test]
    async fn every_job_is_sent_once_however_many_lanes_there_are() {
        let probe = Probe::new(500);
        let sent = Arc::clone(&probe);
        let run = in_flight(64, bound(500), move |id| {
            let sent = Arc::clone(&sent);
            async move {
                sent.note(id);
                Ok(())
            }
        });
        assert_eq!(run.await.unwrap().jobs, 500);
        assert_eq!((probe.span().0, probe.repeated()), (500, 0));
    }

    #[tokio::test]
    async fn a_lane_that_fails_fails_the_run() {
        let run =
            in_flight(4, bound(50), |id| async move { if id == 7 { Err("no more".into()) } else { Ok(()) } });
        assert_eq!(run.await.unwrap_err().to_string(), "no more");
    }

    #[tokio::test]
    async fn a_bulk_run_ends_with_the_rest() {
        let mut calls = Vec::new();
        let run = in_bulk(bound(2_500), |ids| {
            calls.push(ids);
            async { Ok(()) }
        });
        assert_eq!(run.await.unwrap().jobs, 2_500);
        assert_eq!(calls, [0..1_000, 1_000..2_000, 2_000..2_500]);
    }

    #[tokio::test]
    async fn no_time_means_no_jobs() {
        let run = in_bulk(Bound { jobs: 10, time: Duration::ZERO }, |_| async { Ok(()) });
        assert_eq!(run.await.unwrap().jobs, 0);
    }
}
