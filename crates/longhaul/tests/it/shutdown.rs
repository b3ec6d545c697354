//! Shutdown of a worker: grace, abort, hand-back.

use std::sync::Arc;
use std::time::Duration;

use futures::poll;
use longhaul::testing::Simulation;
use longhaul::{Action, Clock, JobFilter, Shutdown, State};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::faulty::{Fault, Faults, Operation};
use crate::script::{LEASE, OnDrop, Script, enqueue, longhaul, record, until, within, worker};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);

/// A script that says when it begins, and ends at the gate's signal.
fn gated(gate: &Arc<Notify>) -> (Script, mpsc::UnboundedReceiver<u32>) {
    let (begun, begins) = mpsc::unbounded_channel();
    let gate = Arc::clone(gate);
    let script = Script::new(move |number, _| {
        let (gate, begun) = (Arc::clone(&gate), begun.clone());
        async move {
            begun.send(number)?;
            gate.notified().await;
            Ok(json!(number))
        }
    });
    (script, begins)
}

#[tokio::test]
async fn a_shutdown_lets_running_jobs_finish_and_takes_no_new_ones() {
    let (longhaul, _clock) = longhaul();
    let gate = Arc::new(Notify::new());
    let (script, mut begins) = gated(&gate);
    let worker = worker(&longhaul, script).start();
    let first = enqueue(&longhaul, 1).await;
    assert_eq!(within("the job to begin", begins.recv()).await, Some(1));

    let mut shutdown = Box::pin(worker.shutdown(LONG));
    assert!(poll!(&mut shutdown).is_pending(), "the shutdown must wait for the job");
    let second = enqueue(&longhaul, 2).await;
    gate.notify_one();
    assert_eq!(within("the shutdown", shutdown).await, Shutdown { handed_back: 0 });
    assert_eq!(record(&longhaul, &first).await.state, State::Completed);
    assert_eq!(record(&longhaul, &second).await.state, State::Available);
}

#[tokio::test]
async fn a_shutdown_hands_back_what_outlasts_the_grace_at_no_cost_of_an_attempt() {
    let (longhaul, _clock) = longhaul();
    let gate = Arc::new(Notify::new());
    let (script, mut begins) = gated(&gate);
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    within("the job to begin", begins.recv()).await;
    let shutdown = within("the shutdown", worker.shutdown(Duration::ZERO)).await;
    assert_eq!(shutdown, Shutdown { handed_back: 1 });
    let back = record(&longhaul, &id).await;
    assert_eq!(back.state, State::Available);
    assert_eq!((back.attempt, back.interruptions, back.crashes), (0, 1, 0));
    assert!(back.errors.is_empty());
}

