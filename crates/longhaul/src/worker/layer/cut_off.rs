use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tower_layer::Layer;
use tower_service::Service;

use super::error::{RunError, RunErrorKind, RunResult};
use super::request::Run;
use crate::job::JobError;
use crate::model::Json;
use crate::worker::execution::DEADLINE_PASSED;
use crate::worker::running::{AbortReason, RunningJob};

/// Ends a job's own code at its timeout and when the worker stops the run, so that the layers around it see that as a result.
#[derive(Clone, Copy, Debug)]
pub(super) struct CutOffLayer;

impl<S> Layer<S> for CutOffLayer {
    type Service = WithCutOff<S>;

    fn layer(&self, inner: S) -> WithCutOff<S> {
        WithCutOff { inner }
    }
}

#[derive(Clone)]
pub(super) struct WithCutOff<S> {
    inner: S,
}

impl<S> Service<Run> for WithCutOff<S>
where
    S: Service<Run, Response = Json, Error = RunError>,
    S::Future: Send + 'static,
{
    type Response = Json;
    type Error = RunError;
    type Future = BoxFuture<'static, RunResult>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RunError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, run: Run) -> BoxFuture<'static, RunResult> {
        let (job, began) = (Arc::clone(&run.job), run.began);
        let running = self.inner.call(run);
        async move {
            tokio::select! {
                biased;
                result = running => result,
                cut_off = cut_off(&job, began) => Err(cut_off.end(&job)),
            }
        }
        .boxed()
    }
}

/// The reason for which a run did not come to its own end.
pub(super) enum CutOff {
    TimedOut(Duration),
    Aborted(AbortReason),
}

/// Completes when a run that began at the monotonic time `began` must end.
pub(super) async fn cut_off(job: &RunningJob, began: Duration) -> CutOff {
    let timeout = async {
        match job.claimed.policy.timeout {
            None => std::future::pending().await,
            Some(timeout) => {
                let clock = &job.runtime.clock;
                clock.sleep(timeout.saturating_sub(clock.since(began))).await;
                timeout
            }
        }
    };
    tokio::select! {
        biased;
        reason = job.aborted() => CutOff::Aborted(reason),
        () = job.deadline() => CutOff::Aborted(AbortReason::Deadline),
        timeout = timeout => CutOff::TimedOut(timeout),
    }
}

impl CutOff {
    /// Ends the run: from here on the reason of an abort decides what becomes of the job.
    pub(super) fn end(self, job: &RunningJob) -> RunError {
        let (kind, message) = match self {
            Self::TimedOut(timeout) => {
                (RunErrorKind::TimedOut, format!("timed out after {:.1} s", timeout.as_secs_f64()))
            }
            Self::Aborted(reason) => {
                let message = match &reason {
                    AbortReason::LeaseLost => "stopped, because its lease was lost".to_owned(),
                    AbortReason::LeaseUnsure => "stopped, because its lease could not be extended".to_owned(),
                    AbortReason::Shutdown => "stopped, because its worker shuts down".to_owned(),
                    AbortReason::Unkept(reason) => reason.clone(),
                    AbortReason::Deadline => DEADLINE_PASSED.to_owned(),
                };
                job.stop(reason);
                (RunErrorKind::Stopped, message)
            }
        };
        RunError { error: JobError::retry(message), kind }
    }
}
