use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use longhaul::{Claim, Claimed, Finish, LeaseStatus, admit};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::auth::WorkerCaller;
use crate::extract::{BodyDigest, WorkerJson};
use crate::faults::Faults;
use crate::problem::{Code, FieldError, Problem};
use crate::state::Api;
use crate::state::exchanges::{Answer, Exchange};
use crate::wire::{
    AbandonAnswer, AbandonBody, ClaimAnswer, ClaimBody, ClaimedBody, FinishBody, Item, LONGEST_HOLD,
    MAX_ITEMS, Seconds, TurnAnswer, TurnBody,
};

/// The most queues, and the most kinds, of one claim.
const MAX_NAMES: usize = 1_000;
/// The most pairs of a queue and a kind of one claim.
const MAX_PAIRS: usize = 20_000;
/// The versions that a job's args can have.
const VERSIONS: RangeInclusive<u32> = 1..=i32::MAX as u32;

/// Claims jobs for a worker
///
/// Each job comes under a lease: it is this worker's until it is finished, or until the lease ends, which heartbeats
/// put off. With a `wait` the answer is held open while there is nothing to take. A claim whose caller goes away while
/// it is held takes nothing. Where a connection breaks while the answer is on its way, a claim that had an
/// `Idempotency-Key` is sent again to the same server within a minute: what it had taken is given back before it is
/// made anew. Without a key such jobs wait until their leases end, which counts as a crash. A claim that waits, or whose
/// worker names no queues, makes the worker known: with the queues and kinds of the claim where it names none.
#[utoipa::path(
    post,
    path = "/worker/claim",
    operation_id = "claimJobs",
    tag = "workers",
    params(("Idempotency-Key" = Option<String>, Header, description = "Names this claim, should it have to be sent \
        again")),
    request_body(content = ClaimBody),
    responses((status = 200, description = "The jobs", body = ClaimAnswer)),
)]
pub(crate) async fn claim(
    State(api): State<Api>,
    caller: WorkerCaller,
    headers: HeaderMap,
    WorkerJson(body, _): WorkerJson<ClaimBody>,
) -> Result<Json<ClaimAnswer>, Problem> {
    check_claim(&caller, &body)?;
    let claim = prepare(&api, body, "")?;
    let wait = claim.wait;
    make_known(&api, &claim).await;
    let began = api.config.clock.now();
    // A claim that is made anew waits for what is left of its time, so its body is another one.
    let claimed = match api.exchanges.of(&headers, &caller, "claim", BodyDigest::default())? {
        None => hold(&api, claim, &CancellationToken::new()).await?,
        Some(exchange) => {
            let mut turn = exchange.begin().await;
            turn.progress.give_back(&**api.whole.store()).await?;
            let claimed = if turn.progress.abandoned {
                Vec::new()
            } else {
                hold(&api, claim, &turn.superseded).await?
            };
            // No await stands between the claim and this, so that there is no moment at which jobs are taken and
            // forgotten.
            turn.progress.note_taken(&claimed);
            claimed
        }
    };
    let wait_left = if claimed.is_empty() {
        wait.saturating_sub(api.config.clock.now().since(began))
    } else {
        Duration::ZERO
    };
    Ok(Json(ClaimAnswer { claimed: bodies(claimed), wait_left: Seconds(wait_left) }))
}

/// Tells the store that the worker lives, at intervals: while it waits for jobs, its claims are all that is heard of it.
async fn make_known(api: &Api, claim: &Claim) {
    // One that presents what it serves and does not wait sends heartbeats of its own, as the engine's workers do.
    let speaks_for_itself = !claim.worker.queues.is_empty() && claim.wait.is_zero();
    if speaks_for_itself || !api.presence.is_due(&claim.worker.id, api.config.clock.now()) {
        return;
    }
    let mut worker = claim.worker.clone();
    if worker.queues.is_empty() {
        worker.queues.clone_from(&claim.queues);
    }
    if worker.kinds.is_empty() {
        worker.kinds.clone_from(&claim.kinds);
    }
    // A claim need not fail because the list of workers lacks one.
    if let Err(error) = api.whole.store().heartbeat(&worker, &[], claim.lease_for).await {
        api.presence.forget(&worker.id);
        tracing::debug!("failed to note that the worker {} lives: {error}", worker.id);
    }
}

