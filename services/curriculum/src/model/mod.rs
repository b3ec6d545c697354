//! The service's data and their JSON form.

mod lesson;
mod object_id;
mod pace;
mod status;
mod step10;
mod workflow;

pub(crate) use lesson::{
    Activity, Bloom, CASE_STUDY, FormativeCheck, IndependentStudy, Lesson, ModulePlan, lesson_id,
};
pub(crate) use object_id::is_object_id;
pub(crate) use pace::{apportion, lesson_minutes};
pub(crate) use status::{Detail, Jobs, Status, Waits, overall};
pub(crate) use step10::{Summary, Tally, Validation};
pub(crate) use workflow::{Hours, Module, Workflow, user_of};
