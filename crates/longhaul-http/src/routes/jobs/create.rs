use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use longhaul::{EnqueueStatus, Enqueued, Full, JobId, Longhaul, NewJob, OnClash};

use super::body::JobBody;
use super::read::found;
use super::request::{JobRequest, OnDisconnect, Prepared};
use crate::auth::Caller;
use crate::extract::JsonBody;
use crate::faults::Faults;
use crate::idempotency::{self, Duplicates};
use crate::path::Mount;
use crate::prefer;
use crate::problem::{Code, Problem};
use crate::state::Api;
use crate::state::inflight::Repeatable;

/// Enqueues a job
///
/// The job is durable when the answer comes. Nothing was created where the answer is 200 with
/// `"duplicate": true`: then a job of another request, with the same id or unique key, stands for it. With `"replaced": true` the
/// job that held the unique key has taken on what was asked for. Where the queue or a limit key drops the newest and is full, the answer
/// is a job that was cancelled at once, with the `cancel_reason` `dropped`.
///
/// The times of a new job are told by the server's clock, and may be milliseconds from those that the store keeps, which `GET` tells.
#[utoipa::path(
    post,
    path = "/jobs",
    operation_id = "createJob",
    tag = "jobs",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send the request again \
            within 24 hours: the same key and body get the first answer's job, as it stands by then"),
        ("Prefer" = Option<String>, Header, description = "`wait=N` holds the answer up to N seconds (at most \
            60) until the job has ended", example = "wait=30"),
    ),
    request_body(content = JobRequest),
    responses(
        (status = 202, description = "The job was accepted", body = JobBody, headers(
            ("Location" = String, description = "Where the job is found"),
            ("Retry-After" = u64, description = "When to ask again, in seconds"),
            ("Preference-Applied" = Option<String>, description = "The wait that was applied"),
            ("Idempotency-Replayed" = Option<String>, description = "`true` where an earlier request with the \
                same key created the job"),
        )),
        (status = 200, description = "The job has ended while the answer was held, or an existing one stands \
            for it", body = JobBody),
        (status = 409, description = "Another job holds the unique key and `on_clash` is `reject` (`duplicate`), or a request \
            with the same idempotency key is still being answered", headers(
            ("Location" = Option<String>, description = "Where the job is found that holds the key"),
        )),
        (status = 429, description = "As many jobs wait in the queue, or of a limit key, as may (`queue_full`)", headers(
            ("Retry-After" = u64, description = "When to ask again, in seconds"),
        )),
        (status = 410, description = "The job that stands for it, or has ended while the answer was held, was pruned or \
            deleted", headers(
            ("Idempotency-Replayed" = Option<String>, description = "`true` where an earlier request with the \
                same key created the job"),
        )),
    ),
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    mount: Mount,
    headers: HeaderMap,
    JsonBody { value, bytes }: JsonBody<JobRequest>,
) -> Result<Response, Problem> {
    let wait = prefer::wait(&headers);
    let Prepared { mut job, on_disconnect } = prepare(value, &api, wait)?;
    caller.sign(std::slice::from_mut(&mut job), &**api.whole.store()).await?;
    let repeatable = Repeatable::begin(&headers, &caller, "/jobs", &bytes, &api.in_flight)?;
    job.idempotency = repeatable.as_ref().map(Repeatable::one);
    let duplicates = Duplicates::of(&mut job);
    let mut abandoned = CancelOnDrop { longhaul: api.longhaul.clone(), job: None };
    if on_disconnect == OnDisconnect::CancelJob && job.id.is_none() {
        // An id of our own, so that the job can be cancelled even if the caller goes away before it is known
        // to be durable. An id of the caller's may be that of a job which this request did not create.
        let id = JobId::random();
        job.id = Some(id.clone());
        abandoned.job = Some(id);
    }
    let enqueued = enqueue_one(&api, job.clone(), mount.base()).await?;
    if !enqueued.is_created() {
        abandoned.job = None;
    } else if on_disconnect == OnDisconnect::CancelJob {
        abandoned.job = Some(enqueued.id.clone());
    }
    // What stands for the job may be another caller's, of which this one is told no more than that it is there.
    if !enqueued.is_created() && !caller.reads_all() {
        let holder = found(api.longhaul.get(&enqueued.id).await?)?;
        if !caller.may_read(&holder) {
            return Err(Problem::standing_for(&enqueued));
        }
    }
    let response = tell(&api, &job, &enqueued, duplicates, wait, mount.base()).await;
    abandoned.job = None;
    Ok(response)
}

/// Enqueues a job that was found good, and answers as for one that was asked for.
pub(crate) async fn enqueue(
    api: &Api,
    job: NewJob,
    duplicates: Duplicates,
    wait: Option<Duration>,
    base: &str,
) -> Result<Response, Problem> {
    let enqueued = enqueue_one(api, job.clone(), base).await?;
    Ok(tell(api, &job, &enqueued, duplicates, wait, base).await)
}

