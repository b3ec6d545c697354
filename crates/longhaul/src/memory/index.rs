use std::collections::{BTreeMap, BTreeSet};

use super::row::Row;
use crate::clock::Timestamp;
use crate::lifecycle::waiting;
use crate::model::{JobRecord, Prefer, State, SupportedKind};
use crate::store::MAX_POSITION;

/// Which jobs are where. Everything in here follows from the rows, and nothing is in here twice.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By queue and limit keys, and then by kind, version and preference, so that a claim passes over what is not for its worker
    /// without looking at it. None of them is empty.
    available: BTreeMap<String, BTreeMap<Vec<String>, Lanes>>,
    /// By the time they fall due.
    pub(super) scheduled: BTreeSet<(Timestamp, u64)>,
    /// Blocked jobs whose wait has an end of its own, by that.
    pub(super) waking: BTreeSet<(Timestamp, u64)>,
    /// By the end of their leases.
    pub(super) running: BTreeSet<(Timestamp, u64)>,
    /// Running jobs that were asked to stop, by the end of their grace.
    pub(super) stopping: BTreeSet<(Timestamp, u64)>,
    /// Jobs that wait, by the time at which they are cancelled unless they are started or have ended.
    pub(super) ending: BTreeSet<(Timestamp, u64)>,
    /// Running jobs, by their deadline.
    pub(super) deadlines: BTreeSet<(Timestamp, u64)>,
    /// By queue and outcome, then by the time from which their retention counts.
    pub(super) finished: BTreeMap<(String, State), BTreeSet<(Timestamp, u64)>>,
    /// Jobs that are available or scheduled, by each of their limit keys. None of them is empty.
    backlogs: BTreeMap<String, BTreeSet<u64>>,
    /// The number of jobs in each queue and state; no entry is zero.
    pub(super) counts: BTreeMap<String, BTreeMap<State, u64>>,
}

/// The available jobs of one queue and set of limit keys, by source; in each source by rank.
type Lanes = BTreeMap<Source, BTreeSet<(i64, u64)>>;

/// The properties of a job that decide which workers may claim it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    pub(super) kind: String,
    pub(super) version: u32,
    pub(super) prefer: Option<Prefer>,
}

impl Source {
    fn of(row: &Row) -> Self {
        let JobRecord { kind, version, prefer, .. } = &row.record;
        Self { kind: kind.clone(), version: *version, prefer: prefer.clone() }
    }

    fn is_known_to(&self, supported: &[SupportedKind]) -> bool {
        supported.iter().any(|known| known.kind == self.kind && self.version <= known.version)
    }
}

/// The first job of a set of limit keys, or of a part of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct First<'i> {
    pub(super) keys: &'i Vec<String>,
    pub(super) source: &'i Source,
    pub(super) place: (i64, u64),
}

