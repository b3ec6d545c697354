use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::Context;
use super::running::RunningJob;
use crate::admit::MAX_OUTPUT_BYTES;
use crate::backoff::Backoff;
use crate::handle::Longhaul;
use crate::job::{Job, JobError};
use crate::model::{Json, SupportedKind};
use crate::panics::{contain, contain_future};

/// The kinds that a worker can run, with each its state: the one place where job types are erased.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Runner>,
}

/// One kind, its type forgotten.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) version: u32,
    backoff: fn() -> Backoff,
    run: Arc<Run>,
}

type Run = dyn Fn(Arc<RunningJob>, Longhaul) -> BoxFuture<'static, Result<Json, JobError>> + Send + Sync;

/// The end of a job's own code.
pub(crate) enum Ended {
    Returned(Json),
    Erred(JobError),
    Panicked(String),
}

impl Registry {
    /// Adds a kind; `state` is cloned for each job of it. A kind registered twice runs as it was last.
    pub fn register<J: Job>(&mut self, state: J::State) {
        // Cloned as the application does it only where a panic of that is contained.
        let state = Arc::new(state);
        let run = move |job: Arc<RunningJob>, longhaul: Longhaul| {
            run::<J>(Arc::clone(&state), job, longhaul).boxed()
        };
        self.kinds.insert(J::KIND, Runner { version: J::VERSION, backoff: J::backoff, run: Arc::new(run) });
    }

    pub(crate) fn get(&self, kind: &str) -> Option<&Runner> {
        self.kinds.get(kind)
    }

    pub(crate) fn supported(&self) -> Vec<SupportedKind> {
        let kind = |(kind, runner): (&&str, &Runner)| SupportedKind {
            kind: (*kind).to_owned(),
            version: runner.version,
        };
        self.kinds.iter().map(kind).collect()
    }
}

/// All of a run that is the application's code: it reads its args, clones its state, works, writes its output, and drops all
/// of them.
async fn run<J: Job>(
    state: Arc<J::State>,
    job: Arc<RunningJob>,
    longhaul: Longhaul,
) -> Result<Json, JobError> {
    let args = job.claimed.args.to::<J>();
    let args = args.map_err(|e| JobError::fatal(format!("failed to read args: {e}")))?;
    let context = Context::new(J::State::clone(&state), job, longhaul);
    let output = args.run(context).await?;
    let output =
        Json::new(&output).map_err(|e| JobError::fatal(format!("failed to write the output: {e}")))?;
    match output.as_str().len() {
        0..=MAX_OUTPUT_BYTES => Ok(output),
        bytes => {
            let reason =
                format!("failed to keep the output: it is {bytes} bytes and may be {MAX_OUTPUT_BYTES}");
            Err(JobError::fatal(reason))
        }
    }
}

impl Runner {
    /// Runs a job until it ends or `cut_off` completes, with whose value it is then dropped. Its panics go no further.
    pub(crate) async fn run<C>(
        &self,
        job: Arc<RunningJob>,
        longhaul: Longhaul,
        cut_off: impl Future<Output = C>,
    ) -> Result<Ended, C> {
        let id = job.id().clone();
        let mut run = (self.run)(job, longhaul);
        let ended = tokio::select! {
            // The job first: most end at their first poll, and never need to listen for the rest.
            biased;
            ended = contain_future(&mut run) => Ok(match ended {
                Ok(Ok(output)) => Ended::Returned(output),
                Ok(Err(error)) => Ended::Erred(error),
                Err(panic) => Ended::Panicked(panic),
            }),
            cut_off = cut_off => Err(cut_off),
        };
        // Drops what the job has left in its variables.
        if let Err(panic) = contain(|| drop(run)) {
            tracing::error!(job = %id, "a job {panic}, when its run was dropped");
        }
        ended
    }

    /// The kind's backoff; the default, and why, where the application's code panics.
    pub(crate) fn backoff(&self) -> (Backoff, Option<String>) {
        match contain(self.backoff) {
            Ok(backoff) => (backoff, None),
            Err(panic) => (Backoff::default(), Some(panic)),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds.keys()).finish()
    }
}
