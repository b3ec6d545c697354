use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::context::Context;
use super::layer::{Run, RunResult};
use crate::admit::MAX_OUTPUT_BYTES;
use crate::backoff::Backoff;
use crate::job::{Job, JobError, JobResult};
use crate::model::{Json, SupportedKind};
use crate::panics::contain;

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
    run: Arc<dyn Fn(Run) -> BoxFuture<'static, RunResult> + Send + Sync>,
}

impl Registry {
    /// Adds a kind; `state` is cloned for each job of it. A kind registered twice runs as it was last.
    pub fn register<J: Job>(&mut self, state: J::State) {
        // Cloned as the application does it only where a panic of that is contained.
        let state = Arc::new(state);
        let run = move |run: Run| work::<J>(Arc::clone(&state), run).boxed();
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
async fn work<J: Job>(state: Arc<J::State>, run: Run) -> RunResult {
    let args = run.job.claimed.args.to::<J>();
    let args = args.map_err(|e| JobError::fatal(format!("failed to read args: {e}")))?;
    let context = Context::new(J::State::clone(&state), run);
    let output = args.run(context).await?;
    let output = Json::new(&output);
    Ok(keepable(output.map_err(|e| JobError::fatal(format!("failed to write the output: {e}")))?)?)
}

/// An output, where it is within the bound of one.
pub(crate) fn keepable(output: Json) -> JobResult<Json> {
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
    /// Runs a job. Its panics are the caller's to contain.
    pub(crate) fn run(&self, run: Run) -> BoxFuture<'static, RunResult> {
        (self.run)(run)
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
