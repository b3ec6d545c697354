use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use futures::join;
use longhaul::{
    Event, EventBody, JobFilter, JobId, JobRecord, KeyFilter, KeyInfo, Lane, Lease, Lookup, QueueInfo, State,
    StepRecord, WaitsFor, WorkerInfo,
};

use super::Runs;
use super::operation::{IDS, PARENTS};
use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{as_listed, id};

/// All that can be seen of a store from outside.
#[derive(Debug, PartialEq)]
pub(super) struct Observation {
    /// Of each id there may be.
    jobs: Vec<(JobId, Lookup, Option<Vec<Event>>)>,
    listed: Vec<JobRecord>,
    /// Of those that are listed, the ones that name one of two parents.
    children: Vec<JobId>,
    /// Of each job that is there.
    steps: Vec<Vec<StepRecord>>,
    /// Of each job that is there.
    dependants: Vec<Vec<JobId>>,
    queues: Vec<QueueInfo>,
    lanes: Vec<Lane>,
    keys: Vec<KeyInfo>,
    workers: Vec<WorkerInfo>,
}

impl Observation {
    pub(super) async fn of(fx: &Fixture) -> Self {
        let ids = IDS.map(id);
        let lookups = fx.lookup_all(&ids).await;
        // Reading is most of what a sequence costs, so a log is looked for only where there is a job, and all is asked for at once.
        let parts = ids.iter().zip(&lookups).map(|(id, lookup)| async move {
            if !matches!(lookup, Lookup::Found(_)) {
                return (None, None, None);
            }
            let (events, steps, dependants) = join!(
                fx.store.events(id, 0, 1_000, Duration::ZERO),
                fx.store.steps(id),
                fx.store.dependants(id, 100)
            );
            (ok("read events", events), ok("list steps", steps), Some(ok("list dependants", dependants)))
        });
        let two_parents = two_parents();
        let all_keys = KeyFilter { limit: 100, ..KeyFilter::default() };
        let every = JobFilter::default();
        let (parts, mut workers, keys, listed, children, queues, lanes) = join!(
            join_all(parts),
            fx.workers(),
            fx.store.keys(&all_keys),
            fx.list_records(&every),
            fx.list(&two_parents),
            fx.store.queues(),
            fx.store.lanes()
        );
        let (mut jobs, mut steps, mut dependants) = (Vec::new(), Vec::new(), Vec::new());
        for ((id, lookup), (events, its_steps, its_dependants)) in ids.into_iter().zip(lookups).zip(parts) {
            jobs.push((id, lookup, events));
            steps.extend(its_steps);
            dependants.extend(its_dependants);
        }
        workers.sort_by(|a, b| a.id.cmp(&b.id));
        let mut keys = ok("list keys", keys);
        // A store may remember a key for a while of which nothing is left.
        keys.retain(|key| {
            key.config.is_some() || key.closed_until.is_some() || key.waiting > 0 || key.used > 0
        });
        let (queues, lanes) = (ok("list queues", queues), ok("list lanes", lanes));
        Self { jobs, listed, children, steps, dependants, queues, lanes, keys, workers }
    }

