//! Traces: the engine reports spans to a [`Tracer`], and a job carries the trace context of its enqueueing to the
//! worker that runs it.
//!
//! The engine knows no tracing system and writes spans with the `tracing` crate. A process that exports them
//! [installs](install) one tracer, which gives jobs the place that they are enqueued at, and each run its place behind that. Where
//! none is installed, a job still carries the place that it was enqueued with (`Policy::traceparent`).

use std::sync::OnceLock;

use tracing::Span;

use crate::model::{AttemptError, Claimed, TraceParent};

/// The tracing system of a process.
pub trait Tracer: Send + Sync + 'static {
    /// The trace context of the current thread; `None` outside of all spans.
    fn current(&self) -> Option<TraceParent>;

    /// Gives the span of a request its place, behind that of its caller, before it is entered for the first time.
    fn begin_request(&self, span: &Span, parent: Option<TraceParent>);

    /// Gives the span of a run its place, before it is entered for the first time, and answers it.
    fn begin(&self, span: &Span, run: Begin<'_>) -> Option<TraceParent>;

    /// Counters of exported and dropped spans.
    fn exported(&self) -> Exported {
        Exported::default()
    }
}

/// The ended spans of a process since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Spans that were exported.
    pub spans: u64,
    /// Spans that were dropped, because the receiver was unreachable or too slow.
    pub dropped: u64,
}

/// A run that is about to begin.
#[derive(Clone, Copy, Debug)]
pub struct Begin<'r> {
    /// The job. Its `policy.traceparent` is where it was enqueued.
    pub job: &'r Claimed,
    /// The failure of the attempt before, with its trace context; `None` for the first attempt, and if it is not known.
    pub failed_before: Option<&'r AttemptError>,
}

static TRACER: OnceLock<Box<dyn Tracer>> = OnceLock::new();

/// Installs the tracer of this process. Answers `false` where there is one already, which stays.
pub fn install(tracer: impl Tracer) -> bool {
    TRACER.set(Box::new(tracer)).is_ok()
}

tokio::task_local! {
    static WITHIN: TraceParent;
}

/// The place of what happens here now: the tracer's, or the one that this is [`within`]. A [`NewJob`](crate::NewJob) takes it
/// when it is made.
#[must_use]
pub fn current() -> Option<TraceParent> {
    let told = tracer().and_then(Tracer::current);
    told.or_else(|| WITHIN.try_with(|place| *place).ok())
}

/// Runs `work` in a trace context without a span of this process: jobs that it enqueues get the context.
pub fn within<F: Future>(place: TraceParent, work: F) -> impl Future<Output = F::Output> {
    WITHIN.scope(place, work)
}

/// The tracer of this process, where one is installed.
#[must_use]
pub fn tracer() -> Option<&'static dyn Tracer> {
    TRACER.get().map(|tracer| &**tracer)
}
