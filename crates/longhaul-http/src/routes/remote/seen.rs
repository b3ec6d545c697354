use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;

use super::lease::{another_answer, once};
use crate::auth::WorkerCaller;
use crate::extract::WorkerJson;
use crate::problem::Problem;
use crate::state::Api;
use crate::state::exchanges::Answer;
use crate::wire::{
    DependantsAnswer, DependantsBody, KeyNameBody, KeysAnswer, KeysBody, LanesAnswer, MAX_ITEMS, NothingBody,
    PauseKeyBody, PutSamplesBody, QueueNameBody, SamplesAnswer, SamplesBody, SetKeyBody, SignalAnswer,
    SignalBody, StepsAnswer, StepsBody,
};

/// Pauses a queue
#[utoipa::path(
    post,
    path = "/worker/pause-queue",
    operation_id = "storePauseQueue",
    tag = "store",
    request_body(content = QueueNameBody),
    responses((status = 200, description = "It is paused", body = NothingBody)),
)]
pub(crate) async fn pause_queue(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(QueueNameBody { queue }, _): WorkerJson<QueueNameBody>,
) -> Result<Json<NothingBody>, Problem> {
    api.whole.store().pause_queue(&queue).await?;
    Ok(Json(NothingBody {}))
}

/// Resumes a queue
#[utoipa::path(
    post,
    path = "/worker/resume-queue",
    operation_id = "storeResumeQueue",
    tag = "store",
    request_body(content = QueueNameBody),
    responses((status = 200, description = "It is not paused", body = NothingBody)),
)]
pub(crate) async fn resume_queue(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(QueueNameBody { queue }, _): WorkerJson<QueueNameBody>,
) -> Result<Json<NothingBody>, Problem> {
    api.whole.store().resume_queue(&queue).await?;
    Ok(Json(NothingBody {}))
}

/// Lists what waits by queue, kind and version
#[utoipa::path(
    post,
    path = "/worker/lanes",
    operation_id = "storeLanes",
    tag = "store",
    request_body(content = NothingBody),
    responses((status = 200, description = "The lanes", body = LanesAnswer)),
)]
pub(crate) async fn lanes(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(NothingBody {}, _): WorkerJson<NothingBody>,
) -> Result<Json<LanesAnswer>, Problem> {
    Ok(Json(LanesAnswer { lanes: api.whole.store().lanes().await? }))
}

/// Sets the limits of a limit key
#[utoipa::path(
    post,
    path = "/worker/set-key",
    operation_id = "storeSetKey",
    tag = "store",
    request_body(content = SetKeyBody),
    responses((status = 200, description = "They are set", body = NothingBody)),
)]
pub(crate) async fn set_key(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(SetKeyBody { key, config }, _): WorkerJson<SetKeyBody>,
) -> Result<Json<NothingBody>, Problem> {
    api.whole.store().set_key(&key, config.as_ref()).await?;
    Ok(Json(NothingBody {}))
}

/// Pauses a limit key
#[utoipa::path(
    post,
    path = "/worker/pause-key",
    operation_id = "storePauseKey",
    tag = "store",
    request_body(content = PauseKeyBody),
    responses((status = 200, description = "It is paused", body = NothingBody)),
)]
pub(crate) async fn pause_key(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(PauseKeyBody { key, pause }, _): WorkerJson<PauseKeyBody>,
) -> Result<Json<NothingBody>, Problem> {
    api.whole.store().pause_key(&key, pause.0).await?;
    Ok(Json(NothingBody {}))
}

/// Resumes a limit key
#[utoipa::path(
    post,
    path = "/worker/resume-key",
    operation_id = "storeResumeKey",
    tag = "store",
    request_body(content = KeyNameBody),
    responses((status = 200, description = "It is not paused", body = NothingBody)),
)]
pub(crate) async fn resume_key(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(KeyNameBody { key }, _): WorkerJson<KeyNameBody>,
) -> Result<Json<NothingBody>, Problem> {
    api.whole.store().resume_key(&key).await?;
    Ok(Json(NothingBody {}))
}