/// Claims, and waits as long as an answer can be held. Dropping the store's claim takes nothing.
async fn hold(api: &Api, claim: Claim, superseded: &CancellationToken) -> Result<Vec<Claimed>, Problem> {
    if claim.wait.is_zero() {
        return Ok(api.whole.store().claim(claim).await?);
    }
    tokio::select! {
        biased;
        claimed = api.whole.store().claim(claim) => Ok(claimed?),
        () = superseded.cancelled() => Ok(Vec::new()),
        () = api.config.stopping.cancelled() => Ok(Vec::new()),
        () = tokio::time::sleep(LONGEST_HOLD) => Ok(Vec::new()),
    }
}

/// Finishes runs and claims jobs in one round trip
///
/// The claim sees what the finishes set free and does not wait. Sent again with its `Idempotency-Key`, what was
/// finished is answered as it was, and what had been claimed is given back before the claim is made anew.
#[utoipa::path(
    post,
    path = "/worker/turn",
    operation_id = "takeTurn",
    tag = "workers",
    params(("Idempotency-Key" = Option<String>, Header, description = "Names this turn, should it have to be sent \
        again")),
    request_body(content = TurnBody),
    responses((status = 200, description = "What became of the leases, and the jobs", body = TurnAnswer)),
)]
pub(crate) async fn turn(
    State(api): State<Api>,
    caller: WorkerCaller,
    headers: HeaderMap,
    WorkerJson(body, digest): WorkerJson<TurnBody>,
) -> Result<Json<TurnAnswer>, Problem> {
    check_claim(&caller, &body.claim)?;
    let finishes = finishes(&api, &caller, body.finishes).await?;
    let claim = Claim { wait: Duration::ZERO, ..prepare(&api, body.claim, "claim.")? };
    make_known(&api, &claim).await;
    let turned = match api.exchanges.of(&headers, &caller, "turn", digest)? {
        None => api.whole.store().finish_and_claim(finishes, claim).await?,
        Some(exchange) => turn_once(&api, exchange, finishes, claim).await?,
    };
    Ok(Json(TurnAnswer { statuses: turned.finished, claimed: bodies(turned.claimed) }))
}

/// Takes a turn in a task of its own, so that it is taken whole whatever becomes of the connection.
async fn turn_once(
    api: &Api,
    exchange: Arc<Exchange>,
    finishes: Vec<Finish>,
    claim: Claim,
) -> Result<longhaul::FinishAndClaim, Problem> {
    let (answer, heard) = oneshot::channel();
    let api = api.clone();
    tokio::spawn(async move {
        let store = api.whole.store();
        let mut progress = exchange.begin().await.progress;
        let taken = async {
            progress.give_back(&**store).await?;
            let turned = match (known(&progress.answer), progress.abandoned) {
                (Some(finished), true) => longhaul::FinishAndClaim { finished, claimed: Vec::new() },
                (Some(finished), false) => {
                    longhaul::FinishAndClaim { finished, claimed: store.claim(claim).await? }
                }
                (None, true) => {
                    longhaul::FinishAndClaim { finished: store.finish(finishes).await?, claimed: Vec::new() }
                }
                (None, false) => store.finish_and_claim(finishes, claim).await?,
            };
            progress.answer = Some(Answer::Statuses(turned.finished.clone()));
            progress.note_taken(&turned.claimed);
            Ok(turned)
        };
        let taken: longhaul::Result<longhaul::FinishAndClaim> = taken.await;
        if let Err(Ok(unheard)) = answer.send(taken)
            && !unheard.claimed.is_empty()
            && let Err(error) = progress.give_back(&**store).await
        {
            tracing::warn!("failed to give back jobs whose worker went away; their leases will end: {error}");
        }
    });
    let turned = heard.await.map_err(|_| Problem::internal("a turn ended without an answer"))?;
    Ok(turned?)
}

fn known(answer: &Option<Answer>) -> Option<Vec<LeaseStatus>> {
    match answer {
        Some(Answer::Statuses(statuses)) => Some(statuses.clone()),
        Some(Answer::Acted(_) | Answer::Signalled(_)) | None => None,
    }
}

