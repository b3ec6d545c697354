use std::time::Duration;

use futures::future::join_all;
use longhaul::lifecycle;
use longhaul::{Change, Claim, Claimed, EventBody, JobId, Json, Lease, QueueSlots, Result, State, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::row::{Unreadable, json, parsed, policy, rows_at_most, small, state, unsigned};
use crate::write_tx::WriteTx;

pub(crate) const PROMOTE_DUE: &str = include_str!("sql/promote_due.sql");

/// The treatment of groups by a claim of jobs without limit keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Groups {
    /// It reports that there are groups, and claims nothing.
    Told,
    /// It skips them.
    PassedOver,
}

/// A claimed job.
pub(crate) struct Next {
    id: JobId,
    claimed: Result<Claimed, Unreadable>,
    token: u64,
    attempt: u32,
    pub(crate) seq: i64,
    steps: i64,
    log_event: i64,
    last_event: i64,
    rank: i64,
    kind: String,
    run_at: Timestamp,
}

impl WriteTx<'_> {
    /// Gives jobs to a worker: whatever is there, which may be nothing.
    pub(crate) async fn claim(&mut self, claim: &Claim) -> Result<Vec<Claimed>> {
        let queues: Vec<&QueueSlots> = claim.queues.iter().filter(|queue| queue.slots > 0).collect();
        let mut claimed = Vec::new();
        if self.limits.is_held() {
            for queue in queues {
                self.claim_with_groups(queue, claim, &mut claimed).await?;
            }
            return Ok(claimed);
        }
        // Sent together: one round trip for all queues.
        let told = queues.iter().map(|queue| self.next_jobs(&queue.queue, queue.slots, claim, Groups::Told));
        let next = join_all(told).await;
        for (queue, next) in queues.into_iter().zip(next) {
            match next? {
                Some(jobs) => self.hand_over(&queue.queue, jobs, &mut claimed).await?,
                None => self.claim_with_groups(queue, claim, &mut claimed).await?,
            }
        }
        Ok(claimed)
    }

    /// Takes the next jobs of a queue that have no limit keys; `None` where there are groups to be looked at. Each kind and
    /// version is looked up by itself, because kinds that this worker does not know may stand before those that it does, in
    /// any number.
    pub(crate) async fn next_jobs(
        &self,
        queue: &str,
        free: usize,
        claim: &Claim,
        groups: Groups,
    ) -> Result<Option<Vec<Next>>> {
        let known = claim.kinds.iter().map(|known| (known.kind.as_str(), i64::from(known.version)));
        let (kinds, versions): (Vec<&str>, Vec<i64>) = known.unzip();
        let (limit, until) = (rows_at_most(free), self.time.plus(claim.lease_for).0);
        let passes_over = groups == Groups::PassedOver;
        let values: [&(dyn ToSql + Sync); 9] = [
            &queue,
            &kinds,
            &versions,
            &limit,
            &self.now.0,
            &claim.worker.id,
            &until,
            &self.claim_number,
            &passes_over,
        ];
        let rows = self.rows("claim", include_str!("sql/claim_jobs.sql"), &values).await?;
        if rows.iter().any(|row| row.get::<_, Option<&str>>(0).is_none()) {
            return Ok(None);
        }
        let mut next: Vec<Next> = rows.iter().map(|row| read_next(row, self.now)).collect();
        next.sort_unstable_by_key(|job| (job.rank, job.seq));
        Ok(Some(next))
    }

    /// Hands over jobs that were taken. One that cannot be read is no worker's to run: it fails for that reason.
    pub(crate) async fn hand_over(
        &mut self,
        queue: &str,
        mut jobs: Vec<Next>,
        claimed: &mut Vec<Claimed>,
    ) -> Result<()> {
        for job in jobs.iter().filter(|job| job.log_event > 0) {
            let reset = vec![(job.last_event + 1, Json::new(&EventBody::Reset)?)];
            self.insert_events(job.seq, job.attempt, reset).await?;
        }
        self.add_steps(&mut jobs).await?;
        self.count(queue, Some(State::Available), Some(State::Running), rows_at_most(jobs.len()));
        for job in jobs {
            self.note(Change {
                attempt: job.attempt,
                since: Some(job.run_at),
                ..job.leaves(queue, State::Running, self.now)
            });
            match job.claimed {
                Ok(job) => {
                    self.effects.changed.push(job.lease.id.clone());
                    claimed.push(job);
                }
                Err(unreadable) => {
                    let lease = Lease { id: job.id, token: job.token };
                    self.fail_unreadable(&lease, &unreadable.to_string()).await?;
                }
            }
        }
        self.settle().await
    }

    /// Ends a claimed job whose row cannot be read.
    pub(crate) async fn fail_unreadable(&mut self, lease: &Lease, reason: &str) -> Result<()> {
        tracing::warn!(job = %lease.id, "failed a job whose row cannot be read: {reason}");
        let Some(run) = self.find_lease(lease).await? else { return Ok(()) };
        let next = lifecycle::unreadable(&run.facts(), reason, self.now);
        self.end_run(lease, run, next).await
    }

    async fn add_steps(&self, jobs: &mut [Next]) -> Result<()> {
        let with_steps: Vec<i64> = jobs.iter().filter(|job| job.steps > 0).map(|job| job.seq).collect();
        if with_steps.is_empty() {
            return Ok(());
        }
        for row in self.rows("read steps", include_str!("sql/steps.sql"), &[&with_steps]).await? {
            let seq: i64 = row.get(0);
            let Some(job) = jobs.iter_mut().find(|job| job.seq == seq) else { continue };
            let step = json(&row, 2, "steps");
            job.claimed =
                std::mem::replace(&mut job.claimed, Err(Unreadable::default())).and_then(|mut claimed| {
                    claimed.steps.insert(row.get(1), step?);
                    Ok(claimed)
                });
        }
        Ok(())
    }

    /// Takes back claims whose caller went away before they were answered: as if they had never been.
    pub(crate) async fn take_back(&mut self, leases: &[Lease]) -> Result<()> {
        for lease in leases {
            let Some(run) = self.find_lease(lease).await? else { continue };
            let seq = run.seq;
            let next = lifecycle::take_back(&run.facts(), self.now);
            if !next.state.is_finished() {
                let sql = include_str!("sql/forget_claim.sql");
                self.rows("take a claim back", sql, &[&seq]).await?;
            }
            self.end_run(lease, run, next).await?;
        }
        self.settle().await
    }

    /// Takes back claims whose answers were lost, and answers how many jobs they had.
    pub(crate) async fn take_back_lost(&mut self, claims: &[i64]) -> Result<u64> {
        let rows = self.rows("look for lost claims", include_str!("sql/lost_claims.sql"), &[&claims]).await?;
        let lease = |row: &Row| Lease { id: JobId::from_store(row.get(0)), token: unsigned(row.get(1)) };
        let leases: Vec<Lease> = rows.iter().map(lease).collect();
        self.take_back(&leases).await?;
        Ok(leases.len() as u64)
    }

    /// Makes due jobs available, at most `limit`.
    pub(crate) async fn promote_due(&mut self, limit: usize) -> Result<u64> {
        let due = self.rows("promote due jobs", PROMOTE_DUE, &[&self.now.0, &rows_at_most(limit)]).await?;
        self.promoted(&due);
        Ok(due.len() as u64)
    }

    /// Notes the jobs that [`PROMOTE_DUE`] has made available.
    pub(crate) fn promoted(&mut self, due: &[Row]) {
        for row in due {
            let id = JobId::from_store(row.get(0));
            self.moved(Change {
                id: &id,
                kind: row.get(2),
                queue: row.get(1),
                from: Some(state(row, 4)),
                to: Some(State::Available),
                attempt: small(row.get(3)),
                at: self.now,
                since: None,
                error: None,
            });
            self.effects.changed.push(id);
        }
    }
}

