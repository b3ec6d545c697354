//! Limit keys: what is taken of them, their limits, and their pauses.

mod body;
mod pause;
mod read;
mod set;

pub(crate) use body::RateBody;
pub(crate) use set::RateRequest;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Api;

/// Every route of limit keys, each with its own documentation.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(read::list))
        .routes(routes!(read::read, set::set, set::remove))
        .routes(routes!(pause::pause))
        .routes(routes!(pause::resume))
}
