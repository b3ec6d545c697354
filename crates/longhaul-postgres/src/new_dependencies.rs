use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;

use longhaul::lifecycle::{self, Standing};
use longhaul::{Dependency, JobId, NewJob, OnFailure, Result, State};

use crate::ancestors::Ancestors;
use crate::row::state;
use crate::target::Target;
use crate::write_tx::WriteTx;

/// The jobs that those of a call depend on, as of the job that is looked at.
#[derive(Debug, Default)]
pub(crate) struct NewDependencies {
    /// True where any job of the call depends on another.
    pub(crate) are_needed: bool,
    /// Jobs that were there before the call, by their ids.
    stored: HashMap<JobId, (i64, State)>,
    /// Jobs of the call.
    created: HashMap<JobId, Created>,
    /// The jobs that stand for others of the call, which were not created.
    stand_ins: HashMap<JobId, JobId>,
}

#[derive(Clone, Copy, Debug)]
struct Created {
    /// `None` until it is written.
    seq: Option<i64>,
    is_cancelled: bool,
}

/// The dependencies of a new job.
#[derive(Debug, Default)]
pub(crate) struct DependsOn {
    /// All dependencies, duplicates replaced by the existing jobs, each once.
    pub(crate) all: Vec<Dependency>,
    /// Dependencies on existing jobs, and whether these have ended.
    there: Vec<(JobId, OnFailure, bool)>,
    pub(crate) standing: Standing,
}

impl DependsOn {
    pub(crate) fn contains(&self, id: &JobId) -> bool {
        self.all.iter().any(|dependency| dependency.id == *id)
    }
}

/// The edges between new jobs and others, column by column.
#[derive(Debug, Default)]
pub(crate) struct Edges {
    jobs: Vec<i64>,
    dependants: Vec<i64>,
    on_failure: Vec<&'static str>,
    settled: Vec<bool>,
}

impl NewDependencies {
    /// True for the id of a job that was there before the call, as far as it was looked for.
    pub(crate) fn is_stored(&self, id: &JobId) -> bool {
        self.stored.contains_key(id)
    }

    /// Its state, of such a job.
    pub(crate) fn stored_state(&self, id: &JobId) -> Option<State> {
        self.stored.get(id).map(|(_, state)| *state)
    }

    /// Notes a job of the call that is to be written, as one that waits or as one that is cancelled.
    pub(crate) fn add(&mut self, id: &JobId, state: State) {
        if self.are_needed {
            let is_cancelled = state == State::Cancelled;
            self.created.insert(id.clone(), Created { seq: None, is_cancelled });
        }
    }

    pub(crate) fn note_written(&mut self, id: &JobId, seq: i64) {
        if let Some(created) = self.created.get_mut(id) {
            created.seq = Some(seq);
        }
    }

    /// The number of a job of the call that is written.
    pub(crate) fn seq_of(&self, id: &JobId) -> Option<i64> {
        self.created.get(id).and_then(|created| created.seq)
    }

    /// Notes that jobs were cancelled by this call.
    pub(crate) fn note_cancelled(&mut self, seqs: &[i64]) {
        for (seq, state) in self.stored.values_mut() {
            if seqs.contains(seq) {
                *state = State::Cancelled;
            }
        }
        for created in self.created.values_mut() {
            created.is_cancelled |= created.seq.is_some_and(|seq| seqs.contains(&seq));
        }
    }

