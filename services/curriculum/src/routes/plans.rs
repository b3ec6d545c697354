//! The plans, and what a person does to one of them.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::stream;
use longhaul::{Action, JobFilter, JobId, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use service_support::{Commit, DbError, RowJob, iso8601};

use super::bodies::{LessonRedone, LessonShown, Step10Plans, Successful};
use super::step10::is_on_its_way;
use super::workflow_id;
use crate::app::App;
use crate::error::{self, Error};
use crate::jobs::{lesson_job, lesson_job_id};
use crate::model::{Detail, Module, ModulePlan, Tally, Workflow, overall};

/// The plans of a workflow on their way to a reader, a module at a time.
struct Telling {
    app: Arc<App>,
    id: String,
    modules: Vec<Module>,
    /// The modules that have plans, the last one first.
    left: Vec<u32>,
    tally: Tally,
    end: End,
}

/// The part of the answer that has not been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ahead,
    Sent,
}

/// Reads lesson plans
///
/// Those of the modules that have them.
#[utoipa::path(
    get,
    path = "/api/v3/workflow/{workflow}/step10",
    operation_id = "getStep10",
    responses(
        (status = 200, description = "The plans", body = Successful<Step10Plans>),
        (status = 404, description = "Nothing has been generated, or the workflow is not there"),
    ),
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Error> {
    let id = workflow_id(path)?;
    // The status first: where the last module is saved in between, the plans say more than the status, never less.
    let (standing, jobs) = app.look(&id).await?;
    let status = overall(standing.is_complete(), &jobs);
    let modules = app.workflow(&id).await?.ok_or_else(error::no_workflow)?.modules()?;
    let sql = "SELECT max(generated_at) AS newest FROM curriculum_modules WHERE workflow_id = $1";
    let rows = app.db.read(sql, vec![id.as_str().into()]).await?;
    let mut left = app.planned_modules(&id).await?;
    let Some(newest) = rows.first().filter(|_| !left.is_empty()) else {
        return Err(Error::new(StatusCode::NOT_FOUND, "Step 10 has not been generated yet"));
    };
    let newest: Timestamp = newest.get("newest")?;
    left.reverse();
    let head = format!(
        "{{\"success\":true,\"data\":{{\"currentStep\":10,\"status\":{},\"step10\":{{\"generatedAt\":{},\
         \"moduleLessonPlans\":[",
        text_of(&status)?,
        text_of(&iso8601(newest))?
    );
    // Sent as they are read, so that the server holds the plans of one module.
    let telling = Telling { app, id, modules, left, tally: Tally::default(), end: End::Ahead };
    let plans = stream::try_unfold(telling, Telling::next);
    let body = stream::StreamExt::chain(stream::iter([Ok(Bytes::from(head))]), plans);
    Ok(([(CONTENT_TYPE, "application/json")], Body::from_stream(body)).into_response())
}

impl Telling {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, DbError> {
        while let Some(index) = self.left.pop() {
            // What was edited or deleted meanwhile is left out.
            let Some((mut plan, _)) = self.app.module_plan(&self.id, index).await? else { continue };
            let Some(module) = self.modules.get(index as usize) else { continue };
            plan.module_id.clone_from(&module.id);
            let comma = if self.tally.is_empty() { "" } else { "," };
            self.tally.add(&plan, module);
            let text = format!("{comma}{}", text_of(&plan)?);
            return Ok(Some((text.into(), self)));
        }
        if self.end == End::Sent {
            return Ok(None);
        }
        self.end = End::Sent;
        let tally = std::mem::take(&mut self.tally);
        let summary = text_of(&tally.summary())?;
        let validation = text_of(&tally.validation(self.modules.len()))?;
        let text = format!("],\"summary\":{summary},\"validation\":{validation}}}}}}}");
        Ok(Some((text.into(), self)))
    }
}

fn text_of(value: &impl Serialize) -> Result<String, DbError> {
    Ok(longhaul::Json::new(value)?.as_str().to_owned())
}

