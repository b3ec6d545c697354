use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc;

use super::execution::execute;
use super::layer::Stack;
use super::running::RunningJob;
use crate::backoff::Backoff;
use crate::model::{AttemptError, ErrorKind, Finish, Outcome};
use crate::trace;

/// Something that a dispatcher started is over.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are runs, and a box for each would be an allocation more"
)]
pub(crate) enum Ended {
    Run(RunEnded),
    /// A call, whose slot of this queue is free again. Its jobs have ended by themselves.
    Call {
        queue: usize,
    },
}

/// A run is over; its finish, if it has one, goes to the store.
pub(crate) struct RunEnded {
    pub(crate) run: u64,
    pub(crate) slot: Slot,
    pub(crate) took: Duration,
    pub(crate) finish: Option<Finish>,
}

/// The slot that a run holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A slot of this queue.
    Of(usize),
    /// The slot of this queue that a call holds for all its jobs.
    OfCall(usize),
}

impl Slot {
    /// The index of its queue among the worker's.
    pub(crate) fn queue(self) -> usize {
        let (Self::Of(queue) | Self::OfCall(queue)) = self;
        queue
    }
}

/// The slot of a call. It is freed on drop, so that it is freed however the call ends.
pub(crate) struct CallSlot {
    queue: usize,
    ended: mpsc::UnboundedSender<Ended>,
}

impl CallSlot {
    pub(crate) fn new(queue: usize, ended: mpsc::UnboundedSender<Ended>) -> Self {
        Self { queue, ended }
    }
}

impl Drop for CallSlot {
    fn drop(&mut self) {
        // The receiver is closed once the worker has stopped.
        let _ = self.ended.send(Ended::Call { queue: self.queue });
    }
}

/// The task of one run of a claimed job. It reports its end to the dispatcher on drop, so that its slot is freed
/// however it ends.
pub(crate) struct Task {
    number: u64,
    slot: Slot,
    job: Arc<RunningJob>,
    ended: mpsc::UnboundedSender<Ended>,
    /// Its finish; `None` until the job has ended.
    end: Option<Option<Finish>>,
}

impl Task {
    pub(crate) fn new(
        number: u64,
        slot: Slot,
        job: Arc<RunningJob>,
        ended: mpsc::UnboundedSender<Ended>,
    ) -> Self {
        Self { number, slot, job, ended, end: None }
    }

    pub(crate) async fn execute(mut self, stack: Arc<Stack>) {
        // The process may have been suspended since the claim, so that another worker runs the job by now.
        self.end = Some(match self.job.is_lease_unsure() {
            true => Some(release(&self.job)),
            false => {
                if trace::tracer().is_some() {
                    self.job.look_back(stack.longhaul.store().as_ref()).await;
                }
                match self.job.claimed.policy.traceparent {
                    None => execute(&self.job, &stack).await,
                    // Jobs that it enqueues get its trace context, whether or not a tracer is installed.
                    Some(place) => trace::within(place, execute(&self.job, &stack)).boxed().await,
                }
            }
        });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let finish = self.end.take().unwrap_or_else(|| Some(died(&self.job)));
        // A run whose task died before its end counts as long.
        let took = self.job.took().unwrap_or(Duration::MAX);
        // The receiver outlives every run but those that ignored their abort, which were released.
        let _ = self.ended.send(Ended::Run(RunEnded { run: self.number, slot: self.slot, took, finish }));
    }
}

/// The finish of a run whose task dies before it ends.
fn died(job: &RunningJob) -> Finish {
    let error = AttemptError::new(ErrorKind::Panic, "the task of the job ended before the job did");
    let outcome = match job.is_last_attempt() {
        true => Outcome::Failed { error },
        false => Outcome::Retry { error, delay: Backoff::default().base },
    };
    Finish { outcome, ..release(job) }
}

/// The finish of a run that releases its job.
pub(crate) fn release(job: &RunningJob) -> Finish {
    let (entries, follow_ups) = (Vec::new(), Vec::new());
    Finish { lease: job.lease(), outcome: Outcome::Released, entries, follow_ups, cost: job.cost() }
}
