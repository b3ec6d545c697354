//! The work behind step 10: one job for each module, and one for each lesson that is written anew.

mod lesson;
mod module;

pub use lesson::{RewriteLesson, Rewritten};
pub use module::{GenerateModule, Generated};

use std::collections::BTreeMap;

use longhaul::{JobId, NewJob};
use service_support::{in_turn, limited, user_label};

use crate::app::App;
use crate::drafts::{LESSON_TOKENS, tokens_of};
use crate::model::{Module, Workflow};

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
    workflow: &Workflow,
    module_index: u32,
    number: u32,
) -> Result<NewJob, longhaul::Error> {
    let job = RewriteLesson { workflow_id: workflow.id.clone(), module_index, lesson_number: number };
    let id = lesson_job_id(&workflow.id, module_index as usize, number);
    let mut labels = labels_of(workflow, module_index);
    labels.insert("lesson".to_owned(), number.to_string());
    let new = NewJob { id: Some(id), labels, ..NewJob::of(&job)? };
    Ok(app.in_turn_of(workflow, limited(new, app.providers.composer.limit_key(), LESSON_TOKENS)))
}

/// The job of a module.
pub(crate) fn module_job(
    app: &App,
    workflow: &Workflow,
    module_index: u32,
    module: &Module,
) -> Result<NewJob, longhaul::Error> {
    let job = GenerateModule { workflow_id: workflow.id.clone(), module_index };
    let id = module_job_id(&workflow.id, module_index as usize);
    let new = NewJob { id: Some(id), labels: labels_of(workflow, module_index), ..NewJob::of(&job)? };
    Ok(app.in_turn_of(workflow, limited(new, app.providers.composer.limit_key(), tokens_of(module))))
}

fn labels_of(workflow: &Workflow, module_index: u32) -> BTreeMap<String, String> {
    let workflow_id = (WORKFLOW.to_owned(), workflow.id.clone());
    let module = ("module".to_owned(), module_index.to_string());
    [workflow_id, module].into_iter().chain(workflow.user().map(user_label)).collect()
}

impl App {
    /// The job in the turns of its workflow's user. Those of workflows that name nobody take turns as one user's.
    fn in_turn_of(&self, workflow: &Workflow, job: NewJob) -> NewJob {
        match workflow.user() {
            Some(user) => in_turn(job, self.turns.key(user)),
            None => job,
        }
    }
}
