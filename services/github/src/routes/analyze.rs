use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use longhaul::{JobId, JobRecord, State as JobState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Caller, named, read};
use crate::analysis::{CommitAnalysis, Coverage, LanguageShare, Profile, Repository, Skills, UserData};
use crate::app::App;
use crate::error::Error;
use crate::failure::{self, Failure, LIMIT_EXCEEDED};
use crate::name::Username;
use crate::outage::Answered;
use crate::start::{Asker, Begun, StartError, Wish};
use crate::time::original_time;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AnalyzeRequest {
    /// 1 to 39 letters, digits or hyphens.
    #[schema(example = "octocat")]
    username: String,
    /// True makes a new result where a fresh one is there.
    #[serde(default)]
    force_refresh: bool,
}

/// The answer to a request for an analysis.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = AnalyzeAnswer)]
#[expect(dead_code, reason = "it describes")]
enum Analyzed {
    /// A fresh result.
    Whole(Box<Fresh>),
    /// The task that makes it.
    Running(Box<Running>),
}

/// A result, with the task that made it.
#[derive(ToSchema)]
#[schema(as = FreshProfile)]
#[expect(dead_code, reason = "it describes")]
struct Fresh {
    user_data: FreshUser,
    repositories: Vec<Repository>,
    languages: Vec<LanguageShare>,
    skills: Skills,
    commit_analysis: CommitAnalysis,
    coverage: Coverage,
    analyzed_at: String,
    /// Always `profile`.
    analysis_context_type: String,
    /// True where it was made while the store was away.
    degraded: Option<bool>,
}

/// The user, with the task that made the result.
#[derive(ToSchema)]
#[schema(as = FreshUserData)]
#[expect(dead_code, reason = "it describes")]
struct FreshUser {
    #[serde(flatten)]
    user: UserData,
    task_id: String,
}

/// An analysis that runs.
#[derive(ToSchema)]
#[schema(as = AnalyzeRunning)]
#[expect(dead_code, reason = "it describes")]
struct Running {
    user_data: RunningUser,
    /// Empty.
    repositories: Vec<Value>,
    /// Empty.
    languages: Vec<Value>,
    skills: RunningPart,
    commit_analysis: RunningPart,
    analyzed_at: String,
    /// Always `profile`.
    analysis_context_type: String,
}

/// The user whose analysis runs.
#[derive(ToSchema)]
#[schema(as = AnalyzeRunningUser)]
#[expect(dead_code, reason = "it describes")]
struct RunningUser {
    login: String,
    /// Always true.
    processing: bool,
    task_id: String,
    message: String,
}

/// A part of the result that is not there yet.
#[derive(ToSchema)]
#[schema(as = AnalyzeRunningPart)]
#[expect(dead_code, reason = "it describes")]
struct RunningPart {
    /// Always `processing`.
    status: String,
    task_id: String,
    message: String,
}

impl AnalyzeRequest {
    pub(super) fn checked(self) -> Result<(Username, Wish), Error> {
        Ok((named(self.username)?, wish(self.force_refresh)))
    }
}

pub(super) fn wish(force_refresh: bool) -> Wish {
    if force_refresh { Wish::Refreshed } else { Wish::Fresh }
}

/// The longest that a caller who waits for a result may wait.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// The longest until a caller hears that a pause of the limit key keeps the analysis back.
const PAUSE_SEEN_WITHIN: Duration = Duration::from_secs(5);