    /// The dependencies of a job, in their present states; with the job that it follows by its unique key, if it does.
    pub(crate) fn of(&mut self, job: &NewJob, followed: Option<&Target>, ancestors: &Ancestors) -> DependsOn {
        if let Some(target) = followed {
            self.stored.entry(target.id.clone()).or_insert((target.seq, target.state));
        }
        let named = job.depends_on.iter().map(|dependency| Dependency {
            id: self.stand_ins.get(&dependency.id).unwrap_or(&dependency.id).clone(),
            on_failure: dependency.on_failure,
        });
        let mut all: Vec<_> =
            named.chain(followed.map(|target| Dependency::on_any_end(target.id.clone()))).collect();
        lifecycle::once_each(&mut all);
        let (mut there, mut states) = (Vec::new(), Vec::with_capacity(all.len()));
        for dependency in &all {
            let Dependency { id, on_failure } = dependency;
            let created = self.created.get(id).map(|created| match created.is_cancelled {
                true => State::Cancelled,
                false => State::Available,
            });
            let found = created.or_else(|| self.stored_state(id));
            // One that is not there is a follow-up's: what is enqueued by itself is refused before.
            let state = found.unwrap_or(State::Cancelled);
            if found.is_some() {
                there.push((id.clone(), *on_failure, state.is_finished()));
            }
            states.push((dependency, state));
        }
        let Ok(standing) = Standing::of::<Infallible>(job, states, |id| Ok(ancestors.parent_of(id)));
        DependsOn { all, there, standing }
    }

    /// Adds what a new job, which is written, depends on. Answers false where another transaction has taken the id of a job of
    /// the call that it depends on.
    #[must_use]
    pub(crate) fn add_edges(&self, dependant: i64, depends_on: &DependsOn, edges: &mut Edges) -> bool {
        for (id, on_failure, is_settled) in &depends_on.there {
            let seq = match self.created.get(id) {
                Some(created) => created.seq,
                None => self.stored.get(id).map(|(seq, _)| *seq),
            };
            let Some(seq) = seq else { return false };
            edges.jobs.push(seq);
            edges.dependants.push(dependant);
            edges.on_failure.push(on_failure.as_str());
            edges.settled.push(*is_settled);
        }
        true
    }
}

impl WriteTx<'_> {
    /// Looks up, and holds, the jobs that new ones depend on.
    pub(crate) async fn new_dependencies(&self, jobs: &[NewJob]) -> Result<NewDependencies> {
        let mut found = NewDependencies::default();
        if jobs.iter().all(|job| job.depends_on.is_empty()) {
            return Ok(found);
        }
        // All ids of the call: one that is taken may come to stand for another job, whose unique key it holds.
        let ids: BTreeSet<&JobId> = jobs
            .iter()
            .flat_map(|job| job.depends_on.iter().map(|dependency| &dependency.id).chain(&job.id))
            .collect();
        found.are_needed = true;
        self.look_up(&mut found, ids.into_iter()).await?;
        Ok(found)
    }

    /// Notes the job that stands for one of the call, which was not created.
    pub(crate) async fn stand_in(
        &self,
        dependencies: &mut NewDependencies,
        id: &JobId,
        stand_in: &JobId,
    ) -> Result<()> {
        if !dependencies.are_needed || id == stand_in {
            return Ok(());
        }
        if !dependencies.created.contains_key(stand_in) && !dependencies.is_stored(stand_in) {
            self.look_up(dependencies, [stand_in].into_iter()).await?;
        }
        dependencies.stand_ins.insert(id.clone(), stand_in.clone());
        Ok(())
    }

    async fn look_up<'i>(
        &self,
        dependencies: &mut NewDependencies,
        ids: impl Iterator<Item = &'i JobId>,
    ) -> Result<()> {
        let ids: Vec<&str> = ids.map(JobId::as_str).collect();
        let sql = include_str!("sql/dependencies_by_id.sql");
        for row in self.rows("look dependencies up", sql, &[&ids]).await? {
            let id = JobId::from_store(row.get(0));
            dependencies.stored.insert(id, (row.get(1), state(&row, 2)));
        }
        Ok(())
    }

    /// Makes new jobs depend on others.
    pub(crate) async fn depend(&self, edges: &Edges) -> Result<()> {
        if edges.jobs.is_empty() {
            return Ok(());
        }
        let Edges { jobs, dependants, on_failure, settled } = edges;
        let sql = include_str!("sql/insert_dependencies.sql");
        self.rows("depend on jobs", sql, &[jobs, dependants, on_failure, settled]).await.map(drop)
    }
}
