//! What remote workers call: the store's batch operations as JSON, fenced by the lease token.
//!
//! | file | what |
//! |---|---|
//! | `claim` | claims, turns, and claims that nobody hears the answer of |
//! | `run` | heartbeats, records, finishes |
//! | `store` | what only a whole store needs: [`RemoteStore`](crate::RemoteStore) |
//! | `exchange` | what is remembered of requests that may be sent again |
//! | `kinds` | the kinds that remote workers run |

mod claim;
mod exchange;
mod kinds;
mod run;
mod store;

pub(crate) use exchange::Exchanges;
pub(crate) use kinds::RemoteKinds;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;

/// Every route of workers, each with its own documentation.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default()
        .routes(routes!(claim::claim))
        .routes(routes!(claim::turn))
        .routes(routes!(claim::abandon))
        .routes(routes!(run::heartbeat))
        .routes(routes!(run::record))
        .routes(routes!(run::finish))
        .routes(routes!(store::enqueue))
        .routes(routes!(store::get))
        .routes(routes!(store::list))
        .routes(routes!(store::events))
        .routes(routes!(store::act))
        .routes(routes!(store::sweep))
        .routes(routes!(store::queues))
        .routes(routes!(store::set_queue))
        .routes(routes!(store::workers))
}
