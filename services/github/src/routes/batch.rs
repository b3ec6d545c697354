use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use longhaul::JobId;
use serde::{Deserialize, Serialize};
use service_support::Once;
use utoipa::ToSchema;

use super::{Caller, named, read};
use crate::app::App;
use crate::error::Error;
use crate::jobs::Batch;
use crate::start::StartError;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchRequest {
    /// 1 to 100 names.
    #[schema(example = json!(["octocat", "torvalds"]))]
    usernames: Vec<String>,
    #[serde(default)]
    force_refresh: bool,
}

/// A batch that has begun.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchStarted {
    task_id: String,
    /// Always `processing`.
    status: &'static str,
    /// The number of its names.
    total: usize,
    /// The path that follows it.
    poll_url: String,
}

/// Names of one batch.
const MAX_NAMES: usize = 100;

/// Asks for the analyses of many users
///
/// One task for all. A name that is given twice counts once; each spelling of one has a result of its own, made by one
/// analysis.
#[utoipa::path(
    post,
    path = "/analyze/batch",
    operation_id = "analyzeProfiles",
    request_body = BatchRequest,
    responses(
        (status = 200, description = "The task", body = BatchStarted),
        (status = 429, description = "The caller has too many tasks in progress"),
    ),
)]
pub(super) async fn start(
    State(app): State<Arc<App>>,
    Caller(caller): Caller,
    once: Once,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<BatchStarted>, Error> {
    let request: BatchRequest = read(body)?;
    if !(1..=MAX_NAMES).contains(&request.usernames.len()) {
        return Err(Error::bad_request("usernames must be between 1 and 100"));
    }
    let mut known = HashSet::new();
    let mut usernames = Vec::with_capacity(request.usernames.len());
    for (number, name) in request.usernames.into_iter().enumerate() {
        let name = named(name)
            .map_err(|error| Error::new(error.status, format!("usernames[{number}]: {}", error.message)))?;
        if known.insert(name.to_string()) {
            usernames.push(name);
        }
    }
    let batch = Batch { usernames, force_refresh: request.force_refresh };
    let started = app.start_batch(&batch, &caller, &once).await;
    Ok(Json(started.map_err(|e| e.answer(app.config.tasks_per_user))?))
}

impl App {
    /// Enqueues a batch, which counts as one task of its caller's.
    async fn start_batch(
        &self,
        batch: &Batch,
        caller: &str,
        once: &Once,
    ) -> Result<BatchStarted, StartError> {
        let seconds = self.clock.now().0.div_euclid(1_000);
        let id = JobId::new(format!("github_batch_{seconds}_{:08x}", rand::random::<u32>()))?;
        let poll_url = format!("{}/api/v1/github/task/{id}", self.base_path);
        let total = batch.usernames.len();
        let started = BatchStarted { task_id: id.to_string(), status: "processing", total, poll_url };
        let jobs = batch.jobs(&id, &self.turns.key(id.as_str()))?;
        self.enqueue_reserved(&id, None, Some(caller), jobs, (once, &started)).await?;
        Ok(started)
    }
}
