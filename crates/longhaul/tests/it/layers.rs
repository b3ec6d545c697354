//! Layers around runs: what they see, what they can change, and what they cannot break.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use longhaul::layer::{
    FromFn, LAYER_GRACE, Next, READY_WITHIN, Run, RunError, RunErrorKind, RunLayer, RunResult, from_fn,
};
use longhaul::testing::{Harness, Simulation};
use longhaul::{
    Backoff, CANCEL_GRACE, CancelReason, EnqueueOptions, ErrorKind, EventBody, JobError, JobId, JobRecord,
    Json, LogLevel, Longhaul, MemoryStore, Outcome, State, Verdict, Worker,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::limit::ConcurrencyLimitLayer;
use tower::timeout::TimeoutLayer;
use tower::{Layer, Service, ServiceBuilder};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::script::{Script, Scripted};

const LONG: Duration = Duration::from_secs(3600);

/// The log of the calls of layers and jobs, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    /// A layer that notes the begin and the end of each run.
    fn layer(&self, name: &'static str) -> FromFn<impl Function> {
        let seen = self.clone();
        from_fn(move |run: Run, next: Next| {
            let seen = seen.clone();
            async move {
                seen.note(format!("{name} begins"));
                let result = next.run(run).await;
                seen.note(match &result {
                    Ok(output) => format!("{name} ends: {}", output.as_str()),
                    Err(error) => format!("{name} ends: {:?} {error}", error.kind),
                });
                result
            }
            .boxed()
        })
    }
}

/// A function that a layer can be made of.
trait Function: Fn(Run, Next) -> BoxFuture<'static, RunResult> + Clone + Send + Sync + 'static {}
impl<F: Fn(Run, Next) -> BoxFuture<'static, RunResult> + Clone + Send + Sync + 'static> Function for F {}

fn nothing() -> Script {
    Script::new(async |_, _| Ok(Value::Null))
}

/// A test of one job on a harness.
async fn ran(script: Script, layer: impl RunLayer) -> Outcome {
    let mut harness = Harness::new();
    harness.register::<Scripted>(script).layer(layer);
    harness.enqueue(Scripted { number: 1 });
    harness.drain().await.remove(0).outcome
}

#[tokio::test]
async fn the_first_layer_is_the_outermost_for_every_kind_alone_or_in_a_tuple_or_a_builder() {
    let seen = Seen::default();
    let script = Script::new({
        let seen = seen.clone();
        move |number, _| {
            seen.note("the job");
            async move { Ok(json!(number)) }
        }
    });
    let mut harness = Harness::new();
    harness.register::<Scripted>(script);
    harness.layer(seen.layer("a")).layer((seen.layer("b"), seen.layer("c")));
    harness.layer(ServiceBuilder::new().layer(seen.layer("d")).layer(seen.layer("e")));
    harness.enqueue(Scripted { number: 7 });
    harness.drain().await;
    let order = ["a", "b", "c", "d", "e"];
    let begins = order.map(|name| format!("{name} begins"));
    let ends = order.map(|name| format!("{name} ends: 7"));
    let expected: Vec<_> =
        begins.into_iter().chain(["the job".into()]).chain(ends.into_iter().rev()).collect();
    assert_eq!(seen.all(), expected);
}

