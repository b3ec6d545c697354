use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use longhaul::{LeaseStatus, Record, Store};

use super::claim::finishes;
use crate::auth::WorkerCaller;
use crate::extract::WorkerJson;
use crate::path::Mount;
use crate::problem::Problem;
use crate::routes::jobs::sign_for;
use crate::state::Api;
use crate::state::exchanges::{Answer, Exchange};
use crate::wire::{
    FinishesBody, HeartbeatBody, Item, RecordsBody, SignalTokenAnswer, SignalTokenBody, StatusesAnswer,
    refused,
};

/// Tells that a worker lives, and extends its leases
///
/// To be sent about every tenth of the lease. `cancel_requested` means that the job is to stop; `lost`, that it is
/// another worker's now. A worker that cannot reach the server stops its jobs before their leases end.
#[utoipa::path(
    post,
    path = "/worker/heartbeat",
    operation_id = "sendHeartbeat",
    tag = "workers",
    request_body(content = HeartbeatBody),
    responses((status = 200, description = "What became of the leases", body = StatusesAnswer)),
)]
pub(crate) async fn heartbeat(
    State(api): State<Api>,
    caller: WorkerCaller,
    WorkerJson(body, _): WorkerJson<HeartbeatBody>,
) -> Result<Json<StatusesAnswer>, Problem> {
    caller.check_leases(body.leases.iter(), &**api.whole.store()).await?;
    let worker = body.worker.into();
    let statuses = api.whole.store().heartbeat(&worker, &body.leases, body.lease_for.0).await?;
    Ok(Json(StatusesAnswer { statuses }))
}

/// Adds progress, log lines, chunks and steps to running jobs
///
/// Sent again with its `Idempotency-Key` to the same server within a minute, it adds nothing a second time.
#[utoipa::path(
    post,
    path = "/worker/record",
    operation_id = "recordEntries",
    tag = "workers",
    params(("Idempotency-Key" = Option<String>, Header, description = "Names this request, should it have to be sent \
        again")),
    request_body(content = RecordsBody),
    responses((status = 200, description = "What became of the leases", body = StatusesAnswer)),
)]
pub(crate) async fn record(
    State(api): State<Api>,
    caller: WorkerCaller,
    headers: HeaderMap,
    WorkerJson(body, digest): WorkerJson<RecordsBody>,
) -> Result<Json<StatusesAnswer>, Problem> {
    let leases = body.records.iter().map(|item| match item {
        Item::Read(record) => &record.lease,
        Item::Unreadable { lease, .. } => lease,
    });
    caller.check_leases(leases, &**api.whole.store()).await?;
    let exchange = api.exchanges.of(&headers, &caller, "record", digest)?;
    let store = Arc::clone(api.whole.store());
    statuses(exchange, async move { record_all(&*store, body.records).await }).await
}

/// Records what can be read. A run of which something cannot ends as `failed`, and its worker is told that it is lost.
async fn record_all(store: &dyn Store, items: Vec<Item<Record>>) -> longhaul::Result<Vec<LeaseStatus>> {
    let mut statuses = vec![LeaseStatus::Lost; items.len()];
    let (mut places, mut records, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for (place, item) in items.into_iter().enumerate() {
        match item {
            Item::Read(record) => {
                places.push(place);
                records.push(record);
            }
            Item::Unreadable { lease, error } => ends.push(refused(lease, &error)),
        }
    }
    for (place, status) in places.into_iter().zip(store.record(records).await?) {
        statuses[place] = status;
    }
    if !ends.is_empty() {
        store.finish(ends).await?;
    }
    Ok(statuses)
}

/// Ends runs
///
/// Each with its outcome, what it had yet to say and the jobs that follow, in one transaction; each stands alone: a run
/// whose output, entries or follow-ups cannot be kept ends as `failed` with the reason, and the others go on. Sent
/// again with its `Idempotency-Key` to the same server within a minute, it is answered as it was. Elsewhere or later a
/// finish that has ended its job is `held` and changes nothing, until the job is retried or removed; after any other
/// outcome it is `lost`. It is never accepted twice.
#[utoipa::path(
    post,
    path = "/worker/finish",
    operation_id = "finishRuns",
    tag = "workers",
    params(("Idempotency-Key" = Option<String>, Header, description = "Names this request, should it have to be sent \
        again")),
    request_body(content = FinishesBody),
    responses((status = 200, description = "What became of the leases", body = StatusesAnswer)),
)]
pub(crate) async fn finish(
    State(api): State<Api>,
    caller: WorkerCaller,
    headers: HeaderMap,
    WorkerJson(body, digest): WorkerJson<FinishesBody>,
) -> Result<Json<StatusesAnswer>, Problem> {
    let exchange = api.exchanges.of(&headers, &caller, "finish", digest)?;
    let finishes = finishes(&api, &caller, body.finishes).await?;
    let store = Arc::clone(api.whole.store());
    statuses(exchange, async move { store.finish(finishes).await }).await
}

/// Makes a token that gives a job a signal
///
/// For a worker whose job is to wait for somebody: whoever has the token can give this signal, once, and do nothing else.
#[utoipa::path(
    post,
    path = "/worker/signal-token",
    operation_id = "workerSignalToken",
    tag = "workers",
    request_body(content = SignalTokenBody),
    responses(
        (status = 201, description = "The token", body = SignalTokenAnswer),
        (status = 404, description = "No job of this id is known, or the server gives out no tokens"),
        (status = 409, description = "The job has ended (`ended`)"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn signal_token(
    State(api): State<Api>,
    _: WorkerCaller,
    mount: Mount,
    WorkerJson(SignalTokenBody { id, name, expires_in }, _): WorkerJson<SignalTokenBody>,
) -> Result<(StatusCode, Json<SignalTokenAnswer>), Problem> {
    sign_for(&api, &mount, &id, &name, expires_in).await
}

async fn statuses(
    exchange: Option<Arc<Exchange>>,
    work: impl Future<Output = longhaul::Result<Vec<LeaseStatus>>> + Send + 'static,
) -> Result<Json<StatusesAnswer>, Problem> {
    match once(exchange, async move { Ok(Answer::Statuses(work.await?)) }).await? {
        Answer::Statuses(statuses) => Ok(Json(StatusesAnswer { statuses })),
        Answer::Acted(_) | Answer::Signalled(_) => Err(another_answer()),
    }
}

/// The fault that a request's key was remembered with the answer to a request of another sort.
pub(super) fn another_answer() -> Problem {
    Problem::internal("a request's key was remembered with another answer")
}

/// Does something once for each key. With a key it is done in a task of its own, so that it is done whole, and its
/// answer remembered, whatever becomes of the connection. What failed is not remembered.
pub(super) async fn once(
    exchange: Option<Arc<Exchange>>,
    work: impl Future<Output = longhaul::Result<Answer>> + Send + 'static,
) -> Result<Answer, Problem> {
    let Some(exchange) = exchange else { return Ok(work.await?) };
    let task = tokio::spawn(async move {
        let mut progress = exchange.begin().await.progress;
        if let Some(answer) = &progress.answer {
            return Ok(answer.clone());
        }
        let answer = work.await?;
        progress.answer = Some(answer.clone());
        Ok::<_, longhaul::Error>(answer)
    });
    let done =
        task.await.map_err(|error| Problem::internal(format!("a worker's request failed: {error}")))?;
    Ok(done?)
}
