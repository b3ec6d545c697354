use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::extensions::Extensions;
use crate::handle::Longhaul;
use crate::model::{Claimed, Entry, JobId, LogLevel};
use crate::worker::running::RunningJob;

/// One run of a job, on its way through the layers.
pub struct Run {
    /// Values for the layers further in, and for the job, which finds them with
    /// [`Context::extension`](crate::Context::extension).
    pub extensions: Extensions,
    pub(crate) job: Arc<RunningJob>,
    pub(crate) longhaul: Longhaul,
    /// The monotonic time at which the run began.
    pub(crate) began: Duration,
}

impl Run {
    pub(crate) fn new(job: Arc<RunningJob>, longhaul: Longhaul) -> Self {
        let began = job.runtime.clock.monotonic();
        Self { extensions: Extensions::default(), job, longhaul, began }
    }

    /// The job as it was claimed: kind, queue, attempt, labels, args and so on. Outputs of steps are left out.
    #[must_use]
    pub fn job(&self) -> &Claimed {
        &self.job.claimed
    }

    /// The job's id.
    #[must_use]
    pub fn id(&self) -> &JobId {
        self.job.id()
    }

    /// True where no retry follows if this attempt fails.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.job.is_last_attempt()
    }

    /// The handle of the worker that runs this job.
    #[must_use]
    pub fn longhaul(&self) -> &Longhaul {
        &self.longhaul
    }

    /// Adds a line to the job's log, cut to 8 KiB: as [`Context::log`](crate::Context::log).
    pub fn log(&self, level: LogLevel, message: impl Into<String>) {
        self.job.say(Entry::Log { level, message: message.into() });
    }

    /// Completes when a cancellation of the job was requested. It may be awaited after the run was passed on.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        CancellationToken::cancelled_owned(self.job.cancelled.clone())
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Claimed { kind, queue, attempt, .. } = self.job();
        f.debug_struct("Run")
            .field("id", self.id())
            .field("kind", kind)
            .field("queue", queue)
            .field("attempt", attempt)
            .finish_non_exhaustive()
    }
}
