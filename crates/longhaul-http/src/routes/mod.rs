//! The routes. Each is mounted and documented by the same call, so that neither exists without the other.

mod audit;
mod errors;
mod feed;
mod health;
mod jobs;
mod keys;
mod kinds;
mod login;
mod me;
mod metrics;
mod openapi;
mod queues;
mod remote;
mod schedules;
mod stats;
mod tokens;
mod webhooks;
mod workers;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::health::{health_router, worker_router};
pub use self::jobs::{ChildrenBody, ErrorBody, JobBody, ProgressBody};
pub use self::login::login_router;
pub use self::openapi::document;
pub use self::queues::QueueBody;
pub use self::schedules::schedules_of_file;
use crate::state::Api;

/// Every route with its documentation.
pub(crate) fn all() -> OpenApiRouter<Api> {
    let mut router = OpenApiRouter::with_openapi(openapi::empty())
        .routes(routes!(openapi::answer))
        .merge(me::routes())
        .merge(jobs::routes())
        .merge(queues::routes())
        .merge(schedules::routes())
        .merge(keys::routes())
        .merge(webhooks::routes())
        .merge(tokens::routes())
        .merge(audit::routes())
        .merge(kinds::routes())
        .merge(workers::routes())
        .merge(stats::routes())
        .merge(errors::routes())
        .merge(feed::routes())
        .merge(remote::routes());
    openapi::complete(router.get_openapi_mut());
    router
}
