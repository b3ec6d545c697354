use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use longhaul::testing::{Answer, Call};
use longhaul::{
    Action, Claim, Clock, EnqueueStatus, Enqueued, EventBody, Finish, JobId, JobRecord, Json, KeyConfig,
    LeaseStatus, Lookup, NewJob, OnFailure, Outcome, QueueSlots, Rate, Result, Signalled, Start, State,
    Store, SupportedKind, Timestamp, WorkerInfo, schedule,
};
use parking_lot::Mutex;

use super::{Planted, QUEUE};

/// Wraps a store and injects a planted fault.
pub(super) struct FaultyStore {
    planted: Planted,
    clock: Clock,
    seen: Mutex<Seen>,
}

/// The facts of earlier calls that the fault depends on.
#[derive(Default)]
struct Seen {
    tokens: BTreeMap<JobId, u64>,
    /// Jobs by unique key, with the time at which they were enqueued.
    keys: BTreeMap<String, (JobId, Timestamp)>,
    configs: BTreeMap<String, KeyConfig>,
    cancelled: BTreeSet<JobId>,
    calls: u64,
    leaks: u64,
    paused: BTreeSet<String>,
}

impl FaultyStore {
    pub(super) fn of(planted: Planted, clock: Clock) -> Self {
        Self { planted, clock, seen: Mutex::default() }
    }

