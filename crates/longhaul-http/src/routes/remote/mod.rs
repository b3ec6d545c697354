//! The routes of remote workers: the store's batch operations as JSON, fenced by the lease token.
//!
//! | file | what |
//! |---|---|
//! | `claim` | claims, turns, and claims that nobody hears the answer of |
//! | `lease` | heartbeats, records, finishes |
//! | `seen` | pauses, limit keys, lanes, steps, signals, dependants and samples: what people see of a store and steer in it |
//! | `store` | what only a whole store needs: [`RemoteStore`](crate::RemoteStore) |

mod claim;
mod lease;
mod seen;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Api;

/// Every route of workers, each with its own documentation.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(claim::claim))
        .routes(routes!(claim::turn))
        .routes(routes!(claim::abandon))
        .routes(routes!(lease::heartbeat))
        .routes(routes!(lease::record))
        .routes(routes!(lease::finish))
        .routes(routes!(lease::signal_token))
        .routes(routes!(store::enqueue))
        .routes(routes!(store::ready))
        .routes(routes!(store::get))
        .routes(routes!(store::list))
        .routes(routes!(store::events))
        .routes(routes!(store::act))
        .routes(routes!(store::sweep))
        .routes(routes!(store::queues))
        .routes(routes!(store::set_queue))
        .routes(routes!(store::update_queue))
        .routes(routes!(store::workers))
        .routes(routes!(seen::pause_queue))
        .routes(routes!(seen::resume_queue))
        .routes(routes!(seen::lanes))
        .routes(routes!(seen::set_key))
        .routes(routes!(seen::pause_key))
        .routes(routes!(seen::resume_key))
        .routes(routes!(seen::keys))
        .routes(routes!(seen::steps))
        .routes(routes!(seen::signal))
        .routes(routes!(seen::dependants))
        .routes(routes!(seen::put_samples))
        .routes(routes!(seen::samples))
}
