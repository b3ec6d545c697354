use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use longhaul::access::{Added, AnsweredRequests, MAX_TOKENS, Token, TokenRate, Tokens};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, Done, Scope, digest_of_token};
use crate::extract::JsonBody;
use crate::faults::{Faults, duration};
use crate::idempotency;
use crate::path::QueuePath;
use crate::problem::{Code, Problem};
use crate::state::Api;
use crate::state::inflight::{Begun, Made, Repeatable};
use crate::time::{Rfc3339, in_seconds};

/// The routes of tokens with scopes.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(create, list)).routes(routes!(delete))
}

/// A token that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToken)]
pub(crate) struct TokenRequest {
    /// Its name for people, 1–128 characters.
    #[schema(example = "the shop")]
    name: String,
    /// Its rights, 1 to 32: `enqueue:KIND`, `enqueue:KIND@QUEUE`, `read:own`, `worker:QUEUE`, `viewer`, `operator`, `admin`. KIND and
    /// QUEUE may end in `*`, which stands for any ending.
    #[schema(example = json!(["enqueue:mail.*", "read:own"]))]
    scopes: Vec<String>,
    /// The requests that it may make; any number without it.
    rate: Option<RateBody>,
    /// In seconds, until it ends; at most ten years. It does not end by itself without it.
    #[schema(exclusive_minimum = 0.0, maximum = 315_360_000.0)]
    expires_in: Option<f64>,
}

/// The requests that a token may make.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenRate)]
pub(crate) struct RateBody {
    /// The number of requests, 1 to 1,000,000.
    #[schema(minimum = 1, maximum = 1_000_000)]
    n: u32,
    /// The time that they are for, in seconds: 1 to 86,400.
    #[schema(minimum = 1.0, maximum = 86_400.0)]
    per: f64,
}

/// A token with scopes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct TokenBody {
    /// Names it in lists, in jobs' `created_by` and in the audit log.
    id: String,
    /// The token itself, which is told once: to whoever makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "lht_…")]
    token: Option<String>,
    /// Its name for people.
    name: String,
    /// Its rights.
    scopes: Vec<String>,
    /// The requests that it may make.
    #[schema(required)]
    rate: Option<RateBody>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Rfc3339,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    expires_at: Option<Rfc3339>,
}

/// All tokens with scopes, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TokenList)]
pub(crate) struct TokensBody {
    tokens: Vec<TokenBody>,
}

impl From<Token> for TokenBody {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            token: None,
            name: token.name,
            scopes: token.scopes,
            rate: token.rate.map(|TokenRate { n, per }| RateBody { n, per: in_seconds(per) }),
            created_at: Rfc3339(token.created_at),
            expires_at: token.expires_at.map(Rfc3339),
        }
    }
}

/// The longest name, in characters.
const LONGEST_NAME: usize = 128;
const MAX_SCOPES: usize = 32;
const MAX_REQUESTS: u32 = 1_000_000;
const LONGEST_PERIOD: f64 = 86_400.0;

/// What a request for a token says, found good.
struct Wanted {
    name: String,
    scopes: Vec<String>,
    rate: Option<TokenRate>,
    expires_in: Option<Duration>,
}

/// Makes a token with scopes
///
/// For an application, a worker or a person that is to do some things and no others. It is told this once: the store keeps its digest.
/// A token with `enqueue:KIND` enqueues jobs of that kind, with `enqueue:KIND@QUEUE` in that queue alone; with `read:own` it reads those
/// that were enqueued with it, and makes read tokens of them; with `worker:QUEUE` it claims that queue's jobs and says what becomes of
/// them. `viewer`, `operator` and `admin` are the roles. Other servers on the store take it within 100 ms.
#[utoipa::path(
    post,
    path = "/tokens",
    operation_id = "createToken",
    tag = "access",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send the request again within 24 hours: the \
        same key and body are answered with the same token")),
    request_body(content = TokenRequest),
    responses(
        (status = 201, description = "The token, which is told this once", body = TokenBody, headers(
            ("Idempotency-Replayed" = Option<String>, description = "`true` where an earlier request with the same key made it"),
        )),
        (status = 409, description = "There are 1,000 already (`too_many_tokens`), or a request with the same idempotency key is \
            still being answered"),
        (status = 410, description = "The token that the earlier request has made was deleted or has expired, or cannot be told \
            again, because the server's secret was changed (`answer_gone`)"),
    ),
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody { value, bytes }: JsonBody<TokenRequest>,
) -> Result<Response, Problem> {
    let wanted = value.checked()?;
    let repeatable = Repeatable::begin(&headers, &caller, "/tokens", &bytes, &api.in_flight)?;
    idempotency::to_the_end(make(api, wanted, repeatable)).await
}