    pub(super) async fn around(&self, store: Arc<dyn Store>, mut call: Call) -> Result<Answer> {
        let number = {
            let mut seen = self.seen.lock();
            seen.calls += 1;
            seen.calls
        };
        match self.planted {
            Planted::StaleReleaseGivesASlotBackTwice => {
                self.note_configs(&call);
                let ended = ended_by(&call);
                let mut answer = call.on(store.as_ref()).await?;
                let statuses = answer.statuses().to_vec();
                for (id, _) in ended.iter().zip(statuses).filter(|(_, status)| *status == LeaseStatus::Lost) {
                    self.raise_slots(store.as_ref(), id).await?;
                }
                return Ok(answer);
            }
            Planted::LateFinishOverwritesItsSuccessor => {
                for finish in call.finishes_mut() {
                    if let Some(token) = self.seen.lock().tokens.get(&finish.lease.id) {
                        finish.lease.token = *token;
                    }
                }
            }
            Planted::WakeUpIsLost => {
                if let Call::Claim(claim) = &call
                    && !claim.wait.is_zero()
                {
                    return self.claim_deaf(store.as_ref(), claim.clone()).await;
                }
            }
            Planted::UniqueKeyOutlivesItsJob => {
                if let Call::Enqueue(jobs) = &call
                    && let Some(answer) = self.join_the_dead(store.as_ref(), jobs).await?
                {
                    return Ok(answer);
                }
            }
            Planted::UniqueKeyDiesBeforeItsJob => {
                if let Call::Enqueue(jobs) = &mut call {
                    self.forget_old_keys(jobs);
                }
            }
            Planted::ScheduleFiresTwice => {
                let finishes = call.finishes().to_vec();
                let mut answer = call.on(store.as_ref()).await?;
                let statuses = answer.statuses().to_vec();
                for (finish, status) in finishes.into_iter().zip(statuses) {
                    if status == LeaseStatus::Lost {
                        self.fire_again(store.as_ref(), finish, number).await?;
                    }
                }
                return Ok(answer);
            }
            Planted::CancelLeaksALimit => {
                let cancelled = match &call {
                    Call::Act(filter, Action::Cancel { .. }, _) => filter.ids.clone(),
                    _ => Vec::new(),
                };
                let running = self.running(store.as_ref(), &cancelled).await?;
                self.seen.lock().cancelled.extend(running);
                let ended = ended_by(&call);
                let answer = call.on(store.as_ref()).await?;
                for id in ended {
                    if self.seen.lock().cancelled.remove(&id) {
                        self.leak_slots(store.as_ref(), &id).await?;
                    }
                }
                return Ok(answer);
            }
            Planted::ParentWaitsForADeletedChild => {
                let deleted = match &call {
                    Call::Act(filter, Action::Delete, _) => filter.ids.clone(),
                    _ => Vec::new(),
                };
                let children = store.get(&deleted).await?;
                let answer = call.on(store.as_ref()).await?;
                for child in
                    children.into_iter().filter_map(Lookup::found).filter(|job| job.state.is_finished())
                {
                    if let Some(parent) = child.parent {
                        self.hold_parent(store.as_ref(), parent).await?;
                    }
                }
                return Ok(answer);
            }
            Planted::AcknowledgedBeforeItIsKept => {
                if let Call::Enqueue(jobs) = &call
                    && number.is_multiple_of(5)
                    && jobs.iter().all(|job| job.unique.is_none() && job.idempotency.is_none())
                {
                    let created = |job: &NewJob| {
                        let id = job.id.clone().unwrap_or_else(JobId::random);
                        Enqueued::new(id, EnqueueStatus::Created)
                    };
                    return Ok(Answer::Enqueued(jobs.iter().map(created).collect()));
                }
            }
            Planted::ClosingJobRunsTwice => {
                let ended = ended_by(&call);
                let answer = call.on(store.as_ref()).await?;
                self.free_again(store.as_ref(), ended).await?;
                return Ok(answer);
            }
            Planted::StepsAreForgotten => {
                let mut answer = call.on(store.as_ref()).await?;
                answer.claimed().iter_mut().for_each(|claimed| claimed.steps.clear());
                return Ok(answer);
            }
            Planted::ReaderMissesAnEntry => {
                let is_waiting = matches!(&call, Call::Events(_, _, _, wait) if !wait.is_zero());
                let mut answer = call.on(store.as_ref()).await?;
                if let Answer::Events(Some(events)) = &mut answer
                    && is_waiting
                    && events.len() > 1
                    && !matches!(events[0].body, EventBody::State { .. })
                {
                    events.remove(0);
                }
                return Ok(answer);
            }
            Planted::RateIsCountedPerProcess => {
                if let Call::SetKey(_, Some(config)) = &mut call {
                    double(&mut config.rate);
                }
            }
            Planted::QueueLimitsArePerProcess => {
                if let Call::SetQueue(_, config) = &mut call {
                    config.slots = config.slots.map(|slots| slots * 2);
                    double(&mut config.rate);
                }
            }
            Planted::PreferenceIsOverlooked => {
                if let Call::FinishAndClaim(_, claim) = &mut call {
                    let (label, value) = crate::scenario::LABEL;
                    claim.worker.labels.insert(label.into(), value.into());
                }
            }
            Planted::PauseIsOverlooked => return self.overlook_pauses(store.as_ref(), call).await,
            Planted::DependantStartsTooSoon => {
                if let Call::Enqueue(jobs) = &mut call {
                    jobs.iter_mut().for_each(|job| job.depends_on.truncate(1));
                }
            }
            Planted::DependantWaitsForItsAncestor => {
                if let Call::Enqueue(jobs) = &mut call {
                    for job in jobs {
                        disown(store.as_ref(), job).await?;
                    }
                }
            }
            Planted::FailedDependencyIsOverlooked => {
                if let Call::Enqueue(jobs) = &mut call {
                    let all = jobs.iter_mut().flat_map(|job| &mut job.depends_on);
                    all.for_each(|dependency| dependency.on_failure = OnFailure::Run);
                }
            }
            Planted::EarlySignalIsLost => {
                if let Call::Signal(id, ..) = &call
                    && found(store.as_ref(), id).await?.is_some_and(|job| job.state == State::Scheduled)
                {
                    return Ok(Answer::Signalled(Signalled::Accepted));
                }
            }
            Planted::TimeoutIsForgotten => {
                for finish in call.finishes_mut() {
                    if let Outcome::Waits { timeout, .. } = &mut finish.outcome {
                        *timeout = None;
                    }
                }
            }
            Planted::LeaseEndsEarly => {
                if let Call::Claim(claim) | Call::FinishAndClaim(_, claim) = &mut call {
                    claim.lease_for /= 4;
                }
                if let Call::Heartbeat(_, _, lease_for) = &mut call {
                    *lease_for /= 4;
                }
            }
        }
        let mut answer = call.on(store.as_ref()).await?;
        let mut seen = self.seen.lock();
        for claimed in answer.claimed() {
            seen.tokens.insert(claimed.lease.id.clone(), claimed.lease.token);
        }
        Ok(answer)
    }

