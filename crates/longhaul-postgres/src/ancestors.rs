use std::collections::{BTreeSet, HashMap};

use longhaul::lifecycle::ANCESTORS_LOOKED_AT;
use longhaul::{JobId, NewJob, OnClash, Result};
use tokio_postgres::Row;

use crate::write_tx::WriteTx;

/// The jobs that may be ancestors of those of a call, with the parents that they name.
#[derive(Debug, Default)]
pub(crate) struct Ancestors {
    /// `None` where no job of the call could come to wait for an ancestor.
    parents: Option<HashMap<JobId, Option<JobId>>>,
}

impl Ancestors {
    /// The parent that a job names; `None` where it names none, or is not there.
    pub(crate) fn parent_of(&self, id: &JobId) -> Option<JobId> {
        self.parents.as_ref()?.get(id)?.clone()
    }

    /// Notes a job of the call that is to be written. Where its id turns out to be taken, the parent of the job that is there holds.
    pub(crate) fn add(&mut self, id: &JobId, job: &NewJob) {
        if let Some(parents) = &mut self.parents {
            parents.entry(id.clone()).or_insert_with(|| job.parent.clone());
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
        let named = |row: &Row| {
            (JobId::from_store(row.get(0)), row.get::<_, Option<String>>(1).map(JobId::from_store))
        };
        let parents = rows.iter().map(named).collect();
        Ok(Ancestors { parents: Some(parents) })
    }
}
