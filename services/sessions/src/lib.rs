//! Learning sessions: skills, sessions, and their dispatch to a language model.
//!
//! A session is answered once it is durable, together with the job that sends it to the service of keywords; the
//! routes validate and enqueue, `jobs` does the work, and no row says where the work stands: the job does.

mod app;
mod erase;
mod error;
mod external_http;
mod jobs;
mod keywords;
mod model;
mod object_id;
mod routes;
mod times;
mod validate;

pub use app::Sessions;
pub use jobs::{Dispatch, Dispatched, QUEUE};
