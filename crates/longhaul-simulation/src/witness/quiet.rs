use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longhaul::testing::Call;
use longhaul::{Claim, JobId, KeyFilter, Lookup, NewJob, State, Timestamp, schedule};
use parking_lot::Mutex;

use super::ledger::{Job, Ledger};
use super::{CHANGES, WAKES, Witness};
use crate::world::at_once;

/// The calls that wait in the store.
#[derive(Default)]
pub(super) struct Waiting {
    claims: Arc<Mutex<BTreeMap<u64, Claim>>>,
    readers: Arc<Mutex<BTreeMap<u64, (JobId, u64)>>>,
    next: u64,
}

/// Jobs of one queue and the same limit keys.
type Group = Vec<(JobId, NewJob)>;

/// A call that waits for as long as this lives.
pub(super) struct Open {
    number: u64,
    claims: Arc<Mutex<BTreeMap<u64, Claim>>>,
    readers: Arc<Mutex<BTreeMap<u64, (JobId, u64)>>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.claims.lock().remove(&self.number);
        self.readers.lock().remove(&self.number);
    }
}

impl Witness {
    /// Notes a call that waits.
    pub(super) fn open(&self, call: &Call) -> Option<Open> {
        if !super::is_waiting(call) {
            return None;
        }
        let mut waiting = self.waiting.lock();
        waiting.next += 1;
        let number = waiting.next;
        match call {
            Call::Claim(claim) => drop(waiting.claims.lock().insert(number, claim.clone())),
            Call::Events(id, after, ..) => drop(waiting.readers.lock().insert(number, (id.clone(), *after))),
            _ => {}
        }
        Some(Open { number, claims: Arc::clone(&waiting.claims), readers: Arc::clone(&waiting.readers) })
    }

    /// Checks, while nothing can change until time passes, that no call waits although it has something to get.
    ///
    /// # Errors
    /// The store does not answer at once.
    pub(crate) fn check_waiting_calls(&self) -> Result<(), String> {
        self.look_up_due_times()?;
        self.look_up_unasked()?;
        self.check_waits();
        let (claims, readers) = {
            let waiting = self.waiting.lock();
            let claims: Vec<Claim> = waiting.claims.lock().values().cloned().collect();
            let readers: Vec<(JobId, u64)> = waiting.readers.lock().values().cloned().collect();
            (claims, readers)
        };
        for claim in &claims {
            if let Some(how) = self.missed_by(claim)? {
                self.break_promise(WAKES, how);
            }
        }
        if std::mem::take(&mut self.ledger.lock().has_new_events) {
            for (id, after) in readers {
                let news = at_once(self.store.events(&id, after, 1, std::time::Duration::ZERO))?;
                if news.as_ref().is_none_or(|news| !news.is_empty()) {
                    let how = format!("a reader of {id} after event {after} waits, and there is {news:?}");
                    self.break_promise(WAKES, how);
                }
            }
        }
        Ok(())
    }

    /// Checks jobs without a request: each is a fault, or a tick's second job, which the first one shows.
    fn look_up_unasked(&self) -> Result<(), String> {
        let unasked = std::mem::take(&mut self.ledger.lock().unasked);
        for record in at_once(self.store.get(&unasked))?.into_iter().filter_map(Lookup::found) {
            let mut ledger = self.ledger.lock();
            if record.labels.contains_key(schedule::TICK_LABEL) {
                ledger.note_tick(&record.labels);
            } else {
                ledger.break_promise(CHANGES, format!("{} was created, and nobody asked for it", record.id));
            }
        }
        Ok(())
    }

