//! Bounds on waiting jobs: of queues, and of limit keys. An enqueue under a bound locks the bound, so that of two
//! transactions the second counts the jobs that the first has created; without a bound there is no cost.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use longhaul::lifecycle::limits::limits_of;
use longhaul::lifecycle::waiting::{self, Admission, Bound};
use longhaul::{CancelReason, Full, KeyConfig, NewJob, OnFull, Result, State, split_keys};
use tokio_postgres::Row;

use crate::limits::key_config;
use crate::row::{queue_config, rows_at_most, signed, unsigned};
use crate::target::Target;
use crate::write_tx::WriteTx;

/// Waiting jobs that are read at once to be dropped.
const DROPPED_AT_ONCE: usize = 500;

const WAITING_OF_KEY: &str =
    concat!(include_str!("sql/sets_of_key.sql"), include_str!("sql/waiting_of_key.sql"));
const OLDEST_OF_KEY: &str =
    concat!(include_str!("sql/sets_of_key.sql"), include_str!("sql/oldest_of_key.sql"));

/// The bounds of queues and keys, as far as a transaction's new jobs may meet them.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    queues: BTreeMap<String, Limit>,
    /// The limits of keys and prefixes, where any of them has a bound.
    keys: BTreeMap<String, KeyConfig>,
}

/// The owner of a bound.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Queue(String),
    Key(String),
}

impl From<Of> for Full {
    fn from(of: Of) -> Self {
        match of {
            Of::Queue(queue) => Self::Queue(queue),
            Of::Key(key) => Self::Key(key),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    max_waiting: u64,
    on_full: OnFull,
}

impl Bounds {
    /// The bounds that hold for a job: of its queue, and of its keys.
    fn of(&self, job: &NewJob) -> Vec<(Of, Limit)> {
        let queue = self.queues.get(&*job.queue);
        let mut bounds: Vec<(Of, Limit)> =
            queue.map(|limit| (Of::Queue(job.queue.to_string()), *limit)).into_iter().collect();
        if self.keys.is_empty() {
            return bounds;
        }
        for key in &job.limit_keys {
            let config = self.keys.get(key).copied().unwrap_or_else(|| limits_of(key, &self.keys));
            if let Some(max_waiting) = config.max_waiting {
                bounds.push((Of::Key(key.clone()), Limit { max_waiting, on_full: config.on_full }));
            }
        }
        bounds
    }

    /// True where one of them may hold for one of the jobs.
    pub(crate) fn concern(&self, jobs: &[NewJob]) -> bool {
        let is_empty = self.queues.is_empty() && self.keys.is_empty();
        !is_empty && jobs.iter().any(|job| !self.of(job).is_empty())
    }

    /// The words under which those that hold for the jobs are locked.
    pub(crate) fn locks(&self, jobs: &[NewJob]) -> BTreeSet<String> {
        let word = |(of, _)| match of {
            Of::Queue(queue) => format!("q{queue}"),
            Of::Key(key) => format!("k{key}"),
        };
        match self.queues.is_empty() && self.keys.is_empty() {
            true => BTreeSet::new(),
            false => jobs.iter().flat_map(|job| self.of(job)).map(word).collect(),
        }
    }
}

/// The room that a call's new jobs have: how many jobs wait by each bound that holds for one of them.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// The bounds of each job of the call.
    bounds: Vec<Vec<(Of, Limit)>>,
    waiting: BTreeMap<Of, u64>,
    /// Jobs that wait and were enqueued first.
    oldest: BTreeMap<Of, VecDeque<Target>>,
    /// Those that do not wait any more.
    gone: HashSet<i64>,
}

impl Room {
    /// True where no bound holds for any of the jobs.
    pub(crate) fn is_free(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Decides on a job of the call that is to wait; with the bound that refuses it, if one does.
    pub(crate) fn admission(&self, job: usize) -> (Admission, Option<Full>) {
        let all = self.bounds_of(job);
        let bounds: Vec<Bound> = all.iter().map(|(of, limit)| self.bound(of, *limit)).collect();
        let admission = waiting::admission(&bounds);
        let full = match admission {
            Admission::Reject(place) => all.get(place).map(|(of, _)| of.clone().into()),
            _ => None,
        };
        (admission, full)
    }

    /// The bounds of a job that are full, in their order.
    fn full(&self, job: usize) -> Vec<Of> {
        let all = self.bounds_of(job).iter();
        all.filter(|(of, limit)| self.bound(of, *limit).is_full()).map(|(of, _)| of.clone()).collect()
    }

    /// True where it is not known which jobs are dropped next: new ones must be written before that is found out.
    pub(crate) fn must_read_oldest(&self, job: usize) -> bool {
        let is_known = |of: &Of| {
            let mut oldest = self.oldest.get(of).into_iter().flatten();
            oldest.any(|target| !self.gone.contains(&target.seq))
        };
        !self.full(job).iter().all(is_known)
    }

    fn bounds_of(&self, job: usize) -> &[(Of, Limit)] {
        self.bounds.get(job).map_or(&[], Vec::as_slice)
    }

    fn bound(&self, of: &Of, limit: Limit) -> Bound {
        let waiting = self.waiting.get(of).copied().unwrap_or(0);
        Bound { waiting, max_waiting: limit.max_waiting, on_full: limit.on_full }
    }

    /// Counts a job that is created to wait.
    pub(crate) fn came(&mut self, job: &NewJob) {
        self.count(&job.queue, job.limit_keys.iter(), |waiting| waiting.saturating_add(1));
    }

    /// Takes a job out that turned out to be there already.
    pub(crate) fn was_there(&mut self, job: &NewJob) {
        self.count(&job.queue, job.limit_keys.iter(), |waiting| waiting.saturating_sub(1));
    }

    /// Takes a job out that waits no more.
    pub(crate) fn left(&mut self, target: &Target) {
        self.gone.insert(target.seq);
        if waiting::counts(target.state) {
            let keys = split_keys(target.limit_key.as_deref());
            self.count(&target.queue, keys.iter(), |waiting| waiting.saturating_sub(1));
        }
    }

    /// Forgets what was read of jobs that wait, because one of them is another now.
    pub(crate) fn forget_oldest(&mut self) {
        self.oldest.clear();
    }

    fn count<'k>(
        &mut self,
        queue: &str,
        keys: impl Iterator<Item = &'k String>,
        change: impl Fn(u64) -> u64,
    ) {
        let queue = Of::Queue(queue.to_owned());
        for of in keys.cloned().map(Of::Key).chain([queue]) {
            if let Some(waiting) = self.waiting.get_mut(&of) {
                *waiting = change(*waiting);
            }
        }
    }

