use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::running::{RunningJob, Sent};
use crate::handle::Longhaul;
use crate::job::{JobError, JobResult};
use crate::model::{Entry, JobId, Json, LogLevel, NewJob, Progress};

/// What a running job can see and say.
#[derive(Debug)]
pub struct Context<S> {
    state: S,
    job: Arc<RunningJob>,
    longhaul: Longhaul,
}

impl<S> Context<S> {
    pub(crate) fn new(state: S, job: Arc<RunningJob>, longhaul: Longhaul) -> Self {
        Self { state, job, longhaul }
    }

    /// What the application registered the kind with.
    #[must_use]
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The job's id.
    #[must_use]
    pub fn id(&self) -> &JobId {
        self.job.id()
    }

    /// The number of this attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.job.claimed.attempt
    }

    /// Whether no retry follows if this attempt fails.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt() >= self.job.claimed.max_attempts
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

    /// Runs `work` once per job: its output is stored before this returns, and a later attempt gets it back
    /// without running `work` again. A crash between the work and the storing of its output runs it again.
    ///
    /// # Errors
    /// What `work` returned; an error that is retried where the output could not be stored.
    pub async fn step<T, W, F>(&self, name: &str, work: W) -> JobResult<T>
    where
        T: Serialize + DeserializeOwned,
        W: FnOnce() -> F,
        F: Future<Output = JobResult<T>>,
    {
        if let Some(output) = self.job.step_output(name) {
            return output.to().map_err(|e| {
                JobError::fatal(format!("failed to read the stored output of step '{name}': {e}"))
            });
        }
        let value = work().await?;
        let output = Json::new(&value)?;
        let entry = Entry::Step { name: name.to_owned(), output: output.clone() };
        self.send(Some(entry)).await?;
        self.job.keep_step(name, output);
        Ok(value)
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
        self.push(Entry::Progress(Progress { percent, message, data }));
    }

    /// Adds a line to the job's log.
    pub fn log(&self, level: LogLevel, message: impl Into<String>) {
        self.push(Entry::Log { level, message: message.into() });
    }

    /// Streams a piece of the output to whoever listens. Waits where the store is slower than the job.
    ///
    /// # Errors
    /// Where the piece has no JSON form or, while the job was waiting for the store, the store failed.
    pub async fn emit(&self, chunk: impl Serialize) -> JobResult<()> {
        self.push(Entry::Chunk { data: Json::new(&chunk)? });
        if self.job.pending_len() >= MAX_PENDING {
            self.send(None).await?;
        }
        Ok(())
    }

    /// Enqueues `job` in the transaction that completes this one, so that neither exists without the other.
    /// If this job ends otherwise, it is forgotten.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where the job breaks a bound.
    pub fn follow_up(&self, job: NewJob) -> crate::Result<()> {
        job.validate()?;
        self.job.follow_up(job);
        Ok(())
    }

    /// Completes when somebody has asked for the job to be cancelled.
    pub async fn cancelled(&self) {
        self.job.cancelled.cancelled().await;
    }

    /// Whether somebody has asked for the job to be cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.job.cancelled.is_cancelled()
    }

    fn push(&self, entry: Entry) {
        self.job.push(entry);
    }

    async fn send(&self, entry: Option<Entry>) -> JobResult<()> {
        match self.job.send(self.longhaul.store().as_ref(), entry).await? {
            Sent::Yes => Ok(()),
            // The execution is being aborted; this error is for code that looks before that happens.
            Sent::LeaseLost => Err(JobError::retry("the lease was lost")),
        }
    }
}

/// How many entries may wait before [`Context::emit`] does.
const MAX_PENDING: usize = 256;
