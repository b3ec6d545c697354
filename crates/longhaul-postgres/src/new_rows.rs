use std::collections::{HashMap, HashSet};

use longhaul::clock::millis;
use longhaul::lifecycle::unique::Hold;
use longhaul::lifecycle::{self, Times};
use longhaul::{
    CancelReason, Change, Dependency, Edge, EnqueueStatus, Enqueued, JobId, Json, NewJob, OnClash, Policy,
    Result, Start, State, Timestamp, WaitsFor, joined_keys,
};

use crate::row::{hold_text, rows_at_most};
use crate::server_clock::Now;
use crate::write_tx::WriteTx;

/// The most jobs of one statement.
pub(crate) const JOBS_PER_STATEMENT: usize = 5_000;

/// New rows, column by column, as the statement wants them.
#[derive(Default)]
pub(crate) struct NewRows<'j> {
    pub(crate) ids: Vec<&'j str>,
    pub(crate) kinds: Vec<&'j str>,
    pub(crate) versions: Vec<i64>,
    pub(crate) queues: Vec<&'j str>,
    pub(crate) states: Vec<&'static str>,
    pub(crate) priorities: Vec<i64>,
    pub(crate) ranks: Vec<i64>,
    pub(crate) run_ats: Vec<i64>,
    pub(crate) max_attempts: Vec<i64>,
    pub(crate) max_crashes: Vec<i64>,
    pub(crate) timeouts: Vec<Option<i64>>,
    pub(crate) unique_keys: Vec<Option<&'j str>>,
    pub(crate) unique_periods: Vec<Option<i64>>,
    pub(crate) parents: Vec<Option<&'j str>>,
    /// Written beside `policies` for the release before, which knows these two alone.
    pub(crate) backoffs: Vec<Option<String>>,
    pub(crate) policies: Vec<Option<String>>,
    pub(crate) labels: Vec<Option<String>>,
    pub(crate) args: Vec<&'j str>,
    pub(crate) limit_keys: Vec<Option<String>>,
    pub(crate) batches: Vec<Option<i64>>,
    pub(crate) children: Vec<Option<i64>>,
    pub(crate) holds: Vec<Option<String>>,
    pub(crate) expires_ats: Vec<Option<i64>>,
    pub(crate) deadlines: Vec<Option<i64>>,
    // The last six are as long as the last job that has a value.
    cancel_reasons: Vec<Option<&'static str>>,
    kept_froms: Vec<Option<i64>>,
    depends_on: Vec<Option<String>>,
    waits_for: Vec<Option<String>>,
    dependencies_left: Vec<Option<i64>>,
    forked_from: Vec<Option<&'j str>>,
    pub(crate) state_values: Vec<State>,
    /// The ids that callers have chosen, which may have been another job's.
    pub(crate) given: Vec<&'j str>,
}

impl<'j> NewRows<'j> {
    pub(crate) fn push(
        &mut self,
        id: &'j JobId,
        job: &'j NewJob,
        batch: Option<i64>,
        now: Now,
    ) -> Result<()> {
        // A delay is counted from the latest time that it may be.
        let start = match (job.unique.as_ref().map(|unique| unique.on_clash), job.start) {
            (Some(OnClash::Debounce { delay, edge: Edge::Trailing, .. }), _) | (_, Start::After(delay)) => {
                Start::After(now.plus(delay).since(now.earliest))
            }
            (_, start) => start,
        };
        let (state, run_at) = lifecycle::start(start, now.earliest);
        let times = Times::of(job, now.latest);
        let hold = job.unique.as_ref().map(|unique| Hold::of(unique, now.latest)).unwrap_or_default();
        let labels = (!job.labels.is_empty()).then(|| Json::new(&job.labels)).transpose()?;
        let backoff = job.policy.backoff.map(|backoff| Json::new(&backoff)).transpose()?;
        self.ids.push(id.as_str());
        self.kinds.push(&job.kind);
        self.versions.push(job.version.into());
        self.queues.push(&job.queue);
        self.states.push(state.as_str());
        self.state_values.push(state);
        self.priorities.push(job.priority.into());
        self.ranks.push(lifecycle::rank(run_at, job.priority));
        self.run_ats.push(run_at.0);
        self.max_attempts.push(job.max_attempts.into());
        self.max_crashes.push(job.max_crashes.into());
        self.timeouts.push(job.policy.timeout.map(millis));
        self.unique_keys.push(job.unique.as_ref().map(|unique| unique.key.as_str()));
        self.unique_periods.push(hold.period.map(millis));
        self.holds.push(hold_text(&hold)?);
        self.expires_ats.push(times.expires_at.map(|at| at.0));
        self.deadlines.push(times.deadline.map(|at| at.0));
        self.parents.push(job.parent.as_ref().map(JobId::as_str));
        let policy = (job.policy != Policy::default()).then(|| Json::new(&job.policy)).transpose()?;
        self.backoffs.push(backoff.map(|backoff| backoff.as_str().to_owned()));
        self.policies.push(policy.map(|policy| policy.as_str().to_owned()));
        self.labels.push(labels.map(|labels| labels.as_str().to_owned()));
        self.args.push(job.args.as_str());
        self.limit_keys.push(joined_keys(&job.limit_keys, job.prefer.as_ref()));
        self.batches.push(batch);
        self.children.push((job.start == Start::AfterChildren).then_some(0));
        if let Some(origin) = &job.forked_from {
            set(&mut self.forked_from, self.ids.len(), origin.as_str());
        }
        if job.id.is_some() {
            self.given.push(id.as_str());
        }
        Ok(())
    }