/// Gives back what a claim has taken that nobody hears the answer of
///
/// For a worker that has stopped waiting for a claim or a turn: whatever it has taken, or would still take, others may
/// have, as if it had never been claimed.
#[utoipa::path(
    post,
    path = "/worker/abandon",
    operation_id = "abandonClaim",
    tag = "workers",
    request_body(content = AbandonBody),
    responses((status = 200, description = "It takes nothing any more", body = AbandonAnswer)),
)]
pub(crate) async fn abandon(
    State(api): State<Api>,
    caller: WorkerCaller,
    WorkerJson(AbandonBody { key }, _): WorkerJson<AbandonBody>,
) -> Result<Json<AbandonAnswer>, Problem> {
    let mut given_back = 0;
    for route in ["claim", "turn"] {
        let mut turn = api.exchanges.named(&caller, route, &key).begin().await;
        // For a request that is still on its way, and arrives after this one.
        turn.progress.abandoned = true;
        given_back += turn.progress.give_back(&**api.whole.store()).await?;
    }
    Ok(Json(AbandonAnswer { given_back }))
}

/// Checks that the caller may work for the queues that are named.
fn check_claim(caller: &WorkerCaller, body: &ClaimBody) -> Result<(), Problem> {
    caller.check_queues(body.queues.iter().map(|queue| queue.queue.as_str()))
}

/// The claim that is asked for. Its kinds are those that callers may enqueue from now on.
fn prepare(api: &Api, body: ClaimBody, place: &str) -> Result<Claim, Problem> {
    let mut faults = Faults::default();
    if longhaul::JobId::new(body.worker.id.clone()).is_err() {
        let message = "must be 1 to 128 characters of A-Z a-z 0-9 . _ : -";
        faults.add(Code::Invalid, &format!("{place}worker.id"), message);
    }
    if body.lease_for.0.is_zero() {
        faults.add(Code::Invalid, &format!("{place}lease_for"), "must be more than 0");
    }
    if body.queues.iter().map(|queue| queue.slots).fold(0, usize::saturating_add) > MAX_ITEMS {
        let message = format!("must have at most {MAX_ITEMS} slots in all");
        faults.add(Code::Invalid, &format!("{place}queues"), message);
    }
    check_bounds(&body, place, &mut faults);
    faults.into_result()?;
    let claim = Claim::from(body);
    api.remote_kinds.note(&claim.kinds, api.config.clock.now());
    Ok(claim)
}

/// Notes queues and kinds that no job can have, and more of them than a store looks through at once: a claim costs it as much
/// as there are pairs.
fn check_bounds(body: &ClaimBody, place: &str, faults: &mut Faults) {
    let (queues, kinds) = (body.queues.len(), body.kinds.len());
    for (field, count) in [("queues", queues), ("kinds", kinds)] {
        if count > MAX_NAMES {
            faults.add(Code::Invalid, &format!("{place}{field}"), format!("must be at most {MAX_NAMES}"));
            return;
        }
    }
    if queues * kinds > MAX_PAIRS {
        let message =
            format!("must make at most {MAX_PAIRS} pairs of a queue and a kind, and make {}", queues * kinds);
        faults.add(Code::Invalid, &format!("{place}kinds"), message);
        return;
    }
    let mut check_name = |field: String, name: &str| {
        if let Err(longhaul::Error::Invalid { reason, .. }) = admit::queue(name) {
            faults.add(Code::Invalid, &field, reason);
        }
    };
    for (n, queue) in body.queues.iter().enumerate() {
        check_name(format!("{place}queues[{n}].queue"), &queue.queue);
    }
    for (n, kind) in body.kinds.iter().enumerate() {
        check_name(format!("{place}kinds[{n}].kind"), &kind.kind);
    }
    for (n, kind) in body.kinds.iter().enumerate() {
        if !VERSIONS.contains(&kind.version) {
            let message = format!("must be {} to {}", VERSIONS.start(), VERSIONS.end());
            faults.add(Code::Invalid, &format!("{place}kinds[{n}].version"), message);
        }
    }
}

/// The ends of runs that are told of, which the caller may tell.
pub(super) async fn finishes(
    api: &Api,
    caller: &WorkerCaller,
    items: Vec<Item<FinishBody>>,
) -> Result<Vec<Finish>, Problem> {
    if items.len() > MAX_ITEMS {
        let message = format!("must be at most {MAX_ITEMS}");
        return Err(Problem::fields(Code::Invalid, vec![FieldError { field: "finishes".into(), message }]));
    }
    let mut finishes: Vec<Finish> = items.into_iter().map(Finish::from).collect();
    caller.check_leases(finishes.iter().map(|finish| &finish.lease), &**api.whole.store()).await?;
    caller.sign(finishes.iter_mut().flat_map(|finish| &mut finish.follow_ups))?;
    Ok(finishes)
}

fn bodies(claimed: Vec<Claimed>) -> Vec<ClaimedBody> {
    claimed.into_iter().map(ClaimedBody::from).collect()
}
