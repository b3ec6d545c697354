use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::call::Member;
use super::collect::{Collect, Collected, join};
use super::context::Context;
use super::layer::{Run, RunResult};
use crate::admit::MAX_OUTPUT_BYTES;
use crate::backoff::Backoff;
use crate::job::{Job, JobError, JobResult};
use crate::model::{Json, SupportedKind};
use crate::panics::contain;
use crate::store::Result;

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
    run: Arc<RunOne>,
    /// The collection of its jobs into calls, if they are collected.
    collecting: Option<Collecting>,
}

type RunOne = dyn Fn(Run) -> BoxFuture<'static, RunResult> + Send + Sync;

/// The calls of a kind whose jobs are collected.
#[derive(Clone)]
struct Collecting {
    collect: Collect,
    handle: Arc<dyn Fn(Vec<Member>) -> BoxFuture<'static, JobResult<()>> + Send + Sync>,
}

impl Registry {
    /// Adds a kind; `state` is cloned for each job of it. A second registration of a kind replaces the first.
    pub fn register<J: Job>(&mut self, state: J::State) {
        // Cloned as the application does it only where a panic of that is contained.
        let state = Arc::new(state);
        let run = move |run: Run| work::<J>(Arc::clone(&state), run).boxed();
        self.insert::<J>(Arc::new(run), None);
    }

    /// Adds a kind whose jobs are handed to `handler` together, as [`WorkerBuilder::collect`](crate::WorkerBuilder::collect) does.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where `collect` breaks a bound.
    pub fn collect<J, F, R>(&mut self, state: J::State, collect: Collect, handler: F) -> Result<()>
    where
        J: Job,
        F: Fn(J::State, Vec<Collected<J>>) -> R + Send + Sync + 'static,
        R: Future<Output = JobResult<()>> + Send + 'static,
    {
        collect.validate()?;
        let state = Arc::new(state);
        let for_handler = Arc::clone(&state);
        let handle = move |members: Vec<Member>| {
            let jobs =
                members.into_iter().filter_map(|member| member.downcast().ok()).map(|job| *job).collect();
            handler(J::State::clone(&for_handler), jobs).boxed()
        };
        let run = move |run: Run| join::<J>(Arc::clone(&state), run).boxed();
        self.insert::<J>(Arc::new(run), Some(Collecting { collect, handle: Arc::new(handle) }));
        Ok(())
    }

    fn insert<J: Job>(&mut self, run: Arc<RunOne>, collecting: Option<Collecting>) {
        self.kinds.insert(J::KIND, Runner { version: J::VERSION, backoff: J::backoff, run, collecting });
    }

    pub(crate) fn get(&self, kind: &str) -> Option<&Runner> {
        self.kinds.get(kind)
    }

    /// All kinds.
    pub(crate) fn supported(&self) -> Vec<SupportedKind> {
        self.kinds.iter().map(|(kind, runner)| runner.named(kind)).collect()
    }

    /// The kinds whose jobs run one by one.
    pub(crate) fn single(&self) -> Vec<SupportedKind> {
        let single = self.kinds.iter().filter(|(_, runner)| runner.collecting.is_none());
        single.map(|(kind, runner)| runner.named(kind)).collect()
    }

    /// The kinds whose jobs are collected.
    pub(crate) fn collecting(&self) -> Vec<(SupportedKind, Collect)> {
        let collect = |(kind, runner): (&&str, &Runner)| {
            Some((runner.named(kind), runner.collecting.as_ref()?.collect))
        };
        self.kinds.iter().filter_map(collect).collect()
    }
}

/// All of a run that is the application's code: it reads its args, clones its state, works, writes its output, and drops all
/// of them.
async fn work<J: Job>(state: Arc<J::State>, run: Run) -> RunResult {
    let args = args_of::<J>(&run)?;
    let context = Context::new(J::State::clone(&state), run);
    let output = args.run(context).await?;
    let output = Json::new(&output);
    Ok(keepable(output.map_err(|e| JobError::fatal(format!("failed to write the output: {e}")))?)?)
}

pub(super) fn args_of<J: Job>(run: &Run) -> JobResult<J> {
    run.job.claimed.args.to().map_err(|e| JobError::fatal(format!("failed to read args: {e}")))
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
    fn named(&self, kind: &str) -> SupportedKind {
        SupportedKind { kind: kind.to_owned(), version: self.version }
    }

    pub(crate) fn is_collecting(&self) -> bool {
        self.collecting.is_some()
    }

    /// Calls the handler of a kind whose jobs are collected. Its panics are the caller's to contain.
    pub(crate) async fn handle(&self, members: Vec<Member>) -> JobResult<()> {
        match &self.collecting {
            Some(collecting) => (collecting.handle)(members).await,
            None => Ok(()),
        }
    }

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
