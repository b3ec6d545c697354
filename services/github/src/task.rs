//! A task in the service's own words, made from the engine's record of its job.

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::{Children, Job, JobId, JobRecord, Json, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::app::App;
use crate::error::{self, Error};
use crate::failure;
use crate::jobs::{Analyze, Batch, BatchOutcome};
use crate::outage::Answered;
use crate::time::original_time;

/// The word for a task that waits or runs.
pub(crate) const PROCESSING: &str = "processing";
/// The word for a task whose result is there.
pub(crate) const COMPLETED: &str = "completed";
/// The word for a task that has ended without a result.
pub(crate) const FAILED: &str = "failed";

/// For how long a task can be asked about after it has ended, at the least.
const TASK_TTL: Duration = Duration::from_secs(3_600);

/// A task, as it is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = GithubTask)]
pub(crate) enum Task {
    /// It waits or runs.
    Processing {
        task_id: String,
        #[schema(schema_with = processing_alone)]
        status: &'static str,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        username: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        progress: Option<BatchProgress>,
        started_at: String,
        updated_at: String,
    },
    /// Its result is there.
    Completed {
        task_id: String,
        #[schema(schema_with = completed_alone)]
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        progress: Option<BatchProgress>,
        /// The result; of a batch, each name with its result or `error`.
        #[schema(value_type = Value)]
        result: Json,
        completed_at: String,
    },
    /// It has ended without a result.
    Failed {
        task_id: String,
        #[schema(schema_with = failed_alone)]
        status: &'static str,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        username: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        progress: Option<BatchProgress>,
    },
}

// The word tells the forms apart: a task that has failed has no member that one which runs has not.
fn processing_alone() -> Object {
    alone(PROCESSING)
}

fn completed_alone() -> Object {
    alone(COMPLETED)
}

fn failed_alone() -> Object {
    alone(FAILED)
}

fn alone(word: &'static str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some([word])).build()
}

/// The progress of the names of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GithubBatchProgress)]
pub(crate) struct BatchProgress {
    total: u64,
    completed: u64,
    /// Those that were cancelled too.
    failed: u64,
}

/// A task with what is needed to wait for its next change.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) task: Task,
    /// The number of its job's newest event.
    pub(crate) last_event: u64,
}

impl Task {
    /// The word for how it stands: [`PROCESSING`], [`COMPLETED`] or [`FAILED`].
    pub(crate) fn status(&self) -> &'static str {
        match self {
            Task::Processing { status, .. }
            | Task::Completed { status, .. }
            | Task::Failed { status, .. } => status,
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self, Task::Processing { .. })
    }
}

impl App {
    /// The task of this id.
    pub(crate) async fn task(&self, task_id: &str) -> Result<Seen, Error> {
        if let Some(answered) = self.outage.find_task(task_id, self.clock.now()) {
            return Ok(Seen { task: of_answered(&answered)?, last_event: 0 });
        }
        let Ok(id) = JobId::new(task_id) else { return Err(error::no_task(task_id)) };
        let record = self.longhaul.get(&id).await?.found();
        let record = record.filter(|record| self.is_shown(record)).ok_or_else(|| error::no_task(task_id))?;
        let task = if record.kind == Batch::KIND {
            self.batch(&record).await?
        } else {
            self.analysis(&record).await?
        };
        Ok(Seen { task, last_event: record.last_event })
    }

    /// A task can be asked about for as long as its result is served as fresh, and for an hour at the least.
    fn is_shown(&self, record: &JobRecord) -> bool {
        let is_ours = record.kind == Analyze::KIND || record.kind == Batch::KIND;
        let shown_for = TASK_TTL.max(self.config.cache_ttl);
        is_ours && record.finished_at.is_none_or(|at| at.plus(shown_for) > self.clock.now())
    }

