use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use longhaul::access::AnsweredRequests;
use longhaul::{JobId, Json as RawJson, Signalled, admit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::read::found;
use crate::auth::{Caller, LONGEST_SIGNAL_TOKEN};
use crate::extract::OptionalJson;
use crate::faults::{Faults, duration};
use crate::idempotency;
use crate::path::{Mount, SignalPath, TokenPath};
use crate::problem::{Code, Problem};
use crate::state::Api;
use crate::state::inflight::Repeatable;
use crate::time::Rfc3339;
use crate::wire::SignalTokenAnswer;

/// The fate of a signal.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Signalled)]
pub(crate) struct SignalledBody {
    /// True where it is kept; false where an earlier one of the name stands.
    accepted: bool,
}

/// Gives a job a signal
///
/// The first signal of a name wins. It is kept whether or not the job waits for it by now, and a job that does goes on. The
/// body is its value, any JSON of at most 64 KiB; null where there is none. A request that is sent again with its `Idempotency-Key` is
/// answered as it was: without one, the signal that it has given itself is an earlier one.
#[utoipa::path(
    post,
    path = "/jobs/{id}/signals/{name}",
    operation_id = "signalJob",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job's id"),
        ("name" = String, Path, description = "The signal's name, as the job waits for it; at most 505 bytes"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send the request again within 24 hours: the \
            same key and body get the same answer"),
    ),
    request_body(content = Option<serde_json::Value>),
    responses(
        (status = 202, description = "It is kept, or an earlier one of the name is", body = SignalledBody, headers(
            ("Idempotency-Replayed" = Option<String>, description = "`true` where a request with the same key was answered before"),
        )),
        (status = 404, description = "No job of this id is known"),
        (status = 409, description = "The job has ended (`ended`), or a request with the same idempotency key is still being answered"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn signal(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    SignalPath { id, name }: SignalPath,
    OptionalJson(value): OptionalJson<RawJson>,
) -> Result<Response, Problem> {
    let path = format!("/jobs/{id}/signals/{name}");
    let repeatable = Repeatable::begin(&headers, &caller, &path, value.as_str().as_bytes(), &api.in_flight)?;
    give(api, id, name, value, repeatable).await
}

/// Gives the signal that a token is for
///
/// For whoever was given the token, a browser say: no other right is needed. It works once, because the first signal of a name
/// wins. The body is the signal's value, as for the route of jobs.
#[utoipa::path(
    post,
    path = "/signals/{token}",
    operation_id = "redeemSignalToken",
    tag = "jobs",
    security(()),
    params(
        ("token" = String, Path, description = "The token"),
        ("Idempotency-Key" = Option<String>, Header, description = "As for the route of jobs"),
    ),
    request_body(content = Option<serde_json::Value>),
    responses(
        (status = 202, description = "It is kept, or an earlier one of the name is", body = SignalledBody, headers(
            ("Idempotency-Replayed" = Option<String>, description = "`true` where a request with the same key was answered before"),
        )),
        (status = 404, description = "The token is not valid here, or no longer (`no_such_token`)"),
        (status = 409, description = "The job has ended (`ended`), or a request with the same idempotency key is still being answered"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn redeem(
    State(api): State<Api>,
    TokenPath(token): TokenPath,
    headers: HeaderMap,
    OptionalJson(value): OptionalJson<RawJson>,
) -> Result<Response, Problem> {
    let invalid = || Problem::new(Code::NoSuchToken, "the token is not valid here, or no longer");
    let tokens = api.auth.signal_tokens.as_ref().ok_or_else(invalid)?;
    let signal = tokens.verify(&token).ok_or_else(invalid)?;
    let id = signal.id();
    if !signal.is_for(&*found(api.longhaul.get(&id).await?)?) {
        return Err(invalid());
    }
    // Whoever has the token is the caller: that of another token has keys of its own.
    let (bearer, body) = (format!("signal:{token}"), value.as_str().as_bytes());
    let repeatable = Repeatable::begin_as(&headers, &bearer, "/signals", body, &api.in_flight)?;
    give(api, id, signal.name, value, repeatable).await
}

async fn give(
    api: Api,
    id: JobId,
    name: String,
    value: RawJson,
    repeatable: Option<Repeatable>,
) -> Result<Response, Problem> {
    let mut faults = Faults::default();
    faults.check(admit::signal(&name, &value));
    faults.into_result()?;
    let Some(repeatable) = repeatable else {
        return Ok((StatusCode::ACCEPTED, Json(give_once(&api, &id, &name, &value).await?)).into_response());
    };
    if let Some(earlier) = repeatable.earlier(api.whole.store().as_ref()).await? {
        return told_again(&earlier);
    }
    // The signal is one write and its answer another. A server that dies in between leaves the signal alone; then the repeated request is
    // told of it as of an earlier one.
    idempotency::to_the_end(async move {
        let store = api.whole.store().as_ref();
        let body = give_once(&api, &id, &name, &value).await?;
        if !body.accepted
            && let Some(earlier) = repeatable.earlier(store).await?
        {
            // By another server, since the first look.
            return told_again(&earlier);
        }
        let answered = repeatable.answered(RawJson::new(&body)?, api.config.clock.now());
        AnsweredRequests::of(store).keep(&answered).await?;
        Ok((StatusCode::ACCEPTED, Json(body)).into_response())
    })
    .await
}

fn told_again(earlier: &RawJson) -> Result<Response, Problem> {
    let body: SignalledBody = idempotency::read(earlier)?;
    Ok(idempotency::replay((StatusCode::ACCEPTED, Json(body))))
}

async fn give_once(api: &Api, id: &JobId, name: &str, value: &RawJson) -> Result<SignalledBody, Problem> {
    match api.whole.store().signal(id, name, value).await? {
        Signalled::Accepted => Ok(SignalledBody { accepted: true }),
        Signalled::Sent => Ok(SignalledBody { accepted: false }),
        Signalled::Ended => Err(ended()),
        Signalled::Unknown => {
            found(api.longhaul.get(id).await?)?;
            Err(Problem::internal("the store knows a job to which it could not give a signal"))
        }
    }
}

/// The validity of a signal's token.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignalTokenRequest)]
pub(crate) struct TokenRequest {
    /// In seconds, 1 to 31,536,000 (a year); 7 days unless given.
    #[schema(minimum = 1.0, maximum = 31_536_000.0)]
    expires_in: Option<f64>,
}

const DEFAULT_EXPIRES_IN: f64 = 7.0 * 86_400.0;
const SHORTEST: f64 = 1.0;
const LONGEST: f64 = LONGEST_SIGNAL_TOKEN.as_secs() as f64;

/// Makes a token that gives this job this signal
///
/// For a link in a mail, say, or a page that asks somebody to approve: whoever has the token can give this signal, once, and do
/// nothing else.
#[utoipa::path(
    post,
    path = "/jobs/{id}/signals/{name}/token",
    operation_id = "createSignalToken",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job's id"),
        ("name" = String, Path, description = "The signal's name"),
    ),
    request_body(content = Option<TokenRequest>),
    responses(
        (status = 201, description = "The token", body = SignalTokenAnswer),
        (status = 404, description = "No job of this id is known, or the server gives out no tokens"),
        (status = 409, description = "The job has ended (`ended`)"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn sign(
    State(api): State<Api>,
    _: Caller,
    mount: Mount,
    SignalPath { id, name }: SignalPath,
    OptionalJson(TokenRequest { expires_in }): OptionalJson<TokenRequest>,
) -> Result<(StatusCode, Json<SignalTokenAnswer>), Problem> {
    sign_for(&api, &mount, &id, &name, expires_in).await
}

/// Makes a token for a signal of a job that has not ended.
pub(crate) async fn sign_for(
    api: &Api,
    mount: &Mount,
    id: &JobId,
    name: &str,
    expires_in: Option<f64>,
) -> Result<(StatusCode, Json<SignalTokenAnswer>), Problem> {
    let Some(tokens) = &api.auth.signal_tokens else {
        return Err(Problem::new(Code::ReadTokensOff, "this server gives out no tokens"));
    };
    let mut faults = Faults::default();
    faults.check(admit::signal(name, &RawJson::null()));
    let expires_in = expires_in.unwrap_or(DEFAULT_EXPIRES_IN);
    if !(SHORTEST..=LONGEST).contains(&expires_in) {
        faults.add(Code::Invalid, "expires_in", format!("must be from {SHORTEST} to {LONGEST} seconds"));
    }
    let expires_in = duration("expires_in", expires_in, &mut faults).unwrap_or_default();
    faults.into_result()?;
    let job = found(api.longhaul.get(id).await?)?;
    if job.state.is_finished() {
        return Err(ended());
    }
    let (token, expires_at) = tokens.sign((id, job.created_at), name, expires_in)?;
    let path = format!("{}/signals/{token}", mount.base());
    Ok((StatusCode::CREATED, Json(SignalTokenAnswer { token, path, expires_at: Rfc3339(expires_at) })))
}

fn ended() -> Problem {
    Problem::new(Code::Ended, "the job has ended; no signal changes that")
}
