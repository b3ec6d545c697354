//! A job's deadline, its expiry, and what it settles, as the worker sees to them.

use std::time::Duration;

use longhaul::testing::{Harness, Simulation};
use longhaul::{
    CancelReason, Context, Cost, Deadline, EnqueueOptions, ErrorKind, Job, JobId, JobRecord, JobResult, Json,
    KeyConfig, KeyFilter, Longhaul, MemoryStore, NewJob, OnClash, Rate, State, Timestamp, Unique, Worker,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::script::{Script, Scripted, longhaul};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// A worker of one slot in a simulation.
struct Simulated {
    simulation: Simulation,
    longhaul: Longhaul,
    worker: Worker,
}

impl Simulated {
    fn new(script: Script) -> Self {
        let simulation = Simulation::new(1);
        let longhaul = Longhaul::new(MemoryStore::with_clock(simulation.clock.clone()));
        let worker = longhaul.worker().register::<Scripted>(script).queue("default", 1);
        let worker = worker.runtime(simulation.runtime()).start();
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
}

fn due_in(time: Duration) -> EnqueueOptions {
    EnqueueOptions { deadline: Some(Deadline::In(time)), ..EnqueueOptions::default() }
}

#[test]
fn a_run_is_cut_off_at_its_jobs_deadline_and_is_not_tried_again() {
    let it = Simulated::new(Script::new(async |_, _| std::future::pending().await));
    let id = it.enqueue(due_in(MINUTE));
    let due_at = it.record(&id).created_at.plus(MINUTE);
    // Not to the millisecond: the wall clock of a simulation counts whole ones of each step that time makes.
    it.simulation.advance(due_at.since(it.simulation.clock.now()) - SECOND);
    assert_eq!(it.record(&id).state, State::Running);
    it.simulation.advance(SECOND);
    let job = it.record(&id);
    assert_eq!((job.state, job.cancel_reason), (State::Cancelled, Some(CancelReason::Deadline)));
    assert_eq!((job.finished_at > Some(due_at.minus(SECOND)), job.attempt), (true, 1));
    let error = &job.errors[0];
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert_eq!(error.message, "stopped, because its deadline has passed");
    assert_eq!(it.worker.running(), 0, "its slot is free");
}

#[test]
fn a_deadline_counts_over_all_attempts_and_an_expiry_until_the_first_alone() {
    let it = Simulated::new(Script::new(async |_, _| Err(longhaul::JobError::retry_after(MINUTE / 2, "no"))));
    let due = it.enqueue(EnqueueOptions { max_attempts: Some(9), ..due_in(MINUTE) });
    let expires =
        EnqueueOptions { expires_in: Some(MINUTE / 4), max_attempts: Some(2), ..EnqueueOptions::default() };
    let expires = it.enqueue(expires);
    it.simulation.advance(2 * MINUTE);
    let job = it.record(&due);
    assert_eq!((job.state, job.cancel_reason), (State::Cancelled, Some(CancelReason::Deadline)));
    assert!(job.finished_at.unwrap() <= job.created_at.plus(MINUTE + Duration::from_secs(5)), "{job:?}");
    assert!((1..=2).contains(&job.errors.iter().filter(|error| error.kind == ErrorKind::Error).count()));
    let job = it.record(&expires);
    assert_eq!((job.state, job.attempt), (State::Failed, 2), "it was started in time");
}

/// From when on a job of cost 0.5 s could start: a rate of two units a second and a burst of one.
async fn rested_at(longhaul: &Longhaul) -> Option<Timestamp> {
    let filter = KeyFilter {
        names: vec!["model".into()],
        limit: 1,
        cost: Cost { slots: 1, rate: 1 },
        ..KeyFilter::default()
    };
    longhaul.store().keys(&filter).await.unwrap().remove(0).rate_free_at
}

#[tokio::test]
async fn a_run_settles_the_units_that_it_has_taken_in_truth() {
    let mut harness = Harness::new();
    harness.register::<Scripted>(Script::new(async |number, cx| {
        if number > 0 {
            cx.settle(9);
            cx.settle(number);
        }
        Ok(json!(null))
    }));
    let rate = Some(Rate { n: 2, per: Duration::from_secs(1), burst: Some(1) });
    let config = KeyConfig { rate, ..KeyConfig::default() };
    let longhaul = harness.longhaul().clone();
    longhaul.store().set_key("model", Some(&config)).await.unwrap();
    for (number, seconds_times_two) in [(0, 1), (4, 4)] {
        let options = EnqueueOptions { limit_keys: vec!["model".into()], ..EnqueueOptions::default() };
        harness.enqueue_with(Scripted { number }, options);
        assert_eq!(harness.drain().await.len(), 1);
        let rested = harness.now().plus(seconds_times_two * Duration::from_millis(500));
        assert_eq!(rested_at(&longhaul).await, Some(rested), "{number}");
        harness.advance(MINUTE);
    }
}

/// A kind that says all that a kind may say of when, and how often, its jobs run.
#[derive(Serialize, Deserialize)]
struct Sync {
    account: u32,
}

impl Job for Sync {
    const KIND: &'static str = "sync";
    const EXPIRES_IN: Option<Duration> = Some(MINUTE);
    const DEADLINE: Option<Duration> = Some(Duration::from_secs(3_600));
    type State = ();
    type Output = ();

    fn unique(&self) -> Option<Unique> {
        let unique = Unique::new(format!("sync:{}", self.account));
        Some(Unique { on_clash: OnClash::Reject, ..unique })
    }

    async fn run(self, _: Context<()>) -> JobResult<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_kind_may_say_when_its_jobs_end_and_which_of_them_count_as_one() {
    let (longhaul, clock) = longhaul();
    let first = longhaul.enqueue(Sync { account: 1 }).await.unwrap();
    let second = longhaul.enqueue(Sync { account: 1 }).await.unwrap();
    assert_eq!((second.id, second.status), (first.id.clone(), longhaul::EnqueueStatus::Rejected));
    let job = longhaul.get(&first.id).await.unwrap().found().unwrap();
    assert_eq!(job.expires_at, Some(clock.now().plus(MINUTE)));
    assert_eq!(job.deadline, Some(clock.now().plus(60 * MINUTE)));
    let options = EnqueueOptions {
        unique: Some(Unique::new("another")),
        expires_in: Some(2 * MINUTE),
        ..EnqueueOptions::default()
    };
    let other = longhaul.enqueue_with(Sync { account: 1 }, options).await.unwrap();
    let job = longhaul.get(&other.id).await.unwrap().found().unwrap();
    assert_eq!(job.expires_at, Some(clock.now().plus(2 * MINUTE)), "a call goes before the kind");
}

#[tokio::test]
async fn what_goes_with_no_start_or_period_is_refused_with_its_field() {
    let (longhaul, _) = longhaul();
    let debounce = |delay, max_delay| OnClash::Debounce { delay, max_delay, edge: longhaul::Edge::Trailing };
    let with = |on_clash| NewJob {
        unique: Some(Unique { on_clash, ..Unique::new("k") }),
        ..NewJob::new("sync", Json::null())
    };
    let after_children = longhaul::Start::AfterChildren;
    let plain = || NewJob::new("sync", Json::null());
    for (job, field) in [
        (with(OnClash::Throttle), "unique.period"),
        (with(debounce(Duration::ZERO, None)), "unique.delay"),
        (with(debounce(MINUTE, Some(MINUTE / 2))), "unique.max_delay"),
        (NewJob { start: longhaul::Start::After(MINUTE), ..with(debounce(MINUTE, None)) }, "unique.on_clash"),
        (NewJob { start: after_children, ..with(OnClash::Replace) }, "unique.on_clash"),
        (
            NewJob { unique: Some(Unique { states: Some(vec![]), ..Unique::new("k") }), ..plain() },
            "unique.states",
        ),
        (NewJob { expires_in: Some(Duration::ZERO), ..plain() }, "expires_in"),
        (NewJob { deadline: Some(Deadline::In(Duration::ZERO)), ..plain() }, "deadline"),
    ] {
        match longhaul.enqueue_one(job).await {
            Err(longhaul::Error::Invalid { field: named, .. }) => assert_eq!(named, field),
            answer => panic!("{field}: {answer:?}"),
        }
    }
}
