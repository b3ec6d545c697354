use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::layer::{Extensions, Run};
use super::running::{RunningJob, Sent};
use crate::admit::{self, MAX_FOLLOW_UPS};
use crate::handle::Longhaul;
use crate::job::{JobError, JobResult};
use crate::model::{Entry, JobId, Json, Lease, LogLevel, NewJob, Progress, TraceParent};
use crate::store::Error;

/// The view of a running job: what it can see, and what it can say. Clones are of the same run.
#[derive(Clone, Debug)]
pub struct Context<S> {
    state: S,
    pub(super) job: Arc<RunningJob>,
    longhaul: Longhaul,
    extensions: Arc<Extensions>,
}

impl<S> Context<S> {
    pub(crate) fn new(state: S, run: Run) -> Self {
        let Run { extensions, job, longhaul, .. } = run;
        Self { state, job, longhaul, extensions: Arc::new(extensions) }
    }

    /// The state that the application registered the kind with.
    #[must_use]
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The value of this type that a [layer](crate::layer) of the worker has put into the run's extensions.
    #[must_use]
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.extensions.get()
    }

    /// The job's id.
    #[must_use]
    pub fn id(&self) -> &JobId {
        self.job.id()
    }

    /// The lease of this run.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.job.lease()
    }

    /// The number of this attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.job.claimed.attempt
    }

    /// The trace context of this run, to send to other systems as the header `traceparent`. `None` if the job was
    /// enqueued without one and this process [traces](crate::trace) nothing.
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.job.traceparent()
    }

    /// True if no retry follows when this attempt fails.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.job.is_last_attempt()
    }

    /// The job's labels.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.job.claimed.labels
    }

    /// The handle of the worker that runs this job.
    #[must_use]
    pub fn longhaul(&self) -> &Longhaul {
        &self.longhaul
    }

    /// Reports the progress of the job: 0 to 100 percent, and a message for people. It is stored within a tenth of a
    /// second; of several reports in that time the last one counts.
    pub fn progress(&self, percent: impl Into<f64>, message: impl Into<String>) {
        self.report(percent.into(), message.into(), None);
    }

    /// The same, with data for programs.
    pub fn progress_with(&self, percent: impl Into<f64>, message: impl Into<String>, data: Json) {
        self.report(percent.into(), message.into(), Some(data));
    }

    fn report(&self, percent: f64, message: String, data: Option<Json>) {
        // A NaN has no JSON form. It comes of 0/0: nothing is done of nothing.
        let percent = if percent.is_nan() { 0.0 } else { percent.clamp(0.0, 100.0) };
        // Two decimals are enough for a display, and equal reports are not stored twice.
        let percent = (percent * 100.0).round() / 100.0;
        self.job.say(Entry::Progress(Progress { percent, message, data }));
    }

    /// Adds a line to the job's log, cut to 8 KiB. While the store is unreachable at most 1,000 lines and 1 MiB are
    /// kept; further lines are dropped, and a line reports their number.
    pub fn log(&self, level: LogLevel, message: impl Into<String>) {
        self.job.say(Entry::Log { level, message: message.into() });
    }

    /// Streams a piece of the output, at most 64 KiB, to the readers of the job. Waits if the store is slower than the
    /// job.
    ///
    /// # Errors
    /// A fatal one if the piece has no JSON form or is too large. If the store is [unreachable](JobError::outage) while
    /// the job had to wait for it, one that runs the job again at no cost of an attempt.
    pub async fn emit(&self, chunk: impl Serialize) -> JobResult<()> {
        let mut entry = Entry::Chunk { data: Json::new(&chunk)? };
        admit::entry(&mut entry)?;
        if self.job.is_full() {
            self.send(None).await?;
        }
        self.job.push(entry);
        Ok(())
    }

    /// A token whose bearer may send this job the signal `name` once, and has no other right: the last part of `POST
    /// /api/signals/{token}`, for a link in a mail or a page. It is valid while the job is unfinished, for at most a
    /// year. Each call makes another token.
    ///
    /// # Errors
    /// A fatal one if this process does not [sign tokens](Longhaul::sign_wait_tokens), or the name breaks its bound. If
    /// a server that signs them is unreachable, one that runs the job again at no cost of an attempt.
    pub async fn wait_token(&self, name: &str) -> JobResult<String> {
        admit::signal(name, &Json::null())?;
        let Some(tokens) = self.longhaul.wait_tokens() else {
            let message = "failed to make a wait token: nothing signs them here; mount the router of longhaul-http with a secret, \
                           or call Longhaul::sign_wait_tokens";
            return Err(JobError::fatal(message));
        };
        tokens.token(self.id(), self.job.claimed.created_at, name).await.map_err(|error| match error {
            error if error.is_outage() => JobError::outage(error),
            error => JobError::fatal(format!("failed to make a wait token: {error}")),
        })
    }

    /// Enqueues `job` in the transaction that completes this job, so that neither happens without the other. If this
    /// job does not complete, `job` is dropped.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the job breaks a bound, and for every job after the thousandth.
    pub fn follow_up(&self, job: NewJob) -> crate::Result<()> {
        job.validate()?;
        if self.job.follow_ups_len() >= MAX_FOLLOW_UPS {
            let reason = format!("must be at most {MAX_FOLLOW_UPS} jobs");
            return Err(Error::Invalid { field: "follow_ups".into(), reason });
        }
        self.job.follow_up(job);
        Ok(())
    }

    /// Reports the units of its limit keys' rates that the run has really used, tokens of a model for example. At the
    /// end of the run they replace the [cost](crate::Job::cost) that its start has reserved, so that later runs wait
    /// longer or shorter. The last call counts, for every outcome.
    pub fn settle(&self, units: u32) {
        self.job.settle(units);
    }

    /// Completes when a cancellation of the job was requested.
    pub async fn cancelled(&self) {
        self.job.cancelled.cancelled().await;
    }

    /// True once a cancellation of the job was requested.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.job.cancelled.is_cancelled()
    }

    pub(super) async fn send(&self, entry: Option<Entry>) -> JobResult<()> {
        match self.job.send(self.longhaul.store().as_ref(), entry).await {
            Ok(Sent::Yes) => Ok(()),
            // The execution is being aborted; these errors are for code that looks before that happens.
            Ok(Sent::LeaseLost) => Err(JobError::retry("the lease was lost")),
            Err(error) if error.is_outage() => Err(JobError::outage(error)),
            Err(error) => Err(JobError::fatal(format!("failed to keep what the job said: {error}"))),
        }
    }
}
