//! Jobs that are handed to a worker's code many at a time, on a clock of their own.

use std::sync::Arc;
use std::time::Duration;

use longhaul::layer::{Next, Run, RunErrorKind, from_fn};
use longhaul::testing::{Harness, Simulation};
use longhaul::{
    Collect, Collected, Context, EnqueueOptions, Error, ErrorKind, Job, JobError, JobId, JobRecord,
    JobResult, Longhaul, MemoryStore, Outcome, State, Worker, WorkerBuilder,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    tenant: u32,
    number: u32,
}

impl Job for Row {
    const KIND: &'static str = "row";
    const MAX_ATTEMPTS: u32 = 3;
    type State = Calls;
    type Output = u32;

    async fn run(self, _cx: Context<Calls>) -> JobResult<u32> {
        Err(JobError::fatal("a row is never run by itself here"))
    }
}

/// A kind that shares the slots, and holds one for ten seconds.
#[derive(Serialize, Deserialize)]
struct Long;

impl Job for Long {
    const KIND: &'static str = "long";
    type State = (Calls, longhaul::Clock);
    type Output = ();

    async fn run(self, cx: Context<Self::State>) -> JobResult<()> {
        let (calls, clock) = cx.state();
        calls.0.lock().push(vec![]);
        clock.sleep(Duration::from_secs(10)).await;
        Ok(())
    }
}

/// The numbers of the rows of each call, in order.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<Vec<u32>>>>);

impl Calls {
    fn note(&self, rows: &[Collected<Row>]) {
        self.0.lock().push(rows.iter().map(|row| row.args.number).collect());
    }

    fn take(&self) -> Vec<Vec<u32>> {
        std::mem::take(&mut *self.0.lock())
    }
}

const SECOND: Duration = Duration::from_secs(1);
const THREE: Collect = Collect { max: 3, wait: SECOND, by: None };

struct World {
    simulation: Simulation,
    longhaul: Longhaul,
    calls: Calls,
}

impl World {
    fn new() -> Self {
        let simulation = Simulation::new(7);
        let longhaul = Longhaul::new(MemoryStore::with_clock(simulation.clock.clone()));
        Self { simulation, longhaul, calls: Calls::default() }
    }

    fn worker<F, R>(&self, collect: Collect, slots: usize, handler: F) -> WorkerBuilder
    where
        F: Fn(Calls, Vec<Collected<Row>>) -> R + Send + Sync + 'static,
        R: Future<Output = JobResult<()>> + Send + 'static,
    {
        let builder = self.longhaul.worker().queue("default", slots).runtime(self.simulation.runtime());
        builder.collect(self.calls.clone(), collect, handler).unwrap()
    }

    fn enqueue(&self, tenant: u32, number: u32) -> JobId {
        self.enqueue_with(tenant, number, EnqueueOptions::default())
    }

    fn enqueue_with(&self, tenant: u32, number: u32, options: EnqueueOptions) -> JobId {
        self.simulation.run(self.longhaul.enqueue_with(Row { tenant, number }, options)).unwrap().id
    }

    fn rows<const N: usize>(&self) -> [JobId; N] {
        std::array::from_fn(|n| self.enqueue(1, n as u32))
    }

    fn job(&self, id: &JobId) -> JobRecord {
        self.simulation.run(self.longhaul.get(id)).unwrap().found().expect("the job is there")
    }

    fn states(&self, ids: &[JobId]) -> Vec<State> {
        ids.iter().map(|id| self.job(id).state).collect()
    }

    fn shutdown(&self, worker: Worker) -> usize {
        self.simulation.run(worker.shutdown(Duration::from_secs(30))).handed_back
    }
}

/// Completes each row with its number.
async fn complete(calls: Calls, rows: Vec<Collected<Row>>) -> JobResult<()> {
    calls.note(&rows);
    for row in rows {
        let number = row.args.number;
        row.end(Ok(number));
    }
    Ok(())
}

/// Runs until it is dropped.
async fn hang(calls: Calls, rows: Vec<Collected<Row>>) -> JobResult<()> {
    calls.note(&rows);
    let _rows = rows;
    std::future::pending().await
}

