use std::future::Future;

use longhaul::{Context, JobResult};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::Github;
use crate::client::Keeping;

/// The surroundings of an analysis: the same code does the work in a job and in a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Run<'a> {
    /// A job: its steps are durable and its progress is reported.
    Job(&'a Context<Github>),
    /// A request, because no job could be enqueued. Nothing is written, for the database is away.
    Request,
}

impl Run<'_> {
    /// Does `work` once; see [`Context::step`].
    pub(crate) async fn step<T, W, F>(&self, name: &str, work: W) -> JobResult<T>
    where
        T: Serialize + DeserializeOwned,
        W: FnOnce() -> F,
        F: Future<Output = JobResult<T>>,
    {
        match self {
            Run::Job(cx) => cx.step(name, work).await,
            Run::Request => work().await,
        }
    }

    pub(crate) fn progress(&self, percent: impl Into<f64>, message: impl Into<String>) {
        if let Run::Job(cx) = self {
            cx.progress(percent, message);
        }
    }

    /// The calls that it has made so far; see [`Context::settle`].
    pub(crate) fn settle(&self, calls: u32) {
        if let Run::Job(cx) = self {
            cx.settle(calls);
        }
    }

    /// True if nothing is tried again after this.
    pub(crate) fn is_last_attempt(&self) -> bool {
        match self {
            Run::Job(cx) => cx.is_last_attempt(),
            Run::Request => true,
        }
    }

    pub(crate) fn keeping(&self) -> Keeping {
        match self {
            Run::Job(_) => Keeping::Kept,
            Run::Request => Keeping::Dropped,
        }
    }
}
