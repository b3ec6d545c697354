use std::collections::{BTreeSet, HashMap};

use longhaul::lifecycle::ANCESTORS_LOOKED_AT;
use longhaul::{JobId, NewJob, OnClash, Result};

use crate::write_tx::WriteTx;

/// The ancestors of the jobs of a call: each job that has one -> the parent that it names.
#[derive(Debug, Default)]
pub(crate) struct Ancestors {
    /// `None` where no job of the call could come to wait for an ancestor.
    parents: Option<HashMap<JobId, JobId>>,
}

impl Ancestors {
    pub(crate) fn parent_of(&self, id: &JobId) -> Option<JobId> {
        self.parents.as_ref()?.get(id).cloned()
    }

    /// Notes a job of the call that is to be written.
    pub(crate) fn add(&mut self, id: &JobId, job: &NewJob) {
        if let (Some(parents), Some(parent)) = (&mut self.parents, &job.parent) {
            parents.insert(id.clone(), parent.clone());
        }
    }

    /// Notes that a job of the call was not written.
    pub(crate) fn forget(&mut self, id: &JobId) {
        if let Some(parents) = &mut self.parents {
            parents.remove(id);
        }
    }
}

impl WriteTx<'_> {
    /// Looks the ancestors of new jobs up, by one statement, where any of these has a parent and may come to wait for another job.
    pub(crate) async fn ancestors(&self, jobs: &[NewJob]) -> Result<Ancestors> {
        let may_wait = |job: &NewJob| {
            let may_follow = job.unique.as_ref().is_some_and(|unique| unique.on_clash == OnClash::Follow);
            job.parent.is_some() && (may_follow || !job.depends_on.is_empty())
        };
        if !jobs.iter().any(may_wait) {
            return Ok(Ancestors::default());
        }
        // All parents: that of one which waits may be a job of this call.
        let parents: BTreeSet<&str> =
            jobs.iter().filter_map(|job| Some(job.parent.as_ref()?.as_str())).collect();
        let parents: Vec<&str> = parents.into_iter().collect();
        let most = ANCESTORS_LOOKED_AT as i32;
        let sql = include_str!("sql/ancestors.sql");
        let rows = self.rows("look ancestors up", sql, &[&parents, &most]).await?;
        let id = |text: String| JobId::from_store(text);
        let parents = rows.iter().map(|row| (id(row.get(0)), id(row.get(1)))).collect();
        Ok(Ancestors { parents: Some(parents) })
    }
}
