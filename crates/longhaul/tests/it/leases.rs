//! Heartbeats: a worker keeps its jobs while it can say so, and stops them while they are still its own.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use longhaul::testing::{Answer, Call, Intercept, Simulation};
use longhaul::{
    Claim, Clock, EnqueueOptions, ErrorKind, JobError, JobId, LeaseStatus, Longhaul, MemoryStore, QueueSlots,
    State, SupportedKind, Swept, WorkerInfo,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::faulty::{Fault, Faults, Operation, rejected};
use crate::script::{LEASE, Script, enqueue, enqueue_with, record, until, worker};

const GRACE: Duration = Duration::from_secs(60);
const TEN_MINUTES: Duration = Duration::from_secs(600);

// On one thread, which the job blocks: nothing but the heartbeat's own thread is left to keep the lease alive.
#[tokio::test(flavor = "current_thread")]
async fn a_job_that_blocks_the_runtime_does_not_starve_the_heartbeat() {
    let clock = Clock::manual();
    let (longhaul, store) = Faults::start(clock.clone());
    let script = Script::new(move |_, cx| {
        let (clock, store) = (clock.clone(), Arc::clone(&store));
        async move {
            for _ in 0..3 {
                // Most of a lease passes on the store's clock; only a heartbeat in between can have saved it.
                store.block_for_beat();
                clock.advance(LEASE * 9 / 10);
                let swept = cx.longhaul().store().sweep(10).now_or_never();
                assert_eq!(swept.expect("the store in memory answers at once")?, Swept::default());
            }
            Ok(json!(cx.attempt()))
        }
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    let done = until(&longhaul, &id, State::Completed).await;
    assert_eq!((done.output.unwrap().to_value(), done.crashes), (json!(1), 0));
    worker.shutdown(GRACE).await;
}

/// A script that runs for ten minutes of the simulation, but for the runs that `is_short` tells of by their number, from 0; and
/// when each run began and ended.
fn long_runs(simulation: &Simulation, is_short: fn(usize) -> bool) -> (Script, Runs) {
    let runs: Runs = Arc::default();
    let script = Script::new({
        let (runs, clock) = (Arc::clone(&runs), simulation.clock.clone());
        move |_, _| {
            let mut all = runs.lock();
            let number = all.len();
            all.push((clock.monotonic(), None));
            let ending = Ending { number, runs: Arc::clone(&runs), clock: clock.clone() };
            let clock = clock.clone();
            async move {
                let _ending = ending;
                if !is_short(number) {
                    clock.sleep(TEN_MINUTES).await;
                }
                Ok(json!(number))
            }
        }
    });
    (script, runs)
}

type Runs = Arc<Mutex<Vec<(Duration, Option<Duration>)>>>;

/// Notes when the code of a run is dropped.
struct Ending {
    number: usize,
    runs: Runs,
    clock: Clock,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.runs.lock()[self.number].1 = Some(self.clock.monotonic());
    }
}

fn claim_of_a_dead_worker() -> Claim {
    Claim {
        worker: WorkerInfo {
            id: "dead".into(),
            process: "dead".into(),
            host: "dead".into(),
            queues: Vec::new(),
            ..WorkerInfo::default()
        },
        queues: vec![QueueSlots { queue: "default".into(), slots: 1 }],
        kinds: vec![SupportedKind { kind: "scripted".into(), version: 1 }],
        lease_for: LEASE,
        wait: Duration::ZERO,
    }
}

// No tokio, no thread and no clock but the simulation's: claim, heartbeats, the end of a lease, sweep and retry.
#[test]
fn a_whole_worker_runs_on_a_manual_clock_without_threads_or_real_time() {
    let simulation = Simulation::new(1);
    let longhaul = Longhaul::new(MemoryStore::with_clock(simulation.clock.clone()));
    let clock = simulation.clock.clone();
    let script = Script::new(move |number, cx| {
        let clock = clock.clone();
        async move {
            cx.step("once", async || Ok(())).await?;
            clock.sleep(TEN_MINUTES).await;
            if cx.attempt() == 1 { Err(JobError::retry("once more")) } else { Ok(json!(number)) }
        }
    });
    // A worker that dies with a job: it claims one and is not heard of again.
    let orphan = simulation.run(enqueue(&longhaul, 1));
    let claimed = simulation.run(longhaul.store().claim(claim_of_a_dead_worker())).unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(simulation.run(record(&longhaul, &orphan)).state, State::Running);

    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let id = simulation.run(enqueue(&longhaul, 2));
    let begun = simulation.clock.monotonic();
    simulation.advance(TEN_MINUTES / 2);
    let running = simulation.run(record(&longhaul, &id));
    assert_eq!(
        (running.state, running.crashes),
        (State::Running, 0),
        "60 leases long its heartbeats kept it"
    );

    let done = simulation.run(longhaul.wait(&id, GRACE)).unwrap().found().unwrap();
    assert_eq!((done.state, done.attempt, done.crashes), (State::Completed, 2, 0));
    assert_eq!((done.errors[0].kind, done.errors[0].message.as_str()), (ErrorKind::Error, "once more"));
    // Two runs of ten minutes, and the backoff of 2 s at most between them.
    let took = simulation.clock.since(begun);
    assert!((2 * TEN_MINUTES..2 * TEN_MINUTES + Duration::from_secs(3)).contains(&took), "{took:?}");
    let rescued = simulation.run(longhaul.wait(&orphan, GRACE)).unwrap().found().unwrap();
    assert_eq!((rescued.state, rescued.attempt, rescued.crashes), (State::Completed, 2, 1));
    let shutdown = simulation.run(worker.shutdown(GRACE));
    assert_eq!(shutdown.handed_back, 0);
}

#[test]
fn a_worker_that_runs_nothing_is_listed_all_the_time_for_a_heartbeat_every_25_seconds() {
    let simulation = Simulation::new(1);
    let (beats, refused) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let store = MemoryStore::with_clock(simulation.clock.clone());
    let longhaul = Longhaul::new(Intercept::new(store, {
        let (beats, refused) = (Arc::clone(&beats), Arc::clone(&refused));
        move |store, call| {
            let (beats, refused) = (Arc::clone(&beats), Arc::clone(&refused));
            async move {
                if matches!(&call, Call::Heartbeat(..)) {
                    *beats.lock() += 1;
                    if *beats.lock() % 5 == 0 {
                        *refused.lock() += 1;
                        return Err(rejected());
                    }
                }
                call.on(store.as_ref()).await
            }
        }
    }));
    let script = Script::new(async |_, _| Ok(Value::Null));
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    simulation.run_until_stalled();
    for second in 1..=600 {
        simulation.advance(Duration::from_secs(1));
        let listed = simulation.run(longhaul.store().workers()).unwrap().len();
        assert_eq!(listed, 1, "after {second} s");
    }
    // One that is refused is tried again after a tenth of the lease.
    let (beats, refused) = (*beats.lock(), *refused.lock());
    assert!(refused > 0 && beats <= 600 / 25 + 1 + refused, "{beats} heartbeats, {refused} refused");
    simulation.run(worker.shutdown(GRACE));
}

#[test]
fn two_simulations_with_one_seed_take_the_same_course() {
    let course = |seed| {
        let simulation = Simulation::new(seed);
        let (longhaul, faults) = Faults::start(simulation.clock.clone());
        faults.inflict(Operation::Finish, Fault::Refuse, 5);
        let worker = worker(&longhaul, Script::new(async |_, _| Err(JobError::retry("again"))));
        let worker = worker.runtime(simulation.runtime()).start();
        let id = simulation.run(enqueue(&longhaul, 1));
        let end = simulation.run(longhaul.wait(&id, GRACE)).unwrap().found().unwrap();
        simulation.run(worker.shutdown(GRACE));
        (end.errors.iter().map(|error| error.at).collect::<Vec<_>>(), simulation.clock.monotonic())
    };
    assert_eq!(course(1), course(1));
    assert_ne!(course(1), course(2), "the backoff is random");
}

#[test]
fn a_worker_without_answers_stops_its_jobs_before_their_leases_end_and_releases_them() {
    assert_stopped_in_time(Fault::Hang);
}

#[test]
fn a_worker_whose_heartbeats_are_refused_stops_its_jobs_before_their_leases_end_and_hands_them_back() {
    assert_stopped_in_time(Fault::Refuse);
}

fn assert_stopped_in_time(fault: Fault) {
    let simulation = Simulation::new(1);
    let (longhaul, faults) = Faults::start(simulation.clock.clone());
    let (script, runs) = long_runs(&simulation, |number| number > 0);
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let id = simulation.run(enqueue(&longhaul, 1));
    simulation.advance(10 * LEASE);
    let away = simulation.clock.monotonic();
    faults.inflict(Operation::Heartbeat, fault, usize::MAX);
    let done = simulation.run(longhaul.wait(&id, GRACE)).unwrap().found().unwrap();
    let stopped = runs.lock()[0].1.unwrap() - away;
    // The last heartbeat that was answered was sent up to a tenth of a lease before.
    assert!(stopped < LEASE * 8 / 10, "stopped after {stopped:?}, with a lease of {LEASE:?}");
    assert!(stopped > LEASE / 2, "stopped after {stopped:?}: a few lost heartbeats must do no harm");
    assert_eq!((done.state, done.attempt), (State::Completed, 1));
    assert_eq!((done.crashes, done.interruptions), (0, 1), "it was handed back while its lease was current");
    simulation.run(worker.shutdown(GRACE));
}

#[test]
fn a_heartbeat_that_hangs_leaves_time_for_others_within_the_lease() {
    let simulation = Simulation::new(1);
    let (longhaul, faults) = Faults::start(simulation.clock.clone());
    let (script, runs) = long_runs(&simulation, |_| false);
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let id = simulation.run(enqueue(&longhaul, 1));
    for fault in [Fault::Hang, Fault::Refuse, Fault::Panic, Fault::Reject] {
        simulation.advance(2 * LEASE);
        faults.inflict(Operation::Heartbeat, fault, 5);
    }
    let done = simulation.run(longhaul.wait(&id, GRACE)).unwrap().found().unwrap();
    assert_eq!((done.state, done.attempt, done.crashes, done.interruptions), (State::Completed, 1, 0, 0));
    assert_eq!((runs.lock().len(), faults.left(Operation::Heartbeat)), (1, 0));
    simulation.run(worker.shutdown(GRACE));
}

#[test]
fn one_lease_that_a_store_cannot_extend_does_not_end_the_others() {
    let simulation = Simulation::new(1);
    let store = MemoryStore::with_clock(simulation.clock.clone());
    let longhaul = Longhaul::new(Intercept::new(store, async |store, call| match &call {
        Call::Heartbeat(_, leases, _) if leases.iter().any(|lease| lease.id.as_str() == "bad") => {
            Err(rejected())
        }
        _ => call.on(store.as_ref()).await,
    }));
    let (script, runs) = long_runs(&simulation, |number| number >= 4);
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let good: Vec<_> = (0..3).map(|number| simulation.run(enqueue(&longhaul, number))).collect();
    let options = EnqueueOptions { id: Some(JobId::new("bad").unwrap()), ..EnqueueOptions::default() };
    let bad = simulation.run(enqueue_with(&longhaul, 3, options));
    for id in &good {
        let done = simulation.run(longhaul.wait(id, GRACE)).unwrap().found().unwrap();
        assert_eq!((done.state, done.crashes, done.interruptions), (State::Completed, 0, 0));
    }
    let done = simulation.run(record(&longhaul, &bad));
    assert_eq!((done.state, done.interruptions), (State::Completed, 1));
    assert_eq!(runs.lock().len(), 5);
    simulation.run(worker.shutdown(GRACE));
}

#[test]
fn a_job_that_was_rescued_is_stopped_where_it_ran_before_and_run_again() {
    let simulation = Simulation::new(1);
    let store = MemoryStore::with_clock(simulation.clock.clone());
    // As if the machine had been asleep: the lease has ended when the worker comes round to its heartbeat.
    let lost = Arc::new(Mutex::new(1));
    let longhaul = Longhaul::new(Intercept::new(store, {
        let (lost, clock) = (Arc::clone(&lost), simulation.clock.clone());
        move |store, call| {
            let (lost, clock) = (Arc::clone(&lost), clock.clone());
            async move {
                let is_asleep = matches!(&call, Call::Heartbeat(_, leases, _) if !leases.is_empty())
                    && std::mem::take(&mut *lost.lock()) > 0;
                if is_asleep {
                    clock.advance(LEASE);
                    store.sweep(10).await?;
                }
                let mut answer = call.on(store.as_ref()).await?;
                if is_asleep {
                    assert_eq!(answer.statuses(), [LeaseStatus::Lost]);
                }
                Ok::<Answer, longhaul::Error>(answer)
            }
        }
    }));
    let (script, runs) = long_runs(&simulation, |number| number > 0);
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let id = simulation.run(enqueue(&longhaul, 1));
    let done = simulation.run(longhaul.wait(&id, GRACE)).unwrap().found().unwrap();
    assert_eq!((done.state, done.attempt, done.crashes), (State::Completed, 1, 1));
    assert_eq!(done.output.unwrap().to_value(), json!(1));
    assert_eq!(runs.lock().len(), 2);
    assert!(runs.lock()[0].1 < Some(2 * LEASE), "the first run was stopped");
    simulation.run(worker.shutdown(GRACE));
}

// The simulation found it (seed 9 of its first version): the run began beside that of the worker that had rescued the job.
#[test]
fn a_job_whose_lease_has_ended_when_its_claim_is_answered_is_not_started() {
    let simulation = Simulation::new(1);
    let store = MemoryStore::with_clock(simulation.clock.clone());
    // As if the process had stood still while the answer was on its way.
    let late = Arc::new(Mutex::new(1));
    let longhaul = Longhaul::new(Intercept::new(store, {
        let (late, clock) = (Arc::clone(&late), simulation.clock.clone());
        move |store, call| {
            let (late, clock) = (Arc::clone(&late), clock.clone());
            async move {
                let mut answer = call.on(store.as_ref()).await?;
                if !answer.claimed().is_empty() && std::mem::take(&mut *late.lock()) > 0 {
                    clock.advance(LEASE);
                    store.sweep(10).await?;
                }
                Ok::<Answer, longhaul::Error>(answer)
            }
        }
    }));
    let (script, runs) = long_runs(&simulation, |_| true);
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let id = simulation.run(enqueue(&longhaul, 1));
    let done = simulation.run(longhaul.wait(&id, GRACE)).unwrap().found().unwrap();
    assert_eq!((done.state, done.attempt, done.crashes), (State::Completed, 1, 1));
    assert_eq!((runs.lock().len(), *late.lock()), (1, 0));
    simulation.run(worker.shutdown(GRACE));
}

#[test]
fn a_cancel_reaches_one_job_while_another_ignores_its_own() {
    let simulation = Simulation::new(1);
    let longhaul = Longhaul::new(MemoryStore::with_clock(simulation.clock.clone()));
    let script = Script::new({
        let clock = simulation.clock.clone();
        move |number, cx| {
            let clock = clock.clone();
            async move {
                if number == 1 {
                    clock.sleep(TEN_MINUTES).await;
                } else {
                    cx.cancelled().await;
                }
                Ok(Value::Null)
            }
        }
    });
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let ids: Vec<_> = [1, 2].map(|number| simulation.run(enqueue(&longhaul, number))).into();
    simulation.advance(LEASE);
    for id in &ids {
        simulation.run(longhaul.cancel(id)).unwrap();
    }
    let asked = simulation.clock.monotonic();
    let done = simulation.run(longhaul.wait(&ids[1], GRACE)).unwrap().found().unwrap();
    assert_eq!(done.state, State::Completed);
    assert!(simulation.clock.since(asked) <= LEASE / 10, "it hears of it with the next heartbeat");
    let fenced = simulation.run(longhaul.wait(&ids[0], GRACE)).unwrap().found().unwrap();
    assert_eq!(fenced.state, State::Cancelled);
    simulation.run(worker.shutdown(GRACE));
}