    async fn analysis(&self, record: &JobRecord) -> Result<Task, Error> {
        let username = username(record);
        Ok(match (record.state, &record.output) {
            (State::Completed, Some(output)) => completed(record, None, output.clone()),
            state if state.0.is_finished() => failed(record, username, None),
            _ => {
                let reported = record.progress.as_ref().map(|progress| progress.message.clone());
                let mut message = reported.unwrap_or_else(|| "Analyzing GitHub profile...".into());
                // Nothing is enqueued for later, so what waits for a time waits for a limit or for its next attempt.
                if let Some(until) = self.longhaul.waits_until(record).await? {
                    message = format!("{message} (waiting for GitHub until {})", original_time(until));
                }
                self.processing(record, message, username, None).await?
            }
        })
    }

    async fn batch(&self, record: &JobRecord) -> Result<Task, Error> {
        let names = record.args.to::<Batch>().map(|batch| batch.usernames.len()).unwrap_or_default();
        let progress = Some(progress(record.children, names));
        Ok(match (record.state, &record.output) {
            (State::Completed, Some(output)) => completed(record, progress, self.batch_result(output).await?),
            state if state.0.is_finished() => failed(record, None, progress),
            _ => {
                let message = format!("Analyzing {names} GitHub profiles...");
                self.processing(record, message, None, progress).await?
            }
        })
    }

    /// `{username: {…} or {error}}`
    async fn batch_result(&self, output: &Json) -> Result<Json, Error> {
        let outcome: BatchOutcome = output.to().map_err(|e| Error::fault(&e))?;
        let tasks: Vec<String> = outcome.members.iter().filter_map(|member| member.task_id.clone()).collect();
        let kept = self.results_by_task(&tasks).await?;
        let kept: BTreeMap<&str, &Json> =
            kept.iter().map(|kept| (kept.task_id.as_str(), &kept.result)).collect();
        let mut result = BTreeMap::new();
        for member in &outcome.members {
            let found = member.task_id.as_ref().and_then(|task| kept.get(task.as_str()));
            let value = match found {
                Some(result) => (*result).clone(),
                None => {
                    let error = member.error.clone().unwrap_or_else(|| "the result is no longer kept".into());
                    Json::new(&serde_json::json!({ "error": error }))?
                }
            };
            result.insert(member.username.as_str(), value);
        }
        Ok(Json::new(&result)?)
    }

    async fn processing(
        &self,
        record: &JobRecord,
        message: String,
        username: Option<String>,
        progress: Option<BatchProgress>,
    ) -> Result<Task, Error> {
        let newest =
            self.longhaul.events(&record.id, record.last_event.saturating_sub(1), 1, Duration::ZERO).await?;
        let newest = newest.and_then(|events| events.last().map(|event| event.at));
        let known = record.started_at.unwrap_or(record.created_at);
        Ok(Task::Processing {
            task_id: record.id.to_string(),
            status: PROCESSING,
            message,
            username,
            progress,
            started_at: original_time(record.created_at),
            updated_at: original_time(newest.map_or(known, |at| at.max(known))),
        })
    }
}

/// The user of a job's analysis, as it was asked for.
fn username(record: &JobRecord) -> Option<String> {
    record.args.to::<Analyze>().ok().map(|job| job.username.to_string())
}

fn completed(record: &JobRecord, progress: Option<BatchProgress>, result: Json) -> Task {
    Task::Completed {
        task_id: record.id.to_string(),
        status: COMPLETED,
        progress,
        result,
        completed_at: original_time(record.finished_at.unwrap_or(record.created_at)),
    }
}

fn failed(record: &JobRecord, username: Option<String>, progress: Option<BatchProgress>) -> Task {
    let message = failure::reason(record);
    Task::Failed { task_id: record.id.to_string(), status: FAILED, message, username, progress }
}

fn of_answered(answered: &Answered) -> Result<Task, Error> {
    Ok(Task::Completed {
        task_id: answered.task_id.to_string(),
        status: COMPLETED,
        progress: None,
        result: Json::new(&*answered.profile)?,
        completed_at: original_time(answered.at),
    })
}

fn progress(children: Option<Children>, names: usize) -> BatchProgress {
    let children = children.unwrap_or_default();
    BatchProgress {
        total: names as u64,
        completed: children.completed,
        failed: children.failed + children.cancelled,
    }
}
