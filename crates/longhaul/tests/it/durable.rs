//! Durable code: steps, sleeps and waits that go through crashes, restarts and retries, on a clock that only the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longhaul::testing::{Call, Harness, Intercept, Simulation};
use longhaul::{
    Backoff, Context, EnqueueOptions, FromStep, JobError, JobId, JobRecord, JobResult, Json, Longhaul,
    MemoryStore, NewJob, OnClash, OnExhausted, QueueConfig, Signalled, State, StepOptions, Unique, WaitsFor,
    Worker,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::script::{Script, Scripted, enqueue, enqueue_with, record, worker};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);
/// Long enough that a lease ends and a sweep sees it.
const RESCUE: Duration = Duration::from_secs(60);

/// The log of the work that the jobs of a test have done, in order.
#[derive(Clone, Default)]
struct Deeds(Arc<Mutex<Vec<String>>>);

impl Deeds {
    fn note(&self, deed: impl Into<String>) {
        self.0.lock().push(deed.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }

    /// A step that notes that it is done.
    async fn step(&self, cx: &Context<Script>, name: &str) -> JobResult<()> {
        let work = async || {
            self.note(name);
            Ok(())
        };
        cx.step(name, work).await
    }
}

/// Machines with a store that outlives them.
struct World {
    simulation: Simulation,
    longhaul: Longhaul,
    script: Script,
    worker: Worker,
}

impl World {
    fn new(script: Script) -> Self {
        let simulation = Simulation::new(1);
        let longhaul = Longhaul::new(MemoryStore::with_clock(simulation.clock.clone()));
        Self::on(simulation, longhaul, script)
    }

    fn on(simulation: Simulation, longhaul: Longhaul, script: Script) -> Self {
        let worker = worker(&longhaul, script.clone()).runtime(simulation.runtime()).start();
        Self { simulation, longhaul, script, worker }
    }

    /// The machine stands still for good, with all that runs on it, and another takes over when the leases have ended.
    fn crash(&mut self) {
        let mut simulation = Simulation::new(2);
        simulation.clock = self.simulation.clock.clone();
        // A process of its own, in whose sweeps nobody else takes part.
        let store = Arc::clone(self.longhaul.store());
        let store = Intercept::over(store, async |store, call| call.on(store.as_ref()).await);
        let next = Self::on(simulation, Longhaul::new(store), self.script.clone());
        // Its tasks are never looked at again. Dropping its worker would hand the jobs back.
        std::mem::forget(std::mem::replace(self, next));
        self.simulation.advance(RESCUE);
    }

    /// The worker stops without grace, and another is started.
    fn restart(&mut self) {
        let worker = worker(&self.longhaul, self.script.clone()).runtime(self.simulation.runtime()).start();
        drop(std::mem::replace(&mut self.worker, worker));
        self.simulation.advance(SECOND);
    }

    fn enqueue(&self, number: u32) -> JobId {
        let id = self.simulation.run(enqueue(&self.longhaul, number));
        self.settle();
        id
    }

    /// Lets everybody do what can be done, in a second.
    fn settle(&self) {
        self.simulation.advance(SECOND);
    }

    fn record(&self, id: &JobId) -> JobRecord {
        self.simulation.run(record(&self.longhaul, id))
    }

    fn signal(&self, id: &JobId, name: &str, value: &Value) -> Signalled {
        let sent = self.simulation.run(self.longhaul.signal(id, name, value)).unwrap();
        self.settle();
        sent
    }

