//! The work behind step 10: one job for each module, and one for each lesson that is written anew.

mod lesson;
mod module;

pub use lesson::{RewriteLesson, Rewritten};
pub use module::{GenerateModule, Generated};

use std::collections::BTreeMap;

use longhaul::{JobId, NewJob};
use service_support::limited;

use crate::app::App;
use crate::drafts::{LESSON_TOKENS, tokens_of};
use crate::model::Module;

/// The queue that all jobs of this service wait in.
pub const QUEUE: &str = "step10";

/// The label of the workflow that a job works for.
pub(crate) const WORKFLOW: &str = "workflow";

/// The id of the job that makes the lesson plans of a module: a second enqueue is a duplicate of the first.
pub(crate) fn module_job_id(workflow_id: &str, module_index: usize) -> JobId {
    // An id of a workflow and a number keep to the pattern of ids.
    JobId::from_store(format!("step10-{workflow_id}-module-{module_index}"))
}

/// The id of the job that writes a lesson anew.
pub(crate) fn lesson_job_id(workflow_id: &str, module_index: usize, number: u32) -> JobId {
    JobId::from_store(format!("step10-{workflow_id}-module-{module_index}-lesson-{number}"))
}

/// The job of a lesson.
pub(crate) fn lesson_job(
    app: &App,
    workflow_id: &str,
    module_index: u32,
    number: u32,
) -> Result<NewJob, longhaul::Error> {
    let job = RewriteLesson { workflow_id: workflow_id.to_owned(), module_index, lesson_number: number };
    let id = lesson_job_id(workflow_id, module_index as usize, number);
    let module = ("module".to_owned(), module_index.to_string());
    let lesson = ("lesson".to_owned(), number.to_string());
    let labels = BTreeMap::from([(WORKFLOW.to_owned(), workflow_id.to_owned()), module, lesson]);
    let new = NewJob { id: Some(id), labels, ..NewJob::of(&job)? };
    Ok(limited(new, app.providers.composer.limit_key(), LESSON_TOKENS))
}

/// The job of a module.
pub(crate) fn module_job(
    app: &App,
    workflow_id: &str,
    module_index: u32,
    module: &Module,
) -> Result<NewJob, longhaul::Error> {
    let job = GenerateModule { workflow_id: workflow_id.to_owned(), module_index };
    let labels = BTreeMap::from([
        (WORKFLOW.to_owned(), workflow_id.to_owned()),
        ("module".to_owned(), module_index.to_string()),
    ]);
    let id = module_job_id(workflow_id, module_index as usize);
    let new = NewJob { id: Some(id), labels, ..NewJob::of(&job)? };
    Ok(limited(new, app.providers.composer.limit_key(), tokens_of(module)))
}