    /// The runs that were given these leases.
    pub(super) fn runs<'a>(&self, all: &'a [Lease]) -> Runs<'a> {
        let is_running =
            |lease: &Lease| self.found().any(|job| job.id == lease.id && job.state == State::Running);
        let is_latest =
            |number: usize, lease: &Lease| all[number + 1..].iter().all(|later| later.id != lease.id);
        let open =
            all.iter().enumerate().filter(|(number, lease)| is_latest(*number, lease) && is_running(lease));
        Runs { all, open: open.map(|(_, lease)| lease).collect() }
    }

    /// The states of all jobs there may be.
    pub(super) fn states(&self) -> impl Iterator<Item = (&JobId, Option<State>)> {
        self.jobs.iter().map(|(id, lookup, _)| match lookup {
            Lookup::Found(job) => (id, Some(job.state)),
            Lookup::Gone | Lookup::Unknown => (id, None),
        })
    }

    /// Invariants of any store, whatever was done to it.
    pub(super) fn check_against(&self, before: &Self) -> Result<(), String> {
        self.check_list()?;
        self.check_counts()?;
        self.check_positions()?;
        for ((id, now, events), (_, then, _)) in self.jobs.iter().zip(&before.jobs) {
            match (now, then) {
                (Lookup::Found(now), Lookup::Found(then)) => check_progress(then, now)?,
                // Deleted and enqueued again within one operation it cannot be.
                (Lookup::Unknown, Lookup::Found(_)) => return Err(format!("{id} was forgotten at once")),
                _ => {}
            }
            match (now, events) {
                (Lookup::Found(job), Some(events)) => check_job(job, events)?,
                (Lookup::Found(_), None) => return Err(format!("{id} has no log")),
                (Lookup::Gone | Lookup::Unknown, _) => {}
            }
        }
        Ok(())
    }

    fn found(&self) -> impl Iterator<Item = &JobRecord> {
        self.jobs.iter().filter_map(|(_, lookup, _)| match lookup {
            Lookup::Found(record) => Some(&**record),
            Lookup::Gone | Lookup::Unknown => None,
        })
    }

    fn check_list(&self) -> Result<(), String> {
        for job in self.found() {
            let as_listed = as_listed(job.clone());
            if self.listed.iter().filter(|listed| **listed == as_listed).count() != 1 {
                return Err(format!("{} is not listed once as it is", job.id));
            }
        }
        if self.listed.len() != self.found().count() {
            return Err("more jobs are listed than there are".into());
        }
        let parents = two_parents().parents;
        let is_child = |job: &&JobRecord| job.parent.as_ref().is_some_and(|parent| parents.contains(parent));
        if !self.listed.iter().filter(is_child).map(|job| &job.id).eq(&self.children) {
            return Err(format!("the children of {parents:?} are listed as {:?}", self.children));
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), String> {
        let mut counted: BTreeMap<&str, BTreeMap<State, u64>> = BTreeMap::new();
        for job in self.found() {
            *counted.entry(&job.queue).or_default().entry(job.state).or_default() += 1;
        }
        for queue in &self.queues {
            let there = counted.remove(queue.name.as_str()).unwrap_or_default();
            if queue.counts != there {
                return Err(format!("queue {} says {:?} of {there:?}", queue.name, queue.counts));
            }
        }
        if counted.is_empty() { Ok(()) } else { Err(format!("queues with jobs are not listed: {counted:?}")) }
    }

    fn check_positions(&self) -> Result<(), String> {
        let mut positions: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for job in self.found() {
            if (job.state == State::Available) != job.position.is_some() {
                return Err(format!("{} is {} and has position {:?}", job.id, job.state, job.position));
            }
            positions.entry(&job.queue).or_default().extend(job.position);
        }
        for (queue, mut places) in positions {
            places.sort_unstable();
            if !places.iter().copied().eq(1..=places.len() as u64) {
                return Err(format!("the positions in queue {queue} are {places:?}"));
            }
        }
        Ok(())
    }
}

fn two_parents() -> JobFilter {
    JobFilter { parents: PARENTS[..2].iter().map(|name| id(name)).collect(), ..JobFilter::default() }
}

/// Invariants of a job between two looks at it.
fn check_progress(then: &JobRecord, now: &JobRecord) -> Result<(), String> {
    if then.created_at != now.created_at {
        return Ok(());
    }
    let changed = as_listed(now.clone()) != as_listed(then.clone());
    if now.last_event < then.last_event || (changed && now.last_event == then.last_event) {
        return Err(format!("{then:?} became {now:?} without a new number"));
    }
    Ok(())
}

/// Invariants of a job at any time.
fn check_job(job: &JobRecord, events: &[Event]) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: {job:?} with {events:?}"));
    if job.state.is_finished() != job.finished_at.is_some() {
        return wrong("a job has an end once it has ended");
    }
    if job.output.is_some() != (job.state == State::Completed) {
        return wrong("an output is a completed job's");
    }
    if job.cancel_requested && job.state != State::Running {
        return wrong("only a running job is asked to stop");
    }
    if job.cancel_reason.is_some() != (job.state == State::Cancelled || job.cancel_requested) {
        return wrong("a job that is cancelled, or is to stop, says why, and no other");
    }
    if job.crashes > job.max_crashes && !job.state.is_finished() {
        return wrong("a job lives on after too many crashes");
    }
    let has_children = job.children.is_some_and(|children| children.unfinished() > 0);
    let waits_rightly = match (job.state, &job.waits_for) {
        (State::Blocked, Some(WaitsFor::Children)) => has_children,
        (State::Blocked, Some(WaitsFor::Dependencies)) => {
            !job.depends_on.is_empty() && job.wakes_at.is_none()
        }
        (State::Blocked, Some(WaitsFor::Person)) => !job.errors.is_empty() && job.wakes_at.is_none(),
        (State::Blocked, Some(WaitsFor::Signal(_))) => true,
        (State::Blocked, None) => false,
        (_, waits_for) => waits_for.is_none() && job.wakes_at.is_none(),
    };
    if !waits_rightly {
        return wrong("a blocked job, and no other, waits for something that has not come");
    }
    let is_state = |event: &&Event| matches!(event.body, EventBody::State { .. });
    let states: Vec<&Event> = events.iter().filter(is_state).collect();
    match states[..] {
        [Event { body: EventBody::State { state, children, cancel_reason, .. }, .. }]
            if (*state, *children, *cancel_reason) == (job.state, job.children, job.cancel_reason) => {}
        _ => return wrong("the log tells the present state once"),
    }
    if !events.is_sorted_by(|a, b| a.seq < b.seq) {
        return wrong("numbers rise");
    }
    if events.last().is_some_and(|last| last.seq > job.last_event) {
        return wrong("no event is newer than the newest");
    }
    Ok(())
}
