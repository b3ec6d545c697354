use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use service_support::{DbError, Write};

use super::{json_object, workflow_id};
use crate::app::App;
use crate::error::{self, Error};
use crate::model::{Module, Workflow};

/// The part of the list that is wanted.
#[derive(Debug, Deserialize)]
pub(crate) struct Paging {
    page: Option<u32>,
    limit: Option<u32>,
}

/// Workflows on a page, unless the caller wants another number.
const USUAL_LIMIT: u32 = 20;
/// The most workflows on a page: each may be a megabyte.
const MAX_LIMIT: u32 = 100;

/// `POST /api/v3/workflow`
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Error> {
    let body = json_object(body)?;
    let (step9_complete, modules) = Workflow::check(&body).map_err(Error::bad_request)?;
    let now = app.clock.now();
    let workflow = Workflow {
        id: app.ids.next(now),
        body,
        step9_complete,
        generated: 0,
        created_at: now,
        updated_at: now,
    };
    let lessons: usize = modules.iter().map(|module: &Module| module.lesson_minutes().len()).sum();
    let insert = Write::new(
        "INSERT INTO curriculum_workflows (id, body, modules, lessons, step9_complete, generated, created_at, \
         updated_at) VALUES ($1, $2, $3, $4, $5, 0, $6, $6)",
        vec![
            workflow.id.as_str().into(),
            longhaul::Json::new(&workflow.body)?.as_str().into(),
            modules.len().into(),
            lessons.into(),
            i64::from(step9_complete).into(),
            now.into(),
        ],
    );
    app.db.commit(vec![insert], vec![]).await?;
    Ok((StatusCode::CREATED, Json(json!({ "success": true, "data": workflow.view() }))))
}

/// `GET /api/v3/workflow`, newest first.
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
        "SELECT {} FROM curriculum_workflows ORDER BY created_at DESC, id DESC LIMIT $1 OFFSET $2",
        Workflow::COLUMNS
    );
    let offset = u64::from(page - 1) * u64::from(limit);
    let rows = app.db.read(sql, vec![limit.into(), offset.into()]).await?;
    let workflows = rows.iter().map(Workflow::from_row).collect::<Result<Vec<_>, DbError>>()?;
    let counted = app.db.read("SELECT count(*) AS total FROM curriculum_workflows", vec![]).await?;
    let total: u64 = counted.first().map(|row| row.get("total")).transpose()?.unwrap_or(0);
    let data: Vec<Value> = workflows.into_iter().map(Workflow::view).collect();
    Ok(Json(json!({ "success": true, "data": data, "total": total, "page": page, "limit": limit })))
}

/// `GET /api/v3/workflow/{workflow}`
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Error> {
    let workflow = app.workflow(&workflow_id(path)?).await?.ok_or_else(error::no_workflow)?;
    Ok(Json(json!({ "success": true, "data": workflow.view() })))
}

impl App {
    pub(crate) async fn workflow(&self, id: &str) -> Result<Option<Workflow>, DbError> {
        let sql = format!("SELECT {} FROM curriculum_workflows WHERE id = $1", Workflow::COLUMNS);
        self.db.read(sql, vec![id.into()]).await?.first().map(Workflow::from_row).transpose()
    }
}