#[tokio::test]
async fn a_layer_sees_the_job_as_it_was_claimed() {
    let seen = Seen::default();
    let layer = from_fn({
        let seen = seen.clone();
        move |run: Run, next: Next| {
            let job = run.job();
            seen.note(format!("{} {} {} {}", run.id(), job.kind, job.queue, job.args.as_str()));
            seen.note(format!("{} of {}, last: {}", job.attempt, job.max_attempts, run.is_last_attempt()));
            seen.note(format!("{:?}", job.labels));
            run.log(LogLevel::Info, "seen");
            next.run(run)
        }
    });
    let mut harness = Harness::new();
    harness.register::<Scripted>(Script::new(async |_, _| Err(JobError::retry("again")))).layer(layer);
    let id = harness.enqueue_with(
        Scripted { number: 7 },
        EnqueueOptions {
            id: Some(JobId::new("seen-1").unwrap()),
            max_attempts: Some(2),
            labels: [("tenant".to_owned(), "7".to_owned())].into(),
            ..EnqueueOptions::default()
        },
    );
    harness.drain().await;
    harness.advance(LONG);
    harness.drain().await;
    let about = [r#"seen-1 scripted default {"number":7}"#, r#"{"tenant": "7"}"#];
    assert_eq!(
        seen.all(),
        [about[0], "1 of 2, last: false", about[1], about[0], "2 of 2, last: true", about[1]]
    );
    let events = harness.longhaul().events(&id, 0, 100, Duration::ZERO).await.unwrap().unwrap();
    let lines = events
        .iter()
        .filter(|event| matches!(&event.body, EventBody::Log { message, .. } if message == "seen"));
    assert_eq!(lines.count(), 2);
}

#[tokio::test]
async fn a_job_finds_the_extensions_and_task_locals_that_a_layer_has_put_around_it() {
    tokio::task_local! { static TENANT: u32; }
    let script = Script::new(async |_, cx| {
        let name: &&str = cx.extension().ok_or_else(|| JobError::fatal("no name"))?;
        assert_eq!(cx.extension::<String>(), None);
        Ok(json!([name, TENANT.get()]))
    });
    let layer = from_fn(async |mut run: Run, next: Next| {
        run.extensions.insert("grace");
        TENANT.scope(7, next.run(run)).await
    });
    let Outcome::Completed { output } = ran(script, layer).await else { panic!() };
    assert_eq!(output.to_value(), json!(["grace", 7]));
}

#[tokio::test]
async fn a_layer_that_answers_in_the_jobs_place_decides_what_becomes_of_it() {
    let never = || Script::new(async |_, _| panic!("it must not run"));
    let answer = |answer: fn() -> Result<Json, JobError>| {
        from_fn(move |_, _| std::future::ready(answer().map_err(RunError::from)))
    };
    let minute = Duration::from_secs(60);
    let snoozed = ran(never(), answer(|| Err(JobError::snooze(Duration::from_secs(60), "not now")))).await;
    assert_eq!(snoozed, Outcome::Snoozed { delay: minute });
    let limited = ran(never(), answer(|| Err(JobError::rate_limited(Duration::from_secs(60), "429")))).await;
    assert_eq!(limited, Outcome::RateLimited { delay: minute });
    let denied = ran(never(), answer(|| Err(JobError::fatal("not allowed")))).await;
    assert!(matches!(denied, Outcome::Failed { error } if error.message == "not allowed"));
    let cancelled = ran(never(), answer(|| Err(JobError::cancel("nobody waits")))).await;
    assert_eq!(
        cancelled,
        Outcome::Cancelled { reason: "nobody waits".into(), cancel_reason: CancelReason::Asked }
    );
    let cached = ran(never(), answer(|| Ok(Json::new(&"from the cache")?))).await;
    assert_eq!(cached, Outcome::Completed { output: Json::new(&"from the cache").unwrap() });
    let large = ran(never(), answer(|| Ok(Json::new(&"x".repeat(2 * 1024 * 1024))?))).await;
    assert!(
        matches!(large, Outcome::Failed { error } if error.message.contains("failed to keep the output"))
    );
}

#[tokio::test]
async fn an_error_that_passes_a_layer_keeps_the_policy_of_its_job_and_one_that_replaces_it_has_its_own() {
    let script = || Script::new(async |_, _| Err(JobError::retry("no luck")));
    let backoff = Backoff { base: Duration::from_secs(77), jitter: 0.0, ..Backoff::default() };
    let options =
        EnqueueOptions { max_attempts: Some(2), backoff: Some(backoff), ..EnqueueOptions::default() };
    let mut harness = Harness::new();
    harness.register::<Scripted>(script()).layer(Seen::default().layer("a"));
    harness.enqueue_with(Scripted { number: 1 }, options);
    let Outcome::Retry { error, delay } = harness.drain().await.remove(0).outcome else { panic!() };
    assert_eq!((error.message.as_str(), delay), ("no luck", Duration::from_secs(77)));
    harness.advance(delay);
    let last = harness.drain().await.remove(0);
    assert!(matches!(last.outcome, Outcome::Failed { error } if error.kind == ErrorKind::Error));

    let replaces = from_fn(async |run, next: Next| {
        next.run(run).await.map_err(|mut error: RunError| {
            error.error.verdict = Verdict::Fatal;
            error
        })
    });
    let replaced = ran(script(), replaces).await;
    assert!(matches!(replaced, Outcome::Failed { error } if error.kind == ErrorKind::Fatal));
    let forgives = from_fn(async |run, next: Next| next.run(run).await.or_else(|_| Ok(Json::null())));
    assert_eq!(ran(script(), forgives).await, Outcome::Completed { output: Json::null() });
}

/// Panics in one of the places in which a layer can.
#[derive(Clone)]
struct Panics<S> {
    place: &'static str,
    inner: S,
}

#[derive(Clone, Copy)]
struct PanicsIn(&'static str);

impl<S> Layer<S> for PanicsIn {
    type Service = Panics<S>;

    fn layer(&self, inner: S) -> Panics<S> {
        Panics { place: self.0, inner }
    }
}

impl<S> Service<Run> for Panics<S>
where
    S: Service<Run, Response = Json, Error = RunError>,
    S::Future: Send + 'static,
{
    type Response = Json;
    type Error = RunError;
    type Future = BoxFuture<'static, RunResult>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), RunError>> {
        assert!(self.place != "poll_ready", "a fault in poll_ready");
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, run: Run) -> Self::Future {
        assert!(self.place != "call", "a fault in call");
        let (place, running) = (self.place, self.inner.call(run));
        Box::pin(async move {
            let result = running.await;
            assert!(place != "future", "a fault in future");
            result
        })
    }
}

/// Panics when it is cloned the second time: the first clone is the one that is kept.
struct PanicsInClone;

impl Clone for PanicsInClone {
    fn clone(&self) -> Self {
        panic!("a fault in clone")
    }
}

#[tokio::test]
async fn a_panic_of_a_layer_is_a_failed_attempt_which_layers_around_it_see_as_an_error() {
    for place in ["poll_ready", "call", "future"] {
        let seen = Seen::default();
        let message = format!("panicked: a fault in {place}");
        let Outcome::Retry { error, .. } = ran(nothing(), (seen.layer("outer"), PanicsIn(place))).await
        else {
            panic!("{place}")
        };
        assert_eq!((error.kind, &error.message), (ErrorKind::Panic, &message), "in a tuple");
        let mut harness = Harness::new();
        harness.register::<Scripted>(nothing()).layer(seen.layer("outer")).layer(PanicsIn(place));
        harness.enqueue(Scripted { number: 1 });
        let Outcome::Retry { error, .. } = harness.drain().await.remove(0).outcome else { panic!("{place}") };
        assert_eq!((error.kind, &error.message), (ErrorKind::Panic, &message));
        if place != "poll_ready" {
            let last = seen.all().pop();
            assert_eq!(last, Some(format!("outer ends: Panicked {message}")), "{place}");
        }
    }
    // A layer of its own whose service panics when a run takes its clone.
    let layer = tower::layer::layer_fn(|inner| {
        let bomb = PanicsInClone;
        tower::util::MapRequest::new(inner, move |run: Run| {
            let _ = &bomb;
            run
        })
    });
    let Outcome::Retry { error, .. } = ran(nothing(), layer).await else { panic!() };
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Panic, "panicked: a fault in clone"));
}

