use std::collections::{HashMap, HashSet};

use super::{nearest_ancestor, wait_until};
use crate::clock::Timestamp;
use crate::model::{Children, Dependency, Idempotency, JobId, NewJob, OnFailure, State};
use crate::store::Error;
use crate::webhook;

/// Leaves one dependency on each job, at its first place. Of several on one job a `cancel` holds, because a failure that is said
/// to cancel must not be lost behind one that is not.
pub fn once_each(dependencies: &mut Vec<Dependency>) {
    let cancels: HashSet<JobId> = dependencies
        .iter()
        .filter(|dependency| dependency.on_failure == OnFailure::Cancel)
        .map(|dependency| dependency.id.clone())
        .collect();
    let mut seen = HashSet::new();
    dependencies.retain(|dependency| seen.insert(dependency.id.clone()));
    for dependency in dependencies {
        if cancels.contains(&dependency.id) {
            dependency.on_failure = OnFailure::Cancel;
        }
    }
}

/// The dependencies of a new job, as they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Those that have not ended.
    pub unfinished: usize,
    /// True where one has ended in a way that cancels the job.
    pub has_failed: bool,
}

impl Standing {
    /// How the dependencies of a new job stand, each of which is in the state beside it. A job that would wait for an unfinished
    /// [ancestor](nearest_ancestor) is cancelled, because the two might wait for each other for ever. A call that names the ancestor is
    /// [refused](refused_dependency) before; this is a follow-up, or names a job that the ancestor stands for. `parent_of` tells the
    /// parent of a job that is there, and is called only for a job with a parent that has something to wait for.
    ///
    /// # Errors
    /// Those of `parent_of`.
    pub fn of<'d, E>(
        job: &NewJob,
        dependencies: impl IntoIterator<Item = (&'d Dependency, State)>,
        parent_of: impl FnMut(&JobId) -> Result<Option<JobId>, E>,
    ) -> Result<Self, E> {
        let (mut standing, mut unfinished) = (Self::default(), HashSet::new());
        for (Dependency { id, on_failure }, state) in dependencies {
            if !state.is_finished() {
                standing.unfinished += 1;
                if job.parent.is_some() {
                    unfinished.insert(id);
                }
            } else if dependency_ends(state, *on_failure) == End::Cancels {
                standing.has_failed = true;
            }
        }
        if !unfinished.is_empty() && !standing.has_failed {
            standing.has_failed = nearest_ancestor(job, |id| unfinished.contains(id), parent_of)?.is_some();
        }
        Ok(standing)
    }

    /// True where the new job is blocked, if only for a moment.
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        self.unfinished > 0 || self.has_failed
    }
}

/// The refusal of a call with a job that would be created and depends on one that neither exists nor stands before it
/// in the call, or on an [ancestor](nearest_ancestor) that has not ended. `state_of` tells the state of a job that existed before the
/// call, `parent_of` its parent, and `is_promised` is true if an idempotency key was used before it. None is called if no job
/// has dependencies, and `parent_of` only for a job that has a parent, too.
///
/// # Errors
/// Those of the three.
pub fn refused_dependency<E>(
    jobs: &[NewJob],
    state_of: impl Fn(&JobId) -> Result<Option<State>, E>,
    parent_of: impl Fn(&JobId) -> Result<Option<JobId>, E>,
    is_promised: impl Fn(&Idempotency) -> Result<bool, E>,
) -> Result<Option<Error>, E> {
    if jobs.iter().all(|job| job.depends_on.is_empty()) {
        return Ok(None);
    }
    // The ids of the jobs before, with their parents; of one that is there already, its own parent counts.
    let mut before: HashMap<&JobId, Option<&JobId>> = HashMap::new();
    let mut keys: HashSet<&str> = HashSet::new();
    for (number, job) in jobs.iter().enumerate() {
        // A job that is not created is not asked.
        let stands = |job: &NewJob| {
            Ok(match (&job.idempotency, &job.id) {
                (Some(key), _) if keys.contains(&*key.key) || is_promised(key)? => true,
                (_, Some(id)) => before.contains_key(id) || state_of(id)?.is_some(),
                _ => false,
            })
        };
        if !job.depends_on.is_empty() && !stands(job)? {
            let mut unfinished = HashMap::new();
            for (place, Dependency { id, .. }) in job.depends_on.iter().enumerate() {
                let stands_before = before.contains_key(id);
                let state = if stands_before && job.parent.is_none() { None } else { state_of(id)? };
                if state.is_none() && !stands_before {
                    return Ok(Some(RefusedDependency::Unknown.error(number, jobs, place, id)));
                }
                if job.parent.is_some() && !state.is_some_and(State::is_finished) {
                    unfinished.insert(id, place);
                }
            }
            let parent_of = |id: &JobId| match before.get(id) {
                Some(parent) if state_of(id)?.is_none() => Ok(parent.cloned()),
                _ => parent_of(id),
            };
            if !unfinished.is_empty()
                && let Some(ancestor) = nearest_ancestor(job, |id| unfinished.contains_key(id), parent_of)?
                && let Some(place) = unfinished.get(&ancestor)
            {
                return Ok(Some(RefusedDependency::Ancestor.error(number, jobs, *place, &ancestor)));
            }
        }
        if let Some(id) = &job.id {
            before.entry(id).or_insert(job.parent.as_ref());
        }
        keys.extend(job.idempotency.as_ref().map(|idempotency| idempotency.key.as_str()));
    }
    Ok(None)
}