    /// An id for the next job by which the fault does its harm.
    fn next_id(&self, sort: &str) -> JobId {
        let mut seen = self.seen.lock();
        seen.leaks += 1;
        JobId::from_store(format!("{sort}{}", seen.leaks))
    }

    fn note_configs(&self, call: &Call) {
        if let Call::SetKey(key, Some(config)) = call {
            self.seen.lock().configs.insert(key.clone(), *config);
        }
    }

    async fn raise_slots(&self, store: &dyn Store, id: &JobId) -> Result<()> {
        let job = found(store, id).await?;
        for key in job.into_iter().flat_map(|job| job.limit_keys) {
            let raised = {
                let mut seen = self.seen.lock();
                let Some(config) = seen.configs.get_mut(&key) else { continue };
                let Some(slots) = &mut config.slots else { continue };
                *slots += 1;
                *config
            };
            store.set_key(&key, Some(&raised)).await?;
        }
        Ok(())
    }

    /// A claim that looks, sleeps for its whole wait, and looks again.
    async fn claim_deaf(&self, store: &dyn Store, claim: Claim) -> Result<Answer> {
        let look = || Claim { wait: Duration::ZERO, ..claim.clone() };
        let claimed = store.claim(look()).await?;
        if !claimed.is_empty() {
            return Ok(Answer::Claimed(claimed));
        }
        self.clock.sleep(claim.wait).await;
        Ok(Answer::Claimed(store.claim(look()).await?))
    }

    /// A job of a key whose first job has ended is answered as a duplicate of that one.
    async fn join_the_dead(&self, store: &dyn Store, jobs: &[NewJob]) -> Result<Option<Answer>> {
        let [job] = jobs else { return Ok(None) };
        let (Some(unique), Some(id)) = (&job.unique, &job.id) else { return Ok(None) };
        let holder = self.seen.lock().keys.get(&unique.key).map(|(holder, _)| holder.clone());
        if let Some(holder) = holder.filter(|holder| holder != id)
            && found(store, &holder).await?.is_some_and(|ended| ended.state.is_finished())
        {
            return Ok(Some(Answer::Enqueued(vec![Enqueued::new(holder, EnqueueStatus::Duplicate)])));
        }
        self.seen.lock().keys.insert(unique.key.clone(), (id.clone(), self.clock.now()));
        Ok(None)
    }

    /// A key is remembered for two seconds, however long its job takes.
    fn forget_old_keys(&self, jobs: &mut [NewJob]) {
        let (mut seen, now) = (self.seen.lock(), self.clock.now());
        for job in jobs {
            let (Some(unique), Some(id)) = (job.unique.clone(), job.id.clone()) else { continue };
            let known = seen.keys.get(&unique.key).cloned();
            match known {
                Some((holder, at)) if holder != id && now.since(at) > Duration::from_secs(2) => {
                    // The store under test knows the key by another name from now on.
                    seen.keys.insert(unique.key.clone(), (id, now));
                    job.unique =
                        Some(longhaul::Unique { key: format!("{}-{}", unique.key, now.0), ..unique });
                }
                Some(_) => {}
                None => drop(seen.keys.insert(unique.key, (id, now))),
            }
        }
    }

    /// A server whose lease on a ticker was lost enqueues the tick's job all the same.
    async fn fire_again(&self, store: &dyn Store, finish: Finish, number: u64) -> Result<()> {
        for (place, job) in finish.follow_ups.into_iter().enumerate() {
            if job.labels.contains_key(schedule::TICK_LABEL) {
                let id = JobId::from_store(format!("again-{number}-{place}"));
                store.enqueue(vec![NewJob { id: Some(id), ..job }]).await?;
            }
        }
        Ok(())
    }

    async fn running(&self, store: &dyn Store, ids: &[JobId]) -> Result<Vec<JobId>> {
        let jobs = store.get(ids).await?.into_iter().filter_map(Lookup::found);
        Ok(jobs.filter(|job| job.state == State::Running).map(|job| job.id).collect())
    }

