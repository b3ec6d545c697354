use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::index::Index;
use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
use crate::model::{Claim, Claimed, Json, Lease, LeaseStatus, State, SupportedKind, WorkerInfo};

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
                let Some(seq) = self.next(&wanted.queue, &claim.kinds, now) else { break };
                let token = self.draw_token();
                claimed.extend(self.change(seq, now, |row| take(row, token, claim, now)));
            }
        }
        claimed
    }

    /// The job of a queue that is claimed next: of those whose limit keys admit it, the first by rank, or in a fair queue the
    /// first of the keys whose turn it is.
    fn next(&mut self, queue: &str, kinds: &[SupportedKind], now: Timestamp) -> Option<u64> {
        let is_fair = self.is_fair(queue);
        let open = self.index.first_available(queue, kinds, now).filter(|(keys, first)| {
            self.rows
                .get(&first.1)
                .is_some_and(|row| self.limits.closed(keys, &row.record.policy.cost, now).is_none())
        });
        let turn = |keys: &Vec<String>| if is_fair { self.limits.turn(queue, keys) } else { 0 };
        let (keys, (_, seq)) = match is_fair {
            true => open.min_by_key(|(keys, first)| (turn(keys), keys.join(","), *first))?,
            false => open.min_by_key(|(_, first)| *first)?,
        };
        if is_fair {
            let (keys, cost) = (keys.clone(), self.rows.get(&seq)?.record.policy.cost);
            self.limits.next_turn(queue, &keys, &cost);
        }
        Some(seq)
    }

    /// When a claim that found nothing may find something though nothing is done: a scheduled job falls due, a pause ends, or a
    /// rate admits a job.
    pub(super) fn next_change(&self, claim: &Claim, now: Timestamp) -> Option<Timestamp> {
        let waiting = claim.queues.iter().filter(|queue| !self.paused_queues.contains(&queue.queue));
        let first = waiting.flat_map(|queue| self.index.first_available(&queue.queue, &claim.kinds, now));
        let opens = first.filter_map(|(keys, (_, seq))| {
            self.limits.closed(keys, &self.rows.get(&seq)?.record.policy.cost, now)?.until()
        });
        let due = [&self.index.scheduled, &self.index.waking].into_iter().filter_map(BTreeSet::first);
        opens.chain(due.map(|(at, _)| *at)).min()
    }

    /// Makes at most `limit` jobs available whose time has come or whose wait is over, and says how many there were.
    pub(super) fn promote(&mut self, limit: usize, now: Timestamp) -> u64 {
        let mut due = Index::due(&self.index.scheduled, now, limit);
        due.extend(Index::due(&self.index.waking, now, limit - due.len()));
        for seq in &due {
            // `run_at` stays: its rank counts from when it fell due, whoever noticed that and when.
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
