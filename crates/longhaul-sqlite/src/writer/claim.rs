use longhaul::{
    Change, Claim, Claimed, EventBody, Lease, QueueSlots, Result, State, SupportedKind, Timestamp, lifecycle,
};
use rusqlite::{OptionalExtension, Row, params};

use super::ends::Ends;
use super::groups::{Keyed, cost_of};
use super::merge::Merge;
use super::write_tx::WriteTx;
use crate::error::fault;
use crate::limit_key::{beyond_plain, natural_rank};
use crate::row::{Columns, signed, unsigned};

impl WriteTx<'_> {
    /// Gives jobs to a worker: whatever is there, which may be nothing.
    pub(super) fn claim(&mut self, claim: &Claim) -> Result<Vec<Claimed>> {
        self.claim_where(claim, |_| true)
    }

    /// The same of one queue alone.
    pub(super) fn claim_from(&mut self, claim: &Claim, queue: &str) -> Result<Vec<Claimed>> {
        self.claim_where(claim, |slots| slots.queue == queue)
    }

    fn claim_where(&mut self, claim: &Claim, is_meant: impl Fn(&QueueSlots) -> bool) -> Result<Vec<Claimed>> {
        let mut claimed = Vec::new();
        self.open_what_was_freed()?;
        for slots in claim.queues.iter().filter(|slots| is_meant(slots)) {
            if !self.is_paused(&slots.queue)? {
                self.fill_slots(slots, claim, &mut claimed)?;
            }
        }
        if !claimed.is_empty() {
            // A successor that takes over must find the worker of every running job.
            self.make_known(&claim.worker)?;
        }
        Ok(claimed)
    }

    /// Takes jobs of one queue. A claim that meets very many that it cannot take stops, and the writer looks again in its next
    /// transaction.
    fn fill_slots(&mut self, queue: &QueueSlots, claim: &Claim, claimed: &mut Vec<Claimed>) -> Result<()> {
        let limited = fault("look at the limits of a queue");
        let slots = self.free_in_queue(&queue.queue, queue.slots).map_err(&limited)?;
        if slots == 0 {
            return Ok(());
        }
        let mut moved = 0;
        loop {
            let next = self.claimable(&queue.queue, slots, &claim.kinds)?;
            if next.iter().any(Candidate::is_misplaced) {
                for candidate in next.into_iter().filter(Candidate::is_misplaced) {
                    self.put_right(candidate)?;
                    moved += 1;
                }
                if moved >= MOVED_AT_ONCE {
                    self.notes.stopped_early = true;
                    return Ok(());
                }
                continue;
            }
            if self.has_groups
                || self.fair_queue(&queue.queue).map_err(fault("look for a fair queue"))?.is_some()
            {
                return Merge::new(self, claim, &queue.queue, next).run(slots, claimed);
            }
            claimed.reserve(next.len());
            for mut candidate in next {
                self.release_candidate(&mut candidate).map_err(&limited)?;
                if !self.queue_admits(&queue.queue, &candidate.claimed.policy.cost).map_err(&limited)? {
                    break;
                }
                claimed.push(self.claim_one(candidate, claim).map_err(fault("claim"))?);
            }
            return Ok(());
        }
    }

    /// The next jobs of a queue whose time is not over. Those whose time is are left to a sweep, but where they are very many:
    /// then some of them are ended here, and the writer looks again in its next transaction.
    fn claimable(&mut self, queue: &str, slots: usize, kinds: &[SupportedKind]) -> Result<Vec<Candidate>> {
        let mut limit = slots;
        loop {
            let mut found = self.candidates(queue, limit, kinds).map_err(fault("look for available jobs"))?;
            let (now, read) = (self.now, found.len());
            if found.iter().all(|candidate| !candidate.is_over(now)) {
                return Ok(found);
            }
            found.retain(|candidate| !candidate.is_over(now));
            if found.len() >= slots || read < limit {
                found.truncate(slots);
                return Ok(found);
            }
            if read - found.len() >= MOVED_AT_ONCE {
                self.end_by_time(Ends::OfWaiting, MOVED_AT_ONCE as i64)?;
                self.notes.stopped_early = true;
                return Ok(found);
            }
            limit = limit.saturating_add(MOVED_AT_ONCE);
        }
    }

    /// Moves a job out of the way of the plain ones: one that cannot be read ends, and one with limit keys, which a process of
    /// an earlier release has made available, joins its group.
    fn put_right(&mut self, candidate: Candidate) -> Result<()> {
        let Candidate { claimed, unreadable, limit_key, seq, rank, .. } = candidate;
        if let Some(reason) = unreadable {
            return self.fail_unreadable(seq, &claimed.lease.id, &reason);
        }
        let Some(keys) = limit_key else { return Ok(()) };
        let (cost, version) = (claimed.policy.cost, claimed.version);
        let job = Keyed { keys: &keys, seq, version, rank, cost, held: None };
        let change = self.change(&claimed.lease.id, &claimed.kind, &claimed.queue, claimed.attempt);
        let mut join = || {
            let place = "UPDATE jobs SET rank = ?2 WHERE seq = ?1";
            self.connection.prepare_cached(place)?.execute(params![seq, beyond_plain(rank)])?;
            self.arrive(&change, &job)
        };
        join().map_err(fault("put a job into its group"))
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
            // Most kinds have one version only, which need not be looked for.
            let mut version =
                if supported.version == 1 { Some(1) } else { self.next_version(queue, supported, 0)? };
            while let Some(present) = version {
                let before = found.len();
                let mut rows =
                    self.statements.candidates.query(params![queue, supported.kind, present, slots])?;
                while let Some(row) = rows.next()? {
                    found.push(read_candidate(row)?);
                }
                drop(rows);
                sources += i32::from(found.len() > before);
                version = match present {
                    present if present < supported.version => self.next_version(queue, supported, present)?,
                    _ => None,
                };
            }
        }
        if sources > 1 {
            found.sort_unstable_by_key(|candidate| (candidate.rank, candidate.seq));
            found.truncate(free);
        }
        Ok(found)
    }

    /// The next version that a queue has jobs of: a version may be a date, so they are not counted through.
    fn next_version(&self, queue: &str, kind: &SupportedKind, above: u32) -> rusqlite::Result<Option<u32>> {
        self.connection
            .prepare_cached(include_str!("../sql/next_version.sql"))?
            .query_row(params![queue, kind.kind, above, kind.version], |row| row.get(0))
            .optional()
    }

    /// Gives back what a job takes though it does not run.
    pub(super) fn release_candidate(&mut self, candidate: &mut Candidate) -> rusqlite::Result<()> {
        let Some(held) = candidate.held.take() else { return Ok(()) };
        let keys = candidate.limit_key.as_deref().unwrap_or_default();
        self.release_held(candidate.seq, keys, &candidate.claimed.queue, held)
    }

    pub(super) fn claim_one(&mut self, candidate: Candidate, claim: &Claim) -> rusqlite::Result<Claimed> {
        let Candidate { mut claimed, seq, steps, log_event, last_event, run_at, is_plain, limit_key, .. } =
            candidate;
        let token = self.draw();
        claimed.lease.token = unsigned(token);
        let lease_until = self.lease_now.at.plus(claim.lease_for).0;
        let takes = self.take_of_queue(&claimed.queue, &claimed.policy.cost)?;
        let keys = limit_key.as_deref().or(takes.then_some(""));
        let held = keys.map(|keys| (keys, i64::from(claimed.policy.cost.slots)));
        let (worker, now) = (&claim.worker.id, self.now.0);
        match held {
            None => self.statements.claim.execute(params![seq, token, worker, now, lease_until])?,
            Some((_, slots)) => {
                self.statements.claim_keyed.execute(params![seq, token, worker, now, lease_until, slots])?
            }
        };
        if candidate.ends_at.is_some() {
            claimed.deadline_in = self.start_times(seq, token)?.deadline_in(self.now);
        }
        if log_event > 0 {
            self.insert_event(seq, last_event + 1, claimed.attempt, &EventBody::Reset)?;
        }
        if steps > 0 {
            let outputs = "SELECT name, output FROM steps WHERE job = ?1 AND output <> ''";
            let mut read = self.connection.prepare_cached(outputs)?;
            let mut rows = read.query([seq])?;
            while let Some(row) = rows.next()? {
                let mut columns = Columns::new(row);
                let (name, output) = (columns.next(), columns.json());
                // A step whose output cannot be read runs again.
                if columns.unreadable().is_none() {
                    claimed.steps.insert(name, output);
                }
            }
        }
        if is_plain {
            self.remember(token, seq, &claimed, held);
        }
        let change = Change {
            from: Some(State::Available),
            to: Some(State::Running),
            since: Some(run_at),
            ..self.change(&claimed.lease.id, &claimed.kind, &claimed.queue, claimed.attempt)
        };
        self.moved(seq, &change, None)?;
        if self.has_key_bounds {
            self.track(seq, &change, limit_key.as_deref())?;
        }
        self.notes.changed.push(claimed.lease.id.clone());
        Ok(claimed)
    }

    /// Reverts a claim whose caller went away before it was answered. If the job was asked to stop since, it is
    /// cancelled.
    pub(crate) fn unclaim(&mut self, lease: &Lease) -> Result<()> {
        let Some(row) = self.find_lease(lease)? else { return Ok(()) };
        let (seq, next) = (row.seq, lifecycle::take_back(&row.run, self.now));
        let token = signed(lease.token);
        self.end_run(&lease.id, row, next)?;
        self.connection
            .prepare_cached(include_str!("../sql/forget_worker.sql"))
            .and_then(|mut update| update.execute([seq]))
            .and_then(|_| self.connection.prepare_cached(include_str!("../sql/unstart_times.sql")))
            .and_then(|mut update| update.execute([seq, token]))
            .map_err(fault("take a claim back"))?;
        self.settle()
    }

    /// Makes jobs available whose time has come or whose wait is over, at most `limit`.
    pub(super) fn promote_due(&mut self, limit: usize) -> Result<u64> {
        let fault = fault("promote due jobs");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let due: Vec<(i64, String)> = self
            .statements
            .due
            .query_map(params![self.now.0, limit], |row| Ok((row.get(0)?, row.get(1)?)))
            .and_then(Iterator::collect)
            .map_err(&fault)?;
        for (seq, queue) in &due {
            self.promote(*seq, queue).map_err(&fault)?;
        }
        let promoted = due.len() as i64;
        let woken = self.wake_due(limit - promoted).map_err(&fault)?;
        Ok(unsigned(promoted) + woken)
    }

    fn promote(&mut self, seq: i64, queue: &str) -> rusqlite::Result<()> {
        let mut update = self.connection.prepare_cached(include_str!("../sql/promote_job.sql"))?;
        let (id, kind, attempt, keys, version, rank, cost) =
            update.query_row(params![seq, self.now.0], |row| {
                let mut columns = Columns::new(row);
                let (id, kind, attempt) = (columns.id(), columns.next::<String>(), columns.next());
                let (keys, version, rank) =
                    (columns.next::<Option<String>>(), columns.next(), columns.next());
                Ok((id, kind, attempt, keys, version, natural_rank(rank), cost_of(columns.parsed())))
            })?;
        let change = self.change(&id, &kind, queue, attempt);
        let keyed = keys.as_deref().map(|keys| Keyed { keys, seq, version, rank, cost, held: None });
        let change = Change { from: Some(State::Scheduled), to: Some(State::Available), ..change };
        self.moved(seq, &change, keyed.as_ref())?;
        self.notes.changed.push(id);
        Ok(())
    }

    /// The earliest time at which the result of a claim may change without a call: a scheduled job falls due, a wait
    /// times out, a limit key or a queue opens, or a job stops waiting for preferred workers.
    pub(super) fn next_due(&self) -> Result<Option<Timestamp>> {
        let read = |sql| -> rusqlite::Result<Option<i64>> {
            self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
        };
        let due = read("SELECT min(run_at) FROM jobs WHERE state = 'scheduled'");
        let due = due.and_then(|due| {
            let opens = read("SELECT min(opens_at) FROM limit_keys WHERE opens_at IS NOT NULL")?;
            let preferred = self.preferred_until.values().min().map(|at| at.0);
            let wakes = read("SELECT min(wakes_at) FROM waits WHERE wakes_at IS NOT NULL")?;
            Ok(due.into_iter().chain(opens).chain(wakes).chain(preferred).min().map(Timestamp))
        });
        due.map_err(fault("look for the next scheduled job"))
    }
}

