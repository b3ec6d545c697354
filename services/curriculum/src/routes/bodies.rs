//! The bodies that are read and written by hand, as the OpenAPI document describes them.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

use crate::model::{Detail, Jobs, Lesson, ModulePlan, Status, Summary, Validation};

/// The envelope of every answer that is no error.
#[derive(ToSchema)]
#[schema(as = Successful)]
pub(super) struct Successful<T> {
    /// Always true.
    success: bool,
    /// The answer.
    data: T,
    /// The same for people, where there is more to say.
    message: Option<String>,
}

/// A workflow as it is sent: whatever else is sent is kept and given back.
#[derive(ToSchema)]
pub(super) struct WorkflowRequest {
    /// At most 500 characters.
    #[schema(example = "Applied Computing")]
    title: String,
    /// At most 500, whose codes differ.
    modules: Vec<ModuleRequest>,
    /// The language of the plans, by code or name; the words of the workflow tell it unless given.
    language: Option<String>,
    /// False keeps the workflow from step 10.
    #[serde(rename = "step9Complete")]
    step9_complete: Option<bool>,
    /// Whatever else belongs to it.
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

/// A module.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct ModuleRequest {
    /// The ids of its lessons begin with it.
    #[schema(example = "DB1")]
    code: String,
    #[schema(example = "Databases")]
    title: String,
    /// More than 0 and at most 500.
    #[schema(example = 3)]
    contact_hours: f64,
    description: Option<String>,
    /// Texts, or objects with `statement` and an `id`; at most 50.
    outcomes: Option<Vec<Value>>,
}

/// A workflow, with whatever else was sent of it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Workflow {
    #[serde(rename = "_id")]
    id: String,
    title: String,
    /// Left out of a long workflow in a list, which has `totalModules` and `inShort` then.
    modules: Option<Vec<ModuleRequest>>,
    step9_complete: bool,
    /// 9, or 10 once a module has its plans.
    current_step: u32,
    created_at: String,
    updated_at: String,
    /// Whatever else was sent.
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

/// A page of workflows.
#[derive(ToSchema)]
pub(super) struct WorkflowPage {
    /// Always true.
    success: bool,
    data: Vec<Workflow>,
    /// The number of all workflows.
    total: u64,
    page: u32,
    limit: u32,
}

/// A workflow that is gone.
#[derive(ToSchema)]
pub(super) struct WorkflowDeleted {
    #[serde(rename = "_id")]
    id: String,
}

/// A generation that has begun, or was there.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Step10Started {
    jobs_queued: u32,
    modules_generated: u32,
    total_modules: u32,
    estimated_time_minutes: u64,
    /// That one is in progress already.
    message: Option<String>,
}

/// A generation that was ended.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Step10Cancelled {
    jobs_cancelled: u64,
    modules_generated: u32,
    total_modules: u32,
}

/// The progress of the plans of a workflow.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Step10Status {
    workflow_id: String,
    modules_generated: u32,
    total_modules: u32,
    all_complete: bool,
    total_lessons: u32,
    total_contact_hours: f64,
    jobs: Jobs,
    status: Status,
}

/// The plans of a workflow.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Step10Plans {
    /// Always 10.
    current_step: u32,
    status: Status,
    step10: Step10,
}

/// The plans of the modules that have them, and what they add up to.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Step10 {
    generated_at: String,
    module_lesson_plans: Vec<ModulePlan>,
    summary: Summary,
    validation: Validation,
}

/// One lesson, and the job that writes or wrote it anew.
#[derive(ToSchema)]
pub(super) struct LessonShown {
    lesson: Lesson,
    redo: Option<Detail>,
}

/// A lesson that will be written anew.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct LessonRedone {
    lesson_id: String,
    job_id: String,
    /// 0 where it is being written anew already.
    jobs_queued: u32,
}