async fn make(api: Api, wanted: Wanted, repeatable: Option<Repeatable>) -> Result<Response, Problem> {
    let now = api.config.clock.now();
    let store = api.whole.store().as_ref();
    let begun = match &repeatable {
        Some(repeatable) => match repeatable.take(store, now).await? {
            Begun::Before(answer) => return again(&api, repeatable, &answer).await,
            Begun::Now(begun) => Some(begun),
        },
        None => None,
    };
    let id = format!("tok_{}", longhaul::JobId::random());
    let secret = api.auth.token_maker.make(&id, repeatable.as_ref().map(Repeatable::key));
    let answered = begun.as_ref().map(|begun| Made { id: id.clone() }.answer(begun)).transpose()?;
    let Wanted { name, scopes, rate, expires_in } = wanted;
    let token = Token {
        id,
        name,
        scopes,
        rate,
        created_at: now,
        expires_at: expires_in.map(|time| now.plus(time)),
        digest: digest_of_token(&secret),
    };
    if Tokens::of(store).add_for(&token, answered.as_ref()).await? == Added::TooMany {
        if let Some(begun) = &begun {
            AnsweredRequests::of(store).forget(begun).await?;
        }
        let detail = format!("there are {MAX_TOKENS} tokens; delete those that nobody uses any more");
        return Err(Problem::new(Code::TooManyTokens, detail));
    }
    api.auth.tokens.forget().await;
    let made = Done::Made(token.id.clone());
    let body = TokenBody { token: Some(secret), ..token.into() };
    Ok((StatusCode::CREATED, Extension(made), Json(body)).into_response())
}

/// Answers a request as it was answered before.
async fn again(api: &Api, repeatable: &Repeatable, answer: &longhaul::Json) -> Result<Response, Problem> {
    let Made { id } = idempotency::read(answer)?;
    let gone = |detail: String| Problem::new(Code::AnswerGone, detail);
    let tokens = Tokens::of(api.whole.store().as_ref()).list().await?;
    let now = api.config.clock.now();
    let token = tokens.into_iter().find(|token| token.id == id && !token.has_expired(now));
    let token = token.ok_or_else(|| {
        gone(format!("the token {id}, which this request has made, was deleted or has expired"))
    })?;
    let secret = api.auth.token_maker.make(&id, Some(repeatable.key()));
    if digest_of_token(&secret) != token.digest {
        return Err(gone(format!(
            "the token {id}, which this request has made, cannot be told again: this server's secret is another one by now; delete it, \
             and make another with another idempotency-key"
        )));
    }
    let body = TokenBody { token: Some(secret), ..token.into() };
    Ok(idempotency::replay((StatusCode::CREATED, Json(body))))
}

impl TokenRequest {
    fn checked(self) -> Result<Wanted, Problem> {
        let mut faults = Faults::default();
        let name = self.name.trim();
        if !(1..=LONGEST_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            faults.add(
                Code::Invalid,
                "name",
                format!("must have 1 to {LONGEST_NAME} characters, and no control characters"),
            );
        }
        if !(1..=MAX_SCOPES).contains(&self.scopes.len()) {
            faults.add(Code::Invalid, "scopes", format!("must be 1 to {MAX_SCOPES}"));
        } else {
            for (place, scope) in self.scopes.iter().enumerate() {
                if let Err(message) = scope.parse::<Scope>() {
                    faults.add(Code::Invalid, &format!("scopes[{place}]"), message);
                }
            }
        }
        let rate = self.rate.map(|RateBody { n, per }| {
            if !(1..=MAX_REQUESTS).contains(&n) {
                faults.add(Code::Invalid, "rate.n", format!("must be from 1 to {MAX_REQUESTS}"));
            }
            if !(1.0..=LONGEST_PERIOD).contains(&per) {
                faults.add(Code::Invalid, "rate.per", format!("must be from 1 to {LONGEST_PERIOD} seconds"));
            }
            TokenRate { n, per: Duration::try_from_secs_f64(per).unwrap_or_default() }
        });
        let expires_in = self.expires_in.and_then(|time| duration("expires_in", time, &mut faults));
        if expires_in.is_some_and(|time| time.is_zero()) {
            faults.add(Code::Invalid, "expires_in", "must be more than 0");
        }
        faults.into_result()?;
        Ok(Wanted { name: name.to_owned(), scopes: self.scopes, rate, expires_in })
    }
}

/// Lists the tokens with scopes
///
/// By their ids; what they are was told when they were made. Those that have expired are not among them.
#[utoipa::path(
    get,
    path = "/tokens",
    operation_id = "listTokens",
    tag = "access",
    responses((status = 200, description = "The tokens, oldest first", body = TokensBody)),
)]
pub(crate) async fn list(State(api): State<Api>, _: Caller) -> Result<Json<TokensBody>, Problem> {
    let now = api.config.clock.now();
    let tokens = Tokens::of(api.whole.store().as_ref()).list().await?;
    let good = tokens.into_iter().filter(|token| !token.has_expired(now));
    Ok(Json(TokensBody { tokens: good.map(TokenBody::from).collect() }))
}

/// Deletes a token with scopes
///
/// This server takes it no more from now on, others on the store within a second; whoever has signed in with it is signed out then.
/// Streams that are open go on until they end or are opened again.
#[utoipa::path(
    delete,
    path = "/tokens/{id}",
    operation_id = "deleteToken",
    tag = "access",
    params(("id" = String, Path, description = "The token's id")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 404, description = "There is no token of this id"),
    ),
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    _: Caller,
    QueuePath(id): QueuePath,
) -> Result<StatusCode, Problem> {
    let deleted = Tokens::of(api.whole.store().as_ref()).delete(&id).await?;
    api.auth.tokens.forget().await;
    match deleted {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(Problem::new(Code::NoSuchToken, "there is no token of this id")),
    }
}
