//! The service's own words for a lesson, its version, and the job that makes it.

mod lesson;
mod moment;
mod request;
mod task;
mod version;

pub(crate) use lesson::{Content, Lesson, LessonData};
pub(crate) use moment::isoformat;
pub(crate) use request::LessonRequest;
pub(crate) use task::{Status, StatusCounts, TaskEntry, TaskStatus, has_expired};
pub(crate) use version::Version;
