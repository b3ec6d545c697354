//! Webhooks: what was told of a job, and the secrets that messages are signed with.

mod deliveries;
mod secrets;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Api;

/// Every route of webhooks, each with its own documentation.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::redeliver))
        .routes(routes!(secrets::list, secrets::create))
        .routes(routes!(secrets::delete))
}
