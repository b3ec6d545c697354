use std::collections::HashMap;

use super::once_each;
use crate::model::{Dependency, EnqueueStatus, Enqueued, JobId};

/// The jobs that stand for others of the same call, which were not created: a store enqueues the jobs of a call in order, and
/// whoever depends on one of them depends on the job that was there in its place.
#[derive(Debug, Default)]
pub struct StandIns(HashMap<JobId, JobId>);

impl StandIns {
    /// Notes what became of a job that was enqueued under an id.
    pub fn note(&mut self, given: Option<&JobId>, enqueued: &Enqueued) {
        let Some(given) = given.filter(|given| **given != enqueued.id) else { return };
        if enqueued.status == EnqueueStatus::Duplicate {
            self.0.insert(given.clone(), enqueued.id.clone());
        }
    }

    /// Puts the jobs that stand for others in the place of those, each [once](once_each).
    pub fn replace(&self, dependencies: &mut Vec<Dependency>) {
        for dependency in dependencies.iter_mut() {
            if let Some(stand_in) = self.0.get(&dependency.id) {
                dependency.id = stand_in.clone();
            }
        }
        once_each(dependencies);
    }
}
