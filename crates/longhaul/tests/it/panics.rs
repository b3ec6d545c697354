//! Panics of an application's code, wherever the worker runs it: each is a failed attempt of its own job, and the slot
//! comes back.

use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use longhaul::testing::Simulation;
use longhaul::{
    Backoff, Context, EnqueueOptions, Error, ErrorKind, Job, JobError, JobRecord, JobResult, LogLevel,
    Longhaul, MemoryStore, NewJob, Runtime, Spawn, State,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const LONG: Duration = Duration::from_secs(3600);

/// A place in which the code of a job can panic.
trait Place: Send + Sync + 'static {
    const KIND: &'static str;
}

macro_rules! places {
    ($($place:ident),*) => {$(
        #[derive(Debug)]
        struct $place;
        impl Place for $place {
            const KIND: &'static str = stringify!($place);
        }
    )*};
}
places!(
    InDeserialize,
    InStateClone,
    InRun,
    InStep,
    InChunk,
    InOutput,
    InBackoff,
    InDropOfJob,
    InDropOfOutput,
    InDropOfState,
    InDropOfFuture,
    InDropWhenTimedOut,
    WithNoText
);

/// A job that panics in one place.
struct Panics<P>(PhantomData<P>);

/// True where the place is the one that is meant.
fn is<P: Place, Q: Place>() -> bool {
    P::KIND == Q::KIND
}

impl<P> Serialize for Panics<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de, P: Place> Deserialize<'de> for Panics<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        assert!(!is::<P, InDeserialize>(), "a fault in Deserialize");
        <()>::deserialize(deserializer)?;
        Ok(Self(PhantomData))
    }
}

impl<P> Drop for Panics<P> {
    fn drop(&mut self) {
        // Only in a run: the test drops one, too, when it enqueues.
        if std::any::type_name::<P>() == std::any::type_name::<InDropOfJob>() && IN_RUN.load(Ordering::SeqCst)
        {
            panic!("a fault in Drop of the job");
        }
    }
}

/// True from the moment that the job of [`InDropOfJob`] runs.
static IN_RUN: AtomicBool = AtomicBool::new(false);

/// Panics when it is used, in one of the ways in which it can be.
struct Bomb<P: Place>(PhantomData<P>);

impl<P: Place> Serialize for Bomb<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(is::<P, InDropOfOutput>(), "a fault in Serialize");
        serializer.serialize_unit()
    }
}

impl<'de, P: Place> Deserialize<'de> for Bomb<P> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        unreachable!("it is never stored")
    }
}

impl<P: Place> Drop for Bomb<P> {
    fn drop(&mut self) {
        let drops = is::<P, InDropOfOutput>() || is::<P, InDropOfFuture>() || is::<P, InDropWhenTimedOut>();
        assert!(!drops, "a fault in Drop");
    }
}

/// The state of these jobs; the first one, which the registry has, is left alone.
struct Shared<P: Place> {
    is_clone: bool,
    place: PhantomData<P>,
}

impl<P: Place> Clone for Shared<P> {
    fn clone(&self) -> Self {
        assert!(!is::<P, InStateClone>(), "a fault in Clone of the state");
        Self { is_clone: true, place: PhantomData }
    }
}

impl<P: Place> Drop for Shared<P> {
    fn drop(&mut self) {
        assert!(!(self.is_clone && is::<P, InDropOfState>()), "a fault in Drop of the state");
    }
}

impl<P: Place> Job for Panics<P> {
    const KIND: &'static str = P::KIND;
    const MAX_ATTEMPTS: u32 = 2;
    type State = Shared<P>;
    type Output = Option<Bomb<P>>;

    fn backoff() -> Backoff {
        assert!(!is::<P, InBackoff>(), "a fault in backoff()");
        Backoff::default()
    }