/// Looks a lesson up
///
/// The lesson, and the job that writes or wrote it anew.
#[utoipa::path(
    get,
    path = "/api/v3/workflow/{workflow}/step10/lessons/{lesson}",
    operation_id = "getStep10Lesson",
    responses((status = 200, description = "The lesson", body = Successful<LessonShown>)),
)]
pub(crate) async fn lesson(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, Error> {
    let place = app.place(path).await?;
    let (plan, _) = app.module_plan(&place.workflow.id, place.module).await?.ok_or_else(no_lesson)?;
    let lesson = plan.lessons.get(place.number as usize - 1).ok_or_else(no_lesson)?;
    let job = app.redo_job(&place).await?;
    let redo = job.map(|job| Detail::of_row(place.module as usize, &place.job_id(), &job));
    Ok(Json(json!({ "success": true, "data": { "lesson": lesson, "redo": redo } })))
}

/// Has a lesson written anew
///
/// Until then the one of before stays.
#[utoipa::path(
    post,
    path = "/api/v3/workflow/{workflow}/step10/lessons/{lesson}/redo",
    operation_id = "redoStep10Lesson",
    responses((status = 200, description = "The job", body = Successful<LessonRedone>)),
)]
pub(crate) async fn redo(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, Error> {
    let place = app.place(path).await?;
    let queued = match app.redo_job(&place).await? {
        Some(job) if is_on_its_way(&job) => false,
        Some(RowJob::Enqueued(ended)) => {
            // Only in the state that was seen: of several callers at once, one begins it.
            let filter = JobFilter { states: vec![ended.state], ..JobFilter::id(ended.id.clone()) };
            app.longhaul.store().act(&filter, Action::Retry, 1).await?.done > 0
        }
        Some(RowJob::Waiting(_)) | None => {
            let job = lesson_job(&app, &place.workflow, place.module, place.number)?;
            match app.db.commit(vec![], vec![job]).await? {
                Commit::Done(done) => done.enqueued.iter().any(|job| job.is_created()),
                Commit::Refused { .. } => false,
            }
        }
    };
    let message = if queued {
        "The lesson will be written anew in the background. Until then the one of before stays."
    } else {
        "The lesson is being written anew already."
    };
    let job_id = place.job_id();
    Ok(Json(json!({
        "success": true,
        "data": { "lessonId": place.lesson, "jobId": job_id, "jobsQueued": u8::from(queued) },
        "message": message,
    })))
}

/// A lesson that there is.
struct Place {
    workflow: Workflow,
    lesson: String,
    module: u32,
    number: u32,
}

impl Place {
    /// The id of the job that writes it anew.
    fn job_id(&self) -> JobId {
        lesson_job_id(&self.workflow.id, self.module as usize, self.number)
    }
}

fn no_lesson() -> Error {
    Error::not_found("Lesson not found")
}

impl App {
    /// The modules of a workflow that have their plans, in order; by the primary key.
    pub(crate) async fn planned_modules(&self, id: &str) -> Result<Vec<u32>, DbError> {
        let sql = "SELECT module_index FROM curriculum_modules WHERE workflow_id = $1 ORDER BY module_index";
        self.db.read(sql, vec![id.into()]).await?.iter().map(|row| row.get("module_index")).collect()
    }

    /// The plans of a module, and the number of its lessons that were written anew; by the primary key.
    pub(crate) async fn module_plan(
        &self,
        id: &str,
        module: u32,
    ) -> Result<Option<(ModulePlan, u32)>, DbError> {
        let sql =
            "SELECT plan, revision FROM curriculum_modules WHERE workflow_id = $1 AND module_index = $2";
        let rows = self.db.read(sql, vec![id.into(), module.into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let plan = serde_json::from_str(&row.get::<String>("plan")?)
            .map_err(|e| DbError::Column { column: "plan".into(), reason: e.to_string() })?;
        Ok(Some((plan, row.get("revision")?)))
    }

    /// The place of the lesson in a path: `{code}-L{n}` of a module that has its plans.
    async fn place(&self, path: Result<Path<(String, String)>, PathRejection>) -> Result<Place, Error> {
        let Ok(Path((workflow, lesson))) = path else { return Err(error::no_workflow()) };
        let workflow = workflow_id(Ok(Path(workflow)))?;
        let workflow = self.workflow(&workflow).await?.ok_or_else(error::no_workflow)?;
        let modules = workflow.modules()?;
        let (code, number) = lesson.rsplit_once("-L").ok_or_else(no_lesson)?;
        let number: u32 = number.parse().ok().filter(|number| *number > 0).ok_or_else(no_lesson)?;
        let module = modules.iter().position(|module| module.code == code).ok_or_else(no_lesson)?;
        let module = u32::try_from(module).unwrap_or(u32::MAX);
        let (plan, _) = self.module_plan(&workflow.id, module).await?.ok_or_else(no_lesson)?;
        plan.lessons.get(number as usize - 1).ok_or_else(no_lesson)?;
        Ok(Place { workflow, lesson, module, number })
    }

    async fn redo_job(&self, place: &Place) -> Result<Option<RowJob>, Error> {
        let id = place.job_id();
        Ok(self.jobs(vec![id.clone()]).await?.remove(&id))
    }
}
