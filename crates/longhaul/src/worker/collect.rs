use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::call::Member;
use super::context::Context;
use super::layer::{Run, RunError, RunResult};
use super::registry::args_of;
use crate::job::{Job, JobError, JobResult};
use crate::model::Json;
use crate::store::{Error, Result};

/// The gathering of waiting jobs of a kind into calls of a worker's [collecting](crate::WorkerBuilder::collect) handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collect {
    /// The most jobs of one call: 1 to 1,000.
    pub max: usize,
    /// The longest that the first job of a call waits for others, once a worker has it: at most an hour. Zero takes what is
    /// there.
    pub wait: Duration,
    /// The path in the args, with dots between its names (`tenant.id`), whose value the jobs of a call have in common; jobs
    /// without it have `null` there. `None` puts any jobs of the kind and queue together.
    pub by: Option<&'static str>,
}

impl Default for Collect {
    /// Up to 100 jobs that come within a second, whatever their args.
    fn default() -> Self {
        Self { max: MAX_JOBS / 10, wait: Duration::from_secs(1), by: None }
    }
}

/// The most jobs of a call.
const MAX_JOBS: usize = 1_000;
/// The longest gathering.
const MAX_WAIT: Duration = Duration::from_secs(3_600);

impl Collect {
    pub(super) fn validate(&self) -> Result<()> {
        let invalid = |field: &str, reason: String| Err(Error::Invalid { field: field.into(), reason });
        if !(1..=MAX_JOBS).contains(&self.max) {
            return invalid("collect.max", format!("must be 1 to {MAX_JOBS}, not {}", self.max));
        }
        if self.wait > MAX_WAIT {
            let wait = self.wait.as_secs();
            return invalid(
                "collect.wait",
                format!("must be at most {} s, not {wait} s", MAX_WAIT.as_secs()),
            );
        }
        match self.by {
            Some(path) if path.split('.').any(str::is_empty) => {
                invalid("collect.by", format!("must be a path in the args, as 'tenant.id', not '{path}'"))
            }
            _ => Ok(()),
        }
    }

    /// The value that a job has in common with those that it goes together with.
    pub(crate) fn key(&self, args: &Json) -> Option<String> {
        let path = self.by?;
        let args = args.to_value();
        let value = path.split('.').try_fold(&args, |value, name| value.get(name));
        Some(value.unwrap_or(&serde_json::Value::Null).to_string())
    }
}

/// One job of a call, with what it would have if it ran by itself. It ends by [`end`](Self::end), each at its own time; what is
/// dropped without ends as the call does.
#[derive(Debug)]
pub struct Collected<J: Job> {
    /// The job itself.
    pub args: J,
    /// Its context: progress, log, steps, `settle`, cancel, all of this job.
    pub cx: Context<J::State>,
    answer: oneshot::Sender<JobResult<J::Output>>,
}

impl<J: Job> Collected<J> {
    /// Ends this job with a result, as [`Job::run`] would return it. Its finish is sent to the store while the call
    /// goes on.
    pub fn end(self, result: JobResult<J::Output>) {
        // The receiver is closed if the job has ended before: by its timeout, its deadline, or a lost lease.
        let _ = self.answer.send(result);
    }

    /// Waits until this job has ended without the call, as [`has_ended`](Self::has_ended) reports; otherwise for ever.
    pub async fn ended(&mut self) {
        self.answer.closed().await;
    }

    /// True if this job has ended without the call: its timeout or deadline has passed, or its lease is lost. Further
    /// work of the call for it is discarded.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.answer.is_closed()
    }
}

/// The innermost part of the run of one job of a call: it reads its args, joins the call, and waits for its end.
pub(super) async fn join<J: Job>(state: Arc<J::State>, run: Run) -> RunResult {
    let job = Arc::clone(&run.job);
    let Some(call) = job.call() else {
        // Only code of ours that forgot to make a call gets here.
        return Err(JobError::outage("it was to be run in a call, and there was none").into());
    };
    let args = args_of::<J>(&run)?;
    let (answer, answered) = oneshot::channel();
    let cx = Context::new(J::State::clone(&state), run);
    let collected: Member = Box::new(Collected { args, cx, answer });
    let Some(seat) = call.join(job.id(), collected) else {
        return Err(
            JobError::snooze(Duration::ZERO, "its layers let it through after its call had begun").into()
        );
    };
    let result = match answered.await {
        Ok(Ok(output)) => Json::new(&output)
            .map_err(|e| RunError::from(JobError::fatal(format!("failed to write the output: {e}")))),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(call.end_of(&job).await),
    };
    seat.leave();
    result
}
