use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use longhaul::{Action, JobFilter, JobId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use service_support::{Commit, DbError, Once, Row, Write};
use utoipa::IntoParams;

use super::bodies::{self, Successful, WorkflowDeleted, WorkflowPage, WorkflowRequest};
use super::step10::is_on_its_way;
use super::{MAX_JSON_BYTES, json_object, workflow_id};
use crate::app::App;
use crate::error::{self, Error};
use crate::jobs::module_job_id;
use crate::model::{Module, Workflow};

/// The part of the list that is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// From 1.
    page: Option<u32>,
    /// The most workflows of a page, 20 unless given and at most 100.
    limit: Option<u32>,
}

/// Workflows on a page, unless the caller wants another number.
const USUAL_LIMIT: u32 = 20;
/// The most workflows on a page.
const MAX_LIMIT: u32 = 100;
/// The longest document that a list shows whole, in bytes: of a longer one it leaves the modules and the extra fields out.
const MAX_LISTED_BYTES: usize = 16 * 1024;
/// Looks that are taken at a workflow which others edit, too.
const LOOKS: usize = 20;

/// Keeps a workflow
///
/// It stands for steps 1 to 9 done.
#[utoipa::path(
    post,
    path = "/api/v3/workflow",
    operation_id = "createWorkflow",
    request_body = WorkflowRequest,
    responses((status = 201, description = "The workflow", body = Successful<bodies::Workflow>)),
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    once: Once,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Error> {
    let body = json_object(body)?;
    let (step9_complete, modules) = Workflow::check(&body).map_err(Error::bad_request)?;
    // Nobody needs a token here, and what comes with one is found when its user is erased.
    let owner = app.auth.authenticate(&headers).await.ok().map(|user| user.sub);
    let now = app.clock.now();
    let workflow = Workflow {
        id: app.ids.next(now),
        body,
        owner,
        step9_complete,
        generated: 0,
        revision: 0,
        modules_revision: 0,
        halted: false,
        created_at: now,
        updated_at: now,
    };
    let insert = Write::new(
        "INSERT INTO curriculum_workflows (id, body, title, modules, lessons, step9_complete, generated, created_at, \
         updated_at, owner) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $7, $8)",
        vec![
            workflow.id.as_str().into(),
            longhaul::Json::new(&workflow.body)?.as_str().into(),
            workflow.title().into(),
            modules.len().into(),
            lessons_of(&modules).into(),
            i64::from(step9_complete).into(),
            now.into(),
            workflow.owner.clone().into(),
        ],
    );
    let answer = json!({ "success": true, "data": workflow.view() });
    once.commit(&app.db, (StatusCode::CREATED, &answer), vec![insert], vec![]).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Lists workflows
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/api/v3/workflow",
    operation_id = "listWorkflows",
    params(Paging),
    responses((status = 200, description = "A page of workflows", body = WorkflowPage)),
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<Value>, Error> {
    let Ok(Query(paging)) = paging else {
        return Err(Error::bad_request("page and limit must be whole numbers"));
    };
    let (page, limit) = (paging.page.unwrap_or(1), paging.limit.unwrap_or(USUAL_LIMIT));
    if page == 0 || !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Error::bad_request(format!("page must be at least 1 and limit from 1 to {MAX_LIMIT}")));
    }
    let sql = format!(
        "SELECT CASE WHEN length(body) <= {MAX_LISTED_BYTES} THEN body END AS body, id, owner, title, modules, \
             step9_complete, generated, revision, modules_revision, halted, created_at, updated_at \
         FROM curriculum_workflows ORDER BY created_at DESC, id DESC LIMIT $1 OFFSET $2"
    );
    let offset = u64::from(page - 1) * u64::from(limit);
    let rows = app.db.read(sql, vec![limit.into(), offset.into()]).await?;
    let mut data = Vec::with_capacity(rows.len());
    for row in &rows {
        data.push(match row.get::<Option<String>>("body")? {
            Some(_) => Workflow::from_row(row)?.view(),
            None => app.in_short(row).await?,
        });
    }
    let counted = app.db.read("SELECT count(*) AS total FROM curriculum_workflows", vec![]).await?;
    let total: u64 = counted.first().map(|row| row.get("total")).transpose()?.unwrap_or(0);
    Ok(Json(json!({ "success": true, "data": data, "total": total, "page": page, "limit": limit })))
}

