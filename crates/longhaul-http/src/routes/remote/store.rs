use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use longhaul::{JobPage, Longhaul, Page, Swept};

use super::lease::{another_answer, once};
use crate::auth::WorkerCaller;
use crate::extract::WorkerJson;
use crate::faults::{Faults, FieldPath};
use crate::problem::{Code, Problem};
use crate::state::Api;
use crate::state::exchanges::Answer;
use crate::wire::{
    ActAnswer, ActBody, EnqueueAnswer, EnqueueBody, EventsAnswer, EventsBody, GetAnswer, GetBody,
    LONGEST_HOLD, ListBody, MAX_ITEMS, NothingBody, QueuesAnswer, Seconds, SetQueueBody, SweepBody,
    UpdateQueueBody, UpdatedQueueAnswer, WorkersAnswer,
};

/// The most jobs of one page of a list.
const MAX_PAGE: usize = 1_000;

/// Enqueues jobs with every field that the engine has
///
/// All of them or none. A request that is sent again creates nothing new where its jobs have ids.
#[utoipa::path(
    post,
    path = "/worker/enqueue",
    operation_id = "storeEnqueue",
    tag = "store",
    request_body(content = EnqueueBody),
    responses((status = 200, description = "What became of each job", body = EnqueueAnswer)),
)]
pub(crate) async fn enqueue(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(body, _): WorkerJson<EnqueueBody>,
) -> Result<Json<EnqueueAnswer>, Problem> {
    let mut faults = Faults::default();
    if body.jobs.len() > MAX_ITEMS {
        faults.add(Code::Invalid, "jobs", format!("must be at most {MAX_ITEMS}"));
        faults.into_result()?;
        return Ok(Json(EnqueueAnswer { enqueued: Vec::new() }));
    }
    let mut jobs = Vec::with_capacity(body.jobs.len());
    for (index, job) in body.jobs.into_iter().enumerate() {
        faults.path = FieldPath::Index(index);
        jobs.extend(faults.check(job.into_job()));
    }
    faults.into_result()?;
    Ok(Json(EnqueueAnswer { enqueued: api.whole.store().enqueue(jobs).await? }))
}

/// Tells whether the store takes writes now
#[utoipa::path(
    post,
    path = "/worker/ready",
    operation_id = "storeReady",
    tag = "store",
    request_body(content = NothingBody),
    responses((status = 200, description = "It does", body = NothingBody)),
)]
pub(crate) async fn ready(
    State(longhaul): State<Longhaul>,
    _: WorkerCaller,
    WorkerJson(NothingBody {}, _): WorkerJson<NothingBody>,
) -> Result<Json<NothingBody>, Problem> {
    longhaul.store().ready().await?;
    Ok(Json(NothingBody {}))
}

/// Looks jobs up, as the engine writes them
#[utoipa::path(
    post,
    path = "/worker/get",
    operation_id = "storeGet",
    tag = "store",
    request_body(content = GetBody),
    responses((status = 200, description = "One for each id, in order", body = GetAnswer)),
)]
pub(crate) async fn get(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(GetBody { ids }, _): WorkerJson<GetBody>,
) -> Result<Json<GetAnswer>, Problem> {
    if ids.len() > MAX_ITEMS {
        return Err(too_many("ids"));
    }
    Ok(Json(GetAnswer { jobs: api.whole.store().get(&ids).await? }))
}

/// Lists jobs, as the engine writes them
#[utoipa::path(
    post,
    path = "/worker/list",
    operation_id = "storeList",
    tag = "store",
    request_body(content = ListBody),
    responses((status = 200, description = "A page, newest first", body = serde_json::Value)),
)]
pub(crate) async fn list(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(ListBody { filter, page }, _): WorkerJson<ListBody>,
) -> Result<Json<JobPage>, Problem> {
    let page = Page { limit: page.limit.clamp(1, MAX_PAGE), ..page };
    Ok(Json(api.whole.store().list(&filter, page).await?))
}

/// Reads a job's log, as the engine writes it
///
/// With a `wait` the answer is held open while there is nothing new, for 25 seconds at most; it says how much of the
/// wait is left.
#[utoipa::path(
    post,
    path = "/worker/events",
    operation_id = "storeEvents",
    tag = "store",
    request_body(content = EventsBody),
    responses((status = 200, description = "The events after a number", body = EventsAnswer)),
)]
pub(crate) async fn events(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(body, _): WorkerJson<EventsBody>,
) -> Result<Json<EventsAnswer>, Problem> {
    let EventsBody { id, after, limit, wait: Seconds(wait) } = body;
    let began = api.config.clock.now();
    let limit = limit.min(MAX_ITEMS);
    let nothing = || Ok(Some(Vec::new()));
    let (events, is_cut_off) = tokio::select! {
        biased;
        events = api.whole.store().events(&id, after, limit, wait) => (events, false),
        () = api.config.stopping.cancelled(), if !wait.is_zero() => (nothing(), true),
        () = tokio::time::sleep(LONGEST_HOLD), if !wait.is_zero() => (nothing(), true),
    };
    // Nothing new, said by the store, is either a wait that is over or a job that has ended: both are whole answers.
    let wait_left =
        if is_cut_off { wait.saturating_sub(api.config.clock.now().since(began)) } else { Duration::ZERO };
    Ok(Json(EventsAnswer { events: events?, wait_left: Seconds(wait_left) }))
}

