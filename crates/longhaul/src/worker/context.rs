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

    /// The place of this run in its trace, to send on to systems outside as the header `traceparent`: `None` where nobody who
    /// enqueued the job has told one and this process [traces](crate::trace) nothing.
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.job.traceparent()
    }

    /// True where no retry follows if this attempt fails.
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

    /// Tells how far the job is: 0 to 100, with a message for people. Written within a tenth of a second;
    /// of several reports in that time the last one counts.
    pub fn progress(&self, percent: impl Into<f64>, message: impl Into<String>) {
        self.report(percent.into(), message.into(), None);
    }

    /// The same, with something for programs.
    pub fn progress_with(&self, percent: impl Into<f64>, message: impl Into<String>, data: Json) {
        self.report(percent.into(), message.into(), Some(data));
    }

    fn report(&self, percent: f64, message: String, data: Option<Json>) {
        // A NaN has no JSON form; it can only come of 0/0, which is nothing done of nothing.
        let percent = if percent.is_nan() { 0.0 } else { percent.clamp(0.0, 100.0) };
        // A third is 33.33 %: nobody looks at more, and every report is stored.
        let percent = (percent * 100.0).round() / 100.0;
        self.job.say(Entry::Progress(Progress { percent, message, data }));
    }

    /// Adds a line to the job's log, cut to 8 KiB. While the store is away a thousand lines are kept, and 1 MiB of them;
    /// those beyond that are counted, and a line says how many they were.
    pub fn log(&self, level: LogLevel, message: impl Into<String>) {
        self.job.say(Entry::Log { level, message: message.into() });
    }

    /// Streams a piece of the output to whoever listens, 64 KiB at most. Waits where the store is slower than the job.
    ///
    /// # Errors
    /// A fatal one where the piece has no JSON form or is too large. Where the store is [away](JobError::outage) while the
    /// job had to wait for it, one that runs the job again at no cost of an attempt.
    pub async fn emit(&self, chunk: impl Serialize) -> JobResult<()> {
        let mut entry = Entry::Chunk { data: Json::new(&chunk)? };
        admit::entry(&mut entry)?;
        if self.job.is_full() {
            self.send(None).await?;
        }
        self.job.push(entry);
        Ok(())
    }

    /// A token whose bearer may give this job the signal `name`, once, and do nothing else, with no other right: the last part of
    /// `POST /api/signals/{token}`, for a link in a mail or a page. It is good for as long as the job is unfinished, for a year
    /// at most. Each call makes another one.
    ///
    /// # Errors
    /// A fatal one where nobody [makes tokens](Longhaul::sign_wait_tokens) here, or the name breaks its bound. Where a server that
    /// makes them is away, one that runs the job again at no cost of an attempt.
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

    /// Enqueues `job` in the transaction that completes this one, so that neither exists without the other.
    /// If this job ends otherwise, it is forgotten.
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

    /// Tells how many units of its limit keys' rates the run has taken in truth, tokens of a model say: at the end of the run
    /// they count in place of the [cost](crate::Job::cost) that its start has reserved, so that later runs wait longer, or
    /// shorter. The last call counts, whatever the outcome.
    pub fn settle(&self, units: u32) {
        self.job.settle(units);
    }

    /// Completes when somebody has asked for the job to be cancelled.
    pub async fn cancelled(&self) {
        self.job.cancelled.cancelled().await;
    }

    /// True where somebody has asked for the job to be cancelled.
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
