mod act;
mod body;
mod file;
mod put;
mod read;

pub use file::schedules_of_file;

use longhaul::Schedules;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Api;

/// Every route of schedules, each with its own documentation.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(read::list))
        .routes(routes!(read::read, put::put, act::delete))
        .routes(routes!(act::pause))
        .routes(routes!(act::resume))
        .routes(routes!(act::run))
}

/// The schedules with all that is in them: what is hidden from people is not hidden from the jobs that ticks enqueue.
fn schedules(api: &Api) -> Schedules {
    api.whole.schedules().clock(api.config.clock.clone())
}
