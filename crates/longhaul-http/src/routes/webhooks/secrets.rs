use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use longhaul::webhook::{Added, MAX_SECRETS, Secret, Secrets};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Caller, Done};
use crate::path::QueuePath;
use crate::problem::{Code, Problem};
use crate::state::Api;
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
    responses(
        (status = 201, description = "The secret, which is told this once", body = SecretBody),
        (status = 409, description = "There are two already (`too_many_secrets`)"),
    ),
)]
pub(crate) async fn create(
    State(api): State<Api>,
    _: Caller,
) -> Result<(StatusCode, Extension<Done>, Json<SecretBody>), Problem> {
    let secret = Secret::generate(api.config.clock.now());
    match Secrets::of(api.whole.store().as_ref()).add(&secret).await? {
        Added::Yes => {
            let told = Some(secret.secret.clone());
            let made = Extension(Done::Made(secret.id.clone()));
            Ok((StatusCode::CREATED, made, Json(SecretBody { secret: told, ..secret.into() })))
        }
        Added::TooMany => {
            let detail =
                format!("there are {MAX_SECRETS} secrets; delete the one that no receiver uses any more");
            Err(Problem::new(Code::TooManySecrets, detail))
        }
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
