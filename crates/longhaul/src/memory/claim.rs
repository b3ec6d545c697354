use std::collections::BTreeMap;
use std::time::Duration;

use super::index::{First, Index};
use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
use crate::lifecycle::prefer::{self, Fits};
use crate::model::{Claim, Claimed, Json, Lease, LeaseStatus, State, WorkerInfo};

impl Table {
    pub(super) fn claim(&mut self, claim: &Claim, now: Timestamp) -> Vec<Claimed> {
        // Each job falls due once for each time it is scheduled, so this costs nothing that was not paid for.
        self.promote(usize::MAX, now);
        let mut claimed = Vec::new();
        for wanted in &claim.queues {
            if self.paused_queues.contains(&wanted.queue) {
                continue;
            }
            for _ in 0..wanted.slots {
                let Some(seq) = self.take_turn(&wanted.queue, claim, now) else { break };
                let token = self.draw_token();
                claimed.extend(self.change(seq, now, |row| take(row, token, claim, now)));
            }
        }
        claimed
    }

    /// The job of a queue that is claimed now, in its turn where the queue is fair.
    fn take_turn(&mut self, queue: &str, claim: &Claim, now: Timestamp) -> Option<u64> {
        let First { keys, place: (_, seq), .. } = self.next(queue, claim, now)?;
        let cost = self.rows.get(&seq)?.record.policy.cost;
        if self.queue_closed(queue, &cost, now).is_some() {
            return None;
        }
        if self.is_fair(queue) {
            let keys = keys.clone();
            self.limits.next_turn(queue, &keys, &cost);
        }
        Some(seq)
    }

    /// The job of a queue that is next, unless the queue is full: of those whose limit keys admit it, the first by rank, or in a
    /// fair queue the first of the keys whose turn it is.
    fn next<'t>(&'t self, queue: &str, claim: &'t Claim, now: Timestamp) -> Option<First<'t>> {
        let open = self.first_of_keys(queue, claim, now).into_iter().filter(|first| {
            let row = self.rows.get(&first.place.1);
            row.is_some_and(|row| self.limits.closed(first.keys, &row.record.policy.cost, now).is_none())
        });
        match self.is_fair(queue) {
            true => open
                .min_by_key(|first| (self.limits.turn(queue, first.keys), first.keys.join(","), first.place)),
            false => open.min_by_key(|first| first.place),
        }
    }

    /// Of each set of limit keys of which jobs wait in a queue, the first that the worker may claim now but for limits.
    fn first_of_keys<'t>(&'t self, queue: &str, claim: &'t Claim, now: Timestamp) -> Vec<First<'t>> {
        let mut first_of_keys: Vec<First<'t>> = Vec::new();
        let known = self.index.first_available(queue, &claim.kinds, now);
        for first in known.filter(|first| self.fits(first, &claim.worker).at(now)) {
            match first_of_keys.last_mut().filter(|other| other.keys == first.keys) {
                Some(other) if other.place < first.place => {}
                Some(other) => *other = first,
                None => first_of_keys.push(first),
            }
        }
        first_of_keys
    }

    /// The time from which a worker may claim a job of a kind that it supports; limits are not checked.
    fn fits(&self, first: &First<'_>, worker: &WorkerInfo) -> Fits {
        let run_at = self.rows.get(&first.place.1).map(|row| row.record.run_at);
        prefer::fits(first.source.prefer.as_ref(), &worker.labels, run_at.unwrap_or_default())
    }

    /// The earliest time at which the result of an empty claim may change without a call: a scheduled job falls due, a
    /// pause ends, a rate admits a job, or a job stops waiting for preferred workers.
    pub(super) fn next_change(&self, claim: &Claim, now: Timestamp) -> Option<Timestamp> {
        let mut changes: Vec<Timestamp> = [&self.index.scheduled, &self.index.waking]
            .into_iter()
            .filter_map(|due| Some(due.first()?.0))
            .collect();
        for wanted in &claim.queues {
            let queue = &wanted.queue;
            if self.paused_queues.contains(queue) {
                continue;
            }
            let cost = |first: &First<'_>| self.rows.get(&first.place.1).map(|row| row.record.policy.cost);
            for first in self.first_of_keys(queue, claim, now) {
                let closed = cost(&first).and_then(|cost| self.limits.closed(first.keys, &cost, now));
                changes.extend(closed.and_then(|closed| closed.until()));
            }
            let next = self.next(queue, claim, now).and_then(|first| cost(&first));
            let closed = next.and_then(|cost| self.queue_closed(queue, &cost, now));
            changes.extend(closed.and_then(|closed| closed.until()));
            for first in self.index.first_available(queue, &claim.kinds, now) {
                if let Fits::From(from) = self.fits(&first, &claim.worker)
                    && from > now
                {
                    changes.push(from);
                }
            }
        }
        changes.into_iter().min()
    }

    /// Makes at most `limit` jobs available whose time has come or whose wait is over, and says how many there were.
    pub(super) fn promote(&mut self, limit: usize, now: Timestamp) -> u64 {
        let mut due = Index::due(&self.index.scheduled, now, limit);
        due.extend(Index::due(&self.index.waking, now, limit - due.len()));
        for seq in &due {
            // `run_at` stays: the rank counts from the time at which it fell due, not from its promotion.
            self.change(*seq, now, |row| row.enter(State::Available, now));
        }
        due.len() as u64
    }

    pub(super) fn heartbeat(
        &mut self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
        now: Timestamp,
    ) -> Vec<LeaseStatus> {
        self.workers.insert(worker.id.clone(), WorkerInfo { seen_at: now, ..worker.clone() });
        let extend = |row: &mut Row| {
            row.lease_until = now.plus(lease_for);
            row.lease_status()
        };
        let mut beat = |lease: &Lease| {
            let seq = self.leased(lease)?;
            self.change(seq, now, extend)
        };
        leases.iter().map(|lease| beat(lease).unwrap_or(LeaseStatus::Lost)).collect()
    }
}

fn take(row: &mut Row, token: u64, claim: &Claim, now: Timestamp) -> Claimed {
    row.token = token;
    row.record.attempt += 1;
    row.record.worker = Some(claim.worker.id.clone());
    row.record.started_at = Some(now);
    row.lease_until = now.plus(claim.lease_for);
    row.reset_log(now);
    row.enter(State::Running, now);
    let record = &row.record;
    Claimed {
        lease: Lease { id: record.id.clone(), token: row.token },
        kind: record.kind.clone(),
        version: record.version,
        queue: record.queue.clone(),
        args: record.args.clone(),
        attempt: record.attempt,
        max_attempts: record.max_attempts,
        policy: record.policy,
        created_at: record.created_at,
        deadline_in: row.times().deadline_in(now),
        labels: record.labels.clone(),
        steps: row.outputs_of_steps(),
    }
}

impl Row {
    /// The outputs of the steps that earlier attempts have done.
    fn outputs_of_steps(&self) -> BTreeMap<String, Json> {
        self.steps.iter().filter_map(|step| Some((step.name.clone(), step.output.clone()?))).collect()
    }
}