    fn look_up_due_times(&self) -> Result<(), String> {
        let unknown: Vec<JobId> = {
            let ledger = self.ledger.lock();
            let is_unknown = |job: &Job| job.state == Some(State::Scheduled) && job.run_at.is_none();
            ledger.jobs.iter().filter(|(_, job)| is_unknown(job)).map(|(id, _)| id.clone()).collect()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let found = at_once(self.store.get(&unknown))?;
        let mut ledger = self.ledger.lock();
        for record in found.into_iter().filter_map(Lookup::found) {
            if let Some(job) = ledger.jobs.get_mut(&record.id) {
                job.run_at = Some(record.run_at);
            }
        }
        Ok(())
    }

    /// The job that a waiting claim should have been given.
    fn missed_by(&self, claim: &Claim) -> Result<Option<String>, String> {
        let now = self.world.store_clock.now();
        // Jobs of the same keys keep their order: one that does not fit keeps those behind it.
        let groups: Vec<Group> = {
            let ledger = self.ledger.lock();
            let mut groups: BTreeMap<(&str, &[String]), Group> = BTreeMap::new();
            let (mut kept_back, mut full) = (BTreeSet::new(), BTreeSet::new());
            for (id, job) in
                ledger.jobs.iter().filter(|(_, job)| is_due(job, now) && is_asked(claim, &job.spec))
            {
                let group = (&*job.spec.queue, &*job.spec.limit_keys);
                let is_preferred =
                    job.spec.prefer.as_ref().is_none_or(|prefer| prefer.is_met_by(&claim.worker.labels));
                // The first job that a queue does not admit keeps all behind it back.
                if ledger.limits.may_keep_back(&job.spec.queue, job.spec.policy.cost.slots) {
                    full.insert(&*job.spec.queue);
                }
                // One whose time is over makes way when a sweep has ended it, and one that prefers others when it has waited for them.
                if job.is_over(now) || ledger.is_kept_back(&job.spec, now) {
                    kept_back.insert(group);
                } else if !is_preferred {
                    // Those without keys keep no order with it.
                    if !job.spec.limit_keys.is_empty() {
                        kept_back.insert(group);
                    }
                    continue;
                }
                groups.entry(group).or_default().push((id.clone(), job.spec.clone()));
            }
            let free =
                groups.into_iter().filter(|(group, _)| !kept_back.contains(group) && !full.contains(group.0));
            free.map(|(_, jobs)| jobs).collect()
        };
        for group in groups {
            let mut all_admitted = true;
            for (_, job) in &group {
                all_admitted &= self.rates_admit(job)?;
            }
            if let Some((id, job)) = group.first().filter(|_| all_admitted) {
                return Ok(Some(format!(
                    "a claim of {} waits for {:?} of {:?}, and {id}, {} of queue {}, could run",
                    claim.worker.id, claim.queues, claim.kinds, job.kind, job.queue
                )));
            }
        }
        Ok(None)
    }

    fn rates_admit(&self, job: &NewJob) -> Result<bool, String> {
        let has_rate = {
            let ledger = self.ledger.lock();
            job.limit_keys.iter().any(|key| ledger.limits.config(key).rate.is_some())
        };
        if !has_rate {
            return Ok(true);
        }
        let names = job.limit_keys.clone();
        let filter = KeyFilter { names, limit: 10, cost: job.policy.cost, ..KeyFilter::default() };
        Ok(at_once(self.store.keys(&filter))?.iter().all(|key| key.rate_free_at.is_none()))
    }
}

impl Ledger {
    /// True where a pause or a full key keeps a job from being claimed.
    fn is_kept_back(&self, job: &NewJob, now: Timestamp) -> bool {
        let is_closed =
            |key: &String| self.limits.is_closed(key, now) || self.limits.is_full(key, job.policy.cost.slots);
        self.paused_queues.contains(&*job.queue) || job.limit_keys.iter().any(is_closed)
    }
}

fn is_due(job: &Job, now: Timestamp) -> bool {
    match job.state {
        Some(State::Available) => true,
        Some(State::Scheduled) => job.run_at.is_some_and(|run_at| run_at <= now),
        Some(State::Blocked) => job.wait.wakes_at.is_some_and(|wakes_at| wakes_at <= now),
        _ => false,
    }
}

fn is_asked(claim: &Claim, job: &NewJob) -> bool {
    claim.queues.iter().any(|queue| queue.slots > 0 && queue.queue == job.queue)
        && claim.kinds.iter().any(|kind| kind.kind == job.kind && job.version <= kind.version)
}