#[test]
fn a_call_begins_once_it_is_full_or_its_first_job_has_waited() {
    let world = World::new();
    let worker = world.worker(THREE, 2, complete).start();
    let ids: [JobId; 4] = world.rows();
    world.simulation.run_until_stalled();
    assert_eq!(world.calls.take(), [[0, 1, 2]], "three are a full call");
    assert_eq!(world.states(&ids), [State::Completed, State::Completed, State::Completed, State::Running]);
    world.simulation.advance(SECOND / 2);
    let fifth = world.enqueue(1, 4);
    world.simulation.advance(SECOND / 2 - Duration::from_millis(1));
    assert!(world.calls.take().is_empty(), "the first has not waited for a second");
    world.simulation.advance(Duration::from_millis(2));
    assert_eq!(world.calls.take(), [[3, 4]]);
    assert_eq!(world.job(&fifth).output.unwrap().to_value(), 4);
    world.shutdown(worker);
}

#[test]
fn jobs_of_a_call_have_the_same_value_at_the_path() {
    let world = World::new();
    let worker = world.worker(Collect { by: Some("tenant"), ..THREE }, 1, complete).start();
    for (tenant, number) in [(1, 0), (2, 1), (1, 2), (2, 3), (1, 4)] {
        world.enqueue(tenant, number);
    }
    world.simulation.advance(2 * SECOND);
    assert_eq!(world.calls.take(), [vec![0, 2, 4], vec![1, 3]]);
    world.shutdown(worker);
}

#[test]
fn each_job_ends_by_itself_and_the_rest_as_the_call_does() {
    let world = World::new();
    let worker = world
        .worker(Collect { max: 7, ..THREE }, 1, async |_, rows: Vec<Collected<Row>>| {
            let mut kept = Vec::new();
            for row in rows {
                row.cx.log(longhaul::LogLevel::Info, format!("row {}", row.args.number));
                match row.args.number {
                    0 => row.end(Ok(40)),
                    1 => row.end(Err(JobError::fatal("no such row"))),
                    2 => row.end(Err(JobError::cancel("it is not wanted"))),
                    3 => row.end(Err(JobError::retry_after(60 * SECOND, "busy"))),
                    4 => {
                        let nap = row.cx.sleep("nap", 90 * SECOND).await.map(|()| 0);
                        row.end(nap);
                    }
                    5 => drop(row),
                    _ => kept.push(row),
                }
            }
            Err(JobError::retry("the database is away"))
        })
        .start();
    let ids: [JobId; 7] = world.rows();
    world.simulation.run_until_stalled();
    let states = [
        State::Completed,
        State::Failed,
        State::Cancelled,
        State::Scheduled,
        State::Scheduled,
        State::Scheduled,
        State::Scheduled,
    ];
    assert_eq!(world.states(&ids), states);
    assert_eq!(world.job(&ids[0]).output.unwrap().to_value(), 40);
    assert_eq!(world.job(&ids[3]).errors[0].message, "busy");
    assert_eq!(world.job(&ids[4]).attempt, 0, "a sleep costs no attempt");
    for id in &ids[5..] {
        assert_eq!(world.job(id).errors[0].message, "the database is away");
    }
    let log = world.simulation.run(world.longhaul.events(&ids[6], 0, 10, Duration::ZERO)).unwrap().unwrap();
    assert!(format!("{log:?}").contains("row 6"), "{log:?}");
    world.shutdown(worker);
}

#[test]
fn a_panic_and_an_end_without_outcomes_count_for_each_job_that_has_no_end() {
    let world = World::new();
    let worker = world
        .worker(THREE, 1, async |_, mut rows: Vec<Collected<Row>>| {
            let first = rows.remove(0);
            let number = first.args.number;
            first.end(Ok(number));
            assert!(number != 0, "at the first call");
            Ok(())
        })
        .start();
    let panicked: [JobId; 3] = world.rows();
    world.simulation.run_until_stalled();
    assert_eq!(world.states(&panicked), [State::Completed, State::Scheduled, State::Scheduled]);
    let error = &world.job(&panicked[2]).errors[0];
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Panic, "its call panicked: at the first call")
    );

    let forgotten = [9, 9].map(|number| world.enqueue(1, number));
    world.simulation.advance(SECOND);
    assert_eq!(world.states(&forgotten), [State::Completed, State::Scheduled]);
    assert_eq!(world.job(&forgotten[1]).errors[0].message, "its call ended and gave it no end of its own");
    world.shutdown(worker);
}

