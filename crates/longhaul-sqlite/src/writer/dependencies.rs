use longhaul::lifecycle::{self, End, Standing};
use longhaul::{
    CancelReason, DEPENDANTS_LOOKED_AT, Dependency, Idempotency, JobId, NewJob, OnFailure, Result, State,
    WaitsFor,
};
use rusqlite::{OptionalExtension, params};

use super::waits::Blocked;
use super::write_tx::WriteTx;
use crate::error::fault;
use crate::row::Columns;

/// A job that has ended, for its dependants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    seq: i64,
    /// The job that counts it among its children.
    parent: Option<i64>,
    outcome: State,
}

/// The dependencies of a new job.
#[derive(Debug)]
pub(super) struct Dependencies {
    /// Those that are there, by their numbers, and whether they have ended.
    edges: Vec<(i64, OnFailure, bool)>,
    pub(super) standing: Standing,
}

/// Jobs that depend on others.
///
/// The end of a job is counted by its dependants in the transaction that ends it, up to a bound. What is left then stands in
/// `ended_dependencies`, and the claims, finishes and sweeps after that work it off.
impl WriteTx<'_> {
    /// Refuses a call with a job that would be created and depends on one that is neither there nor before it in the call, or on an
    /// unfinished ancestor.
    pub(super) fn check_dependencies(&self, jobs: &[NewJob]) -> Result<()> {
        let is_promised = |key: &Idempotency| Ok(self.idempotency_holder(key)?.is_some());
        let (state_of, parent_of) = (|id: &JobId| self.state_of(id), |id: &JobId| self.parent_of(id));
        lifecycle::refused_dependency(jobs, state_of, parent_of, is_promised)
            .map_err(fault("look up dependencies"))?
            .map_or(Ok(()), Err)
    }

    /// Looks at the dependencies of a new job, as they are with the jobs that stand for others.
    pub(super) fn dependencies(
        &self,
        job: &NewJob,
        depends_on: &[Dependency],
    ) -> rusqlite::Result<Dependencies> {
        let (mut edges, mut states) = (Vec::new(), Vec::new());
        for dependency in depends_on {
            let row = self
                .connection
                .prepare_cached("SELECT seq, state FROM jobs WHERE id = ?1")?
                .query_row([dependency.id.as_str()], |row| {
                    let mut columns = Columns::new(row);
                    Ok((columns.next::<i64>(), columns.state()))
                })
                .optional()?;
            // One that is not there is a follow-up's: what is enqueued by itself is refused before.
            let state = row.map_or(State::Cancelled, |(_, state)| state);
            edges.extend(row.map(|(seq, _)| (seq, dependency.on_failure, state.is_finished())));
            states.push((dependency, state));
        }
        let standing = Standing::of(job, states, |id| self.parent_of(id))?;
        Ok(Dependencies { edges, standing })
    }

    /// The state of a job; `None` where it is not there.
    fn state_of(&self, id: &JobId) -> rusqlite::Result<Option<State>> {
        let mut state = self.connection.prepare_cached("SELECT state FROM jobs WHERE id = ?1")?;
        state.query_row([id.as_str()], |row| Ok(Columns::new(row).state())).optional()
    }

    /// The parent that a job names; `None` where it names none, or is not there.
    pub(super) fn parent_of(&self, id: &JobId) -> rusqlite::Result<Option<JobId>> {
        let mut parent = self.connection.prepare_cached("SELECT parent FROM jobs WHERE id = ?1")?;
        let found = parent.query_row([id.as_str()], |row| row.get::<_, Option<String>>(0)).optional()?;
        Ok(found.flatten().map(JobId::from_store))
    }

    /// Makes a new job depend on others. It is cancelled at once where one of them has failed.
    pub(super) fn depend(&mut self, seq: i64, dependencies: &Dependencies) -> rusqlite::Result<()> {
        let standing = dependencies.standing;
        let insert = "INSERT OR IGNORE INTO dependencies (job, dependant, on_failure, settled) VALUES (?1, ?2, ?3, ?4)";
        for (job, on_failure, is_settled) in &dependencies.edges {
            let values = params![job, seq, on_failure.as_str(), is_settled];
            self.connection.prepare_cached(insert)?.execute(values)?;
        }
        self.has_edges |= !dependencies.edges.is_empty();
        self.has_dependencies |= standing.unfinished > 0;
        if standing.is_waited_for() {
            self.begin_wait(seq, &WaitsFor::Dependencies, None, Some(standing.unfinished))?;
        }
        if standing.has_failed
            && let Some(found) = self.job(seq)?
        {
            self.cancel_waiting(&found.id, &found.target, CancelReason::Dependency)?;
        }
        Ok(())
    }

    /// Notes that a job has ended; [`settle`](Self::settle) has its parent and its dependants count it.
    pub(super) fn ended(&mut self, seq: i64, parent: Option<i64>, outcome: State) {
        if parent.is_some() || self.has_dependencies {
            self.notes.ended.push_back(Ended { seq, parent, outcome });
        }
    }

    /// Lets parents and dependants count the jobs that have ended since, which may free them, or cancel a dependant and so go
    /// on. Called at the end of every operation, after a finish's follow-ups: a child may be followed by another of its batch.
    pub(super) fn settle(&mut self) -> Result<()> {
        loop {
            while let Some(Ended { seq, parent, outcome }) = self.notes.ended.pop_front() {
                if let Some(parent) = parent {
                    self.count_end(parent, outcome).map_err(fault("count a child"))?;
                }
                // Behind an end that was put off, so that none counts this one in place of that.
                let is_settled = !self.has_dependencies
                    || !self.has_put_off(seq).map_err(fault("look for an ended dependency"))?
                        && self.settle_dependants(seq, outcome, i64::MAX)?;
                if !is_settled {
                    self.put_off(seq, outcome).map_err(fault("note an ended dependency"))?;
                }
            }
            if self.has_ended_dependencies && self.settle_left == 0 {
                // There is more to do at once.
                self.notes.stopped_early = true;
                return Ok(());
            }
            if !self.has_ended_dependencies || !self.settle_next()? {
                return Ok(());
            }
        }
    }

    /// Goes on with a job that has ended with very many dependants. Answers false where there is none.
    fn settle_next(&mut self) -> Result<bool> {
        let fault = fault("settle dependants");
        let next = "SELECT n, job, outcome, last FROM ended_dependencies ORDER BY n LIMIT 1";
        let next = self
            .connection
            .prepare_cached(next)
            .and_then(|mut next| {
                next.query_row([], |row| {
                    let mut columns = Columns::new(row);
                    let (n, job) = (columns.next::<i64>(), columns.next::<i64>());
                    Ok((n, job, columns.state(), columns.next::<Option<i64>>()))
                })
                .optional()
            })
            .map_err(&fault)?;
        let Some((n, job, outcome, last)) = next else {
            self.has_ended_dependencies = false;
            return Ok(false);
        };
        if self.settle_dependants(job, outcome, last.unwrap_or(i64::MAX))? {
            let done = "DELETE FROM ended_dependencies WHERE n = ?1";
            self.connection.prepare_cached(done).and_then(|mut done| done.execute([n])).map_err(&fault)?;
            self.forget_edges_of_removed(job).map_err(&fault)?;
        }
        Ok(true)
    }

    /// Lets dependants of a job that has ended count its end, as far as the transaction's bound goes, those with numbers up to `newest`.
    /// Answers false where some are left. Those that wait for their dependencies no more were retried by hand, or cancelled: it means nothing to them.
    fn settle_dependants(&mut self, seq: i64, outcome: State, newest: i64) -> Result<bool> {
        let fault = fault("settle dependants");
        let limit = self.settle_left as i64 + 1;
        let mut found: Vec<(i64, OnFailure)> = self
            .connection
            .prepare_cached(include_str!("../sql/awaited_dependants.sql"))
            .and_then(|mut find| {
                find.query_map(params![seq, limit, newest], |row| {
                    let mut columns = Columns::new(row);
                    Ok((columns.next(), columns.word().unwrap_or_default()))
                })?
                .collect()
            })
            .map_err(&fault)?;
        let is_all = found.len() <= self.settle_left;
        found.truncate(self.settle_left);
        let Some((last, _)) = found.last() else { return Ok(is_all) };
        self.connection
            .prepare_cached(include_str!("../sql/settle_dependencies.sql"))
            .and_then(|mut settle| settle.execute([seq, *last]))
            .map_err(&fault)?;
        self.settle_left -= found.len();
        for (dependant, on_failure) in found {
            match lifecycle::dependency_ends(outcome, on_failure) {
                End::Counts => self.count_dependency(dependant),
                End::Cancels => self.cancel_dependant(dependant),
            }
            .map_err(&fault)?;
        }
        Ok(is_all)
    }

    fn count_dependency(&mut self, dependant: i64) -> rusqlite::Result<()> {
        let left: Option<i64> = self
            .connection
            .prepare_cached(include_str!("../sql/count_dependency.sql"))?
            .query_row([dependant], |row| row.get(0))
            .optional()?;
        if left != Some(0) {
            return Ok(());
        }
        let Some(found) = self.job(dependant)?.filter(|found| found.target.state == State::Blocked) else {
            return Ok(());
        };
        let children = self.children(dependant)?;
        let (state, run_at) = lifecycle::undepend(found.target.run_at, children.as_ref(), self.now);
        self.unblock(&Blocked::from(found), state, run_at)
    }

    fn cancel_dependant(&mut self, dependant: i64) -> rusqlite::Result<()> {
        let waits = "SELECT 1 FROM waits WHERE job = ?1 AND waits_for = 'dependencies'";
        if self.connection.prepare_cached(waits)?.exists([dependant])?
            && let Some(found) = self.job(dependant)?
            && found.target.state == State::Blocked
        {
            self.cancel_waiting(&found.id, &found.target, CancelReason::Dependency)?;
            self.notes.changed.push(found.id);
        }
        Ok(())
    }

    /// True where its parent has not ended, or one of the jobs that depend on this one, of the first of them.
    pub(super) fn is_awaited(&self, seq: i64) -> rusqlite::Result<bool> {
        let of_parent = include_str!("../sql/is_of_unfinished_parent.sql");
        if self.connection.prepare_cached(of_parent)?.exists([seq])? {
            return Ok(true);
        }
        let awaited = include_str!("../sql/is_awaited.sql");
        let most = DEPENDANTS_LOOKED_AT as i64;
        Ok(self.has_edges && self.connection.prepare_cached(awaited)?.exists([seq, most])?)
    }

    /// True where an end of the job is left to later transactions.
    fn has_put_off(&self, seq: i64) -> rusqlite::Result<bool> {
        let find = "SELECT 1 FROM ended_dependencies WHERE job = ?1";
        Ok(self.has_ended_dependencies && self.connection.prepare_cached(find)?.exists([seq])?)
    }

    /// Leaves the dependants of a job that has ended to later transactions. An end that is alike and was left last takes this one in: the
    /// imported dependants of an ended job come one by one.
    fn put_off(&mut self, seq: i64, outcome: State) -> rusqlite::Result<()> {
        let last = self.draw();
        let values = params![seq, outcome.as_str(), last];
        let lengthened = include_str!("../sql/lengthen_end.sql");
        if self.connection.prepare_cached(lengthened)?.execute(values)? == 0 {
            let note = "INSERT INTO ended_dependencies (job, outcome, last) VALUES (?1, ?2, ?3)";
            self.connection.prepare_cached(note)?.execute(values)?;
        }
        self.has_ended_dependencies = true;
        Ok(())
    }

    /// Forgets what a job that is removed depends on, and what depends on it and has counted its end.
    pub(super) fn forget_dependencies(&self, seq: i64) -> rusqlite::Result<()> {
        if !self.has_edges {
            return Ok(());
        }
        self.connection.prepare_cached("DELETE FROM dependencies WHERE dependant = ?1")?.execute([seq])?;
        let of_job = "DELETE FROM dependencies WHERE job = ?1 AND settled = 1";
        self.connection.prepare_cached(of_job)?.execute([seq])?;
        Ok(())
    }

    fn forget_edges_of_removed(&self, job: i64) -> rusqlite::Result<()> {
        // Those that are left are to count a later end.
        let forget = "DELETE FROM dependencies \
            WHERE job = ?1 AND settled = 1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE seq = ?1)";
        self.connection.prepare_cached(forget)?.execute([job])?;
        Ok(())
    }

    /// Finds jobs that a process of an earlier release has ended or removed without settling their dependants. It
    /// checks `limit` of the jobs with dependants, and goes on from there at the next sweep.
    pub(super) fn find_ended_dependencies(&mut self, limit: i64) -> Result<()> {
        let fault = fault("look for ended dependencies");
        for _ in 0..if self.has_dependencies { limit } else { 0 } {
            let next: Option<(i64, Option<State>)> = self
                .connection
                .prepare_cached(include_str!("../sql/next_awaited_job.sql"))
                .and_then(|mut next| {
                    next.query_row([self.looked_up_to], |row| {
                        let mut columns = Columns::new(row);
                        let job = columns.next();
                        Ok((job, columns.word::<State>()))
                    })
                    .optional()
                })
                .map_err(&fault)?;
            let Some((job, state)) = next else {
                self.looked_up_to = 0;
                return Ok(());
            };
            self.looked_up_to = job;
            // How one ended that is gone is not known.
            let outcome = state.unwrap_or(State::Cancelled);
            if outcome.is_finished() && !self.has_put_off(job).map_err(&fault)? {
                self.put_off(job, outcome).map_err(&fault)?;
            }
        }
        Ok(())
    }
}
