use std::collections::{BTreeMap, BTreeSet};

use super::index::Source;
use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
use crate::lifecycle;
use crate::model::{
    Event, EventBody, JobFilter, JobId, JobPage, JobRecord, Lane, Lookup, Page, Payloads, QueueInfo, State,
    StepRecord, UniqueKey, WorkerInfo,
};
use crate::store::{Error, MAX_LANES, MAX_POSITION, Result, WORKER_SEEN_FOR};

/// The part of a log that a reader has not yet seen.
pub(super) struct NewEvents {
    pub(super) events: Vec<Event>,
    /// True if no event will follow.
    pub(super) is_finished: bool,
}

/// The most jobs that one page looks at, fitting or not.
const SCANNED_PER_PAGE: usize = 10_000;

impl Table {
    pub(super) fn get(&self, ids: &[JobId], now: Timestamp) -> Vec<Lookup> {
        let look_up = |id: &JobId| match self.find(id) {
            Some(row) => {
                let unique = row.record.unique.clone().map(|unique| self.with_holder(unique, now));
                let position = self.position(row);
                Lookup::Found(Box::new(JobRecord { position, unique, ..row.record.clone() }))
            }
            None if self.keys.is_gone(id, now) => Lookup::Gone,
            None => Lookup::Unknown,
        };
        ids.iter().map(look_up).collect()
    }

    fn with_holder(&self, unique: UniqueKey, now: Timestamp) -> UniqueKey {
        let holder = self.keys.holder(&unique.key, now).and_then(|seq| self.rows.get(&seq));
        UniqueKey { holder: holder.map(|row| row.record.id.clone()), ..unique }
    }

    fn position(&self, row: &Row) -> Option<u64> {
        (row.record.state == State::Available).then(|| self.index.position(row))
    }

    pub(super) fn list(&self, filter: &JobFilter, page: &Page) -> Result<JobPage> {
        let before = match &page.cursor {
            None => u64::MAX,
            Some(cursor) => cursor.parse().map_err(|_| Error::Invalid {
                field: "cursor".into(),
                reason: "must be one that an earlier page gave".into(),
            })?,
        };
        let limit = page.limit.clamp(1, 1_000);
        let mut listed = JobPage::default();
        let mut last_seen = None;
        for row in self.candidates(filter, before).take(SCANNED_PER_PAGE) {
            if filter.fits(&row.record) {
                let mut job = row.record.clone();
                if page.payloads == Payloads::Short {
                    job.shorten();
                }
                listed.jobs.push(job);
            }
            listed.searched += 1;
            last_seen = Some(row.seq);
            if listed.jobs.len() == limit {
                break;
            }
        }
        // A row that was looked at and did not fit need not be looked at again.
        let has_more = last_seen.filter(|seq| self.candidates(filter, *seq).next().is_some());
        listed.next = has_more.map(|seq| seq.to_string());
        Ok(listed)
    }

    /// The jobs that fit, newest first.
    pub(super) fn matching(&self, filter: &JobFilter) -> impl Iterator<Item = &Row> {
        self.candidates(filter, u64::MAX).filter(|row| filter.fits(&row.record))
    }

    /// The jobs that might fit, newest first, older than the one with number `before`.
    fn candidates(&self, filter: &JobFilter, before: u64) -> Box<dyn Iterator<Item = &Row> + '_> {
        if filter.ids.is_empty() {
            return Box::new(self.rows.range(..before).rev().map(|(_, row)| row));
        }
        let named: BTreeSet<u64> = filter.ids.iter().filter_map(|id| self.ids.get(id)).copied().collect();
        let older = named.into_iter().rev().skip_while(move |seq| *seq >= before);
        Box::new(older.filter_map(|seq| self.rows.get(&seq)))
    }

    /// The part of a job's log after number `after`, with the present state in its place; `None` where there
    /// is no such job.
    pub(super) fn events(&self, id: &JobId, after: u64, limit: usize) -> Option<NewEvents> {
        let row = self.find(id)?;
        let from = row.log.partition_point(|event| event.seq <= after);
        let mut events = row.log.range(from..).take(limit).cloned().collect::<Vec<_>>();
        events.extend(row.made_events().into_iter().filter(|event| event.seq > after));
        events.sort_by_key(|event| event.seq);
        events.truncate(limit);
        Some(NewEvents { events, is_finished: row.record.state.is_finished() })
    }

    pub(super) fn queues(&self, now: Timestamp) -> Vec<QueueInfo> {
        let configured = self.configs.keys().chain(&self.paused_queues);
        let names: BTreeSet<&String> = self.index.counts.keys().chain(configured).collect();
        let info = |name: &String| QueueInfo {
            name: name.clone(),
            config: self.configs.get(name).cloned().unwrap_or_default(),
            counts: self.index.counts.get(name).cloned().unwrap_or_default(),
            paused: self.paused_queues.contains(name),
            used: self.queue_used(name),
            rate_left: self.queue_rate_left(name, now),
            rate_free_at: self.queue_rate_free_at(name, now),
        };
        names.into_iter().map(info).collect()
    }

    pub(super) fn lanes(&self) -> Vec<Lane> {
        // The number of jobs of each, and the first by rank.
        let mut lanes = BTreeMap::new();
        for (queue, Source { kind, version, .. }, jobs) in self.index.lanes() {
            let Some(first) = jobs.first() else { continue };
            let lane = lanes.entry((queue, kind, *version)).or_insert((0, *first));
            *lane = (lane.0 + jobs.len(), lane.1.min(*first));
        }
        let mut listed = Vec::new();
        for ((queue, kind, version), (jobs, (_, first))) in lanes.into_iter().take(MAX_LANES) {
            let oldest_at = self.rows.get(&first).map(|row| row.record.run_at).unwrap_or_default();
            let (queue, kind) = (queue.clone(), kind.clone());
            listed.push(Lane { queue, kind, version, waiting: MAX_POSITION.min(jobs as u64), oldest_at });
        }
        listed
    }

    pub(super) fn steps(&self, id: &JobId) -> Option<Vec<StepRecord>> {
        Some(self.find(id)?.steps.clone())
    }

    pub(super) fn workers(&self, now: Timestamp) -> Vec<WorkerInfo> {
        let known = self.workers.values();
        known.filter(|worker| worker.seen_at.plus(WORKER_SEEN_FOR) > now).cloned().collect()
    }
}

impl Row {
    /// The events that are not written but follow from the row: a gap in its log, its state and, before that, its output.
    fn made_events(&self) -> Vec<Event> {
        let record = &self.record;
        let event = |seq, body| Event { seq, at: self.state_at, attempt: record.attempt, body };
        let mut events = Vec::new();
        if let Some(seq) = lifecycle::gap_event(self.gap) {
            events.push(event(seq, EventBody::Gap));
        }
        if let Some(output) = &record.output {
            events.push(event(self.state_event - 1, EventBody::Output { output: output.clone() }));
        }
        // While it runs, and once it has completed, its last attempt has not failed.
        let has_failed = !matches!(record.state, State::Running | State::Completed);
        let error = record.errors.last().filter(|_| has_failed).cloned();
        events.push(event(
            lifecycle::state_event(self.state_event, self.gap),
            EventBody::State {
                state: record.state,
                error,
                children: record.children,
                cancel_reason: record.cancel_reason,
            },
        ));
        events
    }
}
