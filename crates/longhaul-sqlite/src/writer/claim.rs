use std::time::Duration;

use longhaul::{
    AttemptError, Claim, Claimed, EventBody, JobId, Json, Lease, QueueSlots, Result, State, SupportedKind,
    Timestamp, WORKER_SEEN_FOR, WorkerInfo, process_id,
};
use rusqlite::types::ValueRef;
use rusqlite::{Row, params};

use super::Batch;
use super::finish::{End, unchanged};
use crate::error::fault;
use crate::row::{json, millis_column, parsed, unsigned};

impl Batch<'_> {
    /// Gives jobs to a worker: whatever is there, which may be nothing.
    pub(super) fn claim(&mut self, claim: &Claim) -> Result<Vec<Claimed>> {
        let mut claimed = Vec::new();
        for queue in &claim.queues {
            self.claim_from(queue, claim, &mut claimed)?;
        }
        if !claimed.is_empty() {
            // A successor that takes over must find the worker of every running job.
            self.make_known(&claim.worker)?;
        }
        Ok(claimed)
    }

    /// Takes jobs of one queue. Those whose limit key is paused are moved out of the way, each once per pause; a claim
    /// that meets very many of them stops, and the writer looks again in its next transaction.
    fn claim_from(&mut self, queue: &QueueSlots, claim: &Claim, claimed: &mut Vec<Claimed>) -> Result<()> {
        let (mut free, mut postponed) = (queue.slots, 0);
        loop {
            let next = self
                .candidates(&queue.queue, free, &claim.kinds)
                .map_err(fault("look for available jobs"))?;
            claimed.reserve(next.len());
            let before = postponed;
            for candidate in next {
                match self.pause_of(&candidate).map_err(fault("look for a pause"))? {
                    None => {
                        claimed.push(self.claim_one(candidate, claim).map_err(fault("claim"))?);
                        free -= 1;
                    }
                    Some(until) => {
                        let Candidate { claimed: job, seq, priority, .. } = candidate;
                        self.postpone(seq, job.lease.id, &job.queue, priority, until)
                            .map_err(fault("postpone a job"))?;
                        postponed += 1;
                    }
                }
            }
            if postponed == before || free == 0 {
                return Ok(());
            }
            if postponed >= POSTPONED_AT_ONCE {
                self.stopped_early = true;
                return Ok(());
            }
        }
    }

    fn pause_of(&self, candidate: &Candidate) -> rusqlite::Result<Option<Timestamp>> {
        candidate.limit_key.as_ref().map_or(Ok(None), |key| self.paused_until(key))
    }

    /// The next jobs of a queue. Each kind and version is looked up by itself, because kinds that this worker
    /// does not know may stand before those that it does, in any number.
    fn candidates(
        &mut self,
        queue: &str,
        free: usize,
        kinds: &[SupportedKind],
    ) -> rusqlite::Result<Vec<Candidate>> {
        let slots = i64::try_from(free).unwrap_or(i64::MAX);
        let mut found: Vec<Candidate> = Vec::new();
        let mut sources = 0;
        for supported in kinds {
            for version in 1..=supported.version {
                let before = found.len();
                let mut rows = self.hot.candidates.query(params![queue, supported.kind, version, slots])?;
                while let Some(row) = rows.next()? {
                    found.push(read_candidate(row)?);
                }
                sources += i32::from(found.len() > before);
            }
        }
        if sources > 1 {
            found.sort_unstable_by_key(|candidate| (candidate.rank, candidate.seq));
            found.truncate(free);
        }
        Ok(found)
    }

    fn claim_one(&mut self, candidate: Candidate, claim: &Claim) -> rusqlite::Result<Claimed> {
        let Candidate { mut claimed, seq, steps, log_event, last_event, is_plain, .. } = candidate;
        let token = self.draw();
        claimed.lease.token = unsigned(token);
        let now = self.now;
        let lease_until = now.plus(claim.lease_for).0;
        self.hot.claim.execute(params![seq, token, claim.worker.id, now.0, lease_until])?;
        if log_event > 0 {
            self.insert_event(seq, last_event + 1, claimed.attempt, &EventBody::Reset)?;
        }
        if steps > 0 {
            let mut read = self.connection.prepare_cached("SELECT name, output FROM steps WHERE job = ?1")?;
            let mut rows = read.query([seq])?;
            while let Some(row) = rows.next()? {
                claimed.steps.insert(row.get(0)?, json(row, 1)?);
            }
        }
        if is_plain {
            self.remember(token, seq, &claimed.queue);
        }
        self.moved(&claimed.queue, Some(State::Available), Some(State::Running));
        self.changed.push(claimed.lease.id.clone());
        Ok(claimed)
    }

    /// Takes back a claim whose caller went away before it was answered: as if it had never been. Where somebody has
    /// asked the job to stop since, it has.
    pub(crate) fn unclaim(&mut self, lease: &Lease) -> Result<()> {
        let Some(run) = self.find_lease(lease)? else { return Ok(()) };
        if run.cancel_by.is_some() {
            let attempt = run.attempt.saturating_sub(1);
            let error = Some(AttemptError { attempt, at: self.now, ..AttemptError::cancelled() });
            let end = End { state: State::Cancelled, attempt, error, ..unchanged(&run) };
            self.end_run(lease, run, end)?;
            return self.settle();
        }
        self.connection
            .prepare_cached(include_str!("../sql/unclaim_job.sql"))
            .and_then(|mut update| update.execute(params![run.seq, self.now.0]))
            .map_err(fault("take a claim back"))?;
        self.moved(&run.queue, Some(State::Running), Some(State::Available));
        self.changed.push(lease.id.clone());
        Ok(())
    }

    /// Makes due jobs available, at most `limit`.
    pub(super) fn promote_due(&mut self, limit: usize) -> Result<u64> {
        let fault = fault("promote due jobs");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let due: Vec<(i64, String)> = self
            .hot
            .due
            .query_map(params![self.now.0, limit], |row| Ok((row.get(0)?, row.get(1)?)))
            .and_then(Iterator::collect)
            .map_err(&fault)?;
        for (seq, queue) in &due {
            let id: String = self
                .connection
                .prepare_cached(include_str!("../sql/promote_job.sql"))
                .and_then(|mut update| update.query_row(params![seq, self.now.0], |row| row.get(0)))
                .map_err(&fault)?;
            self.moved(queue, Some(State::Scheduled), Some(State::Available));
            self.changed.push(JobId::from_store(id));
        }
        Ok(due.len() as u64)
    }

    /// When the next scheduled job falls due.
    pub(super) fn next_due(&self) -> Result<Option<Timestamp>> {
        self.connection
            .prepare_cached("SELECT min(run_at) FROM jobs WHERE state = 'scheduled'")
            .and_then(|mut read| read.query_row([], |row| row.get(0)))
            .map(|due: Option<i64>| due.map(Timestamp))
            .map_err(fault("look for the next scheduled job"))
    }

    /// Notes the worker of a first claim, so that a successor finds it. It is listed once it sends a heartbeat.
    fn make_known(&mut self, worker: &WorkerInfo) -> Result<()> {
        if self.known_workers.contains(&worker.id) {
            return Ok(());
        }
        let not_listed = self.now.minus(WORKER_SEEN_FOR);
        self.write_worker(include_str!("../sql/own_worker.sql"), worker, not_listed)?;
        self.known_workers.insert(worker.id.clone());
        Ok(())
    }

    /// Notes that a worker lives.
    pub(super) fn note_worker(&mut self, worker: &WorkerInfo) -> Result<()> {
        self.write_worker(include_str!("../sql/upsert_worker.sql"), worker, self.now)
    }

    fn write_worker(&self, sql: &str, worker: &WorkerInfo, seen_at: Timestamp) -> Result<()> {
        // A worker of another process may live on when this one dies, so a successor must not take over from it.
        let owned = self.owner && worker.process == process_id();
        let info = Json::new(worker)?;
        self.connection
            .prepare_cached(sql)
            .and_then(|mut write| write.execute(params![worker.id, info.as_str(), seen_at.0, owned]))
            .map_err(fault("note a worker"))?;
        Ok(())
    }
}