#[tokio::test]
async fn a_panic_of_a_job_comes_to_its_layers_as_an_error() {
    let seen = Seen::default();
    let outcome = ran(Script::new(async |_, _| panic!("a fault")), seen.layer("a")).await;
    assert!(matches!(outcome, Outcome::Retry { error, .. } if error.kind == ErrorKind::Panic));
    assert_eq!(seen.all(), ["a begins", "a ends: Panicked panicked: a fault"]);
}

/// A worker of one slot in a simulation.
struct Simulated {
    simulation: Simulation,
    longhaul: Longhaul,
    worker: Worker,
}

impl Simulated {
    fn new(script: Script, slots: usize, layer: impl RunLayer) -> Self {
        let simulation = Simulation::new(1);
        let longhaul = Longhaul::new(MemoryStore::with_clock(simulation.clock.clone()));
        let worker = longhaul.worker().register::<Scripted>(script).layer(layer);
        let worker = worker.queue("default", slots).runtime(simulation.runtime()).start();
        Self { simulation, longhaul, worker }
    }

    fn enqueue(&self, options: EnqueueOptions) -> JobId {
        let id = self.simulation.run(self.longhaul.enqueue_with(Scripted { number: 1 }, options)).unwrap().id;
        self.simulation.run_until_stalled();
        id
    }

    fn record(&self, id: &JobId) -> JobRecord {
        self.simulation.run(self.longhaul.get(id)).unwrap().found().unwrap()
    }

    fn ended(&self, id: &JobId) -> JobRecord {
        self.simulation.run(self.longhaul.wait(id, LONG)).unwrap().found().unwrap()
    }
}

