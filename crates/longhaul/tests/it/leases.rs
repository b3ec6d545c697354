//! Heartbeats: a worker keeps its jobs while it can say so, and stops them while they are still its own.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use longhaul::clock::Stopwatch;
use longhaul::{Clock, State, Swept};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::faulty::{Fault, FaultyStore, Operation};
use crate::script::{LEASE, Script, enqueue, record, until, within, worker};

const GRACE: Duration = Duration::from_secs(60);

// On one thread, which the job blocks: nothing but the heartbeat's own thread is left to keep the lease alive.
#[tokio::test(flavor = "current_thread")]
async fn a_job_that_blocks_the_runtime_does_not_starve_the_heartbeat() {
    let clock = Clock::manual();
    let (longhaul, store) = FaultyStore::start(clock.clone());
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

#[tokio::test]
async fn a_worker_that_hears_no_answer_stops_its_jobs_before_their_leases_end() {
    assert_stopped_in_time(Fault::Hang).await;
}

#[tokio::test]
async fn a_worker_whose_heartbeats_are_refused_stops_its_jobs_before_their_leases_end() {
    assert_stopped_in_time(Fault::Refuse).await;
}

async fn assert_stopped_in_time(fault: Fault) {
    let (longhaul, store) = FaultyStore::start(Clock::manual());
    let (stopped, mut stops) = mpsc::unbounded_channel();
    let (begun, mut begins) = mpsc::unbounded_channel();
    let script = Script::new(move |_, _| {
        let (stopping, begun) = (Stopping(stopped.clone()), begun.clone());
        async move {
            let _stopping = stopping;
            begun.send(())?;
            std::future::pending().await
        }
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    within("the job to begin", begins.recv()).await;
    store.next_beat().await;
    store.inflict(Operation::Heartbeat, fault, usize::MAX);
    let stopped_at: Stopwatch = within("the job to be stopped", stops.recv()).await.unwrap();
    // The lease that the worker knows of began when the last answered heartbeat was sent.
    let last_beat = store.last_beat().unwrap();
    let lived = stopped_at.started().duration_since(last_beat.started());
    assert!(lived < LEASE, "stopped {lived:?} after the last heartbeat, with a lease of {LEASE:?}");
    assert!(lived > LEASE / 2, "stopped {lived:?} after the last heartbeat: a few lost ones must do no harm");
    // Nothing was said of it to the store, which will rescue it when the lease has ended there too.
    assert_eq!(record(&longhaul, &id).await.state, State::Running);
    assert_eq!(worker.running(), 0);
    worker.shutdown(GRACE).await;
}

/// Tells when the job's code was dropped.
struct Stopping(mpsc::UnboundedSender<Stopwatch>);

impl Drop for Stopping {
    fn drop(&mut self) {
        let _ = self.0.send(Stopwatch::start());
    }
}

#[tokio::test]
async fn a_job_that_was_rescued_is_stopped_where_it_ran_before_and_run_again() {
    let clock = Clock::manual();
    let (longhaul, store) = FaultyStore::start(clock.clone());
    let (stopped, mut stops) = mpsc::unbounded_channel();
    let script = Script::new(move |_, cx| {
        let stopping = Stopping(stopped.clone());
        async move {
            if record(cx.longhaul(), cx.id()).await.crashes == 0 {
                let _stopping = stopping;
                std::future::pending::<()>().await;
            }
            Ok(Value::Null)
        }
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    until(&longhaul, &id, State::Running).await;
    // As if the machine had been asleep: the lease has ended when the worker comes round to its heartbeat.
    store.next_beat().await;
    clock.advance(LEASE);
    longhaul.store().sweep(10).await.unwrap();
    within("the first run to be stopped", stops.recv()).await.unwrap();
    let done = until(&longhaul, &id, State::Completed).await;
    assert_eq!((done.attempt, done.crashes), (1, 1));
    worker.shutdown(GRACE).await;
}
