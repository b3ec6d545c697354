use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use longhaul::Json as Text;
use serde::Serialize;
use serde_json::{Value, json};

use super::analyze::wish;
use super::{Caller, Named};
use crate::app::App;
use crate::error::Error;
use crate::start::{StartError, Wish};
use crate::time::original_time;

type Params = Result<Query<HashMap<String, String>>, QueryRejection>;

/// `GET /user/{username}?force_refresh=`: the result, when it is there.
pub(super) async fn wait(
    State(app): State<Arc<App>>,
    Named(username): Named,
    Caller(caller): Caller,
    params: Params,
) -> Result<Json<Value>, Error> {
    app.wait_for_result(&username, wished(params)?, &caller).await.map(Json)
}

/// `GET /user/{username}/async?force_refresh=`: the task. That of a fresh result has it at the first poll.
pub(super) async fn start(
    State(app): State<Arc<App>>,
    Named(username): Named,
    Caller(caller): Caller,
    params: Params,
) -> Result<Json<Value>, Error> {
    let wish = wished(params)?;
    let id = match app.begin(&username, wish, Some(&caller)).await {
        Ok(begun) => begun.task().clone(),
        Err(StartError::Away) => app.analyze_here(&username, wish).await?.task_id,
        Err(error) => return Err(error.answer(app.config.tasks_per_user)),
    };
    Ok(Json(json!({
        "task_id": id,
        "status": "processing",
        "username": username.as_str(),
        "message": "GitHub profile analysis started in background",
    })))
}

/// A result that was kept.
#[derive(Serialize)]
pub(super) struct Past {
    task_id: String,
    analyzed_at: String,
    result: Text,
}

/// `GET /user/{username}/history?limit=`: results that were kept, newest first, whether fresh or not.
pub(super) async fn history(
    State(app): State<Arc<App>>,
    Named(username): Named,
    params: Params,
) -> Result<Json<Vec<Past>>, Error> {
    let params = read(params)?;
    let limit = match params.get("limit") {
        None => Some(1),
        Some(limit) => limit.parse().ok().filter(|limit| (1..=10).contains(limit)),
    };
    let limit = limit.ok_or_else(|| Error::bad_request("limit must be between 1 and 10"))?;
    let kept = app.results_of(&username, limit).await?;
    let past = kept.into_iter().map(|kept| Past {
        task_id: kept.task_id,
        analyzed_at: original_time(kept.analyzed_at),
        result: kept.result,
    });
    Ok(Json(past.collect()))
}

fn wished(params: Params) -> Result<Wish, Error> {
    match read(params)?.get("force_refresh").map(String::as_str) {
        None | Some("false" | "False" | "0") => Ok(wish(false)),
        Some("true" | "True" | "1") => Ok(wish(true)),
        Some(_) => Err(Error::bad_request("force_refresh must be true or false")),
    }
}

fn read(params: Params) -> Result<HashMap<String, String>, Error> {
    params.map(|Query(params)| params).map_err(|_| Error::bad_request("Query parameters cannot be read"))
}
