use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tower_layer::Layer;
use tower_service::Service;

use super::error::{RunError, RunResult};
use super::request::Run;
use crate::model::Json;
use crate::panics::contain;
use crate::worker::running::RunningJob;

/// Turns panics of what is in it into errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct CatchPanic;

impl<S> Layer<S> for CatchPanic {
    type Service = PanicCaught<S>;

    fn layer(&self, inner: S) -> PanicCaught<S> {
        PanicCaught { inner }
    }
}

#[derive(Clone)]
pub(super) struct PanicCaught<S> {
    inner: S,
}

impl<S> Service<Run> for PanicCaught<S>
where
    S: Service<Run, Response = Json, Error = RunError, Future = BoxFuture<'static, RunResult>>,
{
    type Response = Json;
    type Error = RunError;
    type Future = RunFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RunError>> {
        contain(|| self.inner.poll_ready(cx))
            .unwrap_or_else(|panic| Poll::Ready(Err(RunError::panicked(panic))))
    }

    fn call(&mut self, run: Run) -> RunFuture {
        let job = Arc::clone(&run.job);
        RunFuture { job, call: Some(contain(|| self.inner.call(run))) }
    }
}

/// The future of a run, which contains panics, both when it is polled and when it is dropped.
#[must_use = "a run does nothing unless it is awaited"]
pub struct RunFuture {
    job: Arc<RunningJob>,
    /// The future of the call, or the panic of the call itself; `None` once it has ended.
    call: Option<Result<BoxFuture<'static, RunResult>, String>>,
}

impl Future for RunFuture {
    type Output = RunResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RunResult> {
        let result = match &mut self.call {
            Some(Ok(future)) => match contain(|| future.as_mut().poll(cx)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(result)) => result,
                Err(panic) => Err(RunError::panicked(panic)),
            },
            Some(Err(panic)) => Err(RunError::panicked(std::mem::take(panic))),
            None => return Poll::Pending,
        };
        self.end();
        Poll::Ready(result)
    }
}

impl RunFuture {
    /// Drops what the run has left in its variables.
    fn end(&mut self) {
        let call = self.call.take();
        if let Err(panic) = contain(|| drop(call)) {
            tracing::error!(job = %self.job.id(), "a job {panic}, when its run was dropped");
        }
    }
}

impl Drop for RunFuture {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for RunFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunFuture").field("job", self.job.id()).finish_non_exhaustive()
    }
}
