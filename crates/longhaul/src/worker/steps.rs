use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument;

use super::context::Context;
use crate::admit;
use crate::backoff::Backoff;
use crate::job::{JobError, JobResult, Verdict};
use crate::model::{Entry, Json, Lease, LeaseStatus, SIGNAL_PREFIX};

/// The treatment of a step that fails or takes long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepOptions {
    /// The most tries of the step within one attempt of the job. The job keeps its slot between them: what is away for long is
    /// better left to the attempts of the job.
    pub tries: u32,
    /// The wait between two tries.
    pub backoff: Backoff,
    /// The longest time that one try may take; `None` is no limit.
    pub timeout: Option<Duration>,
}

impl Default for StepOptions {
    /// One try, and no limit of its time.
    fn default() -> Self {
        Self { tries: 1, backoff: Backoff::default(), timeout: None }
    }
}

/// Prefixes of the names of the engine's own steps.
pub(super) const SLEEP_PREFIX: &str = "sleep:";
pub(super) const WAIT_PREFIX: &str = "wait:";
pub(super) const PATCH_PREFIX: &str = "patch:";
const RESERVED: [&str; 4] = [SIGNAL_PREFIX, SLEEP_PREFIX, WAIT_PREFIX, PATCH_PREFIX];

/// Steps: parts of a job's work that are done once per job.
impl<S> Context<S> {
    /// Runs `work` once per job: its output is stored before this returns, and a later attempt gets it back
    /// without running `work` again. A crash between the work and the storing of its output runs it again.
    ///
    /// Each step has a name of its own, which does not begin with `signal:`, `sleep:`, `wait:` or `patch:`. Put a number into
    /// the names of a loop. To resume costs the same however many steps are done: their outputs come with the claim.
    ///
    /// # Errors
    /// The error of `work`. If the store is [unreachable](JobError::outage), an error that runs the job again at no
    /// cost of an attempt, because the output must be stored before the job goes on. A fatal error if a step of this
    /// name was done in this attempt already, or if the name (at most 512 bytes; checked before `work` is run) or the
    /// output (at most 1 MiB) cannot be stored, so that costly work is not repeated in vain.
    pub async fn step<T, W, F>(&self, name: &str, work: W) -> JobResult<T>
    where
        T: Serialize + DeserializeOwned,
        W: FnOnce() -> F,
        F: Future<Output = JobResult<T>>,
    {
        if let Some(output) = self.begin_step(name)? {
            return Ok(output);
        }
        let began = self.job.runtime.clock.monotonic();
        match work().instrument(tracing::info_span!("step", step = name)).await {
            Ok(value) => self.end_step(name, value, began).await,
            Err(error) => {
                self.job.leave(name);
                Err(error)
            }
        }
    }

    /// The same, with tries within this attempt and a limit of the time of each.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use longhaul::{Context, JobResult, StepOptions};
    /// # async fn charge() -> JobResult<String> { Ok("receipt".into()) }
    /// # async fn run(cx: Context<()>) -> JobResult<String> {
    /// let options = StepOptions { tries: 3, timeout: Some(Duration::from_secs(10)), ..StepOptions::default() };
    /// let receipt = cx.step_with("charge", options, || charge()).await?;
    /// # Ok(receipt) }
    /// ```
    ///
    /// # Errors
    /// As for [`step`](Self::step): the error of the last try. One that no retry can mend, or that makes the job wait, ends the
    /// tries at once, and so does a cancel.
    pub async fn step_with<T, W, F>(&self, name: &str, options: StepOptions, mut work: W) -> JobResult<T>
    where
        T: Serialize + DeserializeOwned,
        W: FnMut() -> F,
        F: Future<Output = JobResult<T>>,
    {
        if let Some(output) = self.begin_step(name)? {
            return Ok(output);
        }
        let runtime = &self.job.runtime;
        let mut tried = 0;
        loop {
            let began = runtime.clock.monotonic();
            let work = work().instrument(tracing::info_span!("step", step = name, tried = tried + 1));
            let result = match options.timeout {
                None => work.await,
                Some(most) => runtime.clock.timeout(most, work).await.unwrap_or_else(|_| {
                    Err(JobError::retry(format!(
                        "step '{name}' took longer than {:.1} s",
                        most.as_secs_f64()
                    )))
                }),
            };
            let error = match result {
                Ok(value) => return self.end_step(name, value, began).await,
                Err(error) => error,
            };
            tried += 1;
            let delay = match error.verdict {
                Verdict::Retry(delay) if tried < options.tries && !self.is_cancelled() => {
                    delay.unwrap_or_else(|| runtime.delay(&options.backoff, tried))
                }
                _ => {
                    self.job.leave(name);
                    return Err(error);
                }
            };
            tracing::debug!(job = %self.id(), step = name, tried, "a step is tried again: {error}");
            tokio::select! {
                biased;
                () = self.cancelled() => {}
                () = runtime.clock.sleep(delay) => {}
            }
        }
    }

