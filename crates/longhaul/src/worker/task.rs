use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::execution::execute;
use super::layer::Stack;
use super::running::RunningJob;
use crate::backoff::Backoff;
use crate::model::{AttemptError, ErrorKind, Finish, Outcome};

/// A run is over; its finish goes to the store, where there is one.
pub(crate) struct RunEnded {
    pub(crate) run: u64,
    pub(crate) queue: usize,
    pub(crate) took: Duration,
    pub(crate) finish: Option<Finish>,
}

/// The task of one run of a claimed job. It tells the dispatcher that it is over when it is dropped, and so however it ends:
/// its slot always comes back.
pub(crate) struct Task {
    number: u64,
    queue: usize,
    job: Arc<RunningJob>,
    ended: mpsc::UnboundedSender<RunEnded>,
    /// Its finish; `None` until the job has come to its end.
    end: Option<Option<Finish>>,
}

impl Task {
    pub(crate) fn new(
        number: u64,
        queue: usize,
        job: Arc<RunningJob>,
        ended: mpsc::UnboundedSender<RunEnded>,
    ) -> Self {
        Self { number, queue, job, ended, end: None }
    }

    pub(crate) async fn execute(mut self, stack: Arc<Stack>) {
        // A process may have stood still since it asked for the job, which another runs by now.
        self.end = Some(match self.job.is_lease_unsure() {
            true => Some(release(&self.job)),
            false => execute(&self.job, &stack).await,
        });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let finish = self.end.take().unwrap_or_else(|| Some(died(&self.job)));
        // One whose end nobody saw was not brief.
        let took = self.job.took().unwrap_or(Duration::MAX);
        // The receiver outlives every run but those that ignored their abort, which were handed back.
        let _ = self.ended.send(RunEnded { run: self.number, queue: self.queue, took, finish });
    }
}

/// The end of a run whose task dies before it.
fn died(job: &RunningJob) -> Finish {
    let error = AttemptError::new(ErrorKind::Panic, "the task of the job ended before the job did");
    let outcome = match job.is_last_attempt() {
        true => Outcome::Failed { error },
        false => Outcome::Retry { error, delay: Backoff::default().base },
    };
    Finish { outcome, ..release(job) }
}

/// The end of a run that hands its job back.
pub(crate) fn release(job: &RunningJob) -> Finish {
    let (entries, follow_ups) = (Vec::new(), Vec::new());
    Finish { lease: job.lease(), outcome: Outcome::Released, entries, follow_ups, cost: job.cost() }
}
