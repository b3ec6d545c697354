use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use longhaul::Store;
use longhaul::access::AnsweredRequests;
use longhaul::webhook::{Added, MAX_SECRETS, Secret, Secrets};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Caller, Done};
use crate::idempotency;
use crate::path::QueuePath;
use crate::problem::{Code, Problem};
use crate::state::Api;
use crate::state::inflight::{Begun, Made, Repeatable};
use crate::time::Rfc3339;

/// A secret that messages are signed with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookSecret)]
pub(crate) struct SecretBody {
    /// Its name.
    id: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Rfc3339,
    /// The secret itself, which is told once: to whoever makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_…")]
    secret: Option<String>,
}

/// All secrets, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookSecretList)]
pub(crate) struct SecretsBody {
    secrets: Vec<SecretBody>,
}

impl From<Secret> for SecretBody {
    fn from(Secret { id, created_at, .. }: Secret) -> Self {
        Self { id, created_at: Rfc3339(created_at), secret: None }
    }
}

/// Makes a secret for webhooks
///
/// Messages are signed with each secret that there is, so that receivers can change over: make a second one, give it to the
/// receivers, and delete the first. Without a secret messages are not signed.
#[utoipa::path(
    post,
    path = "/webhook-secrets",
    operation_id = "createWebhookSecret",
    tag = "webhooks",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send the request again within 24 hours: the \
        same key is answered with the same secret")),
    responses(
        (status = 201, description = "The secret, which is told this once", body = SecretBody, headers(
            ("Idempotency-Replayed" = Option<String>, description = "`true` where an earlier request with the same key made it"),
        )),
        (status = 409, description = "There are two already (`too_many_secrets`), or a request with the same idempotency key is \
            still being answered"),
        (status = 410, description = "The secret that the earlier request has made was deleted (`answer_gone`)"),
    ),
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let repeatable = Repeatable::begin(&headers, &caller, "/webhook-secrets", b"null", &api.in_flight)?;
    idempotency::to_the_end(make(api, repeatable)).await
}

async fn make(api: Api, repeatable: Option<Repeatable>) -> Result<Response, Problem> {
    let now = api.config.clock.now();
    let store = api.whole.store().as_ref();
    let begun = match &repeatable {
        Some(repeatable) => match repeatable.take(store, now).await? {
            Begun::Before(answer) => return again(store, &answer).await,
            Begun::Now(begun) => Some(begun),
        },
        None => None,
    };
    let secret = Secret::generate(now);
    let answered = begun.as_ref().map(|begun| Made { id: secret.id.clone() }.answer(begun)).transpose()?;
    if Secrets::of(store).add_for(&secret, answered.as_ref()).await? == Added::TooMany {
        if let Some(begun) = &begun {
            AnsweredRequests::of(store).forget(begun).await?;
        }
        let detail =
            format!("there are {MAX_SECRETS} secrets; delete the one that no receiver uses any more");
        return Err(Problem::new(Code::TooManySecrets, detail));
    }
    let made = Extension(Done::Made(secret.id.clone()));
    Ok((StatusCode::CREATED, made, Json(SecretBody::told(secret))).into_response())
}

/// Answers a request as it was answered before.
async fn again(store: &dyn Store, answer: &longhaul::Json) -> Result<Response, Problem> {
    let Made { id } = idempotency::read(answer)?;
    let secrets = Secrets::of(store).list().await?;
    let secret = secrets.into_iter().find(|secret| secret.id == id).ok_or_else(|| {
        Problem::new(Code::AnswerGone, format!("the secret {id}, which this request has made, was deleted"))
    })?;
    Ok(idempotency::replay((StatusCode::CREATED, Json(SecretBody::told(secret)))))
}

impl SecretBody {
    /// With the secret itself: for whoever makes it.
    fn told(secret: Secret) -> Self {
        let told = Some(secret.secret.clone());
        Self { secret: told, ..secret.into() }
    }
}

/// Lists the secrets for webhooks
///
/// By their names; what they are was told when they were made.
#[utoipa::path(
    get,
    path = "/webhook-secrets",
    operation_id = "listWebhookSecrets",
    tag = "webhooks",
    responses((status = 200, description = "The secrets, oldest first", body = SecretsBody)),
)]
pub(crate) async fn list(State(api): State<Api>, _: Caller) -> Result<Json<SecretsBody>, Problem> {
    let secrets = Secrets::of(api.whole.store().as_ref()).list().await?;
    Ok(Json(SecretsBody { secrets: secrets.into_iter().map(SecretBody::from).collect() }))
}

/// Deletes a secret for webhooks
///
/// Nothing is signed with it any more, attempts of deliveries that are under way included.
#[utoipa::path(
    delete,
    path = "/webhook-secrets/{id}",
    operation_id = "deleteWebhookSecret",
    tag = "webhooks",
    params(("id" = String, Path, description = "The secret's name")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 404, description = "There is no secret of this name"),
    ),
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    _: Caller,
    QueuePath(id): QueuePath,
) -> Result<StatusCode, Problem> {
    match Secrets::of(api.whole.store().as_ref()).delete(&id).await? {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(Problem::new(Code::NoSuchSecret, "there is no webhook secret of this name")),
    }
}