impl Index {
    /// Adds a job. Everything that a place is made of must stay as it is until the job is removed again.
    pub(super) fn insert(&mut self, row: &Row) {
        let record = &row.record;
        let counts = self.counts.entry(record.queue.clone()).or_default();
        *counts.entry(record.state).or_default() += 1;
        if waiting::counts(record.state) {
            for key in &record.limit_keys {
                self.backlogs.entry(key.clone()).or_default().insert(row.seq);
            }
        }
        let times = row.times();
        match record.state {
            State::Running => self.deadlines.extend(times.deadline.map(|at| (at, row.seq))),
            state if state.is_finished() => {}
            _ => self.ending.extend(times.ends_at(record.started_at).map(|at| (at, row.seq))),
        }
        match record.state {
            State::Available => {
                let groups = self.available.entry(record.queue.clone()).or_default();
                let lanes = groups.entry(record.limit_keys.clone()).or_default();
                lanes.entry(Source::of(row)).or_default().insert(row.rank());
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
            State::Blocked => self.waking.extend(record.wakes_at.map(|at| (at, row.seq))),
        }
    }

    /// Removes a job, which must still be as it was when it was added.
    pub(super) fn remove(&mut self, row: &Row) {
        let record = &row.record;
        self.uncount(row);
        for key in &record.limit_keys {
            if let Some(backlog) = self.backlogs.get_mut(key) {
                backlog.remove(&row.seq);
                if backlog.is_empty() {
                    self.backlogs.remove(key);
                }
            }
        }
        if let Some(at) = record.deadline {
            self.deadlines.remove(&(at, row.seq));
        }
        if let Some(at) = row.times().ends_at(record.started_at) {
            self.ending.remove(&(at, row.seq));
        }
        match record.state {
            State::Available => {
                let Some(groups) = self.available.get_mut(&record.queue) else { return };
                let Some(lanes) = groups.get_mut(&record.limit_keys) else { return };
                if let Some(jobs) = lanes.get_mut(&Source::of(row)) {
                    jobs.remove(&row.rank());
                }
                lanes.retain(|_, jobs| !jobs.is_empty());
                groups.retain(|_, lanes| !lanes.is_empty());
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
            State::Blocked => {
                if let Some(at) = record.wakes_at {
                    self.waking.remove(&(at, row.seq));
                }
            }
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

    /// Of each set of limit keys of which jobs wait in a queue, and of each kind, version and preference that the worker knows, the
    /// job that goes first among those whose time is not over.
    pub(super) fn first_available<'i>(
        &'i self,
        queue: &str,
        supported: &'i [SupportedKind],
        now: Timestamp,
    ) -> impl Iterator<Item = First<'i>> {
        let over: BTreeSet<u64> = Self::due(&self.ending, now, usize::MAX).into_iter().collect();
        let groups = self.available.get(queue).into_iter().flatten();
        let lanes = groups.flat_map(|(keys, lanes)| lanes.iter().map(move |lane| (keys, lane)));
        lanes.filter(|(_, (source, _))| source.is_known_to(supported)).filter_map(
            move |(keys, (source, jobs))| {
                let place = jobs.iter().find(|(_, seq)| !over.contains(seq)).copied()?;
                Some(First { keys, source, place })
            },
        )
    }

    /// The queues, kinds and versions that have available jobs, with those of one set of limit keys at a time.
    pub(super) fn lanes(&self) -> impl Iterator<Item = (&String, &Source, &BTreeSet<(i64, u64)>)> {
        let groups =
            self.available.iter().flat_map(|(queue, groups)| groups.values().map(move |g| (queue, g)));
        groups.flat_map(|(queue, lanes)| lanes.iter().map(move |(lane, jobs)| (queue, lane, jobs)))
    }

    /// The number of available jobs of a queue and set of limit keys.
    pub(super) fn waiting_in(&self, queue: &str, keys: &Vec<String>) -> usize {
        let lanes = self.available.get(queue).and_then(|groups| groups.get(keys));
        lanes.map_or(0, |lanes| lanes.values().map(BTreeSet::len).sum())
    }

    /// The number of available jobs of a limit key.
    pub(super) fn waiting_of(&self, key: &str) -> u64 {
        let groups = self.available.values().flatten().filter(|(keys, _)| keys.iter().any(|own| own == key));
        groups.flat_map(|(_, lanes)| lanes.values()).map(|jobs| jobs.len() as u64).sum()
    }

    /// The number of jobs of a queue that are available or scheduled.
    pub(super) fn backlog_of(&self, queue: &str) -> u64 {
        let counts = self.counts.get(queue);
        counts.map_or(0, |counts| {
            counts.iter().filter(|(state, _)| waiting::counts(**state)).map(|(_, count)| count).sum()
        })
    }

    /// The jobs of a limit key that are available or scheduled, in any queue; first the one that was enqueued first.
    pub(super) fn backlog_of_key(&self, key: &str) -> &BTreeSet<u64> {
        static NONE: BTreeSet<u64> = BTreeSet::new();
        self.backlogs.get(key).unwrap_or(&NONE)
    }

    /// The limit keys of which jobs wait, in one queue or in any.
    pub(super) fn waiting_keys<'i>(&'i self, queue: Option<&'i String>) -> impl Iterator<Item = &'i String> {
        let queues = self.available.iter().filter(move |(name, _)| queue.is_none_or(|queue| queue == *name));
        queues.flat_map(|(_, groups)| groups.keys()).flatten()
    }

    /// The queues in which jobs of a limit key wait.
    pub(super) fn queues_of(&self, key: &str) -> impl Iterator<Item = &String> {
        let has_key =
            move |groups: &BTreeMap<Vec<String>, Lanes>| groups.keys().flatten().any(|own| own == key);
        self.available.iter().filter(move |(_, groups)| has_key(groups)).map(|(queue, _)| queue)
    }

    /// The place of an available job in its queue, from 1, counted up to [`MAX_POSITION`].
    pub(super) fn position(&self, row: &Row) -> u64 {
        let groups = self.available.get(&row.record.queue);
        let lanes = groups.into_iter().flat_map(BTreeMap::values).flat_map(BTreeMap::values);
        let ahead = lanes.flat_map(|jobs| jobs.range(..row.rank()));
        ahead.take(MAX_POSITION as usize - 1).count() as u64 + 1
    }

    /// The first `limit` jobs of an ordered set whose time has come.
    pub(super) fn due(jobs: &BTreeSet<(Timestamp, u64)>, now: Timestamp, limit: usize) -> Vec<u64> {
        jobs.range(..=(now, u64::MAX)).take(limit).map(|(_, seq)| *seq).collect()
    }
}