fn once_within(timeout: Duration) -> EnqueueOptions {
    EnqueueOptions { max_attempts: Some(1), timeout: Some(timeout), ..EnqueueOptions::default() }
}

fn pending() -> Script {
    Script::new(async |_, _| std::future::pending().await)
}

#[test]
fn a_timeout_comes_to_the_layers_of_a_job_as_an_error() {
    let seen = Seen::default();
    let it = Simulated::new(pending(), 1, seen.layer("a"));
    let id = it.enqueue(once_within(Duration::from_secs(60)));
    let job = it.ended(&id);
    assert_eq!((job.state, job.errors[0].kind), (State::Failed, ErrorKind::Timeout));
    assert_eq!(seen.all(), ["a begins", "a ends: TimedOut timed out after 60.0 s"]);
}

#[test]
fn a_cancel_reaches_a_job_through_its_layers() {
    let seen = Seen::default();
    let script = Script::new(async |_, cx| {
        cx.cancelled().await;
        Err(JobError::retry("stopped in the middle"))
    });
    let asked = from_fn({
        let seen = seen.clone();
        move |run: Run, next: Next| {
            let (seen, cancelled) = (seen.clone(), run.cancelled());
            async move {
                let result = next.run(run).await;
                cancelled.await;
                seen.note("it was asked to stop");
                result
            }
        }
    });
    let it = Simulated::new(script, 1, (seen.layer("a"), asked));
    let id = it.enqueue(EnqueueOptions::default());
    it.simulation.run(it.longhaul.cancel(&id)).unwrap();
    let job = it.ended(&id);
    assert_eq!((job.state, job.errors[0].message.as_str()), (State::Cancelled, "stopped in the middle"));
    let ends = "a ends: Returned stopped in the middle";
    assert_eq!(seen.all(), ["a begins", "it was asked to stop", ends]);
}

/// A layer that keeps a run for ever, in one of the ways in which it can.
fn stuck(how: &'static str) -> impl RunLayer {
    from_fn(move |run: Run, next: Next| async move {
        match how {
            "drops the run" => drop((run, next)),
            "drops what is in it" => drop(next.run(run)),
            _ => drop(next.run(run).await),
        }
        std::future::pending().await
    })
}

#[test]
fn a_layer_that_never_ends_is_cut_off_by_the_timeout_and_its_slot_comes_back() {
    for how in ["drops the run", "drops what is in it", "never ends"] {
        let it = Simulated::new(nothing(), 1, stuck(how));
        let id = it.enqueue(once_within(Duration::from_secs(60)));
        it.simulation.advance(Duration::from_secs(60));
        assert_eq!(it.record(&id).state, State::Running, "{how}: layers have their time");
        it.simulation.advance(LAYER_GRACE);
        let job = it.record(&id);
        assert_eq!((job.state, job.errors[0].kind), (State::Failed, ErrorKind::Timeout), "{how}");
        assert_eq!(it.worker.running(), 0, "{how}");
    }
}

#[test]
fn a_layer_that_never_ends_is_aborted_after_a_cancel_that_the_job_ignores() {
    let it = Simulated::new(nothing(), 1, stuck("never ends"));
    let id = it.enqueue(EnqueueOptions::default());
    it.simulation.run(it.longhaul.cancel(&id)).unwrap();
    it.simulation.advance(CANCEL_GRACE + Duration::from_secs(10));
    assert_eq!((it.record(&id).state, it.worker.running()), (State::Cancelled, 0));
}

#[test]
fn a_run_that_a_shutdown_stops_is_handed_back_whatever_its_layers_make_of_it() {
    let seen = Seen::default();
    let forgives = from_fn(async |run, next: Next| next.run(run).await.or_else(|_| Ok(Json::null())));
    let it = Simulated::new(pending(), 1, (forgives, seen.layer("a")));
    let id = it.enqueue(EnqueueOptions::default());
    let Simulated { simulation, longhaul, worker } = it;
    assert_eq!(simulation.run(worker.shutdown(Duration::ZERO)).handed_back, 1);
    let job = simulation.run(longhaul.get(&id)).unwrap().found().unwrap();
    assert_eq!((job.state, job.attempt), (State::Available, 0));
    let stopped = format!("a ends: {:?} stopped, because its worker shuts down", RunErrorKind::Stopped);
    assert_eq!(seen.all(), ["a begins".to_owned(), stopped]);
}

