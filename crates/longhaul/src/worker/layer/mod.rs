//! Middleware: code around every run of a worker, as [`tower::Layer`](tower_layer::Layer)s over a [`Service`] of [`Run`]s.
//!
//! A layer sees each run begin and end with its result, and may time it, put its future into a span or a task-local, hand
//! [extensions](Run::extensions) to the job, replace the result, or answer in the job's place. [`WorkerBuilder::layer`] adds one
//! to a worker, [`Harness::layer`] to a test. The first that is added is the outermost, as in a `tower::ServiceBuilder`, and
//! all kinds of the worker go through the same layers.
//!
//! Most need no more than a function:
//!
//! ```
//! use std::time::Duration;
//!
//! use longhaul::layer::{Next, Run, from_fn};
//! use longhaul::testing::Harness;
//! use longhaul::{Context, Job, JobError, JobResult, State};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Report { month: u32 }
//!
//! /// What the layer hands to jobs.
//! struct Tenant(String);
//!
//! impl Job for Report {
//!     const KIND: &'static str = "report";
//!     type State = ();
//!     type Output = String;
//!
//!     async fn run(self, cx: Context<()>) -> JobResult<String> {
//!         let Tenant(name) = cx.extension().ok_or_else(|| JobError::fatal("no tenant"))?;
//!         Ok(format!("month {} of {name}", self.month))
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let mut harness = Harness::new();
//!     harness.register::<Report>(()).layer(from_fn(async |mut run: Run, next: Next| {
//!         match run.job().labels.get("tenant").cloned() {
//!             // Nothing runs, and the job comes again in a minute, at no cost of an attempt.
//!             None => Err(JobError::snooze(Duration::from_secs(60), "it has no tenant yet").into()),
//!             Some(tenant) => {
//!                 run.extensions.insert(Tenant(tenant));
//!                 next.run(run).await
//!             }
//!         }
//!     }));
//!     let id = harness.enqueue(Report { month: 7 });
//!     harness.drain().await;
//!     assert_eq!(harness.job(&id).state, State::Scheduled);
//! }
//! ```
//!
//! # The result of a run
//!
//! The response is the job's output, and the error a [`RunError`]; what leaves the outermost layer is what the job's policy is
//! applied to: a [`JobError::retry`] is retried with the job's backoff while attempts are left, an output completes the job, and
//! so on, whichever layer it came from. A layer's own error type may be anything that becomes a `Box<dyn Error + Send + Sync>`:
//! a [`RunError`] in it, or among its causes, keeps its consequence; another is treated as a job's [error](crate::JobError) is.
//!
//! # Calls of many jobs
//!
//! Each job of a kind that is [collected](crate::WorkerBuilder::collect) goes through the layers by itself, with its own extensions,
//! and each layer sees its own result. Its handler is called once all jobs of the call have come through, or have been answered by
//! a layer; one that comes more than 5 s late runs in a later call. So a layer that limits runs must let the jobs of a call through.
//!
//! # Layers of `tower`
//!
//! A layer fits where its service is `Clone + Send + Sync`, answers a [`Run`] with [`Json`](crate::Json), and its error becomes
//! a `Box<dyn Error + Send + Sync>`. These of `tower`'s do: `ConcurrencyLimitLayer` (one limit for all kinds of the worker),
//! `GlobalConcurrencyLimitLayer`, `TimeoutLayer`, `LoadShedLayer`, `BufferLayer`, `FilterLayer`, `MapErrLayer`,
//! `MapResponseLayer`, `AndThenLayer`, `Either`, a tuple of layers, and a `ServiceBuilder`. `RateLimitLayer` is not `Clone` and
//! needs a `BufferLayer` around it. `RetryLayer` retries nothing, because a [`Run`] cannot be cloned: retries are the job's
//! policy. Layers for HTTP, such as those of `tower-http`, do not fit. An error of theirs (a timeout, an overload) is a failed
//! attempt unless a layer around it makes something else of it.
//!
//! # What a layer cannot break
//!
//! - A panic of a layer is that run's failed attempt, as a panic of the job is. Layers around it see it as a [`RunError`].
//! - The job's timeout, its deadline, a cancel that the job ignores, a lost lease and a shutdown end the run, whatever layers do.
//!   Layers see that as an error, with [`RunErrorKind::TimedOut`] or [`RunErrorKind::Stopped`], and have
//!   [half a second](LAYER_GRACE) to end; then their future is dropped. Their result for an aborted run is ignored.
//! - Where the layers are not ready within [a minute](READY_WITHIN), the job is put off by 5 s, at no cost of an attempt. It
//!   holds its slot meanwhile.
//! - A layer that never ends holds its run like a job that never ends: until the job's timeout, if it has one, or a cancel.
//!
//! # Cost
//!
//! A worker without layers of its own allocates nothing for them. With them a run costs four allocations more, and two for each
//! call of `layer`; layers that belong together can be added as one, as a tuple.
//!
//! Longhaul's own are layers, too. From outside to inside: the tracing span of the run (`run`, level info, with `job`, `kind`,
//! `queue`, `attempt`), the measuring of its time, those that were added, the job's timeout, and the containment of panics.
//! Workers in other languages have none of this: layers are code of a Rust worker.
//!
//! [`Service`]: tower_service::Service
//! [`JobError::retry`]: crate::JobError::retry
//! [`WorkerBuilder::layer`]: crate::WorkerBuilder::layer
//! [`Harness::layer`]: crate::testing::Harness::layer

mod cut_off;
mod error;
mod extensions;
mod from_fn;
mod meter;
mod panic;
mod request;
mod service;
mod stack;
mod trace;

pub use error::{BoxError, RunError, RunErrorKind, RunResult};
pub use extensions::Extensions;
pub use from_fn::{FromFn, FromFnService, Next, from_fn};
pub use panic::RunFuture;
pub use request::Run;
pub use service::{RunLayer, RunService};
pub use stack::{LAYER_GRACE, READY_WITHIN};
pub(crate) use stack::{Layers, Stack};
