use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use longhaul::trace::{Begin, Exported, Tracer};
use longhaul::{Clock, Timestamp, TraceParent};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::export::Counts;

/// The engine's tracer: OpenTelemetry's.
pub(super) struct OtelTracer {
    tracer: SdkTracer,
    counts: Arc<Counts>,
    clock: Clock,
}

impl OtelTracer {
    pub(super) fn new(tracer: SdkTracer, counts: Arc<Counts>) -> Self {
        Self { tracer, counts, clock: Clock::system() }
    }

    /// Exports a span for the time that a job has waited since it was enqueued, or since the attempt before failed.
    fn tell_wait(&self, run: Begin<'_>, parent: &Context) {
        let since = run.failed_before.map_or(run.job.created_at, |error| error.at);
        let wait = self
            .tracer
            .span_builder("wait")
            .with_start_time(moment(since))
            .with_attributes([KeyValue::new("queue", run.job.queue.clone())]);
        let mut wait = wait.start_with_context(&self.tracer, parent);
        // The two ends are of two clocks.
        wait.end_with_timestamp(moment(self.clock.now().max(since)));
    }
}

impl Tracer for OtelTracer {
    fn current(&self) -> Option<TraceParent> {
        place(&Span::current())
    }

    fn begin_request(&self, span: &Span, parent: Option<TraceParent>) {
        if let Some(parent) = parent {
            follow(span, remote(parent));
        }
    }

    fn begin(&self, span: &Span, run: Begin<'_>) -> Option<TraceParent> {
        let failed = run.failed_before.and_then(|error| error.traceparent);
        // A job that was enqueued outside of a trace goes on in the trace of its first attempt.
        if let Some(parent) = run.job.policy.traceparent.or(failed) {
            let parent = remote(parent);
            self.tell_wait(run, &parent);
            follow(span, parent);
        }
        if let Some(failed) = failed {
            span.add_link(context(failed));
        }
        place(span)
    }

    fn exported(&self) -> Exported {
        Exported {
            spans: self.counts.exported.load(Ordering::Relaxed),
            dropped: self.counts.dropped.load(Ordering::Relaxed),
        }
    }
}

/// Makes a span that was not entered yet the child of another process' span.
fn follow(span: &Span, parent: Context) {
    // A span that the log's filter has left out is none.
    if let Err(error) = span.set_parent(parent) {
        tracing::debug!("failed to give a span its parent: {error}");
    }
}

fn place(span: &Span) -> Option<TraceParent> {
    let cx = span.context();
    let place = cx.span().span_context().clone();
    place.is_valid().then(|| TraceParent {
        trace_id: u128::from_be_bytes(place.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(place.span_id().to_bytes()),
        flags: place.trace_flags().to_u8(),
    })
}

fn remote(place: TraceParent) -> Context {
    Context::new().with_remote_span_context(context(place))
}

fn context(place: TraceParent) -> SpanContext {
    let TraceParent { trace_id, span_id, flags } = place;
    let (trace_id, span_id) = (TraceId::from(trace_id), SpanId::from(span_id));
    SpanContext::new(trace_id, span_id, TraceFlags::new(flags), true, TraceState::default())
}

fn moment(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or_default())
}
