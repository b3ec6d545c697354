//! Values that a store cannot keep, and calls that it refuses: each concerns its own job, which ends with the reason, and
//! all others go on.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longhaul::testing::{Call, Intercept, Simulation};
use longhaul::{
    Context, EnqueueOptions, Entry, ErrorKind, EventBody, JobId, JobRecord, JobResult, Json, LogLevel,
    Longhaul, MemoryStore, NewJob, Outcome, Result, State, Store,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::faulty::{Fault, Faults, Operation, rejected, unavailable};
use crate::script::{LEASE, Script, enqueue, enqueue_with, events, record, worker};

const LONG: Duration = Duration::from_secs(3600);
/// The id of the job whose values a store of these tests refuses.
const BAD: &str = "bad";

/// A store that answers calls with an error where `is_refused` says so.
fn refusing(
    simulation: &Simulation,
    is_refused: impl Fn(&Call) -> bool + Clone + Send + Sync + 'static,
) -> Longhaul {
    let store = MemoryStore::with_clock(simulation.clock.clone());
    Longhaul::new(Intercept::new(store, move |store: Arc<dyn Store>, call: Call| {
        let is_refused = is_refused(&call);
        async move { if is_refused { Err(rejected()) } else { call.on(store.as_ref()).await } }
    }))
}

fn completes_bad(call: &Call) -> bool {
    let is_bad = |finish: &longhaul::Finish| {
        finish.lease.id.as_str() == BAD && matches!(finish.outcome, Outcome::Completed { .. })
    };
    call.finishes().iter().any(is_bad)
}

/// Enqueues the job that is refused among many that are not, and returns the ids of both.
fn enqueue_all(simulation: &Simulation, longhaul: &Longhaul) -> (JobId, Vec<JobId>) {
    let mut good: Vec<JobId> = (0..6).map(|n| simulation.run(enqueue(longhaul, n))).collect();
    let options = EnqueueOptions { id: Some(JobId::new(BAD).unwrap()), ..EnqueueOptions::default() };
    let bad = simulation.run(enqueue_with(longhaul, 99, options));
    good.extend((0..6).map(|n| simulation.run(enqueue(longhaul, n))));
    (bad, good)
}

fn wait(simulation: &Simulation, longhaul: &Longhaul, id: &JobId) -> JobRecord {
    simulation.run(longhaul.wait(id, LONG)).unwrap().found().unwrap()
}

#[test]
fn an_end_that_the_store_cannot_keep_fails_its_own_job_with_the_reason_and_no_other() {
    let simulation = Simulation::new(1);
    let longhaul = refusing(&simulation, completes_bad);
    let runs = Arc::new(AtomicUsize::new(0));
    let script = Script::new({
        let runs = Arc::clone(&runs);
        move |number, cx| {
            runs.fetch_add(1, Ordering::SeqCst);
            async move {
                cx.log(LogLevel::Info, "to be kept with the end");
                cx.follow_up(NewJob::new("other", Json::null()))?;
                Ok(json!(number))
            }
        }
    });
    let (bad, good) = enqueue_all(&simulation, &longhaul);
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let failed = wait(&simulation, &longhaul, &bad);
    for id in &good {
        assert_eq!(wait(&simulation, &longhaul, id).attempt, 1);
    }
    assert!(simulation.clock.monotonic() < Duration::from_secs(2), "within seconds");
    assert_eq!((failed.state, failed.attempt, failed.crashes), (State::Failed, 1, 0));
    assert_eq!(failed.errors[0].kind, ErrorKind::Fatal);
    assert_eq!(
        failed.errors[0].message,
        "failed to keep the end of the job, which had completed with an output of 2 bytes, with 1 entries of its \
         log and 1 follow-ups: failed to do it in the faulty store: it was told to refuse this"
    );
    assert_eq!(runs.load(Ordering::SeqCst), 13, "no work was repeated");
    assert_eq!(simulation.run(worker.shutdown(LONG)).handed_back, 0);
}

#[test]
fn a_job_whose_end_cannot_be_kept_at_all_is_let_go_and_fails_as_poison_while_its_slot_comes_back() {
    let simulation = Simulation::new(1);
    let longhaul =
        refusing(&simulation, |call| call.finishes().iter().any(|finish| finish.lease.id.as_str() == BAD));
    let bad = NewJob {
        id: Some(JobId::new(BAD).unwrap()),
        max_crashes: 2,
        ..NewJob::new("scripted", Json::new(&json!({ "number": 1 })).unwrap())
    };
    let bad = simulation.run(longhaul.enqueue_one(bad)).unwrap().id;
    let script = Script::new(async |number, _| Ok(json!(number)));
    let worker = worker(&longhaul, script).queue("default", 1).runtime(simulation.runtime()).start();
    let good = simulation.run(enqueue(&longhaul, 2));
    assert_eq!(wait(&simulation, &longhaul, &good).state, State::Completed);
    assert!(simulation.clock.monotonic() < LEASE, "before the lease of the other ended");
    let ended = wait(&simulation, &longhaul, &bad);
    assert_eq!((ended.state, ended.crashes, ended.attempt), (State::Failed, 3, 0));
    assert_eq!(worker.running(), 0);
    simulation.run(worker.shutdown(LONG));
}

#[test]
fn an_entry_that_the_store_cannot_keep_fails_its_own_job_after_the_entries_before_it() {
    let simulation = Simulation::new(1);
    let longhaul = refusing(&simulation, |call| {
        let is_bad = |entry: &Entry| matches!(entry, Entry::Log { message, .. } if message == "bad");
        matches!(call, Call::Record(records) if records.iter().any(|record| record.entries.iter().any(is_bad)))
    });
    let script = Script::new({
        let clock = simulation.clock.clone();
        move |number, cx| {
            let clock = clock.clone();
            async move {
                cx.log(LogLevel::Info, "before");
                cx.log(LogLevel::Info, if number == 99 { "bad" } else { "good" });
                cx.log(LogLevel::Info, "after");
                clock.sleep(LEASE).await;
                Ok(json!(number))
            }
        }
    });
    let (bad, good) = enqueue_all(&simulation, &longhaul);
    let worker = worker(&longhaul, script).queue("default", 20).runtime(simulation.runtime()).start();
    let failed = wait(&simulation, &longhaul, &bad);
    assert!(simulation.clock.monotonic() < Duration::from_secs(2), "within seconds");
    assert_eq!((failed.state, failed.attempt), (State::Failed, 1));
    let message = &failed.errors[0].message;
    assert!(message.starts_with("failed to keep a line of the log: failed to do it"), "{message}");
    let lines = |id: &JobId| -> Vec<String> {
        let events = simulation.run(events(&longhaul, id)).into_iter();
        events
            .filter_map(|event| match event.body {
                EventBody::Log { message, .. } => Some(message),
                _ => None,
            })
            .collect()
    };
    assert_eq!(lines(&bad), ["before", "after"]);
    for id in &good {
        assert_eq!(wait(&simulation, &longhaul, id).state, State::Completed);
        assert_eq!(lines(id), ["before", "good", "after"]);
    }
    simulation.run(worker.shutdown(LONG));
}

#[test]
fn a_step_whose_output_the_store_cannot_keep_is_paid_for_once_and_fails_the_job() {
    let simulation = Simulation::new(1);
    let longhaul = refusing(&simulation, |call| {
        let is_step = |entry: &Entry| matches!(entry, Entry::Step { .. });
        matches!(call, Call::Record(records) if records.iter().any(|record| record.entries.iter().any(is_step)))
    });
    let job = fails_at_once(&simulation, &longhaul, async |cx: Context<Script>, paid: Arc<AtomicUsize>| {
        cx.step("paid", async || Ok(paid.fetch_add(1, Ordering::SeqCst))).await?;
        Ok(Value::Null)
    });
    assert!(job.1.starts_with("failed to keep"), "{}", job.1);
    assert_eq!(job.0, 1);
}

/// Runs one job that must fail at its first attempt; returns how often it paid for something, and the reason.
fn fails_at_once<F>(
    simulation: &Simulation,
    longhaul: &Longhaul,
    play: impl Fn(Context<Script>, Arc<AtomicUsize>) -> F + Send + Sync + 'static,
) -> (usize, String)
where
    F: Future<Output = JobResult<Value>> + Send + 'static,
{
    let paid = Arc::new(AtomicUsize::new(0));
    let script = Script::new({
        let paid = Arc::clone(&paid);
        move |_, cx| play(cx, Arc::clone(&paid))
    });
    let worker = worker(longhaul, script).runtime(simulation.runtime()).start();
    let id = simulation.run(enqueue(longhaul, 1));
    let ended = wait(simulation, longhaul, &id);
    assert_eq!((ended.state, ended.attempt, ended.errors.len()), (State::Failed, 1, 1), "{:?}", ended.errors);
    assert_eq!(ended.errors[0].kind, ErrorKind::Fatal);
    simulation.run(worker.shutdown(LONG));
    (paid.load(Ordering::SeqCst), ended.errors[0].message.clone())
}

#[test]
fn a_value_beyond_its_limit_fails_the_job_at_once_and_names_the_limit() {
    let simulation = Simulation::new(1);
    let longhaul = Longhaul::new(MemoryStore::with_clock(simulation.clock.clone()));
    let (paid, reason) =
        fails_at_once(&simulation, &longhaul, async |cx: Context<Script>, paid: Arc<AtomicUsize>| {
            cx.step("a\0b", async || Ok(paid.fetch_add(1, Ordering::SeqCst))).await?;
            Ok(Value::Null)
        });
    assert_eq!((paid, reason.as_str()), (0, "step name: must not hold a NUL character"));
    let (paid, reason) =
        fails_at_once(&simulation, &longhaul, async |cx: Context<Script>, paid: Arc<AtomicUsize>| {
            cx.step("large", async || {
                paid.fetch_add(1, Ordering::SeqCst);
                Ok("x".repeat(1024 * 1024))
            })
            .await?;
            Ok(Value::Null)
        });
    assert_eq!(paid, 1);
    assert!(reason.contains("step 'large': must be at most 1048576"), "{reason}");
    let (_, reason) =
        fails_at_once(&simulation, &longhaul, async |cx: Context<Script>, _: Arc<AtomicUsize>| {
            cx.emit("x".repeat(64 * 1024)).await?;
            Ok(Value::Null)
        });
    assert!(reason.contains("chunk: must be at most 65536"), "{reason}");
    let (_, reason) = fails_at_once(&simulation, &longhaul, async |_, _| Ok(json!("x".repeat(1024 * 1024))));
    assert_eq!(reason, "failed to keep the output: it is 1048578 bytes and may be 1048576");
    let (_, reason) =
        fails_at_once(&simulation, &longhaul, async |cx: Context<Script>, _: Arc<AtomicUsize>| {
            for _ in 0..1_001 {
                cx.follow_up(NewJob::new("other", Json::null()))?;
            }
            Ok(Value::Null)
        });
    assert_eq!(reason, "follow_ups: must be at most 1000 jobs");
}

#[test]
fn a_claim_that_is_refused_is_not_asked_again_without_pause_and_holds_no_end_up() {
    let simulation = Simulation::new(1);
    let claims = Arc::new(AtomicUsize::new(0));
    let refuses = Arc::new(AtomicUsize::new(0));
    let longhaul = refusing(&simulation, {
        let (claims, refuses) = (Arc::clone(&claims), Arc::clone(&refuses));
        move |call| {
            let is_refused = call.claim().is_some() && refuses.load(Ordering::SeqCst) == 1;
            claims.fetch_add(usize::from(is_refused), Ordering::SeqCst);
            is_refused
        }
    });
    let script = Script::new({
        let clock = simulation.clock.clone();
        move |number, _| {
            let clock = clock.clone();
            async move {
                clock.sleep(Duration::from_secs(1)).await;
                Ok(json!(number))
            }
        }
    });
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let first = simulation.run(enqueue(&longhaul, 1));
    simulation.run_until_stalled();
    refuses.store(1, Ordering::SeqCst);
    // Its end is sent beside a claim that fails, and by itself after that.
    assert_eq!(wait(&simulation, &longhaul, &first).state, State::Completed);
    assert!(simulation.clock.monotonic() < Duration::from_secs(2));
    simulation.advance(Duration::from_secs(600));
    let asked = claims.load(Ordering::SeqCst);
    assert!((100..300).contains(&asked), "{asked} claims in ten minutes");
    refuses.store(0, Ordering::SeqCst);
    let second = simulation.run(enqueue(&longhaul, 2));
    assert_eq!(wait(&simulation, &longhaul, &second).state, State::Completed);
    simulation.run(worker.shutdown(LONG));
}

#[test]
fn a_finish_that_is_refused_for_a_moment_is_not_turned_into_a_failure() {
    let simulation = Simulation::new(1);
    let (longhaul, faults) = Faults::start(simulation.clock.clone());
    // The first is for the turn, the others for the end by itself.
    faults.inflict(Operation::Finish, Fault::Reject, 3);
    let script = Script::new(async |number, _| Ok(json!(number)));
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let id = simulation.run(enqueue(&longhaul, 1));
    let done = wait(&simulation, &longhaul, &id);
    assert_eq!((done.state, done.attempt, faults.left(Operation::Finish)), (State::Completed, 1, 0));
    simulation.run(worker.shutdown(LONG));
}

/// The lines that a job logs while a store refuses its records, and its percentages.
fn said_while_away(lines: u32, line: &'static str) -> (Vec<String>, Vec<f64>) {
    let simulation = Simulation::new(1);
    let away = Arc::new(AtomicUsize::new(1));
    let largest: Arc<Mutex<usize>> = Arc::default();
    let store = MemoryStore::with_clock(simulation.clock.clone());
    let longhaul = Longhaul::new(Intercept::new(store, {
        let (away, largest) = (Arc::clone(&away), Arc::clone(&largest));
        move |store: Arc<dyn Store>, call: Call| {
            let is_away = away.load(Ordering::SeqCst) == 1 && matches!(call, Call::Record(_));
            if let Call::Record(records) = &call {
                let mut largest = largest.lock();
                *largest = (*largest).max(records[0].entries.len());
            }
            async move { if is_away { Err(unavailable()) } else { call.on(store.as_ref()).await } }
        }
    }));
    let script = Script::new({
        let (away, clock) = (Arc::clone(&away), simulation.clock.clone());
        move |_, cx| {
            let (away, clock) = (Arc::clone(&away), clock.clone());
            async move {
                for n in 0..lines {
                    cx.log(LogLevel::Info, format!("{n} {line}"));
                    cx.progress(f64::from(n % 100), "on its way");
                    if n % 100 == 0 {
                        clock.sleep(Duration::from_secs(1)).await;
                    }
                }
                cx.progress(100, "all was said");
                away.store(0, Ordering::SeqCst);
                clock.sleep(Duration::from_secs(60)).await;
                Ok(Value::Null)
            }
        }
    });
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let id = simulation.run(enqueue(&longhaul, 1));
    assert_eq!(wait(&simulation, &longhaul, &id).state, State::Completed);
    simulation.run(worker.shutdown(LONG));
    assert!(*largest.lock() <= 1_002, "{} entries were kept in memory", largest.lock());
    let mut said = (Vec::new(), Vec::new());
    let events = simulation.run(longhaul.events(&id, 0, 10_000, Duration::ZERO)).unwrap().unwrap();
    for event in events {
        match event.body {
            EventBody::Log { message, .. } => said.0.push(message),
            EventBody::Progress(progress) => said.1.push(progress.percent),
            _ => {}
        }
    }
    said
}

#[test]
fn lines_and_progress_take_bounded_memory_while_the_store_is_away_and_a_line_says_what_is_missing() {
    let (lines, percents) = said_while_away(10_000, "short");
    let kept = lines.len() - 1;
    assert!((500..=1_000).contains(&kept), "{kept} lines");
    assert_eq!(lines[0], "0 short");
    let left_out = 10_000 - kept;
    let left_out =
        format!("… {},{:03} lines left out while the store was away", left_out / 1_000, left_out % 1_000);
    assert_eq!(lines.last(), Some(&left_out));
    assert_eq!(percents.last(), Some(&100.0), "the last progress counts");
    assert!(percents.len() <= 501, "{} reports", percents.len());
}

#[test]
fn lines_that_are_large_fill_the_memory_sooner_and_are_cut() {
    let line: &'static str = "x".repeat(20 * 1024).leak();
    let (lines, _) = said_while_away(2_000, line);
    assert!(lines.len() <= 131, "{} lines", lines.len());
    assert!(lines[0].len() <= 8 * 1024 && lines[0].ends_with('…'));
}

#[test]
fn pending_chunks_are_bounded_in_an_outage_and_emit_fails() {
    let simulation = Simulation::new(1);
    let (longhaul, faults) = Faults::start(simulation.clock.clone());
    faults.inflict(Operation::Record, Fault::Refuse, usize::MAX);
    let emitted = Arc::new(AtomicUsize::new(0));
    let script = Script::new({
        let (emitted, faults) = (Arc::clone(&emitted), Arc::clone(&faults));
        move |_, cx| {
            let (emitted, faults) = (Arc::clone(&emitted), Arc::clone(&faults));
            async move {
                // It does not look at the error for long, and goes on.
                for n in 0..1_500 {
                    let kept = cx.emit("x".repeat(1_000)).await;
                    emitted.fetch_add(usize::from(kept.is_ok()), Ordering::SeqCst);
                    if n == 1_499 {
                        faults.inflict(Operation::Record, Fault::Refuse, 0);
                        kept?;
                    }
                }
                Ok(Value::Null)
            }
        }
    });
    let worker = worker(&longhaul, script).runtime(simulation.runtime()).start();
    let id = simulation.run(enqueue(&longhaul, 1));
    simulation.advance(Duration::from_millis(1));
    let kept = emitted.load(Ordering::SeqCst);
    assert!((900..1_100).contains(&kept), "{kept} chunks were kept in memory");
    let snoozed = simulation.run(record(&longhaul, &id));
    assert_eq!((snoozed.state, snoozed.attempt), (State::Scheduled, 0));
    drop(worker);
}

// Compared as text, because answers have no equality.
#[test]
fn an_intercepted_store_answers_as_the_store_does() {
    let simulation = Simulation::new(1);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::with_clock(simulation.clock.clone()));
    let seen: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let intercepted = Intercept::over(Arc::clone(&store), {
        let seen = Arc::clone(&seen);
        move |store: Arc<dyn Store>, call: Call| {
            if let Call::Queues = call {
                seen.lock().push("queues");
            }
            async move { call.on(store.as_ref()).await }
        }
    });
    simulation.run(store.enqueue(vec![NewJob::new("k", Json::null())])).unwrap();
    let queues: Result<Vec<_>> = simulation.run(intercepted.queues());
    assert_eq!(format!("{queues:?}"), format!("{:?}", simulation.run(store.queues())));
    assert_eq!(*seen.lock(), ["queues"]);
}