    /// Takes the slots of a job for ever.
    async fn leak_slots(&self, store: &dyn Store, id: &JobId) -> Result<()> {
        let Some(job) = found(store, id).await? else { return Ok(()) };
        if job.limit_keys.is_empty() || !job.state.is_finished() {
            return Ok(());
        }
        let leak = self.next_id("leak");
        let keys = job.limit_keys;
        store.enqueue(vec![NewJob { limit_keys: keys, ..planted_job(leak, job.policy.cost) }]).await?;
        store.claim(claim_of_planted()).await?;
        Ok(())
    }

    /// The parent goes on waiting, as if the child had not been counted.
    async fn hold_parent(&self, store: &dyn Store, parent: JobId) -> Result<()> {
        let held = self.next_id("held");
        let far = Start::After(Duration::from_secs(365 * 86_400));
        let job = NewJob { parent: Some(parent), start: far, ..planted_job(held, longhaul::Cost::default()) };
        store.enqueue(vec![job]).await.map(drop)
    }

    /// Has the closing jobs run once more whose children these were.
    async fn free_again(&self, store: &dyn Store, children: Vec<JobId>) -> Result<()> {
        for child in store.get(&children).await?.into_iter().filter_map(Lookup::found) {
            let Some(parent) = child.parent.filter(|_| child.state.is_finished()) else { continue };
            let parent = found(store, &parent).await?;
            if let Some(parent) =
                parent.filter(|parent| parent.children.is_some() && parent.state.is_finished())
            {
                store.act(&longhaul::JobFilter::id(parent.id), Action::Retry, 1).await?;
            }
        }
        Ok(())
    }

    /// A worker that finishes and claims is given jobs of a paused queue.
    async fn overlook_pauses(&self, store: &dyn Store, call: Call) -> Result<Answer> {
        match &call {
            Call::PauseQueue(queue) => drop(self.seen.lock().paused.insert(queue.clone())),
            Call::ResumeQueue(queue) => drop(self.seen.lock().paused.remove(queue)),
            _ => {}
        }
        let Call::FinishAndClaim(_, claim) = &call else { return call.on(store).await };
        let paused: Vec<String> = {
            let seen = self.seen.lock();
            let asked = claim.queues.iter().map(|queue| queue.queue.clone());
            asked.filter(|queue| seen.paused.contains(queue)).collect()
        };
        for queue in &paused {
            store.resume_queue(queue).await?;
        }
        let answer = call.on(store).await;
        for queue in &paused {
            store.pause_queue(queue).await?;
        }
        answer
    }
}

async fn found(store: &dyn Store, id: &JobId) -> Result<Option<JobRecord>> {
    Ok(store.get(std::slice::from_ref(id)).await?.pop().and_then(Lookup::found))
}

/// Has a job that depends on an unfinished ancestor be nobody's child, so that it waits.
async fn disown(store: &dyn Store, job: &mut NewJob) -> Result<()> {
    let mut next = job.parent.clone().filter(|_| !job.depends_on.is_empty());
    while let Some(id) = next {
        let Some(above) = found(store, &id).await? else { break };
        if !above.state.is_finished() && job.depends_on.iter().any(|on| on.id == id) {
            job.parent = None;
        }
        next = above.parent;
    }
    Ok(())
}

/// The jobs whose runs a call ends.
fn ended_by(call: &Call) -> Vec<JobId> {
    call.finishes().iter().map(|finish| finish.lease.id.clone()).collect()
}

fn planted_job(id: JobId, cost: longhaul::Cost) -> NewJob {
    let policy = longhaul::Policy { cost, ..longhaul::Policy::default() };
    NewJob { id: Some(id), queue: QUEUE.into(), policy, ..NewJob::new("planted", Json::null()) }
}

fn claim_of_planted() -> Claim {
    Claim {
        worker: WorkerInfo { id: "planted".into(), ..WorkerInfo::default() },
        queues: vec![QueueSlots { queue: QUEUE.into(), slots: 1 }],
        kinds: vec![SupportedKind { kind: "planted".into(), version: 1 }],
        lease_for: Duration::from_secs(365 * 86_400),
        wait: Duration::ZERO,
    }
}

fn double(rate: &mut Option<Rate>) {
    if let Some(rate) = rate {
        (rate.n, rate.burst) = (rate.n * 2, Some(rate.burst() * 2));
    }
}