#[tokio::test]
async fn a_dropped_worker_hands_back_what_it_runs() {
    let (longhaul, _clock) = longhaul();
    let gate = Arc::new(Notify::new());
    let (script, mut begins) = gated(&gate);
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    within("the job to begin", begins.recv()).await;
    drop(worker);
    let back = until(&longhaul, &id, State::Available).await;
    assert_eq!((back.attempt, back.interruptions), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_blocks_its_thread_is_handed_back_while_it_still_runs() {
    let (longhaul, _clock) = longhaul();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Arc::new(parking_lot::Mutex::new(blocked));
    let (begun, mut begins) = mpsc::unbounded_channel();
    let script = Script::new(move |_, _| {
        let (begun, blocked) = (begun.clone(), Arc::clone(&blocked));
        async move {
            begun.send(())?;
            // Holds the thread, as code does that computes for long or calls a library that blocks.
            let _ = blocked.lock().recv();
            Ok(json!("nobody waits for this any more"))
        }
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    within("the job to begin", begins.recv()).await;
    let shutdown = within("the shutdown", worker.shutdown(Duration::ZERO)).await;
    assert_eq!(shutdown, Shutdown { handed_back: 1 });
    let back = record(&longhaul, &id).await;
    assert_eq!((back.state, back.attempt, back.interruptions), (State::Available, 0, 1));
    drop(release);
}

#[tokio::test]
async fn an_idle_worker_ends_at_once() {
    let (longhaul, _clock) = longhaul();
    let worker = worker(&longhaul, Script::new(async |_, _| Ok(Value::Null))).start();
    let shutdown = within("the shutdown", worker.shutdown(LONG)).await;
    assert_eq!(shutdown, Shutdown { handed_back: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_job_that_ignores_abort_does_not_use_up_the_grace_of_others() {
    let (longhaul, store) = Faults::start(Clock::manual());
    let gate = Arc::new(Notify::new());
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Arc::new(parking_lot::Mutex::new(blocked));
    let (begun, mut begins) = mpsc::unbounded_channel();
    let script = Script::new({
        let gate = Arc::clone(&gate);
        move |number, _| {
            let (gate, begun, blocked) = (Arc::clone(&gate), begun.clone(), Arc::clone(&blocked));
            async move {
                begun.send(number)?;
                if number == 1 {
                    // Holds its thread, so that no abort can reach it.
                    let _ = blocked.lock().recv();
                } else {
                    gate.notified().await;
                }
                Ok(json!(number))
            }
        }
    });
    let worker = worker(&longhaul, script).start();
    let ignores = enqueue(&longhaul, 1).await;
    let other = enqueue(&longhaul, 2).await;
    for _ in 0..2 {
        within("the jobs to begin", begins.recv()).await;
    }
    let mut shutdown = Box::pin(worker.shutdown(LONG));
    assert!(poll!(&mut shutdown).is_pending());
    let shutdown = tokio::spawn(shutdown);
    // Fenced off with no grace, so that the next heartbeat finds its lease lost.
    let action = Action::cancel(Duration::ZERO);
    longhaul.store().act(&JobFilter::id(ignores.clone()), action, 1).await.unwrap();
    longhaul.store().sweep(10).await.unwrap();
    // Five heartbeats take two seconds and more: the worker knows, and waits for jobs that it has aborted for one second.
    for _ in 0..5 {
        store.next_beat().await;
    }
    assert!(!shutdown.is_finished(), "the shutdown must still wait for the job that is well");
    assert_eq!(record(&longhaul, &other).await.state, State::Running);
    gate.notify_one();
    within("the shutdown", shutdown).await.unwrap();
    assert_eq!(record(&longhaul, &other).await.state, State::Completed);
    assert_eq!(record(&longhaul, &ignores).await.state, State::Cancelled);
    drop(release);
}

#[test]
fn a_store_that_is_away_does_not_hold_a_shutdown_up_for_longer_than_its_grace_and_three_seconds() {
    for fault in [Fault::Refuse, Fault::Reject, Fault::Hang] {
        let simulation = Simulation::new(1);
        let (longhaul, store) = Faults::start(simulation.clock.clone());
        let (dropped, mut drops) = mpsc::unbounded_channel();
        let script = Script::new(move |number, _| {
            let guard = OnDrop(dropped.clone());
            async move {
                let _guard = guard;
                if number == 1 { Ok(Value::Null) } else { std::future::pending().await }
            }
        });
        let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
        store.inflict(Operation::Finish, fault, usize::MAX);
        simulation.run(enqueue(&longhaul, 1));
        simulation.run(enqueue(&longhaul, 2));
        simulation.advance(LEASE);
        let begun = simulation.clock.monotonic();
        let grace = Duration::from_secs(10);
        simulation.run(worker.shutdown(grace));
        let took = simulation.clock.since(begun);
        assert!((grace..=grace + Duration::from_secs(3)).contains(&took), "{fault:?}: {took:?}");
        assert!(drops.try_recv().is_ok() && drops.try_recv().is_ok(), "no job runs on without a heartbeat");
    }
}

#[test]
fn a_store_that_comes_back_within_the_grace_hears_of_every_end() {
    let simulation = Simulation::new(1);
    let (longhaul, store) = Faults::start(simulation.clock.clone());
    let script = Script::new(async |number, _| Ok(json!(number)));
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    store.inflict(Operation::Finish, Fault::Refuse, 10);
    let id = simulation.run(enqueue(&longhaul, 1));
    simulation.run_until_stalled();
    let shutdown = simulation.run(worker.shutdown(LONG));
    assert_eq!(shutdown, Shutdown { handed_back: 0 });
    let done = simulation.run(record(&longhaul, &id));
    assert_eq!((done.state, done.attempt, store.left(Operation::Finish)), (State::Completed, 1, 0));
}

#[test]
fn a_dropped_runtime_ends_the_heartbeat_so_that_its_jobs_can_be_rescued() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (longhaul, store) = Faults::start(Clock::manual());
    let (dropped, mut drops) = mpsc::unbounded_channel();
    store.tell_when_dropped(OnDrop(dropped));
    let (script, mut begins) = gated(&Arc::new(Notify::new()));
    let first = runtime();
    let worker = first.block_on(async {
        let worker = worker(&longhaul, script).start();
        enqueue(&longhaul, 1).await;
        within("the job to begin", begins.recv()).await;
        store.next_beat().await;
        worker
    });
    drop(first);
    // Besides this test and the tasks of the runtime that is gone, only the heartbeat's thread has the store.
    drop((longhaul, store));
    runtime().block_on(within("the end of the heartbeat", drops.recv())).unwrap();
    drop(worker);
}
