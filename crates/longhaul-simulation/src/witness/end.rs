use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::{Enqueued, JobId, Json, KeyFilter, Lookup, NewJob, Start, State, Timestamp, Unique};

use super::limits::name_of;
use super::{ACKNOWLEDGED, COUNTS, SLOTS, TICKS, UNIQUE_FREE, Witness};
use crate::world::at_once;

/// A tick that a schedule must have fired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) schedule: String,
    pub(crate) at: Timestamp,
}

/// The time far off at which the probes of unique keys would run.
const FAR: Duration = Duration::from_secs(365 * 86_400);

impl Witness {
    /// Checks that the store's counts are those of the jobs there are.
    ///
    /// # Errors
    /// The store does not answer at once.
    pub(crate) fn check_counts(&self) -> Result<(), String> {
        let mut counted: BTreeMap<String, BTreeMap<State, u64>> = BTreeMap::new();
        let mut waiting: BTreeMap<String, u64> = BTreeMap::new();
        let used = {
            let ledger = self.ledger.lock();
            for job in ledger.jobs.values() {
                let Some(state) = job.state else { continue };
                *counted.entry(job.spec.queue.to_string()).or_default().entry(state).or_default() += 1;
                for key in job.spec.limit_keys.iter().filter(|_| state == State::Available) {
                    *waiting.entry(key.clone()).or_default() += 1;
                }
            }
            ledger.limits.used.clone()
        };
        for queue in at_once(self.store.queues())? {
            let there = counted.remove(&queue.name).unwrap_or_default();
            if queue.counts != there && queue.name != crate::planted::QUEUE {
                let how = format!("queue {} tells {:?}, and has {there:?}", queue.name, queue.counts);
                self.break_promise(COUNTS, how);
            }
            let taken = used.get(&name_of(&queue.name)).copied().unwrap_or_default();
            if queue.used.is_some_and(|told| told != taken) && queue.name != crate::planted::QUEUE {
                let how = format!(
                    "queue {} tells that {:?} slots are taken, and {taken} are",
                    queue.name, queue.used
                );
                self.break_promise(SLOTS, how);
            }
        }
        if let Some((queue, counts)) = counted.into_iter().find(|(_, counts)| !counts.is_empty()) {
            self.break_promise(COUNTS, format!("queue {queue} has {counts:?}, and is not listed"));
        }
        for key in at_once(self.store.keys(&KeyFilter { limit: 100, ..KeyFilter::default() }))? {
            let taken = used.get(&key.key).copied().unwrap_or_default();
            if key.used != taken {
                let how = format!("key {} tells that {} slots are taken, and {taken} are", key.key, key.used);
                self.break_promise(SLOTS, how);
            }
            let there = waiting.get(&key.key).copied().unwrap_or_default();
            if key.waiting != there {
                let how = format!("key {} tells that {} jobs wait, and {there} do", key.key, key.waiting);
                self.break_promise(COUNTS, how);
            }
        }
        Ok(())
    }

    /// Checks the promises on finished jobs, once all jobs have ended.
    ///
    /// # Errors
    /// The store does not answer at once.
    pub(crate) fn check_end(&self, ticks: &[Tick]) -> Result<(), String> {
        self.check_counts()?;
        self.check_acknowledged()?;
        let known: Vec<JobId> = self.ledger.lock().jobs.keys().cloned().collect();
        for record in at_once(self.store.get(&known))?.into_iter().filter_map(Lookup::found) {
            self.check_children(&record);
        }
        self.check_ticks(ticks);
        self.check_unique_keys()
    }

    fn check_acknowledged(&self) -> Result<(), String> {
        let acknowledged: Vec<JobId> = self.ledger.lock().acknowledged.iter().cloned().collect();
        let found = at_once(self.store.get(&acknowledged))?;
        for (id, lookup) in acknowledged.into_iter().zip(found) {
            let known = self.ledger.lock().jobs.get(&id).map(|job| job.state);
            let is_right = match (&lookup, known) {
                (Lookup::Found(record), Some(Some(state))) => record.state == state && state.is_finished(),
                (Lookup::Gone, Some(None)) => true,
                _ => false,
            };
            if !is_right {
                let how =
                    format!("{id} was acknowledged, {known:?} was told, and at the end it is {lookup:?}");
                self.break_promise(ACKNOWLEDGED, how);
            }
        }
        Ok(())
    }

    fn check_ticks(&self, ticks: &[Tick]) {
        for tick in ticks {
            let id = longhaul::schedule::tick_id(&tick.schedule, tick.at);
            let is_fired = self.ledger.lock().jobs.contains_key(&id);
            if !is_fired {
                let how = format!("schedule {} has not fired its tick of {:?}", tick.schedule, tick.at);
                self.break_promise(TICKS, how);
            }
        }
    }

    /// A new job of each unique key must be created, unless the key is held for a period.
    fn check_unique_keys(&self) -> Result<(), String> {
        let now = self.world.store_clock.now();
        let keys: Vec<(String, bool)> = {
            let ledger = self.ledger.lock();
            let held = |(key, id): (&String, &JobId)| {
                let job = ledger.jobs.get(id)?;
                Some((key.clone(), super::unique::is_held_after_its_end(job, now)))
            };
            ledger.holders.iter().filter_map(held).collect()
        };
        for (key, is_cached) in keys {
            if is_cached {
                continue;
            }
            let id = JobId::from_store(format!("probe-{key}"));
            let unique = Unique::new(key.clone());
            let probe = NewJob {
                id: Some(id.clone()),
                queue: crate::planted::QUEUE.into(),
                start: Start::After(FAR),
                unique: Some(unique),
                ..NewJob::new("probe", Json::null())
            };
            let answer = at_once(self.store.enqueue(vec![probe]))?;
            if !answer.first().is_some_and(Enqueued::is_created) {
                let how =
                    format!("nobody holds the unique key {key}, and a new job of it was answered {answer:?}");
                self.break_promise(UNIQUE_FREE, how);
            }
        }
        Ok(())
    }
}