    /// The output of a step that is done, for one that the application records in a transaction of its own: the step and the
    /// application's rows are there together, or neither is. Where there is none, do the work and end it with
    /// `finish_step_in`, which the SQLite and Postgres stores bring as the trait `FinishStepIn`.
    ///
    /// # Errors
    /// A fatal one for the name, as for [`step`](Self::step), and where the output has another form.
    pub fn finished_step<T: DeserializeOwned>(&self, name: &str) -> JobResult<Option<T>> {
        self.begin_step(name)
    }

    /// The lease of this run and the output in the form that a store keeps, for a store's `finish_step_in`.
    ///
    /// # Errors
    /// A fatal one where this attempt has not asked [`finished_step`](Self::finished_step) for the step, or it is done: its work
    /// would be done twice. Another one where the output has no JSON form.
    pub fn begin_finish<T: Serialize>(&self, name: &str, output: &T) -> JobResult<(Lease, Json)> {
        if !self.job.has_reached(name) || self.job.step_output(name).is_some() {
            return Err(JobError::fatal(format!(
                "step '{name}' cannot be finished in a transaction: ask finished_step for it first, and do its work only where \
                 there is no output"
            )));
        }
        Ok((self.job.lease(), Json::new(output)?))
    }

    /// Converts the store's answer to a [`Finish`](crate::Finish) into the result of the run.
    ///
    /// # Errors
    /// An error that runs the job again if the lease is lost: a transaction that was to commit with the finish must be
    /// rolled back. For a fault of the store, as for [`step`](Self::step).
    pub fn end_finish(answer: crate::Result<LeaseStatus>) -> JobResult<()> {
        match answer {
            Ok(LeaseStatus::Held | LeaseStatus::CancelRequested) => Ok(()),
            Ok(LeaseStatus::Lost) => Err(JobError::retry("the lease was lost")),
            Err(error) if error.is_outage() => Err(JobError::outage(error)),
            Err(error) => Err(JobError::fatal(format!("failed to keep a step: {error}"))),
        }
    }

    /// True where the code after this point is the new one for this job; false where the job had passed the point before the
    /// code was changed, and must go on the old way. It is true, and stays so for the job, unless an earlier attempt has done a
    /// step that this one has not come to yet. Take it out once no job of the old code is left.
    ///
    /// ```
    /// # use longhaul::{Context, JobResult};
    /// # async fn run(cx: Context<()>) -> JobResult<()> {
    /// if cx.patched("two-factor").await? {
    ///     cx.step("check-both", async || Ok(())).await?;
    /// } else {
    ///     cx.step("check", async || Ok(())).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`step`](Self::step).
    pub async fn patched(&self, name: &str) -> JobResult<bool> {
        let step = format!("{PATCH_PREFIX}{name}");
        if self.reach(&step)?.is_some() {
            return Ok(true);
        }
        if self.job.is_replaying() {
            return Ok(false);
        }
        self.end_step(&step, true, self.job.runtime.clock.monotonic()).await
    }

    /// The stored output of a step of the application's.
    fn begin_step<T: DeserializeOwned>(&self, name: &str) -> JobResult<Option<T>> {
        if let Some(prefix) = RESERVED.iter().find(|prefix| name.starts_with(**prefix)) {
            return Err(JobError::fatal(format!(
                "step '{name}' has a name that cannot be used: the engine's own begin with '{prefix}'"
            )));
        }
        self.reach(name)?.map(|output| read_output(name, &output)).transpose()
    }

    /// Notes that the attempt has come to a step, and answers its stored output.
    pub(super) fn reach(&self, step: &str) -> JobResult<Option<Json>> {
        admit::step_name(step)?;
        if !self.job.reach(step) {
            return Err(JobError::fatal(format!(
                "'{step}' stands twice in this attempt: each step, sleep and wait of a job has a name of its own; put a number \
                 into the names of a loop"
            )));
        }
        Ok(self.job.step_output(step))
    }

    async fn end_step<T: Serialize>(&self, name: &str, value: T, began: Duration) -> JobResult<T> {
        let output = Json::new(&value)?;
        let took = self.job.runtime.clock.since(began);
        let mut entry = Entry::Step { name: name.to_owned(), output: output.clone(), took };
        admit::entry(&mut entry)?;
        self.send(Some(entry)).await?;
        self.job.keep_step(name, output);
        Ok(value)
    }
}

/// The stored output of a step as a value of the caller's type.
pub(super) fn read_output<T: DeserializeOwned>(step: &str, output: &Json) -> JobResult<T> {
    output
        .to()
        .map_err(|e| JobError::fatal(format!("failed to read the stored output of step '{step}': {e}")))
}
