//! A store that is away costs no job an attempt, however often and however long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use longhaul::testing::{Call, Intercept, Simulation};
use longhaul::{Error, JobError, Longhaul, MemoryStore, State, Store};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::faulty::{Fault, Faults, Operation, unavailable};
use crate::script::{LEASE, Script, enqueue, worker};

const LONG: Duration = Duration::from_secs(3600);

/// A store that fails every call while it is away, those too that wait for their answer when it goes.
fn switched(simulation: &Simulation) -> (Longhaul, watch::Sender<bool>) {
    let is_away = watch::Sender::new(false);
    let store = MemoryStore::with_clock(simulation.clock.clone());
    let longhaul = Longhaul::new(Intercept::new(store, {
        let is_away = is_away.clone();
        move |store: Arc<dyn Store>, call: Call| {
            let mut going = is_away.subscribe();
            async move {
                tokio::select! {
                    biased;
                    _ = going.wait_for(|is_away| *is_away) => Err(unavailable()),
                    answer = call.on(store.as_ref()) => answer,
                }
            }
        }
    }));
    (longhaul, is_away)
}

#[derive(Debug, thiserror::Error)]
#[error("failed to save page {0}")]
struct SaveError(u32, #[source] Error);

#[test]
fn ten_restarts_of_the_store_cost_a_job_no_attempt_and_repeat_no_step() {
    for away_for in [LEASE / 2, 3 * LEASE] {
        let simulation = Simulation::new(1);
        let (longhaul, is_away) = switched(&simulation);
        let paid = Arc::new(AtomicU32::new(0));
        let script = Script::new({
            let (paid, clock) = (Arc::clone(&paid), simulation.clock.clone());
            move |_, cx| {
                let (paid, clock) = (Arc::clone(&paid), clock.clone());
                async move {
                    for page in 0..100 {
                        let fetch = || {
                            paid.fetch_add(1, Ordering::SeqCst);
                            async { Ok(page) }
                        };
                        cx.step(&format!("page {page}"), fetch).await?;
                        clock.sleep(Duration::from_secs(1)).await;
                        // An application's own call of the store, with the error wrapped in its own.
                        let id = cx.id().clone();
                        cx.longhaul().get(&id).await.map_err(|error| SaveError(page, error))?;
                    }
                    Ok(json!(cx.attempt()))
                }
            }
        });
        let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
        let id = simulation.run(enqueue(&longhaul, 1));
        for _ in 0..10 {
            simulation.advance(Duration::from_secs(7));
            is_away.send_replace(true);
            simulation.advance(away_for);
            is_away.send_replace(false);
        }
        let done = simulation.run(longhaul.wait(&id, LONG)).unwrap().found().unwrap();
        assert_eq!((done.state, done.attempt), (State::Completed, 1), "{:?}", done.errors);
        assert_eq!(done.crashes, 0, "what the worker could not keep alive it handed back");
        assert!(done.errors.is_empty());
        let paid = paid.load(Ordering::SeqCst);
        assert!(paid <= 110, "100 steps were paid for {paid} times, and ten may have been cut short");
        simulation.run(worker.shutdown(LONG));
    }
}

#[test]
fn a_step_whose_output_could_not_be_stored_in_an_outage_is_stored_with_the_end_and_not_repeated() {
    let simulation = Simulation::new(1);
    let (longhaul, faults) = Faults::start(simulation.clock.clone());
    faults.inflict(Operation::Record, Fault::Refuse, 1);
    let paid = Arc::new(AtomicU32::new(0));
    let script = Script::new({
        let paid = Arc::clone(&paid);
        move |_, cx| {
            let paid = Arc::clone(&paid);
            async move {
                let output = cx.step("paid", async || Ok(paid.fetch_add(1, Ordering::SeqCst))).await?;
                Ok(json!(output))
            }
        }
    });
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let id = simulation.run(enqueue(&longhaul, 1));
    let done = simulation.run(longhaul.wait(&id, LONG)).unwrap().found().unwrap();
    assert_eq!((done.state, done.attempt, done.output.unwrap().to_value()), (State::Completed, 1, json!(0)));
    assert_eq!(paid.load(Ordering::SeqCst), 1);
    assert!(simulation.clock.monotonic() < Duration::from_secs(7), "it waits for 5 s");
    simulation.run(worker.shutdown(LONG));
}

#[test]
fn an_application_tells_of_an_outage_of_its_own_at_no_cost_of_an_attempt() {
    let simulation = Simulation::new(1);
    let longhaul = Longhaul::new(MemoryStore::with_clock(simulation.clock.clone()));
    let runs = Arc::new(AtomicU32::new(0));
    let script = Script::new({
        let runs = Arc::clone(&runs);
        move |_, cx| {
            let run = runs.fetch_add(1, Ordering::SeqCst);
            async move {
                match run {
                    0..20 => Err(JobError::outage("the mail server is away")),
                    _ => Ok(json!(cx.attempt())),
                }
            }
        }
    });
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let id = simulation.run(enqueue(&longhaul, 1));
    let done = simulation.run(longhaul.wait(&id, LONG)).unwrap().found().unwrap();
    assert_eq!((done.state, done.output.unwrap().to_value()), (State::Completed, json!(1)));
    let took = simulation.clock.monotonic();
    assert!((Duration::from_secs(100)..Duration::from_secs(110)).contains(&took), "{took:?}");
    simulation.run(worker.shutdown(LONG));
}

#[test]
fn a_store_that_comes_back_is_not_swept_until_workers_have_handed_back_what_they_could_not_keep_alive() {
    // Much shorter than the outage.
    const LEASE: Duration = Duration::from_secs(5);
    let simulation = Simulation::new(1);
    let (longhaul, is_away) = switched(&simulation);
    let script = Script::new({
        let clock = simulation.clock.clone();
        move |_, _| {
            let clock = clock.clone();
            async move {
                clock.sleep(LEASE * 4).await;
                Ok(Value::Null)
            }
        }
    });
    let worker = worker(&longhaul, script).lease(LEASE).runtime(simulation.runtime()).start();
    let ids: Vec<_> = (0..4).map(|number| simulation.run(enqueue(&longhaul, number))).collect();
    simulation.advance(LEASE);
    is_away.send_replace(true);
    simulation.advance(Duration::from_secs(60));
    is_away.send_replace(false);
    for id in &ids {
        let done = simulation.run(longhaul.wait(id, LONG)).unwrap().found().unwrap();
        assert_eq!((done.state, done.attempt, done.crashes), (State::Completed, 1, 0));
        assert_eq!(done.interruptions, 1);
    }
    assert!(simulation.clock.monotonic() < Duration::from_secs(60 + 5 + 5 + 20 + 2));
    simulation.run(worker.shutdown(LONG));
}
