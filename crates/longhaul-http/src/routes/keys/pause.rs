use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::KeyBody;
use super::read::find;
use crate::auth::Caller;
use crate::extract::OptionalJson;
use crate::faults::{Faults, duration};
use crate::path::KeyPath;
use crate::problem::Problem;
use crate::state::Api;

/// The length of a pause.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyPause)]
pub(crate) struct PauseRequest {
    /// In seconds: 0 to ten years. Until it is resumed unless given.
    #[serde(rename = "for")]
    #[schema(minimum = 0.0, maximum = 315_360_000.0)]
    pause: Option<f64>,
}

/// Pauses a limit key
///
/// No job of it is claimed until then, in whatever queue. Jobs that run go on. A longer pause is not shortened by a shorter one:
/// resume the key first.
#[utoipa::path(
    post,
    path = "/keys/{key}/pause",
    operation_id = "pauseKey",
    tag = "queues",
    params(("key" = String, Path, description = "The key's name")),
    request_body(content = Option<PauseRequest>),
    responses((status = 200, description = "The key as it is now", body = KeyBody)),
)]
pub(crate) async fn pause(
    State(api): State<Api>,
    _: Caller,
    KeyPath(key): KeyPath,
    OptionalJson(body): OptionalJson<PauseRequest>,
) -> Result<Json<KeyBody>, Problem> {
    let mut faults = Faults::default();
    let pause = body.pause.and_then(|pause| duration("for", pause, &mut faults)).unwrap_or(Duration::MAX);
    faults.into_result()?;
    api.longhaul.store().pause_key(&key, pause).await?;
    Ok(Json(find(&api, key).await?.into()))
}

/// Resumes a limit key
///
/// Workers that wait are given its jobs at once, as far as its limits admit them.
#[utoipa::path(
    post,
    path = "/keys/{key}/resume",
    operation_id = "resumeKey",
    tag = "queues",
    params(("key" = String, Path, description = "The key's name")),
    responses((status = 200, description = "The key as it is now", body = KeyBody)),
)]
pub(crate) async fn resume(
    State(api): State<Api>,
    _: Caller,
    KeyPath(key): KeyPath,
) -> Result<Json<KeyBody>, Problem> {
    api.longhaul.store().resume_key(&key).await?;
    Ok(Json(find(&api, key).await?.into()))
}