    /// The next job of a bound that may be dropped, of those that were read.
    fn next_oldest(&mut self, of: &Of) -> Option<Target> {
        let oldest = self.oldest.get_mut(of)?;
        while let Some(target) = oldest.pop_front() {
            if !self.gone.contains(&target.seq) {
                return Some(target);
            }
        }
        None
    }
}

impl WriteTx<'_> {
    /// Reads the bounds that may hold for new jobs.
    pub(crate) async fn read_bounds<'j>(
        &self,
        jobs: impl Iterator<Item = &'j NewJob> + Clone,
    ) -> Result<Bounds> {
        let queues: BTreeSet<&str> = jobs.clone().map(|job| &*job.queue).collect();
        if queues.is_empty() {
            return Ok(Bounds::default());
        }
        let queues: Vec<&str> = queues.into_iter().collect();
        let keys: BTreeSet<&str> = jobs.flat_map(|job| &job.limit_keys).map(String::as_str).collect();
        let keys: Vec<&str> = keys.into_iter().collect();
        let rows = self.rows("look bounds up", include_str!("sql/bounds.sql"), &[&queues, &keys]).await?;
        let mut bounds = Bounds::default();
        for row in &rows {
            let name: String = row.get(1);
            if row.get(0) {
                let config = queue_config(row, 2);
                if let Some(max_waiting) = config.max_waiting {
                    bounds.queues.insert(name, Limit { max_waiting, on_full: config.on_full });
                }
            } else if let Some(config) = key_config(row.get(2)) {
                bounds.keys.insert(name, config);
            }
        }
        Ok(bounds)
    }

    /// Counts the jobs that wait by each bound that holds for one of `jobs`. Their locks are held.
    pub(crate) async fn room(&self, jobs: &[NewJob]) -> Result<Room> {
        let mut room = Room::default();
        if !self.bounds.concern(jobs) {
            return Ok(room);
        }
        room.bounds = jobs.iter().map(|job| self.bounds.of(job)).collect();
        let all: BTreeMap<Of, u64> =
            room.bounds.iter().flatten().map(|(of, limit)| (of.clone(), limit.max_waiting)).collect();
        for (of, max_waiting) in all {
            let waiting = match &of {
                Of::Queue(queue) => {
                    let sql = include_str!("sql/waiting_of_queue.sql");
                    let rows = self.rows("count waiting jobs", sql, &[queue]).await?;
                    let written: i64 = rows.first().map_or(0, |row| row.get(0));
                    written
                        + self.uncounted(queue, State::Available)
                        + self.uncounted(queue, State::Scheduled)
                }
                Of::Key(key) => {
                    let most = signed(max_waiting.saturating_add(rows_at_most(jobs.len()).unsigned_abs()));
                    let rows = self.rows("count waiting jobs", WAITING_OF_KEY, &[key, &most]).await?;
                    rows.first().map_or(0, |row| row.get(0))
                }
            };
            room.waiting.insert(of, unsigned(waiting));
        }
        Ok(room)
    }

    /// Cancels, of each bound of a job that is full, the waiting job that was enqueued first. Answers those that were.
    pub(crate) async fn drop_oldest(&mut self, room: &mut Room, job: usize) -> Result<Vec<i64>> {
        let mut dropped = Vec::new();
        for of in room.full(job) {
            // One job may be the oldest of two bounds.
            if !room.full(job).contains(&of) {
                continue;
            }
            let next = match room.next_oldest(&of) {
                Some(next) => Some(next),
                None => {
                    let read = self.oldest(&of).await?;
                    room.oldest.insert(of.clone(), read);
                    room.next_oldest(&of)
                }
            };
            if let Some(target) = next {
                self.cancel_waiting(&target, CancelReason::Dropped).await?;
                room.left(&target);
                dropped.push(target.seq);
            }
        }
        Ok(dropped)
    }

    async fn oldest(&self, of: &Of) -> Result<VecDeque<Target>> {
        let most = rows_at_most(DROPPED_AT_ONCE);
        let rows: Vec<Row> = match of {
            Of::Queue(queue) => {
                let sql = include_str!("sql/oldest_of_queue.sql");
                self.rows("look for waiting jobs", sql, &[queue, &most]).await?
            }
            Of::Key(key) => self.rows("look for waiting jobs", OLDEST_OF_KEY, &[key, &most]).await?,
        };
        Ok(rows.iter().map(Target::read).collect())
    }
}