async fn tell(
    api: &Api,
    job: &NewJob,
    enqueued: &Enqueued,
    duplicates: Duplicates,
    wait: Option<Duration>,
    base: &str,
) -> Response {
    let standing = match enqueued.status {
        EnqueueStatus::Duplicate => Standing::Existing(duplicates),
        EnqueueStatus::Replaced => Standing::Replaced,
        EnqueueStatus::Dropped => Standing::Dropped,
        _ => Standing::Created,
    };
    match answer(api, job, &enqueued.id, standing, wait, base).await {
        Ok(response) => response,
        Err(problem) => {
            let mut response = problem.into_response();
            // That the earlier request's job is gone is an answer to it, too; that it cannot be looked up is none.
            if standing == Standing::Existing(Duplicates::Replay) && !response.status().is_server_error() {
                idempotency::mark_replayed(response.headers_mut());
            }
            response
        }
    }
}

fn prepare(request: JobRequest, api: &Api, wait: Option<Duration>) -> Result<Prepared, Problem> {
    let mut faults = Faults::default();
    let prepared = request.prepare(api, &mut faults);
    if wait.is_none() && prepared.as_ref().is_some_and(|p| p.on_disconnect == OnDisconnect::CancelJob) {
        let message = "needs the header 'prefer: wait=N': without it there is no connection to lose";
        faults.add(Code::Invalid, "cancel_on_disconnect", message);
    }
    faults.into_result()?;
    prepared.ok_or_else(|| Problem::internal("a request without faults made no job"))
}

async fn enqueue_one(api: &Api, job: NewJob, base: &str) -> Result<Enqueued, Problem> {
    let (kind, queue, follows) = (job.kind.clone(), job.queue.clone(), follows(&job));
    let enqueued = api.longhaul.enqueue_many(vec![job]).await?.pop();
    let enqueued = enqueued.ok_or_else(|| Problem::internal("the store answered nothing to an enqueue"))?;
    match enqueued.status {
        EnqueueStatus::Created
        | EnqueueStatus::Dropped
        | EnqueueStatus::Duplicate
        | EnqueueStatus::Replaced => Ok(enqueued),
        EnqueueStatus::Rejected => {
            let holder = enqueued.id.as_str();
            let location = format!("{base}/jobs/{holder}");
            Err(match follows {
                true => Problem::not_to_be_followed(holder, &location),
                false => Problem::duplicate(holder, &location),
            })
        }
        EnqueueStatus::Full => {
            let full = enqueued.full.unwrap_or_else(|| Full::Queue(queue.to_string()));
            Err(Problem::full(&full, api.estimator.of_room(&kind, &queue).retry_after()))
        }
        EnqueueStatus::KeyReused => Err(idempotency::key_reused()),
        EnqueueStatus::NotCreated => Err(Problem::internal("the store refused a job that was alone")),
    }
}

async fn answer(
    api: &Api,
    job: &NewJob,
    id: &JobId,
    standing: Standing,
    wait: Option<Duration>,
    base: &str,
) -> Result<Response, Problem> {
    let record = match (standing, wait) {
        // The hot path: all that the answer says is known without another look at the store. Of a job that waits for others it is
        // not: they may have ended.
        (Standing::Created, None) if !may_wait_for_others(job) => None,
        // A job that is gone by now is told as such: what it was is not known any more.
        _ => Some(found(api.hold(id, wait).await?)?),
    };
    let standing = match (standing, &record) {
        (Standing::Existing(duplicates), Some(record)) => Standing::Existing(duplicates.seen_in(record)),
        (standing, _) => standing,
    };
    let args = api.config.redaction.args(&job.args);
    let mut body = match &record {
        Some(record) => JobBody::from(&**record),
        None => JobBody { args: &args, ..JobBody::accepted(id, job, api.config.clock.now()) },
    };
    let ended_while_held = wait.is_some() && body.state.is_finished();
    body.duplicate = standing == Standing::Existing(Duplicates::Other);
    body.replaced = standing == Standing::Replaced;
    let status = if ended_while_held || body.duplicate { StatusCode::OK } else { StatusCode::ACCEPTED };
    let estimate = match &record {
        Some(record) => api.estimator.of(record),
        None => api.estimator.of_new(&job.kind, &job.queue, longhaul::Start::At(body.run_at.0)),
    };
    let mut response = body.answer(status, base, estimate);
    prefer::applied(wait, response.headers_mut());
    if standing == Standing::Existing(Duplicates::Replay) {
        idempotency::mark_replayed(response.headers_mut());
    }
    Ok(response)
}

fn may_wait_for_others(job: &NewJob) -> bool {
    follows(job) || !job.depends_on.is_empty()
}

fn follows(job: &NewJob) -> bool {
    job.unique.as_ref().is_some_and(|unique| unique.on_clash == OnClash::Follow)
}

/// The origin of the job that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// By this request.
    Created,
    /// By this request, and cancelled for want of room.
    Dropped,
    /// By an earlier one.
    Existing(Duplicates),
    /// By an earlier one, whose job has taken on what this one asks for.
    Replaced,
}

/// Cancels a job when the request that waits for it is dropped, which is how a lost connection shows.
#[derive(Debug)]
struct CancelOnDrop {
    longhaul: Longhaul,
    job: Option<JobId>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let Some(job) = self.job.take() else { return };
        let longhaul = self.longhaul.clone();
        // A server that is being torn down has no runtime any more, and nobody left to cancel for.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = longhaul.cancel(&job).await {
                tracing::warn!(%job, "failed to cancel the job of a caller that went away: {error}");
            }
        });
    }
}
