mod act;
mod again;
mod batch;
mod body;
mod create;
mod delete;
mod events;
mod filter;
mod follow;
mod graph;
mod list;
mod read;
mod request;
mod signal;
mod steps;
mod token;
mod unique;
mod why;
mod ws;

pub use body::{ChildrenBody, ErrorBody, JobBody, ProgressBody};
pub(crate) use create::enqueue;
pub(crate) use read::found;
pub(crate) use request::{JobRequest, OnDisconnect};
pub(crate) use signal::sign_for;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Api;

/// Every route of jobs, each with its own documentation.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(create::create, list::list))
        .routes(routes!(batch::create_batch))
        .routes(routes!(act::act_on_many))
        .routes(routes!(read::read, delete::delete))
        .routes(routes!(act::cancel))
        .routes(routes!(again::retry))
        .routes(routes!(again::fork))
        .routes(routes!(signal::signal))
        .routes(routes!(signal::sign))
        .routes(routes!(signal::redeem))
        .routes(routes!(events::events))
        .routes(routes!(steps::steps))
        .routes(routes!(why::why))
        .routes(routes!(graph::graph))
        .routes(routes!(ws::follow))
        .routes(routes!(token::sign))
}