    async fn run(self, cx: Context<Shared<P>>) -> JobResult<Option<Bomb<P>>> {
        let bomb = Bomb::<P>(PhantomData);
        match P::KIND {
            "InRun" => panic!("a fault in {}", "run"),
            "InBackoff" => return Err(JobError::retry("it did not work")),
            "WithNoText" => std::panic::panic_any(17),
            "InStep" => cx.step("bomb", async || Ok(bomb)).await.map(drop)?,
            "InChunk" => cx.emit(bomb).await?,
            "InOutput" | "InDropOfOutput" => return Ok(Some(bomb)),
            "InDropOfJob" => IN_RUN.store(true, Ordering::SeqCst),
            "InDropWhenTimedOut" => std::future::pending().await,
            "InDropOfFuture" => cx.log(LogLevel::Info, "its variables are dropped with it"),
            _ => {}
        }
        Ok(None)
    }
}

/// Runs a job that panics, twice, beside one that must run in the same slot after it.
fn run<P: Place>() -> JobRecord {
    let simulation = Simulation::new(1);
    let longhaul = Longhaul::new(MemoryStore::with_clock(simulation.clock.clone()));
    let state = Shared::<P> { is_clone: false, place: PhantomData };
    let worker = longhaul.worker().register::<Panics<P>>(state).register::<Good>(());
    let worker = worker.queue("default", 1).runtime(simulation.runtime()).start();
    let options = EnqueueOptions { timeout: Some(Duration::from_secs(60)), ..EnqueueOptions::default() };
    let id = simulation.run(longhaul.enqueue_with(Panics::<P>(PhantomData), options)).unwrap().id;
    let good = simulation.run(longhaul.enqueue(Good {})).unwrap().id;
    let good = simulation.run(longhaul.wait(&good, LONG)).unwrap().found().unwrap();
    assert_eq!(good.state, State::Completed, "{}: the slot never came back", P::KIND);
    let ended = simulation.run(longhaul.wait(&id, LONG)).unwrap().found().unwrap();
    simulation.advance(LONG);
    assert_eq!(worker.running(), 0, "{}: the run never left the worker", P::KIND);
    simulation.run(worker.shutdown(Duration::ZERO));
    ended
}

#[derive(Serialize, Deserialize)]
struct Good {}

impl Job for Good {
    const KIND: &'static str = "good";
    type State = ();
    type Output = ();

    async fn run(self, _: Context<()>) -> JobResult<()> {
        Ok(())
    }
}

#[track_caller]
fn assert_failed<P: Place>(kind: ErrorKind, message: &str) {
    let job = run::<P>();
    assert_eq!((job.state, job.attempt, job.crashes), (State::Failed, 2, 0), "{}", P::KIND);
    let errors: Vec<_> = job.errors.iter().map(|error| (error.kind, error.message.as_str())).collect();
    assert_eq!(errors, [(kind, message); 2], "{}", P::KIND);
}

#[test]
fn a_panic_while_args_are_read_is_a_failed_attempt() {
    assert_failed::<InDeserialize>(ErrorKind::Panic, "panicked: a fault in Deserialize");
}

#[test]
fn a_panic_while_the_state_is_cloned_is_a_failed_attempt() {
    assert_failed::<InStateClone>(ErrorKind::Panic, "panicked: a fault in Clone of the state");
}

#[test]
fn a_panic_in_the_run_is_a_failed_attempt_and_its_text_is_kept() {
    assert_failed::<InRun>(ErrorKind::Panic, "panicked: a fault in run");
}

#[test]
fn a_panic_whose_payload_is_no_text_is_a_failed_attempt() {
    assert_failed::<WithNoText>(ErrorKind::Panic, "panicked with a value that is no text");
}

#[test]
fn a_panic_while_the_output_of_a_step_is_written_is_a_failed_attempt() {
    assert_failed::<InStep>(ErrorKind::Panic, "panicked: a fault in Serialize");
}

#[test]
fn a_panic_while_a_chunk_is_written_is_a_failed_attempt() {
    assert_failed::<InChunk>(ErrorKind::Panic, "panicked: a fault in Serialize");
}

#[test]
fn a_panic_while_the_output_is_written_is_a_failed_attempt() {
    assert_failed::<InOutput>(ErrorKind::Panic, "panicked: a fault in Serialize");
}

#[test]
fn a_panic_while_the_output_is_dropped_is_a_failed_attempt() {
    assert_failed::<InDropOfOutput>(ErrorKind::Panic, "panicked: a fault in Drop");
}

