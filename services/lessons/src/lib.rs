//! Lessons: a subject and a topic are answered in milliseconds with a task, the lesson is written in the background with
//! what Wikipedia says, and every lesson is kept as a version of its own.
//!
//! The routes validate and enqueue, `jobs` does the work, and `model` renders the engine's job record in the service's
//! own words: a task is a job, and no row knows of it.

mod app;
mod draft;
mod erase;
mod error;
mod estimate;
mod jobs;
mod knowledge;
mod model;
mod outline;
mod routes;
mod search;
mod wikipedia;
mod words;

pub use app::Lessons;
pub use jobs::{Generate, Generated, QUEUE};