/// An available job, as it will be claimed.
struct Candidate {
    claimed: Claimed,
    rank: i64,
    seq: i64,
    steps: i64,
    log_event: i64,
    last_event: i64,
    /// Neither a unique key nor a batch must hear of its end.
    is_plain: bool,
    limit_key: Option<String>,
    priority: i32,
}

/// How many jobs of paused limit keys one claim moves out of its way.
const POSTPONED_AT_ONCE: usize = 1_000;

fn read_candidate(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    let claimed = Claimed {
        lease: Lease { id: JobId::from_store(row.get(0)?), token: 0 },
        kind: row.get(1)?,
        version: row.get(2)?,
        queue: row.get(3)?,
        args: json(row, 4)?,
        // The row is read before the claim raises it.
        attempt: row.get::<_, u32>(5)? + 1,
        max_attempts: row.get(6)?,
        policy: longhaul::Policy {
            timeout: millis_column(row, 7)?.map(Duration::from_millis),
            backoff: parsed(row, 8)?,
        },
        created_at: Timestamp(row.get(9)?),
        labels: parsed(row, 10)?.unwrap_or_default(),
        steps: Default::default(),
    };
    Ok(Candidate {
        claimed,
        steps: row.get(11)?,
        log_event: row.get(12)?,
        last_event: row.get(13)?,
        rank: row.get(14)?,
        seq: row.get(15)?,
        is_plain: row.get_ref(16)? == ValueRef::Null && row.get_ref(18)? == ValueRef::Null,
        limit_key: row.get(17)?,
        priority: row.get(19)?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use longhaul::{Action, Children, Clock, JobId, JobRecord, NewJob, Start, Timestamp};
    use longhaul_conformance::jobs::{HOUR, claim, id, named};

    use super::*;

    /// A connection to a new file in a folder.
    fn connection(folder: &tempfile::TempDir) -> rusqlite::Connection {
        let connection = crate::open::writing(&folder.path().join("jobs.db")).unwrap();
        crate::open::migrate(&connection).unwrap();
        connection
    }

    fn record(batch: &Batch<'_>, id: &JobId, now: Timestamp) -> JobRecord {
        let mut found = crate::read::get(batch.connection(), std::slice::from_ref(id), now).unwrap();
        found.remove(0).found().unwrap()
    }

    /// A batch of one child, which is claimed and asked to stop where `asked` says so, and then taken back.
    fn taken_back(action: Option<Action>) -> (JobRecord, JobRecord) {
        let folder = tempfile::tempdir().unwrap();
        let connection = connection(&folder);
        let clock = Clock::manual();
        let mut batch = Batch::new(&connection, clock.clone(), true).unwrap();
        batch.begin().unwrap();
        let closing = NewJob { start: Start::AfterChildren, ..named("all") };
        batch.enqueue(vec![closing, NewJob { parent: Some(id("all")), ..named("child") }]).unwrap();
        let lease = batch.claim(&claim()).unwrap().remove(0).lease;
        if let Some(action) = action {
            assert_eq!(batch.act(&[id("child")], action).unwrap(), 1);
        }
        batch.unclaim(&lease).unwrap();
        batch.commit().unwrap();
        (record(&batch, &id("child"), clock.now()), record(&batch, &id("all"), clock.now()))
    }

    #[test]
    fn a_claim_that_is_taken_back_has_never_been() {
        let (child, all) = taken_back(None);
        assert_eq!((child.state, child.attempt, child.worker), (State::Available, 0, None));
        assert_eq!((all.state, all.children.unwrap().unfinished()), (State::Blocked, 1));
    }

    #[test]
    fn a_claim_that_is_taken_back_after_its_job_was_cancelled_ends_it() {
        let (child, all) = taken_back(Some(Action::Cancel { grace: HOUR }));
        assert_eq!((child.state, child.attempt, child.cancel_requested), (State::Cancelled, 0, false));
        assert_eq!(all.state, State::Available);
        assert_eq!(all.children, Some(Children { total: 1, completed: 0, failed: 0, cancelled: 1 }));
    }
}
