use std::collections::HashMap;

use super::once_each;
use crate::model::{Dependency, EnqueueStatus, Enqueued, JobId};

/// Duplicates in one call: the ids of jobs that were not created, and of the existing jobs that they are duplicates of.
/// A store enqueues the jobs of a call in order, and a dependency on a duplicate becomes one on the existing job.
#[derive(Debug, Default)]
pub struct StandIns(HashMap<JobId, JobId>);

impl StandIns {
    /// Notes the result of enqueueing a job with the id `given`.
    pub fn note(&mut self, given: Option<&JobId>, enqueued: &Enqueued) {
        let Some(given) = given.filter(|given| **given != enqueued.id) else { return };
        if enqueued.status == EnqueueStatus::Duplicate {
            self.0.insert(given.clone(), enqueued.id.clone());
        }
    }

    /// Replaces dependencies on duplicates by dependencies on the existing jobs, each [once](once_each).
    pub fn replace(&self, dependencies: &mut Vec<Dependency>) {
        for dependency in dependencies.iter_mut() {
            if let Some(stand_in) = self.0.get(&dependency.id) {
                dependency.id = stand_in.clone();
            }
        }
        once_each(dependencies);
    }
}