#[test]
fn what_is_cancelled_or_past_its_deadline_while_it_waits_for_others_is_left_out() {
    let world = World::new();
    let worker = world.worker(Collect { max: 4, wait: 60 * SECOND, by: None }, 1, complete).start();
    let deadline = longhaul::Deadline::In(20 * SECOND);
    let late = world.enqueue_with(1, 0, EnqueueOptions { deadline: Some(deadline), ..Default::default() });
    let [cancelled, other] = [1, 2].map(|number| world.enqueue(1, number));
    world.simulation.run_until_stalled();
    assert_eq!(world.job(&other).state, State::Running);
    world.simulation.run(world.longhaul.cancel(&cancelled)).unwrap();
    world.simulation.advance(30 * SECOND);
    let [late, cancelled] = [late, cancelled].map(|id| world.job(&id));
    assert_eq!((late.state, late.cancel_reason.unwrap().as_str()), (State::Cancelled, "deadline"));
    assert_eq!((cancelled.state, cancelled.cancel_reason.unwrap().as_str()), (State::Cancelled, "asked"));
    assert!(world.calls.take().is_empty());
    world.simulation.advance(30 * SECOND);
    assert_eq!(world.calls.take(), [[2]]);
    assert_eq!(world.job(&other).state, State::Completed, "its lease was kept for a minute");
    world.shutdown(worker);
}

#[test]
fn a_job_whose_time_is_over_is_ended_and_the_call_goes_on_for_the_others() {
    let world = World::new();
    let clock = world.simulation.clock.clone();
    let worker = world
        .worker(THREE, 1, move |calls: Calls, rows: Vec<Collected<Row>>| {
            let clock = clock.clone();
            async move {
                calls.note(&rows);
                clock.sleep(10 * SECOND).await;
                calls
                    .0
                    .lock()
                    .push(rows.iter().filter(|row| row.has_ended()).map(|row| row.args.number).collect());
                rows.into_iter().for_each(|row| row.end(Ok(0)));
                Ok(())
            }
        })
        .start();
    let timeout = EnqueueOptions { timeout: Some(5 * SECOND), ..EnqueueOptions::default() };
    let brief = world.enqueue_with(1, 0, timeout.clone());
    let other = world.enqueue(1, 1);
    world.simulation.advance(7 * SECOND);
    assert_eq!(world.job(&brief).errors[0].kind, ErrorKind::Timeout);
    assert_eq!(world.job(&other).state, State::Running, "it waits for the call");
    world.simulation.advance(5 * SECOND);
    assert_eq!(world.job(&other).state, State::Completed);
    assert_eq!(world.calls.take()[..2], [vec![0, 1], vec![0]]);
    world.shutdown(worker);
}

#[test]
fn a_call_that_has_no_job_left_is_dropped_and_gives_its_slot_back() {
    let world = World::new();
    let worker = world.worker(THREE, 1, hang).start();
    let timeout =
        EnqueueOptions { timeout: Some(5 * SECOND), max_attempts: Some(1), ..EnqueueOptions::default() };
    let ids = [0, 1, 2].map(|number| world.enqueue_with(1, number, timeout.clone()));
    world.simulation.advance(6 * SECOND);
    assert_eq!(world.states(&ids), [State::Failed; 3]);
    let next: [JobId; 3] = world.rows();
    world.simulation.run_until_stalled();
    assert_eq!(world.calls.take().len(), 2, "the next call has the slot");
    assert_eq!(world.states(&next), [State::Running; 3]);
    drop(worker);
}

#[test]
fn a_shutdown_hands_back_what_waits_for_others_and_waits_for_calls() {
    let world = World::new();
    let (calls, clock) = (world.calls.clone(), world.simulation.clock.clone());
    let worker = world
        .worker(Collect { wait: 600 * SECOND, ..THREE }, 2, move |_, rows: Vec<Collected<Row>>| {
            let (calls, clock) = (calls.clone(), clock.clone());
            async move {
                clock.sleep(5 * SECOND).await;
                complete(calls, rows).await
            }
        })
        .start();
    let ids: [JobId; 5] = world.rows();
    world.simulation.run_until_stalled();
    assert_eq!(world.states(&ids), [State::Running; 5]);
    assert_eq!(world.shutdown(worker), 0);
    assert_eq!(world.states(&ids[..3]), [State::Completed; 3]);
    for id in &ids[3..] {
        let back = world.job(id);
        assert_eq!((back.state, back.attempt, back.interruptions), (State::Available, 0, 1));
    }
}

