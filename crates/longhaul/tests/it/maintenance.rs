//! Sweeps: what there is to do is done soon, and many workers with nothing to do cost no more than one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longhaul::testing::{Call, Intercept, Simulation};
use longhaul::{Json, Longhaul, Maintenance, MemoryStore, NewJob, Start, State, Store};
use serde_json::Value;

use crate::faulty::{Fault, Faults, Operation};
use crate::script::{Script, enqueue, record, worker};

const HOUR: Duration = Duration::from_secs(3600);

/// A store that counts its sweeps.
fn counted(simulation: &Simulation) -> (Longhaul, Arc<AtomicUsize>) {
    let sweeps: Arc<AtomicUsize> = Arc::default();
    let store = MemoryStore::with_clock(simulation.clock.clone());
    let longhaul = Longhaul::new(Intercept::new(store, {
        let sweeps = Arc::clone(&sweeps);
        move |store: Arc<dyn Store>, call: Call| {
            sweeps.fetch_add(usize::from(matches!(call, Call::Sweep(_))), Ordering::SeqCst);
            async move { call.on(store.as_ref()).await }
        }
    }));
    (longhaul, sweeps)
}

#[test]
fn twenty_workers_of_one_process_sweep_an_idle_store_as_often_as_one_does() {
    for count in [1, 20] {
        let simulation = Simulation::new(1);
        let (longhaul, sweeps) = counted(&simulation);
        let workers: Vec<_> = (0..count)
            .map(|_| longhaul.worker().queue("q", 1).runtime(simulation.runtime()).start())
            .collect();
        simulation.advance(HOUR);
        let sweeps = sweeps.load(Ordering::SeqCst);
        // Each 4 s, less a fifth at most.
        assert!((900..=1_130).contains(&sweeps), "{count} workers swept {sweeps} times in an hour");
        drop(workers);
    }
}

#[test]
fn a_process_that_runs_a_job_sweeps_each_second() {
    let simulation = Simulation::new(1);
    let (longhaul, sweeps) = counted(&simulation);
    let clock = simulation.clock.clone();
    let script = Script::new(move |_, _| {
        let clock = clock.clone();
        async move {
            clock.sleep(HOUR).await;
            Ok(Value::Null)
        }
    });
    // That a job runs is noted with each heartbeat, which comes twice a second for such a lease.
    let worker = worker(&longhaul, script).lease(Duration::from_secs(5));
    let worker = worker.runtime(simulation.runtime()).start();
    simulation.run(enqueue(&longhaul, 1));
    simulation.advance(HOUR / 2);
    let sweeps = sweeps.load(Ordering::SeqCst);
    // Each second, less a fifth at most.
    assert!((1_800..=2_260).contains(&sweeps), "{sweeps} sweeps in half an hour");
    drop(worker);
}

#[test]
fn the_next_worker_takes_over_the_sweeps_of_one_that_ends() {
    let simulation = Simulation::new(1);
    let (longhaul, sweeps) = counted(&simulation);
    let first = Maintenance::start_on(longhaul.store().clone(), simulation.runtime());
    let second = Maintenance::start_on(longhaul.store().clone(), simulation.runtime());
    simulation.advance(HOUR);
    drop(first);
    let before = sweeps.swap(0, Ordering::SeqCst);
    simulation.advance(HOUR);
    let after = sweeps.swap(0, Ordering::SeqCst);
    assert!(before > 0 && before.abs_diff(after) < before / 10, "{before} sweeps and then {after}");
    drop(second);
    simulation.advance(HOUR);
    assert_eq!(sweeps.load(Ordering::SeqCst), 0, "nobody is left");
}

#[test]
fn a_sweep_that_fails_or_panics_is_followed_by_others() {
    for fault in [Fault::Refuse, Fault::Reject, Fault::Panic] {
        let simulation = Simulation::new(1);
        let (longhaul, faults) = Faults::start(simulation.clock.clone());
        faults.inflict(Operation::Sweep, fault, 3);
        let _maintenance = Maintenance::start_on(longhaul.store().clone(), simulation.runtime());
        let later = NewJob { start: Start::After(HOUR), ..NewJob::new("k", Json::null()) };
        let id = simulation.run(longhaul.enqueue_one(later)).unwrap().id;
        simulation.advance(HOUR + Duration::from_secs(5));
        assert_eq!(faults.left(Operation::Sweep), 0);
        assert_eq!(simulation.run(record(&longhaul, &id)).state, State::Available, "{fault:?}");
    }
}

#[test]
fn a_sweep_that_finds_work_is_followed_by_the_next_at_once() {
    let simulation = Simulation::new(1);
    let (longhaul, sweeps) = counted(&simulation);
    let later = || NewJob { start: Start::After(HOUR), ..NewJob::new("k", Json::null()) };
    simulation.run(longhaul.enqueue_many((0..5_000).map(|_| later()).collect())).unwrap();
    let _maintenance = Maintenance::start_on(longhaul.store().clone(), simulation.runtime());
    simulation.advance(HOUR);
    sweeps.store(0, Ordering::SeqCst);
    simulation.advance(Duration::from_secs(5));
    let queues = simulation.run(longhaul.store().queues()).unwrap();
    assert_eq!(queues[0].counts, [(State::Available, 5_000)].into());
    let sweeps = sweeps.load(Ordering::SeqCst);
    assert!((6..10).contains(&sweeps), "{sweeps} sweeps of 1,000 jobs each");
}
