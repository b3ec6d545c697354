mod body;
mod pause;
mod read;
mod set;

pub use body::QueueBody;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Api;

/// Every route of queues, each with its own documentation.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(read::list))
        .routes(routes!(read::read, set::set))
        .routes(routes!(pause::pause))
        .routes(routes!(pause::resume))
}
