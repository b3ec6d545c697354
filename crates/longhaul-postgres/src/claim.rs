use futures::future::join_all;
use longhaul::lifecycle;
use longhaul::{Change, Claim, Claimed, EventBody, JobId, Json, Lease, QueueSlots, Result, State, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::row::{Unreadable, json, parsed, policy, priority, rows_at_most, small, unsigned};
use crate::write_tx::WriteTx;

/// The most jobs of paused limit keys that one claim moves out of its way.
const POSTPONED_AT_ONCE: usize = 1_000;

pub(crate) const PROMOTE_DUE: &str = include_str!("sql/promote_due.sql");

/// The next job of a queue: taken, or kept back by the pause of its limit key.
struct Next {
    id: JobId,
    claimed: Result<Claimed, Unreadable>,
    token: u64,
    attempt: u32,
    seq: i64,
    steps: i64,
    log_event: i64,
    last_event: i64,
    priority: i32,
    rank: i64,
    paused_until: Option<Timestamp>,
    kind: String,
    run_at: Timestamp,
}

impl WriteTx<'_> {
    /// Gives jobs to a worker: whatever is there, which may be nothing.
    pub(crate) async fn claim(&mut self, claim: &Claim) -> Result<Vec<Claimed>> {
        let queues: Vec<&QueueSlots> = claim.queues.iter().filter(|queue| queue.slots > 0).collect();
        // Sent together: one round trip for all queues.
        let next =
            join_all(queues.iter().map(|queue| self.next_jobs(&queue.queue, queue.slots, claim))).await;
        let mut claimed = Vec::new();
        for (queue, next) in queues.into_iter().zip(next) {
            self.claim_from(queue, next?, claim, &mut claimed).await?;
        }
        Ok(claimed)
    }

    /// Hands over what was taken of one queue. Jobs whose limit key is paused are moved out of the way, each once per
    /// pause, and others taken in their stead; a claim that meets very many of them stops, and the writer looks again in
    /// its next transaction.
    async fn claim_from(
        &mut self,
        queue: &QueueSlots,
        mut next: Vec<Next>,
        claim: &Claim,
        claimed: &mut Vec<Claimed>,
    ) -> Result<()> {
        let (mut free, mut postponed) = (queue.slots, 0);
        loop {
            let (paused, taken): (Vec<_>, Vec<_>) =
                next.into_iter().partition(|job| job.paused_until.is_some());
            free = free.saturating_sub(taken.len());
            self.hand_over(&queue.queue, taken, claimed).await?;
            if paused.is_empty() {
                return Ok(());
            }
            postponed += paused.len();
            self.postpone(&queue.queue, paused).await?;
            if postponed >= POSTPONED_AT_ONCE {
                self.effects.stopped_early.insert(queue.queue.clone());
                return Ok(());
            }
            next = self.next_jobs(&queue.queue, free, claim).await?;
        }
    }

    /// Takes the next jobs of a queue. Each kind and version is looked up by itself, because kinds that this worker
    /// does not know may stand before those that it does, in any number.
    async fn next_jobs(&self, queue: &str, free: usize, claim: &Claim) -> Result<Vec<Next>> {
        let known = claim.kinds.iter().map(|known| (known.kind.as_str(), i64::from(known.version)));
        let (kinds, versions): (Vec<&str>, Vec<i64>) = known.unzip();
        let (limit, until) = (rows_at_most(free), self.time.plus(claim.lease_for).0);
        let values: [&(dyn ToSql + Sync); 8] =
            [&queue, &kinds, &versions, &limit, &self.now.0, &claim.worker.id, &until, &self.claim_number];
        let rows = self.rows("claim", include_str!("sql/claim_jobs.sql"), &values).await?;
        let mut next: Vec<Next> = rows.iter().map(read_next).collect();
        next.sort_unstable_by_key(|job| (job.rank, job.seq));
        Ok(next)
    }

    /// Hands over jobs that were taken. One that cannot be read is no worker's to run: it fails for that reason.
    async fn hand_over(
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

    /// Lets jobs wait for the ends of their keys' pauses: a claim meets each once, and not again before that.
    async fn postpone(&mut self, queue: &str, jobs: Vec<Next>) -> Result<()> {
        let (mut seqs, mut run_ats, mut ranks) = (Vec::new(), Vec::new(), Vec::new());
        for job in &jobs {
            let until = job.paused_until.unwrap_or(self.now);
            seqs.push(job.seq);
            run_ats.push(until.0);
            ranks.push(lifecycle::rank(until, job.priority));
        }
        let sql = include_str!("sql/postpone_jobs.sql");
        self.rows("postpone jobs", sql, &[&seqs, &self.now.0, &run_ats, &ranks]).await?;
        for job in &jobs {
            self.moved(job.leaves(queue, State::Scheduled, self.now));
        }
        self.effects.changed.extend(jobs.into_iter().map(|job| job.id));
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
                from: Some(State::Scheduled),
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

fn read_next(row: &Row) -> Next {
    let id = JobId::from_store(row.get(0));
    let token = row.get::<_, Option<i64>>(18).map_or(0, unsigned);
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
            policy: policy(row, [7, 8, 19])?,
            created_at: Timestamp(row.get(9)),
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
        priority: priority(row, 15),
        paused_until: row.get::<_, Option<i64>>(16).map(Timestamp),
        rank: row.get(17),
        kind: row.get(1),
        run_at: Timestamp(row.get(20)),
    }
}
