use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use longhaul::Json as Text;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::analyze::wish;
use super::{Caller, Named};
use crate::analysis::Profile;
use crate::app::App;
use crate::error::Error;
use crate::start::{Asker, StartError, Wish};
use crate::time::original_time;

type Params = Result<Query<HashMap<String, String>>, QueryRejection>;

/// Waits for an analysis
#[utoipa::path(
    get,
    path = "/user/{username}",
    operation_id = "getProfile",
    params(("force_refresh" = Option<bool>, Query, description = "`true` makes a new result where a fresh one is there")),
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
    Named(username): Named,
    Caller(caller): Caller,
    params: Params,
) -> Result<Json<Value>, Error> {
    app.wait_for_result(&username, wished(params)?, &caller).await.map(Json)
}

/// Asks for an analysis
///
/// The task alone. That of a fresh result has it at the first poll.
#[utoipa::path(
    get,
    path = "/user/{username}/async",
    operation_id = "analyzeUser",
    params(("force_refresh" = Option<bool>, Query, description = "`true` makes a new result where a fresh one is there")),
    responses(
        (status = 200, description = "The task", body = Started),
        (status = 429, description = "The caller has too many tasks in progress"),
    ),
)]
pub(super) async fn start(
    State(app): State<Arc<App>>,
    Named(username): Named,
    Caller(caller): Caller,
    params: Params,
) -> Result<Json<Started>, Error> {
    let wish = wished(params)?;
    let id = match app.begin(&username, wish, Asker::Caller(&caller)).await {
        Ok(begun) => begun.task().clone(),
        Err(StartError::Away) => app.analyze_here(&username, wish).await?.task_id,
        Err(error) => return Err(error.answer(app.config.tasks_per_user)),
    };
    Ok(Json(Started {
        task_id: id.to_string(),
        status: "processing",
        username: username.as_str().to_owned(),
        message: "GitHub profile analysis started in background",
    }))
}

/// An analysis that has begun.
#[derive(Serialize, ToSchema)]
#[schema(as = AnalysisStarted)]
pub(super) struct Started {
    task_id: String,
    /// Always `processing`.
    status: &'static str,
    username: String,
    message: &'static str,
}

/// A result that was kept.
#[derive(Serialize, ToSchema)]
#[schema(as = PastProfile)]
pub(super) struct Past {
    task_id: String,
    analyzed_at: String,
    #[schema(value_type = Profile)]
    result: Text,
}

/// Lists results that were kept
///
/// Newest first, whether fresh or not.
#[utoipa::path(
    get,
    path = "/user/{username}/history",
    operation_id = "listProfiles",
    params(("limit" = Option<u32>, Query, description = "The most results, 1 unless given", minimum = 1, maximum = 10)),
    responses((status = 200, description = "The results", body = Vec<Past>)),
)]
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