/// Looks a workflow up
#[utoipa::path(
    get,
    path = "/api/v3/workflow/{workflow}",
    operation_id = "getWorkflow",
    responses((status = 200, description = "The workflow", body = Successful<bodies::Workflow>)),
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Error> {
    let workflow = app.workflow(&workflow_id(path)?).await?.ok_or_else(error::no_workflow)?;
    Ok(Json(json!({ "success": true, "data": workflow.view() })))
}

/// Changes a workflow
///
/// The fields that are given take the place of those of before. Modules that would be taught as before keep their plans,
/// wherever they stand now; the others lose them. Modules of which one is being generated are not changed.
#[utoipa::path(
    put,
    path = "/api/v3/workflow/{workflow}",
    operation_id = "updateWorkflow",
    request_body(content = Value, description = "The fields to replace; null removes one", example = json!({"level": "Diploma"})),
    responses(
        (status = 200, description = "The workflow", body = Successful<bodies::Workflow>),
        (status = 409, description = "Its plans are being generated, or others change it at the moment"),
    ),
)]
pub(crate) async fn update(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Error> {
    let id = workflow_id(path)?;
    let given = json_object(body)?;
    for _ in 0..LOOKS {
        let workflow = app.workflow(&id).await?.ok_or_else(error::no_workflow)?;
        if app.edit(&workflow, given.clone()).await?.is_done() {
            let edited = app.workflow(&id).await?.ok_or_else(error::no_workflow)?;
            return Ok(Json(json!({ "success": true, "data": edited.view() })));
        }
    }
    Err(Error::new(StatusCode::CONFLICT, "The workflow is being changed by others: try again"))
}

/// Deletes a workflow
///
/// With its plans; what works for it is cancelled.
#[utoipa::path(
    delete,
    path = "/api/v3/workflow/{workflow}",
    operation_id = "deleteWorkflow",
    responses((status = 200, description = "It is gone", body = Successful<WorkflowDeleted>)),
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Error> {
    let id = workflow_id(path)?;
    let plans = Write::new("DELETE FROM curriculum_modules WHERE workflow_id = $1", vec![id.as_str().into()]);
    let row = Write::guarded("DELETE FROM curriculum_workflows WHERE id = $1", vec![id.as_str().into()]);
    if !app.db.commit(vec![plans, row], vec![]).await?.is_done() {
        return Err(error::no_workflow());
    }
    // After the rows: whatever is queued from now on finds no workflow.
    let cancelled = app.cancel_all(&id).await?;
    tracing::info!("workflow {id} is deleted, {cancelled} job(s) of it are cancelled");
    Ok(Json(json!({ "success": true, "data": { "_id": id }, "message": "Workflow deleted" })))
}

fn lessons_of(modules: &[Module]) -> usize {
    modules.iter().map(|module| module.lesson_minutes().len()).sum()
}

impl App {
    /// Writes an edit, unless the workflow is no longer the one that was looked at.
    async fn edit(&self, workflow: &Workflow, given: Map<String, Value>) -> Result<Commit, Error> {
        let body = workflow.edited(given);
        let (step9_complete, modules) = Workflow::check(&body).map_err(Error::bad_request)?;
        let text = longhaul::Json::new(&body)?;
        if text.as_str().len() > MAX_JSON_BYTES {
            return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, "Workflow exceeds 1 MB"));
        }
        let before = workflow.modules()?;
        let same = |new: &Module, old: &Module| new.is_taught_as(old);
        let changes = before.len() != modules.len()
            || step9_complete != workflow.step9_complete
            || !modules.iter().zip(&before).all(|(new, old)| same(new, old));
        let planned = self.planned_modules(&workflow.id).await?;
        // Where the plans of each module of now stand, if it has any.
        let kept = |new: &Module| {
            let place = before.iter().position(|old| same(new, old))?;
            planned.iter().find(|planned| **planned as usize == place).copied()
        };
        let kept: Vec<Option<u32>> = modules.iter().map(kept).collect();
        let next = kept.iter().position(Option::is_none).unwrap_or(modules.len());
        let module_jobs: Vec<JobId> =
            (0..before.len()).map(|index| module_job_id(&workflow.id, index)).collect();
        if changes && self.jobs(module_jobs.clone()).await?.values().any(is_on_its_way) {
            let told = "Step 10 generation is in progress: cancel it before its modules are changed";
            return Err(Error::new(StatusCode::CONFLICT, told));
        }
        let mut writes = vec![Write::guarded(
            "UPDATE curriculum_workflows SET body = $4, title = $5, modules = $6, lessons = $7, step9_complete = $8, \
                 generated = $9, revision = revision + 1, \
                 modules_revision = CASE WHEN $10 = 1 THEN revision + 1 ELSE modules_revision END, updated_at = $11 \
             WHERE id = $1 AND revision = $2 AND generated = $3",
            vec![
                workflow.id.as_str().into(),
                workflow.revision.into(),
                workflow.generated.into(),
                text.as_str().into(),
                body.get("title").and_then(Value::as_str).unwrap_or_default().into(),
                modules.len().into(),
                lessons_of(&modules).into(),
                i64::from(step9_complete).into(),
                if changes { next.into() } else { workflow.generated.into() },
                i64::from(changes).into(),
                self.clock.now().into(),
            ],
        )];
        if changes {
            // By way of negative numbers, so that two modules that change places never share one.
            let moved = kept.iter().enumerate().filter_map(|(now, then)| Some((now, (*then)?)));
            writes.extend(moved.map(|(now, then)| {
                Write::new(
                    "UPDATE curriculum_modules SET module_index = -1 - $3 WHERE workflow_id = $1 AND module_index = $2",
                    vec![workflow.id.as_str().into(), then.into(), now.into()],
                )
            }));
            for sql in [
                "DELETE FROM curriculum_modules WHERE workflow_id = $1 AND module_index >= 0",
                "UPDATE curriculum_modules SET module_index = -1 - module_index WHERE workflow_id = $1",
            ] {
                writes.push(Write::new(sql, vec![workflow.id.as_str().into()]));
            }
        }
        let done = self.db.commit(writes, vec![]).await?;
        if changes && done.is_done() {
            // The history of modules that are not there any more; where this is not reached, a start runs them again.
            let gone = module_jobs.into_iter().enumerate();
            let gone = gone.filter(|(index, _)| kept.get(*index) != Some(&u32::try_from(*index).ok()));
            let filter = JobFilter { ids: gone.map(|(_, id)| id).collect(), ..JobFilter::default() };
            if !filter.ids.is_empty() {
                self.longhaul.store().act(&filter, Action::Delete, before.len()).await?;
            }
        }
        Ok(done)
    }

    /// A workflow whose document is too long for a list.
    async fn in_short(&self, row: &Row) -> Result<Value, Error> {
        let mut title: String = row.get("title")?;
        if title.is_empty() {
            // A row of before that column.
            let whole = self.workflow(&row.get::<String>("id")?).await?;
            title = whole.map(|workflow| workflow.title().to_owned()).unwrap_or_default();
        }
        let (modules, generated): (u32, u32) = (row.get("modules")?, row.get("generated")?);
        let body = Map::from_iter([
            ("title".to_owned(), title.into()),
            ("totalModules".to_owned(), modules.into()),
            ("inShort".to_owned(), true.into()),
        ]);
        let workflow = Workflow {
            id: row.get("id")?,
            body,
            owner: row.get("owner")?,
            step9_complete: row.get::<i64>("step9_complete")? != 0,
            generated,
            revision: row.get("revision")?,
            modules_revision: row.get("modules_revision")?,
            halted: row.get::<i64>("halted")? != 0,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        };
        Ok(workflow.view())
    }

    pub(crate) async fn workflow(&self, id: &str) -> Result<Option<Workflow>, DbError> {
        let sql = format!("SELECT {} FROM curriculum_workflows WHERE id = $1", Workflow::COLUMNS);
        self.db.read(sql, vec![id.into()]).await?.first().map(Workflow::from_row).transpose()
    }
}
