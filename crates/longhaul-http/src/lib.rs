#![doc = include_str!("../README.md")]

mod access;
mod api;
mod canonical;
mod config;
mod estimate;
mod extract;
mod frame;
mod health;
mod idempotency;
mod jobs;
mod metrics;
mod openapi;
mod prefer;
mod problem;
mod query;
mod queues;
#[cfg(feature = "remote")]
mod remote;
mod time;
mod token;
mod wire;
mod worker;
mod workers;

pub use access::{Access, Verifier};
pub use config::{HttpConfig, Secret, UnknownKinds};
pub use health::health_router;
pub use jobs::{ChildrenBody, ErrorBody, JobBody, ProgressBody};
pub use queues::QueueBody;
#[cfg(feature = "remote")]
pub use remote::RemoteStore;
pub use time::Rfc3339;

use axum::Router;
use longhaul::Longhaul;

use crate::api::Api;

/// The contract's routes (`/jobs`, `/jobs/{id}`, …, `/openapi.json`), to be nested where the application wants
/// them under a path without parameters; links in answers follow.
///
/// Paths and methods that are not there are answered with problems too, under the nest's prefix only.
pub fn router(longhaul: Longhaul, config: HttpConfig) -> Router {
    let (routes, document) = openapi::routes().split_for_parts();
    frame::around(routes.with_state(Api::new(longhaul, config, document)))
}
