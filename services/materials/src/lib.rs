//! Course materials: a file is uploaded and answered in milliseconds, its text is read in the background, and the
//! course can then be searched and asked.
//!
//! The routes validate and enqueue, `jobs` does the work, and `model` renders the engine's job record in the
//! service's own words: no row says that something is being processed.

mod app;
mod erase;
mod error;
pub mod extract;
mod jobs;
mod model;
mod outline;
mod prompt;
mod question;
mod quota;
mod retrieval;
mod routes;
mod search;
mod shares;
mod storage;
pub mod text;

pub use app::{Materials, Started};
pub use jobs::{Embed, Index, Process, Purge, PurgeCourse, QUEUE};
pub use model::{MaterialResponse, Status};