/// Lists limit keys, as the engine writes them
#[utoipa::path(
    post,
    path = "/worker/keys",
    operation_id = "storeKeys",
    tag = "store",
    request_body(content = KeysBody),
    responses((status = 200, description = "The keys", body = KeysAnswer)),
)]
pub(crate) async fn keys(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(KeysBody { filter }, _): WorkerJson<KeysBody>,
) -> Result<Json<KeysAnswer>, Problem> {
    Ok(Json(KeysAnswer { keys: api.whole.store().keys(&filter).await? }))
}

/// Lists the steps of a job, as the engine writes them
#[utoipa::path(
    post,
    path = "/worker/steps",
    operation_id = "storeSteps",
    tag = "store",
    request_body(content = StepsBody),
    responses((status = 200, description = "The steps that are done", body = StepsAnswer)),
)]
pub(crate) async fn steps(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(StepsBody { id }, _): WorkerJson<StepsBody>,
) -> Result<Json<StepsAnswer>, Problem> {
    Ok(Json(StepsAnswer { steps: api.whole.store().steps(&id).await? }))
}

/// Gives a job a signal
///
/// Sent again with its `Idempotency-Key` to the same server within a minute, it is answered as it was.
#[utoipa::path(
    post,
    path = "/worker/signal",
    operation_id = "storeSignal",
    tag = "store",
    params(("Idempotency-Key" = Option<String>, Header, description = "Names this request, should it have to be sent \
        again")),
    request_body(content = SignalBody),
    responses((status = 200, description = "What became of it", body = SignalAnswer)),
)]
pub(crate) async fn signal(
    State(api): State<Api>,
    caller: WorkerCaller,
    headers: HeaderMap,
    WorkerJson(SignalBody { id, name, value }, digest): WorkerJson<SignalBody>,
) -> Result<Json<SignalAnswer>, Problem> {
    let exchange = api.exchanges.of(&headers, &caller, "signal", digest)?;
    let store = Arc::clone(api.whole.store());
    let signal = async move { Ok(Answer::Signalled(store.signal(&id, &name, &value).await?)) };
    match once(exchange, signal).await? {
        Answer::Signalled(signalled) => Ok(Json(SignalAnswer { signalled })),
        Answer::Statuses(_) | Answer::Acted(_) => Err(another_answer()),
    }
}

/// Lists the jobs that depend on a job
#[utoipa::path(
    post,
    path = "/worker/dependants",
    operation_id = "storeDependants",
    tag = "store",
    request_body(content = DependantsBody),
    responses((status = 200, description = "In the order in which they were enqueued", body = DependantsAnswer)),
)]
pub(crate) async fn dependants(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(DependantsBody { id, limit }, _): WorkerJson<DependantsBody>,
) -> Result<Json<DependantsAnswer>, Problem> {
    let dependants = api.whole.store().dependants(&id, limit.min(MAX_ITEMS)).await?;
    Ok(Json(DependantsAnswer { dependants }))
}

/// Keeps samples of time series
#[utoipa::path(
    post,
    path = "/worker/put-samples",
    operation_id = "storePutSamples",
    tag = "store",
    request_body(content = PutSamplesBody),
    responses((status = 200, description = "They are kept", body = NothingBody)),
)]
pub(crate) async fn put_samples(
    State(api): State<Api>,
    caller: WorkerCaller,
    WorkerJson(PutSamplesBody { samples }, _): WorkerJson<PutSamplesBody>,
) -> Result<Json<NothingBody>, Problem> {
    caller.check_series(samples.iter().map(|sample| sample.series.as_str()))?;
    api.whole.store().put_samples(&samples).await?;
    Ok(Json(NothingBody {}))
}

/// Reads the samples of a series
#[utoipa::path(
    post,
    path = "/worker/samples",
    operation_id = "storeSamples",
    tag = "store",
    request_body(content = SamplesBody),
    responses((status = 200, description = "The samples from a moment on", body = SamplesAnswer)),
)]
pub(crate) async fn samples(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(SamplesBody { series, from }, _): WorkerJson<SamplesBody>,
) -> Result<Json<SamplesAnswer>, Problem> {
    Ok(Json(SamplesAnswer { samples: api.whole.store().samples(&series, from).await? }))
}
