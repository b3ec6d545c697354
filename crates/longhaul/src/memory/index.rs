use std::collections::{BTreeMap, BTreeSet};

use super::row::Row;
use crate::clock::Timestamp;
use crate::model::{State, SupportedKind};
use crate::store::MAX_POSITION;

/// Which jobs are where. Everything in here follows from the rows, and nothing is in here twice.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By queue, kind and version, so that a claim passes over what its worker cannot run without looking at
    /// it.
    available: BTreeMap<String, BTreeMap<String, Versions>>,
    /// By the time they fall due.
    pub(super) scheduled: BTreeSet<(Timestamp, u64)>,
    /// By the end of their leases.
    pub(super) running: BTreeSet<(Timestamp, u64)>,
    /// Running jobs that were asked to stop, by the end of their grace.
    pub(super) stopping: BTreeSet<(Timestamp, u64)>,
    /// By queue and outcome, then by the time from which their retention counts.
    pub(super) finished: BTreeMap<(String, State), BTreeSet<(Timestamp, u64)>>,
    /// The number of jobs in each queue and state; no entry is zero.
    pub(super) counts: BTreeMap<String, BTreeMap<State, u64>>,
}

/// The available jobs of one queue and kind, by version; within a version by rank.
type Versions = BTreeMap<u32, BTreeSet<(i64, u64)>>;

impl Index {
    /// Adds a job. Everything that a place is made of must stay as it is until the job is removed again.
    pub(super) fn insert(&mut self, row: &Row) {
        let record = &row.record;
        let counts = self.counts.entry(record.queue.clone()).or_default();
        *counts.entry(record.state).or_default() += 1;
        match record.state {
            State::Available => {
                let kinds = self.available.entry(record.queue.clone()).or_default();
                let versions = kinds.entry(record.kind.clone()).or_default();
                versions.entry(record.version).or_default().insert(row.rank());
            }
            State::Scheduled => {
                self.scheduled.insert((record.run_at, row.seq));
            }
            State::Running => {
                self.running.insert((row.lease_until, row.seq));
                self.stopping.extend(row.cancel_by.map(|by| (by, row.seq)));
            }
            State::Completed | State::Failed | State::Cancelled => {
                let place = (record.queue.clone(), record.state);
                self.finished.entry(place).or_default().insert((row.kept_from(), row.seq));
            }
            State::Blocked => {}
        }
    }

    /// Removes a job, which must still be as it was when it was added.
    pub(super) fn remove(&mut self, row: &Row) {
        let record = &row.record;
        self.uncount(row);
        match record.state {
            State::Available => {
                let kinds = self.available.get_mut(&record.queue);
                let versions = kinds.and_then(|kinds| kinds.get_mut(&record.kind));
                if let Some(jobs) = versions.and_then(|versions| versions.get_mut(&record.version)) {
                    jobs.remove(&row.rank());
                }
            }
            State::Scheduled => {
                self.scheduled.remove(&(record.run_at, row.seq));
            }
            State::Running => {
                self.running.remove(&(row.lease_until, row.seq));
                if let Some(by) = row.cancel_by {
                    self.stopping.remove(&(by, row.seq));
                }
            }
            State::Completed | State::Failed | State::Cancelled => {
                if let Some(jobs) = self.finished.get_mut(&(record.queue.clone(), record.state)) {
                    jobs.remove(&(row.kept_from(), row.seq));
                }
            }
            State::Blocked => {}
        }
    }

    fn uncount(&mut self, row: &Row) {
        let Some(counts) = self.counts.get_mut(&row.record.queue) else { return };
        if let Some(count) = counts.get_mut(&row.record.state) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&row.record.state);
            }
        }
        if counts.is_empty() {
            self.counts.remove(&row.record.queue);
        }
    }

    /// The job of `queue` that goes first among those that the worker can run.
    pub(super) fn first_available(&self, queue: &str, supported: &[SupportedKind]) -> Option<u64> {
        let kinds = self.available.get(queue)?;
        let versions = supported.iter().filter_map(|s| Some(kinds.get(&s.kind)?.range(..=s.version)));
        let first = versions.flatten().filter_map(|(_, jobs)| jobs.first()).min()?;
        Some(first.1)
    }

    /// The queues, kinds and versions that have available jobs, with these.
    pub(super) fn lanes(&self) -> impl Iterator<Item = (&String, &String, u32, &BTreeSet<(i64, u64)>)> {
        let kinds =
            self.available.iter().flat_map(|(queue, kinds)| kinds.iter().map(move |kind| (queue, kind)));
        let lanes = kinds.flat_map(|(queue, (kind, versions))| {
            versions.iter().map(move |(version, jobs)| (queue, kind, *version, jobs))
        });
        lanes.filter(|(.., jobs)| !jobs.is_empty())
    }

    /// The place of an available job in its queue, from 1, counted up to [`MAX_POSITION`].
    pub(super) fn position(&self, row: &Row) -> u64 {
        let kinds = self.available.get(&row.record.queue);
        let lines = kinds.into_iter().flat_map(BTreeMap::values).flat_map(BTreeMap::values);
        let ahead = lines.flat_map(|jobs| jobs.range(..row.rank()));
        ahead.take(MAX_POSITION as usize - 1).count() as u64 + 1
    }

    /// The first `limit` jobs of an ordered set whose time has come.
    pub(super) fn due(jobs: &BTreeSet<(Timestamp, u64)>, now: Timestamp, limit: usize) -> Vec<u64> {
        jobs.range(..=(now, u64::MAX)).take(limit).map(|(_, seq)| *seq).collect()
    }
}
