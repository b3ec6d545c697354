use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tower_layer::Layer;
use tower_service::Service;

use super::cut_off::{CutOffLayer, cut_off};
use super::error::{RunError, RunResult};
use super::meter::{Meter, Metered};
use super::request::Run;
use super::service::{RunLayer, RunService};
use super::trace::{Trace, Traced};
use crate::clock::Clock;
use crate::handle::Longhaul;
use crate::job::JobError;
use crate::panics::contain_future;
use crate::worker::registry::Registry;
use crate::worker::running::RunningJob;

/// The longest time that a run waits until the layers of its worker are ready: then its job is put off by 5 s.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
/// The wait of a job for which the layers were not ready in time.
const READY_DELAY: Duration = Duration::from_secs(5);
/// The time that layers have to end after a run was cut off: less than the second after which a worker that shuts down gives
/// back what it runs.
pub const LAYER_GRACE: Duration = Duration::from_millis(500);

/// The layers that an application adds, the outermost first.
#[derive(Clone, Default)]
pub(crate) struct Layers(Vec<Arc<dyn RunLayer>>);

impl Layers {
    pub(crate) fn add(&mut self, layer: impl RunLayer) {
        self.0.push(Arc::new(layer));
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers").field("len", &self.0.len()).finish()
    }
}

/// All that a run goes through, our own layers included.
pub(crate) struct Stack {
    pub(crate) registry: Arc<Registry>,
    pub(crate) longhaul: Longhaul,
    service: Traced<Metered<RunService>>,
    has_layers: bool,
}

impl Stack {
    pub(crate) fn new(registry: Registry, layers: &Layers, longhaul: Longhaul) -> Self {
        let registry = Arc::new(registry);
        let mut service = RunService::kinds(Arc::clone(&registry));
        let has_layers = !layers.0.is_empty();
        if has_layers {
            let job = RunService::of(CutOffLayer.layer(service));
            service = layers.0.iter().rev().fold(job, |inner, layer| layer.around(inner));
        }
        Self { registry, longhaul, service: Trace.layer(Meter.layer(service)), has_layers }
    }

    /// Runs a job until it ends, or is cut off and its layers have had their time. Its panics go no further.
    pub(crate) async fn run(&self, job: &Arc<RunningJob>) -> RunResult {
        let run = Run::new(Arc::clone(job), self.longhaul.clone());
        if self.has_layers {
            // Apart, so that runs without layers have a small future.
            return self.run_in_layers(run).boxed().await;
        }
        let began = run.began;
        // Ready at once, and with nothing of an application's outside of what catches its panics.
        let running = self.service.clone().call(run);
        tokio::select! {
            // The run first: most end at their first poll, and never need to listen for the rest.
            biased;
            result = running => result,
            cut_off = cut_off(job, began) => Err(cut_off.end(job)),
        }
    }

    async fn run_in_layers(&self, run: Run) -> RunResult {
        let (job, began) = (Arc::clone(&run.job), run.began);
        let clock = &job.runtime.clock;
        let running = async {
            let mut service = self.service.clone();
            until_ready(&mut service, clock).await?;
            service.call(run).await
        };
        let cut_off = async {
            let cut_off = cut_off(&job, began).await;
            clock.sleep(LAYER_GRACE).await;
            cut_off.end(&job)
        };
        let ended = async {
            tokio::select! {
                biased;
                result = running => result,
                error = cut_off => Err(error),
            }
        };
        // A service of an application's that was made ready and never called can panic here when it is dropped.
        contain_future(ended).await.unwrap_or_else(|panic| Err(RunError::panicked(panic)))
    }
}

async fn until_ready(service: &mut Traced<Metered<RunService>>, clock: &Clock) -> Result<(), RunError> {
    tokio::select! {
        biased;
        ready = poll_fn(|cx| service.poll_ready(cx)) => ready,
        () = clock.sleep(READY_WITHIN) => {
            let message = format!("the layers of the worker were not ready within {} s", READY_WITHIN.as_secs());
            Err(JobError::snooze(READY_DELAY, message).into())
        }
    }
}
