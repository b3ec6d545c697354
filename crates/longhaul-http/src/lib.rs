#![doc = include_str!("../README.md")]

mod arrival;
mod auth;
mod canonical;
mod config;
mod extract;
mod faults;
mod frame;
#[cfg(feature = "remote")]
mod https;
mod idempotency;
mod nearest;
mod path;
mod prefer;
mod problem;
mod query;
mod redaction;
#[cfg(feature = "remote")]
mod remote_store;
mod routes;
mod state;
mod streamed;
mod strict;
mod time;
mod traced;
mod wire;

pub use arrival::{Arrival, Held, Scheme};
pub use auth::{Role, SignalTokens, bearer};
pub use canonical::fingerprint;
pub use config::{Access, Described, HttpConfig, Identity, Secret, SignedIn, UnknownKinds, Verifier};
pub use frame::refusal;
#[cfg(feature = "remote")]
pub use https::https_client;
pub use nearest::{Known, Near};
pub use redaction::{Redaction, redacted};
#[cfg(feature = "remote")]
pub use remote_store::RemoteStore;
pub use routes::{
    ChildrenBody, ErrorBody, JobBody, ProgressBody, QueueBody, document, health_router, login_router,
    schedules_of_file, worker_router,
};
pub use streamed::{Streamed, streamed};
pub use time::Rfc3339;
pub use traced::traced;

use axum::Router;
use longhaul::Longhaul;

use crate::state::Api;

/// Answers methods that the application's pages do not take with the problem document that the API has for them, for a
/// program that called a page in place of the API.
pub fn pages(routes: Router, config: &HttpConfig) -> Router {
    frame::methods_around(routes, config.known(Known::default))
}

/// The contract's routes (`/jobs`, `/jobs/{id}`, …, `/openapi.json`), to be nested where the application wants
/// them under a path without parameters; links in answers follow.
///
/// Paths and methods that are not there are answered with problems too, under the nest's prefix only.
pub fn router(longhaul: Longhaul, config: HttpConfig) -> Router {
    let (routes, document) = routes::all().split_for_parts();
    let known = config.known(|| Known::of(&document));
    let api = Api::new(longhaul, config, document);
    let doorman = api.doorman();
    traced(frame::around(routes.with_state(api), known, Some(doorman)))
}