#[test]
fn a_panic_while_the_job_is_dropped_is_a_failed_attempt() {
    assert_failed::<InDropOfJob>(ErrorKind::Panic, "panicked: a fault in Drop of the job");
}

#[test]
fn a_panic_while_the_state_is_dropped_is_a_failed_attempt() {
    assert_failed::<InDropOfState>(ErrorKind::Panic, "panicked: a fault in Drop of the state");
}

#[test]
fn a_panic_while_the_variables_of_a_run_are_dropped_is_a_failed_attempt() {
    assert_failed::<InDropOfFuture>(ErrorKind::Panic, "panicked: a fault in Drop");
}

#[test]
fn a_panic_while_a_run_is_dropped_that_timed_out_leaves_it_timed_out() {
    assert_failed::<InDropWhenTimedOut>(ErrorKind::Timeout, "timed out after 60.0 s");
}

#[test]
fn a_panic_in_backoff_leaves_the_default_backoff_and_is_logged() {
    let job = run::<InBackoff>();
    assert_eq!((job.state, job.attempt), (State::Failed, 2));
    let messages: Vec<_> = job.errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(
        messages,
        ["it did not work; its backoff() panicked: a fault in backoff()", "it did not work"]
    );
}

/// A job that cannot be enqueued.
#[derive(Deserialize)]
struct Unwritable {
    key: String,
}

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(self.key != "args", "a fault in Serialize of the args");
        serializer.serialize_str(&self.key)
    }
}

impl Job for Unwritable {
    const KIND: &'static str = "unwritable";
    type State = ();
    type Output = ();

    fn limit_keys(&self) -> Vec<String> {
        assert!(self.key != "limit_keys", "a fault in limit_keys()");
        Vec::new()
    }

    async fn run(self, _: Context<()>) -> JobResult<()> {
        Ok(())
    }
}

#[test]
fn a_panic_while_a_job_is_enqueued_is_an_error_of_its_caller() {
    for (field, message) in [
        ("args", "panicked: a fault in Serialize of the args"),
        ("limit_keys", "panicked: a fault in limit_keys()"),
    ] {
        match NewJob::of(&Unwritable { key: field.into() }) {
            Err(Error::Invalid { field: found, reason }) => {
                assert_eq!((found.as_str(), reason.as_str()), (field, message));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Runs tasks as the simulation does, but drops the first task of a job before it has run.
struct DropsOne {
    inner: Arc<dyn Spawn>,
    count: AtomicUsize,
}

impl Spawn for DropsOne {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        // The worker starts four tasks besides those of jobs: maintenance, statistics, recorder, dispatcher.
        if self.count.fetch_add(1, Ordering::SeqCst) == 4 {
            return drop(task);
        }
        self.inner.spawn(task);
    }

    fn spawn_thread(&self, name: &'static str, task: BoxFuture<'static, ()>) -> io::Result<()> {
        self.inner.spawn_thread(name, task)
    }
}

#[test]
fn a_job_whose_task_dies_is_a_failed_attempt_and_runs_again_in_its_slot() {
    let simulation = Simulation::new(1);
    let longhaul = Longhaul::new(MemoryStore::with_clock(simulation.clock.clone()));
    let runtime = simulation.runtime();
    let spawn = DropsOne { inner: runtime.spawn.clone(), count: AtomicUsize::new(0) };
    let runtime = Runtime { spawn: Arc::new(spawn), ..runtime };
    let worker = longhaul.worker().register::<Good>(()).queue("default", 1).runtime(runtime).start();
    let id = simulation.run(longhaul.enqueue(Good {})).unwrap().id;
    let done = simulation.run(longhaul.wait(&id, LONG)).unwrap().found().unwrap();
    assert_eq!((done.state, done.attempt, done.crashes), (State::Completed, 2, 0));
    assert_eq!(done.errors[0].message, "the task of the job ended before the job did");
    simulation.advance(LONG);
    assert_eq!(worker.running(), 0);
    simulation.run(worker.shutdown(LONG));
}
