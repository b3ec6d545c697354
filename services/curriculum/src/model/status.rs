use longhaul::why::Reason;
use longhaul::{JobId, JobRecord, State};
use serde::Serialize;
use service_support::RowJob;
use utoipa::ToSchema;

/// The status of step 10 of a workflow, as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Step10State)]
pub(crate) enum Status {
    /// No job is there that would do anything.
    Pending,
    /// A job waits, waits for its next attempt, or runs.
    InProgress,
    /// Every module has its lesson plans.
    Complete,
    /// A job has used up its attempts.
    Failed,
}

/// The jobs of a workflow that are kept, in Bull's words.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Step10Jobs)]
pub(crate) struct Jobs {
    pub(crate) total: usize,
    pub(crate) active: usize,
    pub(crate) completed: usize,
    pub(crate) failed: usize,
    pub(crate) details: Vec<Detail>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Step10Job)]
pub(crate) struct Detail {
    pub(crate) job_id: String,
    pub(crate) module_index: usize,
    pub(crate) state: BullState,
    /// In percent.
    pub(crate) progress: u8,
    /// The attempts that have failed.
    pub(crate) attempts_made: u32,
    /// The time at which its present or last attempt began, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) processed_on: Option<i64>,
    /// The time of its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finished_on: Option<i64>,
    /// The reason why its last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed_reason: Option<String>,
    /// The rules that keep it from running, in the words of `GET /api/jobs/{id}/why`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) why: Vec<Waits>,
}

/// One thing that keeps a job from running.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Step10Wait)]
pub(crate) struct Waits {
    /// The rule: `retry`, `paused_key`, `rate_key`, `no_worker` and the others.
    pub(crate) rule: &'static str,
    /// The limit key, the queue or the kind that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// The time at which it ends, where that is known, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<i64>,
}

impl From<Reason> for Waits {
    fn from(reason: Reason) -> Self {
        Self { rule: reason.rule.as_str(), key: reason.key, until: reason.until.map(|at| at.0) }
    }
}

/// The states of a job in Bull.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Step10JobState)]
pub(crate) enum BullState {
    Waiting,
    Delayed,
    Active,
    Completed,
    Failed,
}

impl Jobs {
    /// Of the modules' jobs, each with the index of its module.
    pub(crate) fn of(jobs: &[(usize, JobId, RowJob)]) -> Self {
        let details: Vec<Detail> =
            jobs.iter().map(|(index, id, job)| Detail::of_row(*index, id, job)).collect();
        let count = |state| details.iter().filter(|detail| detail.state == state).count();
        Self {
            total: details.len(),
            active: count(BullState::Active),
            completed: count(BullState::Completed),
            failed: count(BullState::Failed),
            details,
        }
    }

    fn any(&self, states: &[BullState]) -> bool {
        self.details.iter().any(|detail| states.contains(&detail.state))
    }
}

/// The status of step 10, from the jobs and from whether every module has its plans.
pub(crate) fn overall(all_complete: bool, jobs: &Jobs) -> Status {
    if all_complete {
        Status::Complete
    } else if jobs.any(&[BullState::Waiting, BullState::Delayed, BullState::Active]) {
        Status::InProgress
    } else if jobs.any(&[BullState::Failed]) {
        Status::Failed
    } else {
        Status::Pending
    }
}

impl Detail {
    /// A job that was committed with its rows, wherever it is.
    pub(crate) fn of_row(module_index: usize, id: &JobId, job: &RowJob) -> Self {
        match job {
            RowJob::Enqueued(job) => Self::of(module_index, job),
            RowJob::Waiting(_) => Self {
                job_id: id.to_string(),
                module_index,
                state: BullState::Waiting,
                progress: 0,
                attempts_made: 0,
                processed_on: None,
                finished_on: None,
                failed_reason: None,
                why: Vec::new(),
            },
        }
    }

    /// A job, in Bull's words.
    pub(crate) fn of(module_index: usize, job: &JobRecord) -> Self {
        let state = bull_state(job.state);
        let percent = job.progress.as_ref().map_or(0.0, |progress| progress.percent);
        // Of an attempt that runs or went well nothing has failed.
        let attempts_made = match state {
            BullState::Active | BullState::Completed => job.attempt.saturating_sub(1),
            BullState::Waiting | BullState::Delayed | BullState::Failed => job.attempt,
        };
        // A completed job has overcome its errors, and one that was begun anew by hand has put them behind it.
        let failed_reason = match job.state {
            State::Completed => None,
            State::Cancelled => job.errors.last().map(|e| e.message.clone()).or(Some("cancelled".into())),
            _ if attempts_made == 0 && state != BullState::Failed => None,
            _ => job.errors.last().map(|error| error.message.clone()),
        };
        Self {
            job_id: job.id.to_string(),
            module_index,
            state,
            // Kept within 0 and 100 by the engine.
            progress: percent.round() as u8,
            attempts_made,
            processed_on: job.started_at.map(|at| at.0),
            finished_on: job.finished_at.map(|at| at.0),
            failed_reason,
            why: Vec::new(),
        }
    }
}

fn bull_state(state: State) -> BullState {
    match state {
        State::Blocked | State::Available => BullState::Waiting,
        State::Scheduled => BullState::Delayed,
        State::Running => BullState::Active,
        State::Completed => BullState::Completed,
        // Bull knows no cancelling: to it, a job either completes or fails.
        State::Failed | State::Cancelled => BullState::Failed,
    }
}