    /// Has the last job be cancelled from the beginning, for a reason, and kept from then on.
    pub(crate) fn cancel_last(&mut self, reason: CancelReason, kept_from: Timestamp) {
        let jobs = self.ids.len();
        self.set_last_state(State::Cancelled);
        set(&mut self.cancel_reasons, jobs, reason.as_str());
        set(&mut self.kept_froms, jobs, kept_from.0);
    }

    /// Has the last job hold its unique key so.
    pub(crate) fn hold_last(&mut self, hold: &Hold) -> Result<()> {
        if let Some(last) = self.holds.last_mut() {
            *last = hold_text(hold)?;
        }
        Ok(())
    }

    /// Notes what the last job depends on.
    pub(crate) fn depend_last(&mut self, depends_on: &[Dependency]) -> Result<()> {
        set(&mut self.depends_on, self.ids.len(), Json::new(&depends_on)?.as_str().to_owned());
        Ok(())
    }

    /// Has the last job be blocked until so many of those that it depends on have ended.
    pub(crate) fn block_last(&mut self, dependencies_left: usize) {
        let jobs = self.ids.len();
        self.set_last_state(State::Blocked);
        set(&mut self.waits_for, jobs, WaitsFor::Dependencies.to_string());
        set(&mut self.dependencies_left, jobs, rows_at_most(dependencies_left));
    }

    fn set_last_state(&mut self, next: State) {
        if let (Some(state), Some(value)) = (self.states.last_mut(), self.state_values.last_mut()) {
            (*state, *value) = (next.as_str(), next);
        }
    }

    /// True where a dependency of the job has failed before it was created.
    fn has_failed_dependency(&self, number: usize) -> bool {
        self.cancel_reasons
            .get(number)
            .is_some_and(|reason| *reason == Some(CancelReason::Dependency.as_str()))
    }

    /// The change of state that the creation of one of the jobs is.
    pub(crate) fn created<'c>(&'c self, number: usize, id: &'c JobId, at: Timestamp) -> Change<'c> {
        Change {
            id,
            kind: self.kinds[number],
            queue: self.queues[number],
            from: None,
            to: Some(self.state_values[number]),
            attempt: 0,
            at,
            since: None,
            error: None,
        }
    }
}

impl WriteTx<'_> {
    /// Writes rows, and answers the `seq` of each that was not there.
    pub(crate) async fn insert(&mut self, rows: NewRows<'_>) -> Result<HashMap<String, i64>> {
        let sql = include_str!("sql/insert_jobs.sql");
        let inserted = self
            .rows(
                "enqueue",
                sql,
                &[
                    &rows.ids,
                    &rows.kinds,
                    &rows.versions,
                    &rows.queues,
                    &rows.states,
                    &rows.priorities,
                    &rows.ranks,
                    &rows.run_ats,
                    &rows.max_attempts,
                    &rows.max_crashes,
                    &rows.timeouts,
                    &rows.unique_keys,
                    &rows.unique_periods,
                    &rows.parents,
                    &rows.backoffs,
                    &rows.labels,
                    &rows.args,
                    &rows.limit_keys,
                    &rows.batches,
                    &self.now.0,
                    &rows.children,
                    &rows.policies,
                    &rows.holds,
                    &rows.expires_ats,
                    &rows.deadlines,
                    &rows.cancel_reasons,
                    &rows.kept_froms,
                    &rows.depends_on,
                    &rows.waits_for,
                    &rows.dependencies_left,
                    &rows.forked_from,
                ],
            )
            .await?;
        let created: HashMap<String, i64> = inserted.iter().map(|row| (row.get(0), row.get(1))).collect();
        let mut counted = HashSet::new();
        for (number, id) in rows.ids.iter().enumerate() {
            // The first of a double id is the one that was created.
            if created.contains_key(*id) && counted.insert(*id) {
                let id = JobId::from_store((*id).to_owned());
                let created = rows.created(number, &id, self.now);
                if rows.has_failed_dependency(number) {
                    self.moved(Change { to: Some(State::Blocked), ..created });
                    self.moved(Change { from: Some(State::Blocked), ..created });
                } else {
                    self.moved(created);
                }
            }
        }
        if !rows.given.is_empty() {
            let sql = include_str!("sql/clear_tombstones.sql");
            self.rows("enqueue", sql, &[&rows.given]).await?;
        }
        Ok(created)
    }
}

/// Sets the value of the last of so many jobs.
fn set<T>(column: &mut Vec<Option<T>>, jobs: usize, value: T) {
    column.resize_with(jobs - 1, || None);
    column.push(Some(value));
}

pub(crate) fn id_of(job: &NewJob) -> JobId {
    job.id.clone().unwrap_or_else(JobId::random)
}

pub(crate) fn duplicate(id: JobId) -> Enqueued {
    Enqueued::new(id, EnqueueStatus::Duplicate)
}
