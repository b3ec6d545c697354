use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;
use tracing::Instrument;
use tracing::field::Empty;
use tracing::instrument::Instrumented;

use super::error::{RunError, RunResult};
use super::request::Run;
use crate::job::Verdict;
use crate::model::{Claimed, Json};
use crate::trace::{Begin, tracer};

/// Puts each run into a span, so that the job's log lines carry the job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace;

impl<S> Layer<S> for Trace {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced { inner }
    }
}

#[derive(Clone)]
pub(super) struct Traced<S> {
    inner: S,
}

impl<S> Service<Run> for Traced<S>
where
    S: Service<Run, Response = Json, Error = RunError>,
    S::Future: Future<Output = RunResult> + Unpin,
{
    type Response = Json;
    type Error = RunError;
    type Future = TracedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RunError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, run: Run) -> TracedFuture<S::Future> {
        let Claimed { kind, queue, attempt, .. } = run.job();
        let (kind, queue) = (kind.as_str(), queue.as_str());
        let span = tracing::info_span!(
            "run",
            job = %run.id(),
            kind,
            queue,
            attempt,
            trace_id = Empty,
            ended = Empty,
            error = Empty,
            otel.status_code = Empty
        );
        if let Some(tracer) = tracer() {
            let begin = Begin { job: run.job(), failed_before: run.job.failed_before() };
            run.job.note_traceparent(tracer.begin(&span, begin));
        }
        if let Some(place) = run.job.traceparent() {
            span.record("trace_id", tracing::field::display(format_args!("{:032x}", place.trace_id)));
        }
        let future = span.in_scope(|| self.inner.call(run));
        TracedFuture { future: future.instrument(span) }
    }
}

pub(super) struct TracedFuture<F> {
    future: Instrumented<F>,
}

impl<F: Future<Output = RunResult> + Unpin> Future for TracedFuture<F> {
    type Output = RunResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RunResult> {
        let polled = Pin::new(&mut self.future).poll(cx);
        let span = self.future.span();
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Ok(_)) => {
                span.record("ended", "completed");
            }
            Poll::Ready(Err(RunError { error, kind })) => {
                span.record("ended", kind.name(error.verdict)).record("error", error.message.as_str());
                if matches!(error.verdict, Verdict::Retry(_) | Verdict::Fatal) {
                    // In the words of OpenTelemetry, which has no others for it.
                    span.record("otel.status_code", "ERROR");
                }
            }
        }
        polled
    }
}