/// Cancels, retries or deletes jobs
///
/// At most 10,000 a call. Sent again with its `Idempotency-Key`, it counts what it did the first time.
#[utoipa::path(
    post,
    path = "/worker/act",
    operation_id = "storeAct",
    tag = "store",
    params(("Idempotency-Key" = Option<String>, Header, description = "Names this request, should it have to be sent \
        again")),
    request_body(content = ActBody),
    responses((status = 200, description = "How many jobs it was done to", body = ActAnswer)),
)]
pub(crate) async fn act(
    State(api): State<Api>,
    caller: WorkerCaller,
    headers: HeaderMap,
    WorkerJson(ActBody { filter, action, limit }, digest): WorkerJson<ActBody>,
) -> Result<Json<ActAnswer>, Problem> {
    let exchange = api.exchanges.of(&headers, &caller, "act", digest)?;
    let store = Arc::clone(api.whole.store());
    let act = async move { Ok(Answer::Acted(store.act(&filter, action, limit.min(MAX_ITEMS)).await?)) };
    match once(exchange, act).await? {
        Answer::Acted(acted) => Ok(Json(ActAnswer { count: acted.done, acted: Some(acted) })),
        Answer::Statuses(_) | Answer::Signalled(_) => Err(another_answer()),
    }
}

/// Does upkeep
///
/// Servers do so by themselves; this is for a worker on whose clock a test runs.
#[utoipa::path(
    post,
    path = "/worker/sweep",
    operation_id = "storeSweep",
    tag = "store",
    request_body(content = SweepBody),
    responses((status = 200, description = "What was done", body = serde_json::Value)),
)]
pub(crate) async fn sweep(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(SweepBody { limit }, _): WorkerJson<SweepBody>,
) -> Result<Json<Swept>, Problem> {
    Ok(Json(api.whole.store().sweep(limit.min(MAX_ITEMS)).await?))
}

/// Lists queues, as the engine writes them
#[utoipa::path(
    post,
    path = "/worker/queues",
    operation_id = "storeQueues",
    tag = "store",
    request_body(content = NothingBody),
    responses((status = 200, description = "All queues", body = QueuesAnswer)),
)]
pub(crate) async fn queues(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(NothingBody {}, _): WorkerJson<NothingBody>,
) -> Result<Json<QueuesAnswer>, Problem> {
    Ok(Json(QueuesAnswer { queues: api.whole.store().queues().await? }))
}

/// Configures a queue, as the engine writes it
#[utoipa::path(
    post,
    path = "/worker/set-queue",
    operation_id = "storeSetQueue",
    tag = "store",
    request_body(content = SetQueueBody),
    responses((status = 200, description = "It is set", body = NothingBody)),
)]
pub(crate) async fn set_queue(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(SetQueueBody { queue, config }, _): WorkerJson<SetQueueBody>,
) -> Result<Json<NothingBody>, Problem> {
    api.whole.store().set_queue(&queue, &config).await?;
    Ok(Json(NothingBody {}))
}

/// Configures a queue where its configuration is still the one that was read
#[utoipa::path(
    post,
    path = "/worker/update-queue",
    operation_id = "storeUpdateQueue",
    tag = "store",
    request_body(content = UpdateQueueBody),
    responses((status = 200, description = "It is set, or another caller has set it meanwhile", body = UpdatedQueueAnswer)),
)]
pub(crate) async fn update_queue(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(UpdateQueueBody { queue, before, config }, _): WorkerJson<UpdateQueueBody>,
) -> Result<Json<UpdatedQueueAnswer>, Problem> {
    let updated = api.whole.store().update_queue(&queue, &before, &config).await?;
    Ok(Json(UpdatedQueueAnswer { updated }))
}

/// Lists workers, as the engine writes them
#[utoipa::path(
    post,
    path = "/worker/workers",
    operation_id = "storeWorkers",
    tag = "store",
    request_body(content = NothingBody),
    responses((status = 200, description = "The workers of the last minute", body = WorkersAnswer)),
)]
pub(crate) async fn workers(
    State(api): State<Api>,
    _: WorkerCaller,
    WorkerJson(NothingBody {}, _): WorkerJson<NothingBody>,
) -> Result<Json<WorkersAnswer>, Problem> {
    Ok(Json(WorkersAnswer { workers: api.whole.store().workers().await? }))
}

fn too_many(field: &str) -> Problem {
    let message = format!("must be at most {MAX_ITEMS}");
    Problem::fields(Code::Invalid, vec![crate::problem::FieldError { field: field.into(), message }])
}
