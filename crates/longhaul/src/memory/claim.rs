use std::collections::BTreeMap;
use std::time::Duration;

use super::index::Index;
use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
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
            let mut free = wanted.slots;
            while free > 0 {
                let Some(seq) = self.index.first_available(&wanted.queue, &claim.kinds) else { break };
                if let Some(until) = self.paused_until(seq, now) {
                    // It is met once, and not again before the pause is over.
                    self.change(seq, now, |row| row.wait_until(until, now));
                    continue;
                }
                let token = self.draw_token();
                claimed.extend(self.change(seq, now, |row| take(row, token, claim, now)));
                free -= 1;
            }
        }
        claimed
    }

    /// When the pause of a job's limit key ends, where it has one that goes on.
    fn paused_until(&self, seq: u64, now: Timestamp) -> Option<Timestamp> {
        let key = self.rows.get(&seq)?.record.limit_key.as_ref()?;
        self.pauses.get(key).copied().filter(|until| *until > now)
    }

    /// Makes at most `limit` scheduled jobs available whose time has come, and says how many there were.
    pub(super) fn promote(&mut self, limit: usize, now: Timestamp) -> u64 {
        let due = Index::due(&self.index.scheduled, now, limit);
        for seq in &due {
            // `run_at` stays: its rank counts from when it fell due, whoever noticed that and when.
            self.change(*seq, now, |row| row.enter(State::Available, now));
        }
        due.len() as u64
    }

    /// When the next scheduled job falls due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.index.scheduled.first().map(|(run_at, _)| *run_at)
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
