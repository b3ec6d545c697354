//! Estimates of the time that a job still takes, from past runs. They become `Retry-After` and `eta_seconds`.
//!
//! With `run` the median run time of the kind's last completed jobs, and `slots` those of the workers that
//! serve the queue:
//!
//! | state | seconds left |
//! |---|---|
//! | available | `run × (1 + (position − 1) / slots)` |
//! | scheduled | the time until `run_at`, and then `run` |
//! | running | `elapsed × (100 − percent) / percent` where its first attempt has reported progress of 5 % or more; else `run − elapsed`, at least a tenth of `run` |
//!
//! Nothing is said where no job of the kind has completed, no worker is known, or the job is blocked.
//! `Retry-After` is rounded up to the second; `eta_seconds` ever more coarsely the further off it is, because a
//! body that changed every second could never be answered with 304.
//!
//! The figures are read in the background and kept for a while: no request waits for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use longhaul::{Clock, JobFilter, JobRecord, Longhaul, Page, Start, State, Timestamp};
use parking_lot::RwLock;

/// The age at which the measured run time of a kind is measured again.
const RUN_TIME_KEPT: Duration = Duration::from_secs(10);
/// The age at which the depth of the queues and the slots of the workers are read again.
const LOAD_KEPT: Duration = Duration::from_secs(1);
/// The number of jobs of a kind that are looked at.
const SAMPLE: usize = 20;
/// The most kinds that are measured; where unknown kinds are accepted, callers could name any number.
const MOST_KINDS: usize = 1_000;
/// The progress below which extrapolating says nothing.
const TELLING_PERCENT: f64 = 5.0;
/// The `Retry-After` where nothing is known, in seconds.
const UNKNOWN_RETRY_AFTER: u64 = 1;
/// The longest `Retry-After`, in seconds.
const LONGEST_RETRY_AFTER: u64 = 3600;

/// Knows what has been measured, and measures again in the background.
#[derive(Debug)]
pub(crate) struct Estimator {
    longhaul: Longhaul,
    clock: Clock,
    run_times: RwLock<HashMap<String, Measured<Option<Duration>>>>,
    load: RwLock<Measured<HashMap<String, Load>>>,
}

/// A figure and when its measurement was begun, which keeps a second one from being begun meanwhile.
#[derive(Debug, Default)]
struct Measured<T> {
    value: T,
    begun: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    /// Available jobs.
    waiting: u64,
    /// Slots of the workers that have called lately.
    slots: u64,
}

/// The time that a job still takes, where that can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Estimate(Option<Duration>);

impl Estimate {
    /// Whole seconds, rounded up to 1 s below 10 s, to 5 s below a minute, to 30 s below ten minutes and to a
    /// minute from there on.
    pub(crate) fn eta_seconds(self) -> Option<u64> {
        let seconds = self.0?.as_secs_f64().ceil();
        let step = match seconds {
            ..=10.0 => 1.0,
            ..=60.0 => 5.0,
            ..=600.0 => 30.0,
            _ => 60.0,
        };
        // At most ten years of delay and a run: far within what an f64 counts exactly.
        Some(((seconds / step).ceil() * step) as u64)
    }

    /// The pause before the next look, in seconds: 1 to 3600.
    pub(crate) fn retry_after(self) -> u64 {
        let seconds = self.0.map(|left| left.as_millis().div_ceil(1_000));
        let seconds =
            seconds.map_or(UNKNOWN_RETRY_AFTER, |seconds| u64::try_from(seconds).unwrap_or(u64::MAX));
        seconds.clamp(1, LONGEST_RETRY_AFTER)
    }
}

impl Estimator {
    pub(crate) fn new(longhaul: Longhaul, clock: Clock) -> Self {
        Self { longhaul, clock, run_times: RwLock::default(), load: RwLock::default() }
    }

    /// For a job that is being enqueued, behind all that wait in its queue.
    pub(crate) fn of_new(self: &Arc<Self>, kind: &str, queue: &str, start: Start) -> Estimate {
        let now = self.clock.now();
        let run = self.run_time(kind);
        let until_due = match start {
            Start::Now | Start::AfterChildren => Duration::ZERO,
            Start::After(delay) => delay,
            Start::At(moment) => moment.since(now),
        };
        if !until_due.is_zero() {
            return Estimate(Some(until_due + run.unwrap_or_default()));
        }
        Estimate(self.load(queue).and_then(|load| queued(run?, load.waiting, load.slots)))
    }

    /// Until the next of the jobs that wait in a queue leaves it.
    pub(crate) fn of_room(self: &Arc<Self>, kind: &str, queue: &str) -> Estimate {
        let slots = |load: Load| u32::try_from(load.slots).ok().filter(|slots| *slots > 0);
        Estimate(self.run_time(kind).and_then(|run| Some(run / self.load(queue).and_then(slots)?)))
    }

    /// For a job as the store has it.
    pub(crate) fn of(self: &Arc<Self>, job: &JobRecord) -> Estimate {
        let now = self.clock.now();
        Estimate(match job.state {
            State::Available => self.run_time(&job.kind).and_then(|run| {
                let load = self.load(&job.queue)?;
                queued(run, job.position.map_or(load.waiting, |position| position - 1), load.slots)
            }),
            State::Scheduled => Some(job.run_at.since(now) + self.run_time(&job.kind).unwrap_or_default()),
            State::Running => running(job, now).or_else(|| {
                let elapsed = now.since(job.started_at?);
                let run = self.run_time(&job.kind)?;
                Some(run.saturating_sub(elapsed).max(run / 10))
            }),
            State::Blocked | State::Completed | State::Failed | State::Cancelled => None,
        })
    }