impl Next {
    /// The change of state of an available job that no attempt has begun with.
    fn leaves<'c>(&'c self, queue: &'c str, to: State, at: Timestamp) -> Change<'c> {
        Change {
            id: &self.id,
            kind: &self.kind,
            queue,
            from: Some(State::Available),
            to: Some(to),
            attempt: self.attempt - 1,
            at,
            since: None,
            error: None,
        }
    }
}

/// The time that is left until a job's deadline.
pub(crate) fn deadline_in(row: &Row, column: usize, now: Timestamp) -> Option<Duration> {
    row.get::<_, Option<i64>>(column).map(|deadline| Timestamp(deadline).since(now))
}

pub(crate) fn read_next(row: &Row, now: Timestamp) -> Next {
    let id = JobId::from_store(row.get(0));
    let token = unsigned(row.get(16));
    // The row is read before the claim raises it.
    let attempt = small(row.get(5)) + 1;
    let claimed = || {
        Ok(Claimed {
            lease: Lease { id: id.clone(), token },
            kind: row.get(1),
            version: small(row.get(2)),
            queue: row.get(3),
            args: json(row, 4, "args")?,
            attempt,
            max_attempts: small(row.get(6)),
            policy: policy(row, [7, 8, 17])?,
            created_at: Timestamp(row.get(9)),
            deadline_in: deadline_in(row, 19, now),
            labels: parsed(row, 10, "labels")?.unwrap_or_default(),
            steps: Default::default(),
        })
    };
    Next {
        claimed: claimed(),
        id,
        token,
        attempt,
        steps: row.get(11),
        log_event: row.get(12),
        last_event: row.get(13),
        seq: row.get(14),
        rank: row.get(15),
        kind: row.get(1),
        run_at: Timestamp(row.get(18)),
    }
}