    fn output(&self, id: &JobId) -> Value {
        let job = self.record(id);
        assert_eq!(job.state, State::Completed, "{job:?}");
        job.output.map(|output| output.to_value()).unwrap_or_default()
    }
}

#[test]
fn a_job_goes_on_after_its_last_step_through_crashes_and_restarts_and_does_none_twice() {
    let deeds = Deeds::default();
    let has_hung = Arc::new(AtomicBool::new(false));
    let script = Script::new({
        let deeds = deeds.clone();
        move |_, cx| {
            let (deeds, has_hung) = (deeds.clone(), Arc::clone(&has_hung));
            async move {
                deeds.note("run");
                deeds.step(&cx, "first").await?;
                if !has_hung.swap(true, Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                deeds.step(&cx, "second").await?;
                cx.sleep("a-day", DAY).await?;
                deeds.step(&cx, "third").await?;
                Ok(json!(cx.attempt()))
            }
        }
    });
    let mut world = World::new(script);
    let id = world.enqueue(1);
    assert_eq!(deeds.take(), ["run", "first"]);
    world.crash();
    assert_eq!(deeds.take(), ["run", "second"]);
    let sleeping = world.record(&id);
    assert_eq!((sleeping.state, sleeping.crashes, sleeping.attempt), (State::Scheduled, 1, 0));
    world.restart();
    world.simulation.advance(DAY - HOUR);
    assert!(deeds.take().is_empty(), "it sleeps, and holds no slot");
    world.simulation.advance(HOUR);
    assert_eq!(deeds.take(), ["run", "third"]);
    assert_eq!(world.output(&id), json!(1), "a sleep costs no attempt");
}

#[test]
fn a_sleep_lasts_as_long_as_was_asked_first_by_the_clock_of_the_store() {
    let runs = Deeds::default();
    let script = Script::new({
        let runs = runs.clone();
        move |_, cx| {
            let runs = runs.clone();
            async move {
                runs.note("run");
                // Later code asks for another time.
                let time = if runs.0.lock().len() == 1 { HOUR } else { 100 * HOUR };
                cx.sleep("pause", time).await?;
                cx.sleep("none", Duration::ZERO).await?;
                Ok(json!("awake"))
            }
        }
    });
    let world = World::new(script);
    let id = world.enqueue(1);
    assert_eq!(world.record(&id).state, State::Scheduled);
    // Cancelled in its sleep and retried by hand, it sleeps on.
    world.simulation.advance(HOUR / 2);
    world.simulation.run(world.longhaul.cancel(&id)).unwrap();
    world.simulation.run(world.longhaul.retry(&id)).unwrap();
    world.settle();
    assert_eq!(world.record(&id).state, State::Scheduled);
    world.simulation.advance(HOUR / 2);
    assert_eq!(world.output(&id), json!("awake"));
    assert_eq!(runs.take().len(), 3);
}

/// Waits for the signal `approved`, and tells what came.
fn approval(timeout: Option<Duration>) -> Script {
    Script::new(move |_, cx| async move {
        let answer = cx.wait_for::<Value>("approved", timeout).await?;
        Ok(json!({ "answer": answer, "attempt": cx.attempt() }))
    })
}

#[test]
fn a_job_waits_for_a_signal_without_a_slot_through_a_crash() {
    let mut world = World::new(approval(None));
    let ids: Vec<JobId> = (0..6).map(|number| world.enqueue(number)).collect();
    for id in &ids {
        let waits = world.record(id);
        assert_eq!(
            (waits.state, waits.waits_for),
            (State::Blocked, Some(WaitsFor::Signal("approved".into())))
        );
    }
    world.crash();
    assert_eq!(world.signal(&ids[5], "approved", &json!({ "by": "grace" })), Signalled::Accepted);
    assert_eq!(world.signal(&ids[5], "approved", &json!("no")), Signalled::Ended);
    assert_eq!(world.output(&ids[5]), json!({ "answer": { "by": "grace" }, "attempt": 1 }));
    assert_eq!(world.record(&ids[0]).state, State::Blocked);
    // A value that is null is an answer, too.
    world.signal(&ids[0], "approved", &Value::Null);
    assert_eq!(world.output(&ids[0]), json!({ "answer": null, "attempt": 1 }));
}

#[test]
fn an_early_signal_is_the_answer_and_the_first_one_stays() {
    let script = Script::new(|_, cx: Context<Script>| async move {
        cx.sleep("first", HOUR).await?;
        Ok(json!(cx.wait_for::<u32>("number", Some(HOUR)).await?))
    });
    let world = World::new(script);
    let id = world.enqueue(1);
    assert_eq!(world.signal(&id, "number", &json!(7)), Signalled::Accepted);
    assert_eq!(world.signal(&id, "number", &json!(8)), Signalled::Sent);
    assert_eq!(world.record(&id).state, State::Scheduled, "it sleeps on");
    world.simulation.advance(HOUR);
    assert_eq!(world.output(&id), json!(7));
}

#[test]
fn a_wait_is_over_after_its_timeout_and_a_late_signal_changes_nothing() {
    let script = Script::new(|_, cx: Context<Script>| async move {
        let answer = cx.wait_for::<Value>("approved", Some(HOUR)).await?;
        cx.sleep("then", HOUR).await?;
        Ok(json!([answer, cx.attempt()]))
    });
    let mut world = World::new(script);
    let id = world.enqueue(1);
    world.simulation.advance(HOUR / 2);
    world.crash();
    assert_eq!(world.record(&id).state, State::Blocked, "the time that is left");
    world.simulation.advance(HOUR / 2);
    assert_eq!(world.record(&id).state, State::Scheduled, "it has gone on");
    assert_eq!(world.signal(&id, "approved", &json!(true)), Signalled::Sent, "too late");
    world.simulation.advance(HOUR);
    assert_eq!(world.output(&id), json!([null, 1]));
}

#[test]
fn a_signal_that_comes_while_the_end_of_a_wait_is_kept_is_the_answer() {
    let simulation = Simulation::new(1);
    let store = Intercept::new(MemoryStore::with_clock(simulation.clock.clone()), |store, call| async move {
        if let Call::Record(records) = &call {
            // The first of the two stays.
            store.signal(&records[0].lease.id, "approved", &Json::new(&"just in time")?).await?;
        }
        call.on(store.as_ref()).await
    });
    let world = World::on(simulation, Longhaul::new(store), approval(Some(HOUR)));
    let id = world.enqueue(1);
    world.simulation.advance(HOUR);
    assert_eq!(world.output(&id), json!({ "answer": "just in time", "attempt": 1 }));
}

#[test]
fn a_parent_waits_for_its_children_without_a_slot_and_reads_their_outputs() {
    let script = Script::new(|number, cx: Context<Script>| async move {
        if number < 100 {
            return if number == 3 {
                Err(JobError::fatal("no such page"))
            } else {
                Ok(json!(number * number))
            };
        }
        let pages = (0..5).map(|number| NewJob::of(&Scripted { number })).collect::<longhaul::Result<_>>()?;
        cx.enqueue_children("pages", pages).await?;
        let ended = cx.wait_for_children().await?;
        let outputs: Vec<Value> =
            cx.children().await?.into_iter().filter_map(|page| Some(page.output?.to_value())).collect();
        Ok(json!([ended.completed, ended.failed, outputs, cx.attempt()]))
    });
    let mut world = World::new(script);
    let id = world.enqueue(100);
    world.crash();
    assert_eq!(world.output(&id), json!([4, 1, [0, 1, 4, 16], 1]));
    let children = world.simulation.run(world.longhaul.children(&id)).unwrap();
    assert_eq!(children.len(), 5, "each was enqueued once");
    assert_eq!(children[4].id.as_str(), format!("{id}.pages.4"));
}

#[test]
fn a_child_that_finds_no_room_is_enqueued_once_there_is_room() {
    let script = Script::new(|_, cx: Context<Script>| async move {
        let page = |number| Ok(NewJob { queue: "narrow".into(), ..NewJob::of(&Scripted { number })? });
        let pages = (0..3).map(page).collect::<longhaul::Result<_>>()?;
        cx.enqueue_children("pages", pages).await?;
        Ok(json!(cx.attempt()))
    });
    let world = World::new(script);
    let set = |max_waiting| {
        let config = QueueConfig { max_waiting, ..QueueConfig::default() };
        world.simulation.run(world.longhaul.store().set_queue("narrow", &config)).unwrap();
    };
    set(Some(2));
    let id = world.enqueue(1);
    let job = world.record(&id);
    assert_eq!((job.state, job.attempt), (State::Scheduled, 0), "{job:?}");
    set(None);
    world.simulation.advance(10 * SECOND);
    assert_eq!(world.output(&id), json!(1));
    assert_eq!(world.simulation.run(world.longhaul.children(&id)).unwrap().len(), 3, "each once");
}

#[test]
fn a_child_that_would_follow_its_own_parent_fails_the_parent_with_the_reason() {
    let script = Script::new(|_, cx: Context<Script>| async move {
        let unique = Unique { on_clash: OnClash::Follow, ..Unique::new("index") };
        let child = NewJob { unique: Some(unique), ..NewJob::of(&Scripted { number: 2 })? };
        cx.enqueue_children("again", vec![child]).await?;
        cx.wait_for_children().await?;
        Ok(json!(null))
    });
    let world = World::new(script);
    let job = NewJob { unique: Some(Unique::new("index")), ..NewJob::of(&Scripted { number: 1 }).unwrap() };
    let id = world.simulation.run(world.longhaul.enqueue_one(job)).unwrap().id;
    world.simulation.advance(10 * SECOND);
    let job = world.record(&id);
    assert_eq!(job.state, State::Failed, "{job:?}");
    let message = &job.errors.last().unwrap().message;
    assert!(message.contains(&format!("a child cannot follow '{id}'")), "{message}");
}

#[test]
fn a_step_is_tried_again_within_its_attempt_and_each_try_has_its_time() {
    let tries = Deeds::default();
    let script = Script::new({
        let tries = tries.clone();
        move |number, cx| {
            let tries = tries.clone();
            async move {
                let backoff = Backoff { base: SECOND * 10, jitter: 0.0, ..Backoff::default() };
                let options = StepOptions { tries: 3, backoff, timeout: Some(SECOND) };
                let work = || {
                    tries.note("try");
                    let count = tries.0.lock().len();
                    async move {
                        match (number, count) {
                            (1, 1) => Err(JobError::retry("the line is busy")),
                            (1, 2) => std::future::pending().await,
                            (2, _) => Err(JobError::fatal("no such number")),
                            (3, _) => Err(JobError::retry("the line is busy")),
                            _ => Ok(count),
                        }
                    }
                };
                Ok(json!([cx.step_with("call", options, work).await?, cx.attempt()]))
            }
        }
    });
    let world = World::new(script);
    let once = |number| {
        let options = EnqueueOptions { max_attempts: Some(1), ..EnqueueOptions::default() };
        let id = world.simulation.run(enqueue_with(&world.longhaul, number, options));
        world.simulation.advance(HOUR);
        (id, tries.take().len())
    };
    let (id, tried) = once(1);
    assert_eq!((world.output(&id), tried), (json!([3, 1]), 3));
    let step = world.simulation.run(world.longhaul.store().steps(&id)).unwrap().unwrap().remove(0);
    assert_eq!(step.name, "call");
    let (id, tried) = once(2);
    assert_eq!((world.record(&id).state, tried), (State::Failed, 1), "no retry mends it");
    let (id, tried) = once(3);
    assert_eq!((world.record(&id).errors[0].message.as_str(), tried), ("the line is busy", 3));
}

#[tokio::test]
async fn the_same_name_twice_in_one_attempt_and_a_name_of_the_engine_are_fatal() {
    let script = Script::new(|number, cx: Context<Script>| async move {
        let step = async |name| cx.step(name, async || Ok(1)).await;
        match number {
            1 => step("pay").await? + step("pay").await?,
            2 => step("sleep:pay").await?,
            3 => step("signal:pay").await?,
            4 => {
                cx.sleep("pay", HOUR).await.ok();
                cx.sleep("pay", HOUR).await.map(|()| 1)?
            }
            5 => {
                // What has failed may be tried again.
                let failed: JobResult<u8> = cx.step("pay", async || Err(JobError::retry("no"))).await;
                assert!(failed.is_err());
                step("pay").await?
            }
            _ => 0,
        };
        Ok(json!(null))
    });
    let mut harness = Harness::new();
    harness.register::<Scripted>(script);
    for (number, expected) in [
        (1, "'pay' stands twice in this attempt"),
        (2, "the engine's own begin with 'sleep:'"),
        (3, "the engine's own begin with 'signal:'"),
        (4, "'sleep:pay' stands twice"),
    ] {
        let id = harness.enqueue(Scripted { number });
        harness.drain().await;
        let failed = harness.job(&id);
        assert_eq!(failed.state, State::Failed, "{number}");
        assert!(failed.errors[0].message.contains(expected), "{:?}", failed.errors);
    }
    let id = harness.enqueue(Scripted { number: 5 });
    harness.drain().await;
    assert_eq!(harness.job(&id).state, State::Completed);
}

#[tokio::test]
async fn a_patch_is_for_jobs_that_had_not_passed_its_point() {
    /// The code before and after it was changed.
    fn code(is_new: bool) -> Script {
        Script::new(move |number, cx| async move {
            cx.step("read", async || Ok(())).await?;
            let way = match is_new && cx.patched("two-factor").await? {
                true => cx.step("check-both", async || Ok("new".to_owned())).await?,
                false if number == 1 => return Err(JobError::retry("not yet")),
                false => cx.step("check", async || Ok("old".to_owned())).await?,
            };
            if !is_new || cx.attempt() == 2 {
                return Err(JobError::retry("once more"));
            }
            Ok(json!(way))
        })
    }
    let mut harness = Harness::new();
    harness.register::<Scripted>(code(false));
    let (before, after) = (harness.enqueue(Scripted { number: 1 }), harness.enqueue(Scripted { number: 2 }));
    harness.drain().await;
    harness.register::<Scripted>(code(true));
    for _ in 0..2 {
        harness.advance(HOUR);
        harness.drain().await;
    }
    let output = |id| harness.job(id).output.map(|output| output.to_value());
    assert_eq!((output(&before), output(&after)), (Some(json!("new")), Some(json!("old"))));
}

#[tokio::test]
async fn a_job_out_of_attempts_waits_for_a_person_where_its_kind_or_its_caller_says_so() {
    let script = Script::new(|number, cx: Context<Script>| async move {
        cx.step("paid", async || Ok(())).await?;
        if number == 1 { Err(JobError::retry("broken")) } else { Ok(json!("mended")) }
    });
    let mut harness = Harness::new();
    harness.register::<Scripted>(script);
    let options = EnqueueOptions {
        max_attempts: Some(1),
        on_exhausted: Some(OnExhausted::Pause),
        ..EnqueueOptions::default()
    };
    let id = harness.enqueue_with(Scripted { number: 1 }, options);
    harness.drain().await;
    let waits = harness.job(&id);
    assert_eq!((waits.state, &waits.waits_for), (State::Blocked, &Some(WaitsFor::Person)));
    assert_eq!((waits.attempt, waits.errors[0].message.as_str()), (1, "broken"));
    let args = Json::new(&json!({ "number": 2 })).unwrap();
    let retried = harness.longhaul().retry_from(&id, "paid", Some(args)).await.unwrap();
    assert_eq!(retried, FromStep::Done(()));
    harness.drain().await;
    let mended = harness.job(&id);
    assert_eq!((mended.state, mended.attempt), (State::Completed, 1));
}

#[tokio::test]
async fn a_retry_and_a_fork_from_a_step_do_it_and_those_after_it_again() {
    let deeds = Deeds::default();
    let script = Script::new({
        let deeds = deeds.clone();
        move |number, cx| {
            let deeds = deeds.clone();
            async move {
                for name in ["a", "b", "c"] {
                    deeds.step(&cx, name).await?;
                }
                if number == 1 { Err(JobError::fatal("wrong number")) } else { Ok(json!("right")) }
            }
        }
    });
    let mut harness = Harness::new();
    harness.register::<Scripted>(script);
    let longhaul = harness.longhaul().clone();
    let id = harness.enqueue(Scripted { number: 1 });
    harness.drain().await;
    deeds.take();
    let unknown = longhaul.retry_from(&id, "z", None).await.unwrap();
    assert_eq!(unknown, FromStep::NoSuchStep(vec!["a".into(), "b".into(), "c".into()]));

    let FromStep::Done(fork) =
        longhaul.fork(&id, Some("c"), Some(Json::new(&json!({ "number": 2 })).unwrap())).await.unwrap()
    else {
        panic!("it has the step");
    };
    harness.drain().await;
    assert_eq!(deeds.take(), ["c"]);
    let fork = harness.job(&fork.id);
    assert_eq!((fork.state, &fork.forked_from), (State::Completed, &Some(id.clone())));
    assert_eq!(longhaul.fork(&fork.id, Some("c"), None).await.unwrap(), FromStep::Forgotten);
    assert_eq!(longhaul.retry_from(&fork.id, "c", None).await.unwrap(), FromStep::Forgotten);

    let args = Some(Json::new(&json!({ "number": 2 })).unwrap());
    assert_eq!(longhaul.retry_from(&id, "b", args).await.unwrap(), FromStep::Done(()));
    assert_eq!(longhaul.retry_from(&id, "b", None).await.unwrap(), FromStep::NotApplicable, "it waits");
    harness.drain().await;
    assert_eq!(deeds.take(), ["b", "c"]);
    assert_eq!(harness.job(&id).state, State::Completed);
    let unknown = JobId::new("unknown").unwrap();
    assert_eq!(longhaul.fork(&unknown, None, None).await.unwrap(), FromStep::NotApplicable);
}

#[test]
fn a_job_resumes_over_ten_thousand_steps_without_a_call_to_the_store() {
    const STEPS: usize = 10_000;
    let simulation = Simulation::new(1);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let store = Intercept::new(MemoryStore::with_clock(simulation.clock.clone()), {
        let calls = Arc::clone(&calls);
        move |store, call| {
            match &call {
                Call::Record(_) => calls.lock().push("record"),
                Call::Get(_) => calls.lock().push("get"),
                Call::Steps(_) => calls.lock().push("steps"),
                _ => {}
            }
            async move { call.on(store.as_ref()).await }
        }
    });
    let script = Script::new(|_, cx: Context<Script>| async move {
        let mut sum = 0;
        for number in 0..STEPS {
            sum += cx.step(&format!("page-{number}"), async || Ok(number)).await?;
        }
        Ok(json!(sum))
    });
    let longhaul = Longhaul::new(store);
    let steps = (0..STEPS).map(|n| (format!("page-{n}"), Json::new(&n).unwrap())).collect();
    let job = NewJob { steps, ..NewJob::of(&Scripted { number: 1 }).unwrap() };
    let id = simulation.run(longhaul.enqueue_one(job)).unwrap().id;
    let world = World::on(simulation, longhaul, script);
    world.settle();
    assert!(calls.lock().is_empty(), "{:?}", calls.lock());
    assert_eq!(world.output(&id), json!(STEPS * (STEPS - 1) / 2));
}