/// Why a job may not depend on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedDependency {
    /// The other neither exists nor stands before it in the call.
    Unknown,
    /// The other is an ancestor that has not ended.
    Ancestor,
}

impl RefusedDependency {
    /// The refusal: `job` and `dependency` are places, in a call of `jobs`. Its field names no place where the caller gave one job:
    /// what the door has added for a webhook does not count.
    #[must_use]
    pub fn error<'j>(
        self,
        job: usize,
        jobs: impl IntoIterator<Item = &'j NewJob>,
        dependency: usize,
        id: &JobId,
    ) -> Error {
        let given = jobs.into_iter().filter(|job| job.kind != webhook::KIND).count();
        let place = if given > 1 { format!("[{job}].") } else { String::new() };
        let reason = match self {
            Self::Unknown => {
                format!("must be a job that is there or stands before in the call, and '{id}' is neither")
            }
            Self::Ancestor => format!(
                "must not be an ancestor that has not ended, and '{id}' is one: it may wait for its children, and both would wait for \
                 ever; a follow-up runs after it"
            ),
        };
        Error::Invalid { field: format!("{place}depends_on[{dependency}]"), reason }
    }
}

/// The effect of a job's end on a dependant that is blocked by it and has not counted this end before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is counted; the last dependency to be counted [frees](undepend) the dependant.
    Counts,
    /// The dependant is cancelled.
    Cancels,
}

/// The effect of an end in `state` on a dependant. A dependency that does not exist, which only a follow-up may name,
/// has the effect of a cancelled one.
#[must_use]
pub const fn dependency_ends(state: State, on_failure: OnFailure) -> End {
    match (state, on_failure) {
        (State::Failed | State::Cancelled, OnFailure::Cancel) => End::Cancels,
        _ => End::Counts,
    }
}

/// The state and the `run_at` of a job after its last dependency has ended. A closing job stays blocked while it has
/// unfinished children, with [`WaitsFor::Children`](crate::WaitsFor::Children); any other job starts at the time that
/// [`start`](super::start) returned when it was enqueued.
#[must_use]
pub fn undepend(run_at: Timestamp, children: Option<&Children>, now: Timestamp) -> (State, Timestamp) {
    match children {
        Some(children) if children.unfinished() > 0 => (State::Blocked, run_at),
        _ => wait_until(run_at, now),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const DUE: Timestamp = Timestamp(900_000);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_dependency_that_ends_badly_cancels_unless_any_end_will_do() {
        for state in [State::Completed, State::Failed, State::Cancelled] {
            assert_eq!(dependency_ends(state, OnFailure::Run), End::Counts);
            let cancels = if state == State::Completed { End::Counts } else { End::Cancels };
            assert_eq!(dependency_ends(state, OnFailure::Cancel), cancels);
        }
        let children = |completed| Children { total: 2, completed, ..Children::default() };
        assert_eq!(undepend(DUE, None, NOW), (State::Available, NOW));
        assert_eq!(undepend(NOW.plus(MINUTE), None, NOW), (State::Scheduled, NOW.plus(MINUTE)));
        assert_eq!(undepend(DUE, Some(&children(1)), NOW), (State::Blocked, DUE));
        assert_eq!(undepend(DUE, Some(&children(2)), NOW), (State::Available, NOW));
    }
}
