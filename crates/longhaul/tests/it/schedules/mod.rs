//! Schedules fire each tick once, whatever happens to the processes that fire them.

mod fires;
mod steered;
mod year;

use std::time::Duration;

use longhaul::testing::Simulation;
use longhaul::{
    Claim, Finish, JobFilter, JobId, Json, Longhaul, MemoryStore, NewJob, Outcome, Page, QueueSlots,
    Scheduler, State, SupportedKind, Timestamp, WorkerInfo,
};

/// The kind and queue of the jobs that schedules enqueue here.
const TICK: &str = "tick";

fn job() -> NewJob {
    NewJob::new(TICK, Json::null())
}

fn at(text: &str) -> Timestamp {
    let text = if text.contains('Z') { text.to_owned() } else { format!("{text}:00Z") };
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

const HOUR: Duration = Duration::from_secs(3600);

/// A simulation that stands at the beginning of 2027, with a store and one scheduler.
fn started() -> (Simulation, Longhaul, Scheduler) {
    let (simulation, longhaul) = store();
    let scheduler = Scheduler::start_on(longhaul.clone(), simulation.runtime());
    (simulation, longhaul, scheduler)
}

fn store() -> (Simulation, Longhaul) {
    let simulation = Simulation::new(1);
    simulation.clock.advance(at("2027-01-01T00:00").since(simulation.clock.now()));
    let longhaul = Longhaul::new(MemoryStore::with_clock(simulation.clock.clone()));
    (simulation, longhaul)
}

/// The ticks whose jobs are there, by the ids of their jobs.
fn ticks(simulation: &Simulation, longhaul: &Longhaul, schedule: &str) -> Vec<String> {
    let filter = JobFilter { labels: vec![("schedule".into(), schedule.into())], ..JobFilter::default() };
    let page = Page { limit: 1_000, ..Page::default() };
    let jobs = simulation.run(longhaul.store().list(&filter, page)).unwrap().jobs;
    let prefix = format!("schedule:{schedule}:");
    let mut ticks: Vec<String> =
        jobs.iter().map(|job| job.id.as_str().strip_prefix(&prefix).unwrap().to_owned()).collect();
    ticks.sort();
    ticks
}

/// Completes and deletes the jobs of all ticks that are there, so that no id of one keeps another away; answers their ids.
async fn consume(longhaul: &Longhaul) -> Vec<JobId> {
    let store = longhaul.store();
    let claim = Claim {
        worker: WorkerInfo { id: "consumer".into(), ..WorkerInfo::default() },
        queues: vec![QueueSlots { queue: "default".into(), slots: 10_000 }],
        kinds: vec![SupportedKind { kind: TICK.into(), version: 1 }],
        lease_for: HOUR,
        wait: Duration::ZERO,
    };
    let leases: Vec<_> = store.claim(claim).await.unwrap().into_iter().map(|claimed| claimed.lease).collect();
    let end = |lease| Finish {
        lease,
        outcome: Outcome::Completed { output: Json::null() },
        entries: Vec::new(),
        follow_ups: Vec::new(),
        cost: None,
    };
    store.finish(leases.iter().cloned().map(end).collect()).await.unwrap();
    let ids: Vec<JobId> = leases.into_iter().map(|lease| lease.id).collect();
    if !ids.is_empty() {
        let filter = JobFilter { ids: ids.clone(), states: vec![State::Completed], ..JobFilter::default() };
        store.act(&filter, longhaul::Action::Delete, ids.len()).await.unwrap();
    }
    ids
}
