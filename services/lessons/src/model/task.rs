use std::time::Duration;

use longhaul::{JobRecord, State, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{LessonData, isoformat};
use crate::jobs::Generate;

/// The original document's words for the state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LessonStatus)]
pub(crate) enum Status {
    /// No worker has taken it yet.
    Pending,
    /// A worker has it, or will have it again after a failed attempt.
    InProgress,
    /// Its lesson is saved.
    Completed,
    /// It has ended without a lesson.
    Failed,
}

/// The answer to a poll: always these seven keys.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = LessonTask)]
pub(crate) struct TaskStatus {
    task_id: String,
    status: Status,
    progress_message: String,
    created_at: String,
    completed_at: Option<String>,
    error_message: Option<String>,
    lesson_data: Option<LessonData>,
}

/// A task in the list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LessonTaskEntry)]
pub(crate) struct TaskEntry {
    task_id: String,
    subject: String,
    topic: String,
    user_id: String,
    status: Status,
    created_at: String,
    completed_at: Option<String>,
    error_message: Option<String>,
}

/// The number of tasks of each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LessonCounts)]
pub(crate) struct StatusCounts {
    pending: u64,
    in_progress: u64,
    completed: u64,
    failed: u64,
}

impl Status {
    pub(crate) fn of(job: &JobRecord) -> Self {
        match job.state {
            State::Completed => Self::Completed,
            State::Failed | State::Cancelled => Self::Failed,
            State::Running => Self::InProgress,
            // A retry or a paused job waits too, but its work has begun.
            State::Blocked | State::Scheduled | State::Available if job.started_at.is_some() => {
                Self::InProgress
            }
            State::Blocked | State::Scheduled | State::Available => Self::Pending,
        }
    }
}

impl TaskStatus {
    /// A task with its lesson, where it has completed.
    pub(crate) fn of(job: &JobRecord, lesson_data: Option<LessonData>) -> Self {
        let status = Status::of(job);
        Self {
            task_id: job.id.to_string(),
            status,
            progress_message: message(job, status),
            created_at: isoformat(job.created_at),
            completed_at: job.finished_at.map(isoformat),
            error_message: error_message(job),
            lesson_data,
        }
    }
}

impl TaskStatus {
    /// A task whose job was committed, and is not known to the jobs' store yet.
    pub(crate) fn waiting(task_id: String, since: Timestamp) -> Self {
        Self {
            task_id,
            status: Status::Pending,
            progress_message: QUEUED.into(),
            created_at: isoformat(since),
            completed_at: None,
            error_message: None,
            lesson_data: None,
        }
    }
}

impl TaskEntry {
    pub(crate) fn of(job: &JobRecord) -> Self {
        // Jobs that were enqueued by hand may have other args; such a job fails, and has no subject.
        let Generate { subject, topic, user_id, .. } = job.args.to().unwrap_or_default();
        Self {
            task_id: job.id.to_string(),
            subject,
            topic,
            user_id,
            status: Status::of(job),
            created_at: isoformat(job.created_at),
            completed_at: job.finished_at.map(isoformat),
            error_message: error_message(job),
        }
    }
}

impl StatusCounts {
    /// Counts a task.
    pub(crate) fn add(&mut self, status: Status) {
        match status {
            Status::Pending => self.pending += 1,
            Status::InProgress => self.in_progress += 1,
            Status::Completed => self.completed += 1,
            Status::Failed => self.failed += 1,
        }
    }
}

/// The message of a task that waits for its first run.
const QUEUED: &str = "Lesson generation is queued and will start shortly";

/// True if a task ended too long ago to be asked about.
pub(crate) fn has_expired(job: &JobRecord, now: Timestamp, ttl: Duration) -> bool {
    job.finished_at.is_some_and(|ended| now.since(ended) >= ttl)
}

fn message(job: &JobRecord, status: Status) -> String {
    match status {
        Status::Pending => QUEUED.into(),
        Status::Completed => "Lesson generation completed successfully".into(),
        Status::Failed => "Lesson generation failed".into(),
        Status::InProgress => {
            let step = match &job.progress {
                _ if job.cancel_requested => Some("it is being cancelled".into()),
                Some(progress) if job.state == State::Running => Some(progress.message.clone()),
                _ if job.state == State::Running => None,
                _ if job.errors.is_empty() => Some("waiting to go on".into()),
                _ => Some(format!(
                    "attempt {} of {} failed, waiting to try again",
                    job.attempt, job.max_attempts
                )),
            };
            let step = step.map(|step| format!(" ({step})")).unwrap_or_default();
            format!("Lesson generation is in progress...{step}")
        }
    }
}

fn error_message(job: &JobRecord) -> Option<String> {
    match job.state {
        State::Cancelled => Some("Lesson generation was cancelled".into()),
        State::Failed => job.errors.last().map(|error| error.message.clone()),
        _ => None,
    }
}
