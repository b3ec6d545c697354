use std::fmt;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::error::{BoxError, RunError, RunResult};
use super::panic::RunFuture;
use super::request::Run;
use super::service::RunService;
use crate::model::Json;

/// A layer that is a function of a run and of what comes after it.
///
/// ```
/// use longhaul::layer::{Next, Run, from_fn};
/// use longhaul::{Longhaul, LogLevel, MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let longhaul = Longhaul::new(MemoryStore::new());
/// let worker = longhaul.worker().layer(from_fn(async |run: Run, next: Next| {
///     run.log(LogLevel::Info, format!("attempt {}", run.job().attempt));
///     next.run(run).await
/// }));
/// # drop(worker);
/// # }
/// ```
pub fn from_fn<F, R>(function: F) -> FromFn<F>
where
    F: Fn(Run, Next) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = RunResult> + Send + 'static,
{
    FromFn { function }
}

/// The layer that [`from_fn`] makes.
#[derive(Clone)]
pub struct FromFn<F> {
    function: F,
}

impl<F, S> Layer<S> for FromFn<F>
where
    F: Clone,
    S: Service<Run, Response = Json> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Service = FromFnService<F>;

    fn layer(&self, inner: S) -> FromFnService<F> {
        FromFnService { function: self.function.clone(), inner: RunService::of(inner) }
    }
}

/// The service of a [`FromFn`].
#[derive(Clone)]
pub struct FromFnService<F> {
    function: F,
    inner: RunService,
}

impl<F, R> Service<Run> for FromFnService<F>
where
    F: Fn(Run, Next) -> R,
    R: Future<Output = RunResult>,
{
    type Response = Json;
    type Error = RunError;
    type Future = R;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RunError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, run: Run) -> R {
        // The one that said it is ready; a clone of it need not be.
        let another = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, another);
        (self.function)(run, Next { inner })
    }
}

/// The rest of the way of a run, for a function of [`from_fn`].
#[derive(Debug)]
pub struct Next {
    inner: RunService,
}

impl Next {
    /// Runs the layers further in, and the job. Dropping the future stops them.
    pub fn run(mut self, run: Run) -> RunFuture {
        self.inner.call(run)
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}

impl<F> fmt::Debug for FromFnService<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFnService")
    }
}
