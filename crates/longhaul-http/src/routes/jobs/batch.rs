use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use longhaul::{CancelReason, EnqueueStatus, Enqueued, JobId, Lookup};
use serde::Serialize;
use utoipa::ToSchema;

use super::request::{JobRequest, OnDisconnect};
use crate::auth::Caller;
use crate::extract::JsonBody;
use crate::faults::{Faults, FieldPath};
use crate::idempotency::{self, Duplicates};
use crate::problem::{Code, FieldError, Problem};
use crate::state::Api;
use crate::state::inflight::Repeatable;
use crate::wire::MAX_WORKER_BODY_BYTES;

/// The most jobs of one request.
const MAX_JOBS: usize = 10_000;
/// The most bytes of one request, as a worker's has them: 10,000 jobs have more than those of other requests.
const MAX_BYTES: usize = MAX_WORKER_BODY_BYTES;

/// The result for one job of a bulk request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchedJob)]
pub(crate) struct BatchedJob {
    /// The job's id; for a duplicate, that of the job which stands for it, and for a refused one that of the job which holds its
    /// unique key.
    id: String,
    /// True where a job of another request with the same id or unique key stands for it.
    duplicate: bool,
    /// True where the job that holds its unique key has taken on its args and its time. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    replaced: bool,
    /// `dropped` where it was created and cancelled at once, because its queue or a limit key is full and drops the newest. Absent
    /// otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_reason: Option<CancelReason>,
    /// The reason why it was not created: `duplicate` (its unique key is held, and it does not join) or `queue_full` (as many jobs wait as
    /// may). Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "queue_full")]
    refused: Option<&'static str>,
}

/// Enqueues many jobs
///
/// At most 10,000 in a body of at most 16 MiB, all of them or none: but for those whose unique key is held, or that find no room
/// among the jobs that wait, which concerns them alone. Each sees those before it.
#[utoipa::path(
    post,
    path = "/jobs/batch",
    operation_id = "createJobs",
    tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "As for one job")),
    request_body(content = Vec<JobRequest>),
    responses(
        (status = 202, description = "All jobs were accepted; one answer for each, in their order",
            body = Vec<BatchedJob>, headers(("Idempotency-Replayed" = Option<String>, description = "`true` where \
                an earlier request with the same key created all jobs"))),
        (status = 409, description = "A request with the same idempotency key is still being answered"),
        (status = 410, description = "A job of the earlier request with the same key was pruned or deleted"),
    ),
)]
pub(crate) async fn create_batch(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody { value, bytes }: JsonBody<Vec<JobRequest>, MAX_BYTES>,
) -> Result<Response, Problem> {
    if value.len() > MAX_JOBS {
        let message = format!("must have at most {MAX_JOBS} jobs");
        return Err(Problem::fields(Code::Invalid, vec![FieldError { field: "body".into(), message }]));
    }
    let mut faults = Faults::default();
    let mut jobs = Vec::with_capacity(value.len());
    for (index, request) in value.into_iter().enumerate() {
        faults.path = FieldPath::Index(index);
        let Some(prepared) = request.prepare(&api, &mut faults) else { continue };
        if prepared.on_disconnect == OnDisconnect::CancelJob {
            faults.add(Code::Invalid, "cancel_on_disconnect", "is for one job whose answer is held");
        }
        jobs.push(prepared.job);
    }
    faults.into_result()?;
    caller.sign(&mut jobs, &**api.whole.store()).await?;
    let repeatable = Repeatable::begin(&headers, &caller, "/jobs/batch", &bytes, &api.in_flight)?;
    for (index, job) in jobs.iter_mut().enumerate() {
        job.idempotency = repeatable.as_ref().map(|repeatable| repeatable.nth(index));
    }
    let mut duplicates: Vec<Duplicates> = jobs.iter_mut().map(Duplicates::of).collect();
    let enqueued = api.longhaul.enqueue_many(jobs).await?;
    if enqueued.iter().any(|enqueued| enqueued.status == EnqueueStatus::KeyReused) {
        return Err(idempotency::key_reused());
    }
    if enqueued.iter().any(|enqueued| enqueued.status == EnqueueStatus::NotCreated) {
        return Err(Problem::internal("the store refused a job of a batch and named no reason"));
    }
    let mut replayed = false;
    if repeatable.is_some() && !enqueued.is_empty() && enqueued.iter().all(Enqueued::is_duplicate) {
        let ids: Vec<JobId> = enqueued.iter().map(|enqueued| enqueued.id.clone()).collect();
        let standing = api.longhaul.store().get(&ids).await?;
        for (duplicates, job) in duplicates.iter_mut().zip(&standing) {
            if let Lookup::Found(job) = job {
                *duplicates = duplicates.seen_in(job);
            }
        }
        // One of them is enough: those of other requests were duplicates the first time, too.
        replayed = duplicates.contains(&Duplicates::Replay);
        if replayed && standing.iter().any(|job| !matches!(job, Lookup::Found(_))) {
            let gone = Problem::new(Code::JobGone, "a job of the batch was pruned or deleted");
            let mut response = gone.into_response();
            idempotency::mark_replayed(response.headers_mut());
            return Ok(response);
        }
    }
    let batched = enqueued.into_iter().zip(duplicates).map(|(enqueued, duplicates)| BatchedJob {
        // A repeated answer is the first one again, in which these were not duplicates.
        duplicate: enqueued.is_duplicate() && duplicates != Duplicates::Replay,
        replaced: enqueued.status == EnqueueStatus::Replaced,
        cancel_reason: (enqueued.status == EnqueueStatus::Dropped).then_some(CancelReason::Dropped),
        refused: match enqueued.status {
            EnqueueStatus::Rejected => Some(Code::Duplicate.parts().0),
            EnqueueStatus::Full => Some(Code::QueueFull.parts().0),
            _ => None,
        },
        id: enqueued.id.as_str().to_owned(),
    });
    let batched: Vec<BatchedJob> = batched.collect();
    let mut response = (StatusCode::ACCEPTED, Json(batched)).into_response();
    if replayed {
        idempotency::mark_replayed(response.headers_mut());
    }
    Ok(response)
}