#[test]
fn a_shutdown_without_grace_hands_back_the_jobs_of_a_call_that_have_no_end() {
    let world = World::new();
    let worker = world
        .worker(THREE, 1, async |_, mut rows: Vec<Collected<Row>>| {
            rows.remove(0).end(Ok(0));
            let _rows = rows;
            std::future::pending().await
        })
        .start();
    let ids: [JobId; 3] = world.rows();
    world.simulation.run_until_stalled();
    let shutdown = world.simulation.run(worker.shutdown(Duration::ZERO));
    assert_eq!(shutdown.handed_back, 2);
    assert_eq!(world.states(&ids), [State::Completed, State::Available, State::Available]);
    assert_eq!(world.job(&ids[1]).attempt, 0);
}

#[test]
fn jobs_of_a_worker_that_dies_in_a_call_come_back_but_for_those_that_have_ended() {
    let world = World::new();
    let dead = Simulation::new(8);
    // The worker lives on a runtime that stops, as a killed process does: nothing is handed back.
    let builder = world
        .longhaul
        .worker()
        .queue("default", 1)
        .runtime(longhaul::Runtime { clock: world.simulation.clock.clone(), ..dead.runtime() });
    let worker = builder
        .collect(world.calls.clone(), THREE, async |_, mut rows: Vec<Collected<Row>>| {
            rows.remove(0).end(Ok(7));
            let _rows = rows;
            std::future::pending().await
        })
        .unwrap()
        .start();
    let ids: [JobId; 3] = world.rows();
    dead.run_until_stalled();
    assert_eq!(world.states(&ids), [State::Completed, State::Running, State::Running]);

    let next = world.worker(THREE, 1, complete).start();
    world.simulation.advance(60 * SECOND);
    // The sweep of this process was the dead worker's.
    world.simulation.run(world.longhaul.store().sweep(10)).unwrap();
    world.simulation.advance(2 * SECOND);
    assert_eq!(world.calls.take(), [[1, 2]], "the first is not run again");
    let back = world.job(&ids[1]);
    assert_eq!((back.state, back.crashes), (State::Completed, 1));
    assert_eq!(world.job(&ids[0]).output.unwrap().to_value(), 7);
    world.shutdown(next);
    drop(worker);
}

#[test]
fn calls_and_jobs_of_other_kinds_take_turns_at_a_slot() {
    let world = World::new();
    let clock = world.simulation.clock.clone();
    let handler = move |calls: Calls, rows: Vec<Collected<Row>>| {
        let clock = clock.clone();
        async move {
            clock.sleep(10 * SECOND).await;
            complete(calls, rows).await
        }
    };
    for number in 0..9 {
        world.enqueue(1, number);
    }
    for _ in 0..3 {
        world.simulation.run(world.longhaul.enqueue(Long)).unwrap();
    }
    let long = (world.calls.clone(), world.simulation.clock.clone());
    let worker = world.worker(THREE, 1, handler).register::<Long>(long).start();
    world.simulation.advance(70 * SECOND);
    let calls = world.calls.take();
    assert_eq!(calls.len(), 6, "{calls:?}");
    let is_call: Vec<bool> = calls.iter().map(|call| !call.is_empty()).collect();
    assert!(is_call[..4].contains(&true) && is_call[..4].contains(&false), "{calls:?}");
    world.shutdown(worker);
}

#[test]
fn what_waits_for_a_slot_for_too_long_is_given_back_to_other_workers() {
    let world = World::new();
    let long = (world.calls.clone(), world.simulation.clock.clone());
    let hour = Collect { max: 3, wait: 2 * SECOND, by: Some("tenant") };
    let worker = world.worker(hour, 1, complete).register::<Long>(long).start();
    let row = world.enqueue(1, 0);
    world.simulation.run_until_stalled();
    world.simulation.run(world.longhaul.enqueue(Long)).unwrap();
    world.simulation.advance(5 * SECOND);
    let back = world.job(&row);
    assert_eq!((back.state, back.interruptions), (State::Available, 1), "the slot is taken");
    world.simulation.advance(10 * SECOND);
    assert_eq!(world.job(&row).state, State::Completed);
    world.shutdown(worker);
}

