use std::collections::HashSet;

use super::wait_until;
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
    /// Adds a dependency in `state`.
    pub fn add(&mut self, state: State, on_failure: OnFailure) {
        if !state.is_finished() {
            self.unfinished += 1;
        } else if dependency_ends(state, on_failure) == End::Cancels {
            self.has_failed = true;
        }
    }

    /// Adds that the new job depends on its parent, which is in `state`: a parent that waits for its children would wait for the job
    /// for ever, so the job is cancelled where the parent has not ended. A call that names the parent is refused before; this one names
    /// a job that the parent stands for.
    pub fn add_parent(&mut self, state: State) {
        self.has_failed |= !state.is_finished();
    }

    /// True where the new job is blocked, if only for a moment.
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        self.unfinished > 0 || self.has_failed
    }
}

/// The refusal of a call with a job that would be created and depends on one that neither exists nor stands before it
/// in the call. `is_there` is true if a job existed before the call, `is_promised` if an idempotency key was used
/// before it. Neither is called if no job has dependencies.
///
/// # Errors
/// Those of `is_there` and `is_promised`.
pub fn refused_dependency<E>(
    jobs: &[NewJob],
    is_there: impl Fn(&JobId) -> Result<bool, E>,
    is_promised: impl Fn(&Idempotency) -> Result<bool, E>,
) -> Result<Option<Error>, E> {
    if jobs.iter().all(|job| job.depends_on.is_empty()) {
        return Ok(None);
    }
    let (mut ids, mut keys): (HashSet<&JobId>, HashSet<&str>) = Default::default();
    for (number, job) in jobs.iter().enumerate() {
        let is_known = |id: &JobId| Ok(ids.contains(id) || is_there(id)?);
        // A job that is not created is not asked.
        let stands = |job: &NewJob| {
            Ok(match (&job.idempotency, &job.id) {
                (Some(key), _) if keys.contains(&*key.key) || is_promised(key)? => true,
                (_, Some(id)) => is_known(id)?,
                _ => false,
            })
        };
        if !job.depends_on.is_empty() && !stands(job)? {
            for (place, dependency) in job.depends_on.iter().enumerate() {
                if !is_known(&dependency.id)? {
                    return Ok(Some(unknown_dependency(number, jobs, place, &dependency.id)));
                }
            }
        }
        ids.extend(&job.id);
        keys.extend(job.idempotency.as_ref().map(|idempotency| idempotency.key.as_str()));
    }
    Ok(None)
}

/// The refusal of a job that depends on one which is neither there nor before it in the call: `job` and `dependency` are
/// places, in a call of `jobs`. Its field names no place where the caller gave one job: what the door has added for a webhook does
/// not count.
#[must_use]
pub fn unknown_dependency<'j>(
    job: usize,
    jobs: impl IntoIterator<Item = &'j NewJob>,
    dependency: usize,
    id: &JobId,
) -> Error {
    let given = jobs.into_iter().filter(|job| job.kind != webhook::KIND).count();
    let place = if given > 1 { format!("[{job}].") } else { String::new() };
    Error::Invalid {
        field: format!("{place}depends_on[{dependency}]"),
        reason: format!("must be a job that is there or stands before in the call, and '{id}' is neither"),
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
