use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, Role};
use crate::state::Api;

/// The route of whoever asks.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(me))
}

/// The caller, as this server knows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Me)]
pub(crate) struct MeBody {
    /// The role of the caller: each role does what those before it do. `viewer` reads, `operator` also enqueues, cancels,
    /// retries and deletes jobs and pauses queues, `admin` does everything. Absent for a token whose scopes name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<Role>,
    /// The name in the token; absent for the administrator's own and on a server that is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The scopes of the token, where it is one of `POST /tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scopes: Option<Vec<String>>,
}

/// Tells who the caller is, and what it may do
#[utoipa::path(
    get,
    path = "/me",
    operation_id = "getMe",
    tag = "about",
    responses((status = 200, description = "The caller", body = MeBody)),
)]
async fn me(caller: Caller) -> Json<MeBody> {
    Json(caller.into())
}

impl From<Caller> for MeBody {
    fn from(Caller { role, name, bearer, .. }: Caller) -> Self {
        Self { role, name, scopes: bearer.map(|bearer| bearer.token.scopes.clone()) }
    }
}