/// A layer that is never ready.
#[derive(Clone)]
struct NeverReady;

impl Service<Run> for NeverReady {
    type Response = Json;
    type Error = Infallible;
    type Future = std::future::Pending<Result<Json, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Pending
    }

    fn call(&mut self, _: Run) -> Self::Future {
        unreachable!("it was never ready")
    }
}

#[test]
fn a_job_whose_layers_are_never_ready_is_put_off_at_no_cost_of_an_attempt() {
    let it = Simulated::new(nothing(), 1, tower::layer::layer_fn(|_| NeverReady));
    let id = it.enqueue(EnqueueOptions::default());
    it.simulation.advance(READY_WITHIN);
    let job = it.record(&id);
    assert_eq!((job.state, job.attempt, job.crashes), (State::Scheduled, 0, 0));
    assert_eq!(it.worker.running(), 0);
    // A timeout that is shorter counts all the same.
    let timed = it.enqueue(once_within(Duration::from_secs(20)));
    it.simulation.advance(Duration::from_secs(20) + LAYER_GRACE + READY_WITHIN + READY_WITHIN);
    assert_eq!(it.record(&timed).errors[0].kind, ErrorKind::Timeout);
}

/// The lines of a log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_a_job_logs_stands_in_the_span_of_its_run_which_tells_how_it_ended() {
    let log = Log::default();
    let writer = {
        let log = log.clone();
        move || log.clone()
    };
    let format = tracing_subscriber::fmt().json().with_span_events(FmtSpan::CLOSE).with_writer(writer);
    // While one subscriber is alone, a line that another test comes to first, which has none, is off for good.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(format.finish());
    let script = Script::new(async |_, _| {
        tokio::task::yield_now().await;
        tracing::info!("asking the provider");
        Err(JobError::snooze(LONG, "it is away"))
    });
    let mut harness = Harness::new();
    harness.register::<Scripted>(script).layer(from_fn(async |run, next: Next| {
        tracing::info!("in a layer");
        next.run(run).await
    }));
    let id = harness.enqueue(Scripted { number: 1 });
    harness.drain().await;
    let text = String::from_utf8(log.0.lock().clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = |message: &str| {
        let found = lines.iter().find(|line| line["fields"]["message"] == message);
        found.unwrap_or_else(|| panic!("no line '{message}' in {text}"))["span"].clone()
    };
    let span =
        json!({"name": "run", "job": id.as_str(), "kind": "scripted", "queue": "default", "attempt": 1});
    assert_eq!((line("asking the provider"), line("in a layer")), (span.clone(), span));
    let closed = line("close");
    assert_eq!((&closed["ended"], &closed["error"]), (&json!("snoozed"), &json!("it is away")));
}

#[tokio::test]
async fn towers_timeout_ends_a_run_as_a_failed_attempt() {
    let layer = TimeoutLayer::new(Duration::ZERO);
    let Outcome::Retry { error, .. } = ran(pending(), layer).await else { panic!() };
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Error, "request timed out"));
    // An error of the job goes through its box unharmed.
    let fatal = Script::new(async |_, _| Err(JobError::fatal("no")));
    let outcome = ran(fatal, TimeoutLayer::new(LONG)).await;
    assert!(matches!(outcome, Outcome::Failed { error } if error.kind == ErrorKind::Fatal));
}

#[test]
fn towers_concurrency_limit_holds_for_all_runs_of_the_worker() {
    let gate = Arc::new(Semaphore::new(0));
    let seen = Seen::default();
    let script = Script::new({
        let (gate, seen) = (Arc::clone(&gate), seen.clone());
        move |_, _| {
            let (gate, seen) = (Arc::clone(&gate), seen.clone());
            async move {
                seen.note("runs");
                gate.acquire().await.map_err(JobError::from)?.forget();
                Ok(Value::Null)
            }
        }
    });
    let it = Simulated::new(script, 4, ConcurrencyLimitLayer::new(2));
    let ids = [(); 4].map(|()| it.enqueue(EnqueueOptions::default()));
    it.simulation.run_until_stalled();
    assert_eq!((it.worker.running(), seen.all().len()), (4, 2));
    gate.add_permits(1);
    it.simulation.run_until_stalled();
    assert_eq!(seen.all().len(), 3);
    gate.add_permits(3);
    for id in ids {
        assert_eq!(it.ended(&id).state, State::Completed);
    }
}