/// Asks for an analysis
///
/// The task at once, or a result that is fresh. A result that is not there yet has `user_data.processing`.
#[utoipa::path(
    post,
    path = "/analyze",
    operation_id = "analyzeProfile",
    request_body = AnalyzeRequest,
    responses(
        (status = 200, description = "The task, or the result", body = Analyzed),
        (status = 429, description = "The caller has too many tasks in progress"),
    ),
)]
pub(super) async fn start(
    State(app): State<Arc<App>>,
    Caller(caller): Caller,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Error> {
    let (username, wish) = read::<AnalyzeRequest>(body)?.checked()?;
    match app.begin(&username, wish, Asker::Caller(&caller)).await {
        Ok(Begun::Running(id)) => Ok(Json(started(&app, &username, &id))),
        Ok(Begun::Done(record)) => Ok(Json(with_task(result(&record)?, &record.id))),
        Err(StartError::Away) => {
            let answered = app.analyze_here(&username, wish).await?;
            Ok(Json(with_task(degraded(&answered)?, &answered.task_id)))
        }
        Err(error) => Err(error.answer(app.config.tasks_per_user)),
    }
}

/// Waits for an analysis
#[utoipa::path(
    post,
    path = "/analyze/sync",
    operation_id = "analyzeProfileSync",
    request_body = AnalyzeRequest,
    responses(
        (status = 200, description = "The result", body = Profile),
        (status = 404, description = "GitHub does not know the user"),
        (status = 409, description = "The analysis was cancelled"),
        (status = 429, description = "The caller has too many tasks in progress"),
        (status = 502, description = "GitHub refuses the token, fails, or cannot be understood"),
        (status = 503, description = "A limit of GitHub's, or GitHub cannot be reached; `Retry-After` says for how long"),
        (status = 504, description = "GitHub did not answer in time, or the analysis goes on"),
    ),
)]
pub(super) async fn wait(
    State(app): State<Arc<App>>,
    Caller(caller): Caller,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Error> {
    let (username, wish) = read::<AnalyzeRequest>(body)?.checked()?;
    app.wait_for_result(&username, wish, &caller).await.map(Json)
}

impl App {
    pub(super) async fn wait_for_result(
        &self,
        username: &Username,
        wish: Wish,
        caller: &str,
    ) -> Result<Value, Error> {
        let id = match self.begin(username, wish, Asker::Caller(caller)).await {
            Ok(Begun::Done(record)) => return result(&record),
            Ok(Begun::Running(id)) => id,
            Err(StartError::Away) => return degraded(&self.analyze_here(username, wish).await?),
            Err(error) => return Err(error.answer(self.config.tasks_per_user)),
        };
        let ended = tokio::select! {
            ended = self.longhaul.wait(&id, LONGEST_WAIT) => ended?.found(),
            barred = self.barred_beyond(&id, LONGEST_WAIT) => {
                let detail = format!("{LIMIT_EXCEEDED}; GitHub user '{username}' is analyzed after that, by task {id}");
                return Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(barred?));
            }
        };
        match ended {
            Some(record) if record.state == JobState::Completed => result(&record),
            Some(record) if !record.state.is_finished() => {
                let detail = format!("GitHub user '{username}' is still being analyzed, by task {id}");
                Err(Error::new(StatusCode::GATEWAY_TIMEOUT, detail))
            }
            Some(record) => {
                let reason = failure::reason(&record);
                Err(Failure::of(&reason).answer(username, reason, self.client.barred_for()))
            }
            None => Err(Failure::Cancelled.answer(username, "The analysis was deleted".into(), None)),
        }
    }

    /// Ends once a job waits for longer than `longest`, as it does for a limit of GitHub's, with that wait.
    async fn barred_beyond(&self, id: &JobId, longest: Duration) -> Result<Duration, Error> {
        loop {
            let Some(record) = self.longhaul.get(id).await?.found() else { return pending().await };
            let until = self.longhaul.waits_until(&record).await?;
            let wait = until.map(|until| until.since(self.clock.now()));
            if let Some(wait) = wait.filter(|wait| *wait > longest) {
                return Ok(wait);
            }
            if record.state.is_finished() {
                return pending().await;
            }
            // A pause of its limit key is no event of the job.
            self.longhaul.events(id, record.last_event, 1, longest.min(PAUSE_SEEN_WITHIN)).await?;
        }
    }
}

/// The original document's answer while the analysis runs.
fn started(app: &App, username: &Username, id: &JobId) -> Value {
    json!({
        "user_data": {
            "login": username.as_str(),
            "processing": true,
            "task_id": id,
            "message": "Analysis started in background",
        },
        "repositories": [],
        "languages": [],
        "skills": { "status": "processing", "task_id": id, "message": "Analysis in progress" },
        "commit_analysis": {
            "task_id": id,
            "status": "processing",
            "message": "GitHub profile analysis started",
        },
        "analyzed_at": original_time(app.clock.now()),
        "analysis_context_type": "profile",
    })
}

fn result(record: &JobRecord) -> Result<Value, Error> {
    let output = record.output.as_ref().ok_or_else(|| Error::fault(&"a completed task has no result"))?;
    Ok(output.to_value())
}

pub(super) fn degraded(answered: &Answered) -> Result<Value, Error> {
    let mut value = value(&*answered.profile)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("degraded".into(), true.into());
    }
    Ok(value)
}

fn value(of: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(of).map_err(|e| Error::fault(&e))
}

/// A whole result with its task: a client that polls for whatever it is answered finds it there.
fn with_task(mut result: Value, id: &JobId) -> Value {
    if let Some(user) = result.get_mut("user_data").and_then(Value::as_object_mut) {
        user.insert("task_id".into(), id.as_str().into());
    }
    result
}