    fn run_time(self: &Arc<Self>, kind: &str) -> Option<Duration> {
        let now = self.clock.now();
        if let Some(measured) = self.run_times.read().get(kind)
            && now.since(measured.begun) < RUN_TIME_KEPT
        {
            return measured.value;
        }
        let mut run_times = self.run_times.write();
        if !run_times.contains_key(kind) && run_times.len() >= MOST_KINDS {
            return None;
        }
        let measured = run_times.entry(kind.to_owned()).or_default();
        // Another request may have begun to measure since the look above.
        if now.since(measured.begun) >= RUN_TIME_KEPT {
            measured.begun = now;
            tokio::spawn(Arc::clone(self).measure_run_time(kind.to_owned()));
        }
        measured.value
    }

    fn load(self: &Arc<Self>, queue: &str) -> Option<Load> {
        let now = self.clock.now();
        {
            let load = self.load.read();
            if now.since(load.begun) < LOAD_KEPT {
                return load.value.get(queue).copied();
            }
        }
        let mut load = self.load.write();
        if now.since(load.begun) >= LOAD_KEPT {
            load.begun = now;
            tokio::spawn(Arc::clone(self).measure_load());
        }
        load.value.get(queue).copied()
    }

    async fn measure_run_time(self: Arc<Self>, kind: String) {
        let filter =
            JobFilter { kinds: vec![kind.clone()], states: vec![State::Completed], ..JobFilter::default() };
        let page = self
            .longhaul
            .store()
            .list(&filter, Page { cursor: None, limit: SAMPLE, ..Page::default() })
            .await;
        match page {
            Ok(page) => {
                let value =
                    median(page.jobs.iter().filter_map(|job| Some(job.finished_at?.since(job.started_at?))));
                if let Some(measured) = self.run_times.write().get_mut(&kind) {
                    measured.value = value;
                }
            }
            Err(error) => tracing::debug!(kind, "failed to measure how long jobs of a kind run: {error}"),
        }
    }

    async fn measure_load(self: Arc<Self>) {
        let store = self.longhaul.store();
        let (queues, workers) = match tokio::try_join!(store.queues(), store.workers()) {
            Ok(both) => both,
            Err(error) => return tracing::debug!("failed to measure the load of the queues: {error}"),
        };
        let mut value: HashMap<String, Load> = HashMap::new();
        for queue in queues {
            let waiting = queue.counts.get(&State::Available).copied().unwrap_or_default();
            value.entry(queue.name).or_default().waiting = waiting;
        }
        for queue in workers.into_iter().flat_map(|worker| worker.queues) {
            value.entry(queue.queue).or_default().slots += queue.slots as u64;
        }
        self.load.write().value = value;
    }
}

fn queued(run: Duration, ahead: u64, slots: u64) -> Option<Duration> {
    if slots == 0 {
        return None;
    }
    let turns = 1.0 + ahead as f64 / slots as f64;
    Duration::try_from_secs_f64(run.as_secs_f64() * turns).ok()
}

fn running(job: &JobRecord, now: Timestamp) -> Option<Duration> {
    let percent = job.progress.as_ref()?.percent;
    // On a later run the progress may still be an earlier one's.
    let first_run = job.attempt == 1 && job.crashes == 0 && job.interruptions == 0;
    if !first_run || percent < TELLING_PERCENT {
        return None;
    }
    let elapsed = now.since(job.started_at?).as_secs_f64();
    Duration::try_from_secs_f64(elapsed * (100.0 - percent) / percent).ok()
}

fn median(durations: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut durations: Vec<Duration> = durations.collect();
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eta(seconds: f64) -> Option<u64> {
        Estimate(Some(Duration::from_secs_f64(seconds))).eta_seconds()
    }

    #[test]
    fn an_estimate_is_rounded_up_and_ever_more_coarsely() {
        assert_eq!([eta(0.0), eta(0.2), eta(9.5)], [Some(0), Some(1), Some(10)]);
        assert_eq!([eta(11.0), eta(59.0), eta(61.0)], [Some(15), Some(60), Some(90)]);
        assert_eq!([eta(601.0), eta(86_400.0)], [Some(660), Some(86_400)]);
        assert_eq!(Estimate(None).eta_seconds(), None);
    }

    #[test]
    fn retry_after_is_between_a_second_and_an_hour() {
        assert_eq!(Estimate(None).retry_after(), UNKNOWN_RETRY_AFTER);
        assert_eq!(Estimate(Some(Duration::ZERO)).retry_after(), 1);
        assert_eq!(Estimate(Some(Duration::from_secs(100_000))).retry_after(), 3600);
    }

    #[test]
    fn a_queued_job_waits_for_those_ahead_of_it() {
        let run = Duration::from_secs(10);
        assert_eq!(queued(run, 0, 4), Some(run));
        assert_eq!(queued(run, 8, 4), Some(Duration::from_secs(30)));
        assert_eq!(queued(run, 8, 0), None);
    }

    #[test]
    fn the_median_is_no_outliers() {
        let seconds = |n| Duration::from_secs(n);
        assert_eq!(median([seconds(900), seconds(1), seconds(2)].into_iter()), Some(seconds(2)));
        assert_eq!(median(std::iter::empty()), None);
    }
}
