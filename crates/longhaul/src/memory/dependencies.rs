use std::collections::BTreeMap;
use std::convert::Infallible;

use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
use crate::lifecycle::{self, End, Standing};
use crate::model::{CancelReason, Idempotency, JobId, NewJob, OnFailure, State, WaitsFor};
use crate::store::{DEPENDANTS_LOOKED_AT, Result};

/// The edges of the dependency graph, by the number of the dependency and then by that of the dependant.
#[derive(Debug, Default)]
pub(super) struct Edges(BTreeMap<(u64, u64), Edge>);

/// The dependency of one job on another.
#[derive(Clone, Copy, Debug)]
struct Edge {
    on_failure: OnFailure,
    /// True once the dependency has ended. It may be retried by hand and end again, which has no effect on the dependant.
    is_settled: bool,
}

impl Edges {
    /// Forgets a job that is removed.
    pub(super) fn remove(&mut self, row: &Row) {
        for dependency in &row.dependencies {
            self.0.remove(&(*dependency, row.seq));
        }
        for dependant in self.of(row.seq).collect::<Vec<_>>() {
            self.0.remove(&(row.seq, dependant));
        }
    }

    /// True if the dependant has counted the end of a job; `None` if it does not depend on that job.
    pub(super) fn is_settled(&self, job: u64, dependant: u64) -> Option<bool> {
        self.0.get(&(job, dependant)).map(|edge| edge.is_settled)
    }

    /// Notes that a job depends on another.
    pub(super) fn add(&mut self, job: u64, dependant: u64, on_failure: OnFailure, is_settled: bool) {
        self.0.insert((job, dependant), Edge { on_failure, is_settled });
    }

    /// The dependants of a job.
    fn of(&self, seq: u64) -> impl Iterator<Item = u64> {
        self.0.range((seq, 0)..=(seq, u64::MAX)).map(|((_, dependant), _)| *dependant)
    }

    /// Marks the edges to all dependants that have not counted the end of a job, and returns these dependants.
    fn settle(&mut self, seq: u64) -> Vec<(u64, OnFailure)> {
        let edges = self.0.range_mut((seq, 0)..=(seq, u64::MAX)).filter(|(_, edge)| !edge.is_settled);
        let settle = |((_, dependant), edge): (&(u64, u64), &mut Edge)| {
            edge.is_settled = true;
            (*dependant, edge.on_failure)
        };
        edges.map(settle).collect()
    }
}

/// The dependencies of a new job.
#[derive(Debug)]
pub(super) struct Dependencies {
    /// Those that are there.
    edges: Vec<(u64, Edge)>,
    pub(super) standing: Standing,
}

impl Table {
    /// Refuses a job that would be created and depends on one that is neither there nor before it in the call, or on an unfinished
    /// ancestor.
    pub(super) fn check_dependencies(&self, jobs: &[NewJob], now: Timestamp) -> Result<()> {
        let state_of = |id: &JobId| Ok(self.find(id).map(|row| row.record.state));
        let parent_of = |id: &JobId| Ok(self.parent_of(id));
        let is_promised = |key: &Idempotency| Ok(self.keys.promised(&key.key, now).is_some());
        lifecycle::refused_dependency(jobs, state_of, parent_of, is_promised)?.map_or(Ok(()), Err)
    }

    /// Looks at the dependencies of a new job.
    pub(super) fn dependencies(&self, job: &NewJob) -> Dependencies {
        let (mut edges, mut states) = (Vec::new(), Vec::new());
        for dependency in &job.depends_on {
            let row = self.find(&dependency.id);
            // One that is not there is a follow-up's: what is enqueued by itself is refused before.
            let state = row.map_or(State::Cancelled, |row| row.record.state);
            let edge = Edge { on_failure: dependency.on_failure, is_settled: state.is_finished() };
            edges.extend(row.map(|row| (row.seq, edge)));
            states.push((dependency, state));
        }
        let parent_of = |id: &JobId| Ok(self.parent_of(id));
        let Ok(standing) = Standing::of::<Infallible>(job, states, parent_of);
        Dependencies { edges, standing }
    }

    /// The parent that a job names; `None` where it names none, or is not there.
    pub(super) fn parent_of(&self, id: &JobId) -> Option<JobId> {
        self.find(id)?.record.parent.clone()
    }

    /// Makes a new job depend on others. It is cancelled at once where one of them has failed.
    pub(super) fn depend(&mut self, seq: u64, dependencies: Dependencies, now: Timestamp) {
        let Dependencies { edges, standing: Standing { unfinished, has_failed } } = dependencies;
        if edges.is_empty() && !has_failed {
            return;
        }
        self.edges.0.extend(edges.iter().map(|(dependency, edge)| ((*dependency, seq), *edge)));
        self.change(seq, now, |row| {
            row.dependencies = edges.into_iter().map(|(dependency, _)| dependency).collect();
            row.dependencies_left = unfinished;
            if has_failed {
                row.cancel(CancelReason::Dependency, now);
            }
        });
    }

    /// Lets the dependants of a job that has ended count its end. Those that wait for their dependencies no more were retried by
    /// hand, or cancelled, and it means nothing to them.
    pub(super) fn settle_dependants(&mut self, seq: u64, outcome: State, now: Timestamp) {
        for (dependant, on_failure) in self.edges.settle(seq) {
            self.change(dependant, now, |row| {
                if row.waits_for(&WaitsFor::Dependencies) {
                    match lifecycle::dependency_ends(outcome, on_failure) {
                        End::Counts => row.count_dependency(now),
                        End::Cancels => row.cancel(CancelReason::Dependency, now),
                    }
                }
            });
        }
    }

    /// True where its parent has not ended, or one of the jobs that depend on this one, of the first of them.
    pub(super) fn is_awaited(&self, seq: u64) -> bool {
        let parent = self.rows.get(&seq).and_then(|row| self.find(row.record.parent.as_ref()?));
        if parent.is_some_and(|row| !row.record.state.is_finished()) {
            return true;
        }
        let dependants = self.edges.of(seq).take(DEPENDANTS_LOOKED_AT);
        dependants.filter_map(|seq| self.rows.get(&seq)).any(|row| !row.record.state.is_finished())
    }

    /// The jobs that were enqueued to depend on one, in the order in which they were.
    pub(super) fn dependants(&self, id: &JobId, limit: usize) -> Vec<JobId> {
        let Some(row) = self.find(id) else { return Vec::new() };
        let dependants = self.edges.of(row.seq).filter_map(|seq| self.rows.get(&seq));
        dependants.map(|row| row.record.id.clone()).take(limit).collect()
    }
}