/// An available job, as it will be claimed.
pub(super) struct Candidate {
    pub(super) claimed: Claimed,
    /// The column that cannot be read, and why: the job ends as failed.
    pub(super) unreadable: Option<String>,
    pub(super) rank: i64,
    pub(super) seq: i64,
    steps: i64,
    log_event: i64,
    last_event: i64,
    /// True if it has no unique key, no batch and no time limit, so that its end has no effect elsewhere.
    is_plain: bool,
    limit_key: Option<String>,
    /// The slots that it takes without running, because an earlier release has ended its run.
    held: Option<i64>,
    pub(super) run_at: Timestamp,
    /// The time at which it expires or its deadline passes, or at which that must be checked.
    ends_at: Option<Timestamp>,
}

impl Candidate {
    /// True if it must not be among the plain jobs.
    fn is_misplaced(&self) -> bool {
        self.unreadable.is_some() || self.limit_key.is_some()
    }

    /// True if its time is over, so that no claim takes it.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at.is_some_and(|ends_at| ends_at <= now)
    }
}

/// The most jobs and groups that one claim moves out of its way, because it cannot take them.
pub(super) const MOVED_AT_ONCE: usize = 500;

pub(super) fn read_candidate(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    let mut columns = Columns::new(row);
    let claimed = Claimed {
        lease: Lease { id: columns.id(), token: 0 },
        kind: columns.next(),
        version: columns.next(),
        queue: columns.next(),
        args: columns.json(),
        // The row is read before the claim raises it.
        attempt: columns.next::<u32>().saturating_add(1),
        max_attempts: columns.next(),
        policy: columns.policy(),
        created_at: columns.time(),
        deadline_in: None,
        labels: columns.parsed().unwrap_or_default(),
        steps: Default::default(),
    };
    let candidate = Candidate {
        claimed,
        steps: columns.next(),
        log_event: columns.next(),
        last_event: columns.next(),
        rank: columns.next(),
        seq: columns.next(),
        limit_key: columns.next(),
        run_at: columns.time(),
        is_plain: [columns.is_null(), columns.is_null()] == [true, true],
        ends_at: columns.optional_time(),
        held: columns.next(),
        unreadable: None,
    };
    let candidate = Candidate { is_plain: candidate.is_plain && candidate.ends_at.is_none(), ..candidate };
    Ok(Candidate { unreadable: columns.unreadable(), ..candidate })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use longhaul::{Action, Children, JobFilter, JobId, JobRecord, NewJob, Start, Timestamp};
    use longhaul_conformance::jobs::{HOUR, claim, id, named};

    use super::*;
    use crate::writer::scratch::Scratch;

    fn record(tx: &WriteTx<'_>, id: &JobId, now: Timestamp) -> JobRecord {
        let mut found = crate::read::get(tx.connection(), std::slice::from_ref(id), now).unwrap();
        found.remove(0).found().unwrap()
    }

    /// A batch of one child, which is claimed and asked to stop where `asked` says so, and then taken back.
    fn taken_back(action: Option<Action>) -> (JobRecord, JobRecord) {
        let file = Scratch::new();
        let (mut tx, clock) = (file.begin(), file.clock.clone());
        let closing = NewJob { start: Start::AfterChildren, ..named("all") };
        tx.enqueue(&[closing, NewJob { parent: Some(id("all")), ..named("child") }]).unwrap();
        let lease = tx.claim(&claim()).unwrap().remove(0).lease;
        if let Some(action) = action {
            assert_eq!(tx.act(&[id("child")], &JobFilter::default(), &action).unwrap().done, 1);
        }
        tx.unclaim(&lease).unwrap();
        tx.commit().unwrap();
        (record(&tx, &id("child"), clock.now()), record(&tx, &id("all"), clock.now()))
    }

    #[test]
    fn a_reverted_claim_leaves_the_job_as_it_was() {
        let (child, all) = taken_back(None);
        assert_eq!((child.state, child.attempt, child.worker), (State::Available, 0, None));
        assert_eq!((all.state, all.children.unwrap().unfinished()), (State::Blocked, 1));
    }

    #[test]
    fn a_claim_that_is_taken_back_after_its_job_was_cancelled_ends_it() {
        let (child, all) = taken_back(Some(Action::cancel(HOUR)));
        assert_eq!((child.state, child.attempt, child.cancel_requested), (State::Cancelled, 0, false));
        assert_eq!(all.state, State::Available);
        assert_eq!(all.children, Some(Children { total: 1, completed: 0, failed: 0, cancelled: 1 }));
    }

    #[test]
    fn a_claim_of_a_version_that_is_a_date_costs_what_one_of_a_low_version_costs() {
        let file = Scratch::new();
        let mut tx = file.begin();
        let versions = [1, 7, 20_250_101].map(|version| NewJob { version, ..named(&format!("v{version}")) });
        tx.enqueue(&versions).unwrap();
        let up_to = |version| Claim {
            kinds: vec![SupportedKind { kind: named("a").kind.into(), version }],
            queues: vec![QueueSlots { queue: "idle".into(), slots: 1 }],
            ..claim()
        };
        tx.claim(&up_to(20)).unwrap();
        let low = file.steps(|| assert!(tx.claim(&up_to(20)).unwrap().is_empty()));
        let high = file.steps(|| assert!(tx.claim(&up_to(20_260_101)).unwrap().is_empty()));
        assert_eq!(high, low);
        let all = Claim { queues: claim().queues, ..up_to(20_260_101) };
        assert_eq!(tx.claim(&all).unwrap().len(), 3);
    }

    #[test]
    fn a_claim_of_a_paused_queue_costs_the_same_however_many_jobs_wait_in_it() {
        let cost = |jobs: u32| {
            let file = Scratch::new();
            let mut tx = file.begin();
            let jobs: Vec<NewJob> = (0..jobs).map(|n| named(&format!("j{n}"))).collect();
            tx.enqueue(&jobs).unwrap();
            tx.pause_queue(&jobs[0].queue).unwrap();
            tx.commit().unwrap();
            // A transaction of its own, as after another process's pause.
            let mut tx = file.begin();
            file.steps(|| assert!(tx.claim(&claim()).unwrap().is_empty()))
        };
        assert_eq!(cost(2_000), cost(1));
    }

    #[test]
    fn a_claim_costs_nothing_more_where_no_queue_is_paused() {
        let file = Scratch::new();
        let mut tx = file.begin();
        tx.claim(&claim()).unwrap();
        let before = file.steps(|| assert!(tx.claim(&claim()).unwrap().is_empty()));
        tx.pause_queue("other").unwrap();
        let paused = file.steps(|| assert!(tx.claim(&claim()).unwrap().is_empty()));
        tx.resume_queue("other").unwrap();
        tx.commit().unwrap();
        let mut tx = file.begin();
        let resumed = file.steps(|| assert!(tx.claim(&claim()).unwrap().is_empty()));
        assert!(before == resumed && paused > before, "{before} {paused} {resumed}");
    }
}
