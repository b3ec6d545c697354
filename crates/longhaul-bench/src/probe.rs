use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longhaul::clock::{Clock, Stopwatch};
use longhaul::{Context, Job, JobResult};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// The job that is measured: about 200 bytes, and a handler that notes the time and nothing more.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Email {
    id: u64,
    /// Milliseconds since 1970.
    t: i64,
    kind: Cow<'static, str>,
    to: String,
    body: Cow<'static, str>,
}

pub(crate) const QUEUE: &str = "bench";

impl Job for Email {
    const KIND: &'static str = "bench.email";
    const QUEUE: &'static str = QUEUE;
    type State = Arc<Probe>;
    type Output = ();

    async fn run(self, cx: Context<Arc<Probe>>) -> JobResult<()> {
        cx.state().note(self.id);
        Ok(())
    }
}

impl Email {
    pub(crate) fn new(id: u64) -> Self {
        const BODY: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
                            xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
        Self {
            id,
            t: Clock::system().now().0,
            kind: Cow::Borrowed("email"),
            to: format!("user{id}@example.com"),
            body: Cow::Borrowed(BODY),
        }
    }
}

/// The time at which the handler of each job was called. Numbers of jobs are its indices, so that handlers on many
/// threads share no lock, and a job that runs twice is noticed.
#[derive(Debug)]
pub(crate) struct Probe {
    base: Stopwatch,
    /// Nanoseconds after `base`, by the job's id; zero means not yet.
    called: Box<[AtomicU64]>,
    distinct: AtomicU64,
    repeated: AtomicU64,
    /// Fired when every job has been called.
    all: Notify,
}

impl Probe {
    pub(crate) fn new(jobs: u64) -> Arc<Self> {
        Arc::new(Self {
            base: Stopwatch::start(),
            called: (0..jobs).map(|_| AtomicU64::new(0)).collect(),
            distinct: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            all: Notify::new(),
        })
    }

    pub(crate) fn note(&self, id: u64) {
        let now = self.now().as_nanos().max(1) as u64;
        let Some(called) = usize::try_from(id).ok().and_then(|id| self.called.get(id)) else { return };
        if called.swap(now, Ordering::Relaxed) != 0 {
            self.repeated.fetch_add(1, Ordering::Relaxed);
        } else if self.distinct.fetch_add(1, Ordering::AcqRel) + 1 == self.called.len() as u64 {
            self.all.notify_one();
        }
    }

    /// Waits until every job was called, at most for `patience`.
    pub(crate) async fn all_called(&self, patience: Duration) {
        // Giving up is no fault here: what was called until then is the result.
        let _ = tokio::time::timeout(patience, self.all.notified()).await;
    }

    /// The time on this probe's clock.
    pub(crate) fn now(&self) -> Duration {
        self.base.elapsed()
    }

    /// The time at which the job was called, if it was.
    pub(crate) fn called_at(&self, id: u64) -> Option<Duration> {
        let nanos = self.called.get(usize::try_from(id).ok()?)?.load(Ordering::Acquire);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    /// The number of jobs that were called, and the time from the first call to the last.
    pub(crate) fn span(&self) -> (u64, Duration) {
        let times = || (0..self.called.len() as u64).filter_map(|id| self.called_at(id));
        let (first, last) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
        (times().count() as u64, last - first)
    }

    /// The number of calls for a job that had been called before.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_about_200_bytes() {
        let length = serde_json::to_string(&Email::new(12_345)).unwrap().len();
        assert!((190..=210).contains(&length), "{length}");
    }

    #[tokio::test]
    async fn a_probe_knows_who_was_called_when_and_how_often() {
        let probe = Probe::new(3);
        probe.note(2);
        let between = probe.now();
        probe.note(0);
        probe.note(0);
        assert_eq!((probe.span().0, probe.repeated()), (2, 1));
        assert!(probe.called_at(2).unwrap() <= between && between <= probe.called_at(0).unwrap());
        assert_eq!(probe.called_at(1), None);
        probe.note(1);
        probe.all_called(Duration::from_secs(60)).await;
        assert_eq!(probe.span().0, 3);
    }
}
