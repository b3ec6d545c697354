//! The work behind step 10: one job for each module.

mod module;

pub use module::{GenerateModule, Generated};

use std::collections::BTreeMap;

use longhaul::{JobId, NewJob};

/// The queue that all jobs of this service wait in.
pub const QUEUE: &str = "step10";

/// The id of the job that makes the lesson plans of a module: whoever enqueues it a second time joins the first.
pub(crate) fn module_job_id(workflow_id: &str, module_index: usize) -> JobId {
    // An id of a workflow and a number keep to the pattern of ids.
    JobId::from_store(format!("step10-{workflow_id}-module-{module_index}"))
}

/// That job.
pub(crate) fn module_job(workflow_id: &str, module_index: u32) -> Result<NewJob, longhaul::Error> {
    let job = GenerateModule { workflow_id: workflow_id.to_owned(), module_index };
    let labels = BTreeMap::from([
        ("workflow".to_owned(), workflow_id.to_owned()),
        ("module".to_owned(), module_index.to_string()),
    ]);
    let id = module_job_id(workflow_id, module_index as usize);
    Ok(NewJob { id: Some(id), labels, ..NewJob::of(&job)? })
}
