use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::Context;
use super::running::RunningJob;
use crate::backoff::Backoff;
use crate::handle::Longhaul;
use crate::job::{Job, JobError};
use crate::model::{Json, SupportedKind};

/// The kinds that a worker can run, with each its state: the one place where job types are erased.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: HashMap<&'static str, Runner>,
}

/// One kind, its type forgotten.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) version: u32,
    pub(crate) backoff: fn() -> Backoff,
    run: Arc<dyn Fn(Arc<RunningJob>, Longhaul) -> BoxFuture<'static, Ended> + Send + Sync>,
}

/// How a job's own code ended.
pub(crate) enum Ended {
    Returned(Json),
    Erred(JobError),
    Panicked(String),
}

impl Registry {
    /// Adds a kind; `state` is cloned for each job of it. A kind registered twice runs as it was last.
    pub fn register<J: Job>(&mut self, state: J::State) {
        let run = move |job: Arc<RunningJob>, longhaul: Longhaul| {
            let state = state.clone();
            async move {
                let args: J = match job.claimed.args.to() {
                    Ok(args) => args,
                    Err(e) => return Ended::Erred(JobError::fatal(format!("failed to read args: {e}"))),
                };
                let context = Context::new(state, job, longhaul);
                match AssertUnwindSafe(args.run(context)).catch_unwind().await {
                    Ok(Ok(output)) => match Json::new(&output) {
                        Ok(output) => Ended::Returned(output),
                        Err(e) => Ended::Erred(JobError::fatal(format!("failed to write the output: {e}"))),
                    },
                    Ok(Err(error)) => Ended::Erred(error),
                    Err(panic) => Ended::Panicked(panic_message(panic.as_ref())),
                }
            }
            .boxed()
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

impl Runner {
    pub(crate) fn run(&self, job: Arc<RunningJob>, longhaul: Longhaul) -> BoxFuture<'static, Ended> {
        (self.run)(job, longhaul)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds.keys()).finish()
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.unwrap_or_else(|| "no message".into()))
}
