//! Lesson plans for a curriculum, module after module.
//!
//! A workflow stands for the first nine steps of designing a curriculum; its tenth writes the lesson plans. One call
//! queues the first module's job, and each module's job queues the next one's in the transaction that completes it, so
//! that no crash loses or doubles a link of the chain. The routes validate, enqueue and show; where a module stands is
//! told by its job, and no row says it.

mod app;
mod drafts;
mod erase;
mod error;
mod jobs;
mod model;
mod routes;

pub use app::Curriculum;
pub use jobs::{GenerateModule, Generated, QUEUE, RewriteLesson, Rewritten};
