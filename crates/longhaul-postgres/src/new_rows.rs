use std::collections::{HashMap, HashSet};

use longhaul::clock::millis;
use longhaul::lifecycle::unique::Hold;
use longhaul::lifecycle::{self, Times};
use longhaul::{
    Change, Edge, EnqueueStatus, Enqueued, JobId, Json, NewJob, OnClash, Policy, Result, Start, State,
    Timestamp, joined_keys,
};

use crate::row::hold_text;
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
        self.limit_keys.push(joined_keys(&job.limit_keys));
        self.batches.push(batch);
        self.children.push((job.start == Start::AfterChildren).then_some(0));
        if job.id.is_some() {
            self.given.push(id.as_str());
        }
        Ok(())
    }

    /// Has the last job be cancelled from the beginning.
    pub(crate) fn drop_last(&mut self) {
        if let (Some(state), Some(value)) = (self.states.last_mut(), self.state_values.last_mut()) {
            (*state, *value) = (State::Cancelled.as_str(), State::Cancelled);
        }
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
                ],
            )
            .await?;
        let created: HashMap<String, i64> = inserted.iter().map(|row| (row.get(0), row.get(1))).collect();
        let mut counted = HashSet::new();
        for (number, id) in rows.ids.iter().enumerate() {
            // The first of a double id is the one that was created.
            if created.contains_key(*id) && counted.insert(*id) {
                let id = JobId::from_store((*id).to_owned());
                self.moved(rows.created(number, &id, self.now));
            }
        }
        if !rows.given.is_empty() {
            let sql = include_str!("sql/clear_tombstones.sql");
            self.rows("enqueue", sql, &[&rows.given]).await?;
        }
        Ok(created)
    }
}

pub(crate) fn id_of(job: &NewJob) -> JobId {
    job.id.clone().unwrap_or_else(JobId::random)
}

pub(crate) fn duplicate(id: JobId) -> Enqueued {
    Enqueued::new(id, EnqueueStatus::Duplicate)
}
