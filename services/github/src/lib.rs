//! GitHub profile analysis behind a task: a request is answered at once with a task's id, the analysis runs as a job in
//! durable steps, and a finished one is the cache that later requests are served from.
//!
//! The routes validate and enqueue, `collect` asks GitHub, `analysis` makes figures of the answers, and `task` renders
//! the engine's job record in the service's own words: no row says how a task stands.

pub mod analysis;
mod app;
mod client;
mod collect;
mod config;
mod erase;
mod error;
mod failure;
mod jobs;
mod name;
mod outage;
mod results;
mod routes;
mod run;
mod start;
mod task;
mod time;

pub use app::Github;
pub use jobs::{
    Analyze, BATCH_QUEUE, Batch, BatchOutcome, LIMIT_KEY, Member, MemberOutcome, MemberResult, QUEUE,
};
pub use name::{InvalidUsername, Username};

/// The functions that the fuzz targets call.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub fn next_link(header: &str) -> Option<&str> {
        crate::client::next_link(header)
    }
}
