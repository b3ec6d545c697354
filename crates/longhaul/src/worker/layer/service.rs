use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use tower_layer::Layer;
use tower_service::Service;

use super::error::{BoxError, RunError, RunResult};
use super::panic::{CatchPanic, PanicCaught, RunFuture};
use super::request::Run;
use crate::job::JobError;
use crate::model::Json;
use crate::worker::registry::Registry;

/// The rest of the way of a run: what a layer is put around. No panic comes out of it.
#[derive(Clone)]
pub struct RunService {
    inner: PanicCaught<Inner>,
}

/// A layer that fits around runs. Every [`Layer`] is one whose service is cloned, shared and sent between threads, answers a
/// [`Run`] with [`Json`], and has an error that becomes a `Box<dyn Error + Send + Sync>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no layer for the runs of a worker",
    note = "its service must be `Service<Run, Response = Json> + Clone + Send + Sync + 'static`, with an error that is \
            `Into<Box<dyn Error + Send + Sync>>` and a future that is `Send + 'static`"
)]
pub trait RunLayer: Send + Sync + 'static {
    /// Puts this layer around `inner`.
    fn around(&self, inner: RunService) -> RunService;
}

impl<L, S> RunLayer for L
where
    L: Layer<RunService, Service = S> + Send + Sync + 'static,
    S: Service<Run, Response = Json> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn around(&self, inner: RunService) -> RunService {
        RunService::of(self.layer(inner))
    }
}

impl RunService {
    /// The innermost: the kinds of a worker.
    pub(super) fn kinds(registry: Arc<Registry>) -> Self {
        Self { inner: CatchPanic.layer(Inner::Kinds(registry)) }
    }

    /// A service whose type is forgotten; one that is forgotten already stays as it is.
    pub(super) fn of<S>(service: S) -> Self
    where
        S: Service<Run, Response = Json> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        match (&service as &dyn Any).downcast_ref::<Self>() {
            Some(known) => known.clone(),
            None => {
                Self { inner: CatchPanic.layer(Inner::Layered { service: Arc::new(service), ready: None }) }
            }
        }
    }
}

impl Service<Run> for RunService {
    type Response = Json;
    type Error = RunError;
    type Future = RunFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RunError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, run: Run) -> RunFuture {
        self.inner.call(run)
    }
}

impl fmt::Debug for RunService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunService").finish_non_exhaustive()
    }
}

enum Inner {
    Kinds(Arc<Registry>),
    Layered {
        service: Arc<dyn Erased>,
        /// A clone of it for one run, from the first look at whether it is ready.
        ready: Option<Box<dyn Erased>>,
    },
}

impl Clone for Inner {
    fn clone(&self) -> Self {
        match self {
            Self::Kinds(registry) => Self::Kinds(Arc::clone(registry)),
            Self::Layered { service, .. } => Self::Layered { service: Arc::clone(service), ready: None },
        }
    }
}

impl Service<Run> for Inner {
    type Response = Json;
    type Error = RunError;
    type Future = BoxFuture<'static, RunResult>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RunError>> {
        match self {
            Self::Kinds(_) => Poll::Ready(Ok(())),
            Self::Layered { service, ready } => ready.get_or_insert_with(|| service.clone_box()).ready(cx),
        }
    }

    fn call(&mut self, run: Run) -> BoxFuture<'static, RunResult> {
        let registry = match self {
            Self::Kinds(registry) => registry,
            Self::Layered { service, ready } => {
                return ready.take().unwrap_or_else(|| service.clone_box()).run(run);
            }
        };
        if let Some(runner) = registry.get(&run.job().kind) {
            return runner.run(run);
        }
        // Only a store that hands out kinds which were not asked for gets here; the job is another worker's.
        let kind = &run.job().kind;
        tracing::error!(job = %run.id(), kind, "failed to run a job of an unknown kind");
        let error =
            JobError::snooze(UNKNOWN_KIND_DELAY, format!("this worker does not know the kind '{kind}'"));
        ready(Err(error.into())).boxed()
    }
}

/// The wait of a job whose kind its worker does not know.
const UNKNOWN_KIND_DELAY: Duration = Duration::from_secs(10);

/// A service of runs, its types forgotten.
trait Erased: Send + Sync {
    fn clone_box(&self) -> Box<dyn Erased>;
    fn ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RunError>>;
    fn run(&mut self, run: Run) -> BoxFuture<'static, RunResult>;
}

impl<S> Erased for S
where
    S: Service<Run, Response = Json> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn clone_box(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }

    fn ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RunError>> {
        self.poll_ready(cx).map_err(|error| RunError::from(error.into()))
    }

    fn run(&mut self, run: Run) -> BoxFuture<'static, RunResult> {
        let running = self.call(run);
        async move { running.await.map_err(|error| RunError::from(error.into())) }.boxed()
    }
}