#[test]
fn each_job_of_a_call_goes_through_the_layers_by_itself() {
    let world = World::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let layer = from_fn(move |run: Run, next: Next| {
        let notes = Arc::clone(&notes);
        async move {
            let number = run.job().args.to::<Row>().map_err(JobError::from)?.number;
            if number == 1 {
                return Err(JobError::snooze(60 * SECOND, "not yet").into());
            }
            let result = next.run(run).await;
            notes.lock().push((number, result.as_ref().err().map(|error| error.kind)));
            result
        }
    });
    let worker = world
        .worker(THREE, 1, async |calls: Calls, rows: Vec<Collected<Row>>| {
            calls.note(&rows);
            for row in rows {
                let result = if row.args.number == 0 { Ok(5) } else { Err(JobError::fatal("no")) };
                row.end(result);
            }
            Ok(())
        })
        .layer(layer)
        .start();
    let ids: [JobId; 3] = world.rows();
    world.simulation.run_until_stalled();
    assert_eq!(world.calls.take(), [[0, 2]], "one was answered by the layer");
    assert_eq!(world.states(&ids), [State::Completed, State::Scheduled, State::Failed]);
    assert_eq!(*seen.lock(), [(0, None), (2, Some(RunErrorKind::Returned))]);
    world.shutdown(worker);
}

#[test]
fn a_layer_that_lets_fewer_through_than_a_call_has_holds_it_up_for_a_while_only() {
    let world = World::new();
    let worker = world.worker(THREE, 1, complete).layer(tower::limit::ConcurrencyLimitLayer::new(2)).start();
    let ids: [JobId; 3] = world.rows();
    world.simulation.advance(30 * SECOND);
    assert_eq!(world.states(&ids), [State::Completed; 3]);
    assert_eq!(world.job(&ids[2]).attempt, 1, "the one that came too late was charged no attempt for that");
    world.shutdown(worker);
}

#[test]
fn args_that_cannot_be_read_fail_their_own_job_alone() {
    let world = World::new();
    let worker = world.worker(THREE, 1, complete).start();
    let broken = longhaul::NewJob::new("row", longhaul::Json::new(&"no row").unwrap());
    let broken = world.simulation.run(world.longhaul.enqueue_one(broken)).unwrap().id;
    let others = [1, 2].map(|number| world.enqueue(1, number));
    world.simulation.run_until_stalled();
    assert_eq!(world.calls.take(), [[1, 2]]);
    assert_eq!(world.states(&others), [State::Completed; 2]);
    let broken = world.job(&broken);
    assert_eq!(broken.state, State::Failed);
    assert!(broken.errors[0].message.starts_with("failed to read args"), "{:?}", broken.errors);
    world.shutdown(worker);
}

#[test]
fn bounds_of_a_collect_are_refused_by_name() {
    let refused = |collect: Collect| {
        let world = World::new();
        let builder = world.longhaul.worker().collect(world.calls, collect, complete);
        match builder {
            Err(Error::Invalid { field, reason }) => format!("{field} {reason}"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(Collect { max: 0, ..THREE }), "collect.max must be 1 to 1000, not 0");
    assert_eq!(refused(Collect { max: 1_001, ..THREE }), "collect.max must be 1 to 1000, not 1001");
    assert_eq!(
        refused(Collect { wait: 3_601 * SECOND, ..THREE }),
        "collect.wait must be at most 3600 s, not 3601 s"
    );
    let by = refused(Collect { by: Some("tenant..id"), ..THREE });
    assert_eq!(by, "collect.by must be a path in the args, as 'tenant.id', not 'tenant..id'");
}

#[tokio::test]
async fn a_harness_hands_what_is_available_to_the_handler_in_calls() {
    let calls = Calls::default();
    let mut harness = Harness::new();
    harness.collect(calls.clone(), Collect { by: Some("tenant"), ..THREE }, complete).unwrap();
    for (tenant, number) in [(1, 0), (2, 1), (1, 2), (1, 3), (1, 4)] {
        harness.enqueue(Row { tenant, number });
    }
    let ran = harness.drain().await;
    assert_eq!(ran.len(), 5);
    assert!(ran.iter().all(|run| matches!(run.outcome, Outcome::Completed { .. })), "{ran:?}");
    assert_eq!(calls.take(), [vec![0, 2, 3], vec![4], vec![1]]);
}
