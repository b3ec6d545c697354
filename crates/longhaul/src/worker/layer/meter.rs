use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_layer::Layer;
use tower_service::Service;

use super::error::{RunError, RunResult};
use super::request::Run;
use crate::model::Json;
use crate::worker::running::RunningJob;

/// Measures how long runs take, by which a worker claims ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter;

impl<S> Layer<S> for Meter {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Metered<S> {
        Metered { inner }
    }
}

#[derive(Clone)]
pub(super) struct Metered<S> {
    inner: S,
}

impl<S> Service<Run> for Metered<S>
where
    S: Service<Run, Response = Json, Error = RunError>,
    S::Future: Future<Output = RunResult> + Unpin,
{
    type Response = Json;
    type Error = RunError;
    type Future = MeteredFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RunError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, run: Run) -> MeteredFuture<S::Future> {
        let (job, began) = (Arc::clone(&run.job), run.began);
        MeteredFuture { future: self.inner.call(run), job, began }
    }
}

pub(super) struct MeteredFuture<F> {
    future: F,
    job: Arc<RunningJob>,
    began: Duration,
}

impl<F: Future<Output = RunResult> + Unpin> Future for MeteredFuture<F> {
    type Output = RunResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RunResult> {
        let polled = Pin::new(&mut self.future).poll(cx);
        if polled.is_ready() {
            self.job.note_took(self.job.runtime.clock.since(self.began));
        }
        polled
    }
}
