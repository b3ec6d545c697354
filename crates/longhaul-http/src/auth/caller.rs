//! Rights of a caller with a scoped token that depend on the job.

use std::collections::HashSet;
use std::sync::Arc;

use longhaul::access::CREATED_BY;
use longhaul::{JobFilter, JobId, JobRecord, Lease, Lookup, NewJob, Store};

use super::roles::Role;
use super::tokens::Bearer;
use super::{Caller, WorkerCaller};
use crate::path::no_such_job;
use crate::problem::{Code, Problem};

/// The most jobs that are looked up in one call.
const AT_ONCE: usize = 1_000;

impl Caller {
    /// The token of a caller with a lesser role than this, whose scopes decide.
    fn confined(&self, role: Role) -> Option<&Arc<Bearer>> {
        self.bearer.as_ref().filter(|_| self.role < Some(role))
    }

    /// Checks that it may enqueue these jobs, and notes in each which token it came with.
    ///
    /// # Errors
    /// 403.
    pub(crate) async fn sign(&self, jobs: &mut [NewJob], store: &dyn Store) -> Result<(), Problem> {
        let Some(bearer) = &self.bearer else { return Ok(()) };
        if self.confined(Role::Operator).is_some() {
            for job in &*jobs {
                bearer.check_enqueue(&job.kind, &job.queue)?;
            }
            bearer.check_related(jobs, store).await?;
        }
        for job in jobs {
            job.labels.insert(CREATED_BY.into(), bearer.token.id.clone());
        }
        Ok(())
    }

    /// True if the caller may read data of this job that its own request did not contain.
    pub(crate) fn may_read(&self, job: &JobRecord) -> bool {
        self.confined(Role::Viewer).is_none_or(|bearer| bearer.owns(job))
    }

    /// Refuses a job that the caller may not read, as one that is not there.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn check_read(&self, job: &JobRecord) -> Result<(), Problem> {
        if self.may_read(job) { Ok(()) } else { Err(no_such_job()) }
    }

    /// True where the caller may read any job.
    pub(crate) fn reads_all(&self) -> bool {
        self.confined(Role::Viewer).is_none()
    }

    /// Leaves of a filter's jobs those that the caller may read.
    pub(crate) fn narrow(&self, filter: &mut JobFilter) {
        if let Some(bearer) = self.confined(Role::Viewer) {
            filter.labels.push((CREATED_BY.into(), bearer.token.id.clone()));
        }
    }
}

impl Bearer {
    fn owns(&self, job: &JobRecord) -> bool {
        job.labels.get(CREATED_BY) == Some(&self.token.id)
    }

    fn check_enqueue(&self, kind: &str, queue: &str) -> Result<(), Problem> {
        if self.scopes.enqueues(kind, queue) {
            return Ok(());
        }
        let detail = format!(
            "the token may not enqueue jobs of the kind {kind} in the queue {queue}; its scopes are {}",
            self.scopes
        );
        Err(Problem::new(Code::Forbidden, detail))
    }

    /// Refuses jobs that would be children of, or depend on, jobs of others: parents count them, and their ends show
    /// those of others.
    async fn check_related(&self, jobs: &[NewJob], store: &dyn Store) -> Result<(), Problem> {
        let here: HashSet<&JobId> = jobs.iter().filter_map(|job| job.id.as_ref()).collect();
        let related =
            jobs.iter().flat_map(|job| job.parent.iter().chain(job.depends_on.iter().map(|on| &on.id)));
        let related: HashSet<&JobId> = related.filter(|id| !here.contains(id)).collect();
        let related: Vec<JobId> = related.into_iter().cloned().collect();
        for ids in related.chunks(AT_ONCE) {
            for lookup in store.get(ids).await? {
                if let Lookup::Found(job) = lookup
                    && !self.owns(&job)
                {
                    let detail = format!(
                        "job {} was not enqueued with this token; parent and depends_on name its own jobs",
                        job.id
                    );
                    return Err(Problem::new(Code::Forbidden, detail));
                }
            }
        }
        Ok(())
    }

    fn check_queue(&self, queue: &str) -> Result<(), Problem> {
        if self.scopes.works_for(queue) {
            return Ok(());
        }
        let detail = format!("the token may not work for the queue {queue}; its scopes are {}", self.scopes);
        Err(Problem::new(Code::Forbidden, detail))
    }
}

impl WorkerCaller {
    /// Checks that it may work for these queues.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check_queues<'a>(&self, mut queues: impl Iterator<Item = &'a str>) -> Result<(), Problem> {
        match &self.confined {
            Some(bearer) => queues.try_for_each(|queue| bearer.check_queue(queue)),
            None => Ok(()),
        }
    }

    /// Checks that the jobs of these leases are of queues that it may work for. A job that is gone passes.
    ///
    /// # Errors
    /// 403.
    pub(crate) async fn check_leases(
        &self,
        leases: impl Iterator<Item = &Lease>,
        store: &dyn Store,
    ) -> Result<(), Problem> {
        let Some(bearer) = &self.confined else { return Ok(()) };
        let ids: Vec<JobId> = leases.map(|lease| lease.id.clone()).collect();
        for ids in ids.chunks(AT_ONCE) {
            for lookup in store.get(ids).await? {
                if let Lookup::Found(job) = lookup {
                    bearer.check_queue(&job.queue)?;
                }
            }
        }
        Ok(())
    }

    /// Checks that it may enqueue these jobs, which follow from its runs: in queues that it works for, or by its scopes. Notes in each
    /// which token it came with.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn sign<'a>(&self, jobs: impl Iterator<Item = &'a mut NewJob>) -> Result<(), Problem> {
        let Some(bearer) = &self.confined else { return Ok(()) };
        for job in jobs {
            if !bearer.scopes.works_for(&job.queue) {
                bearer.check_enqueue(&job.kind, &job.queue)?;
            }
            job.labels.insert(CREATED_BY.into(), bearer.token.id.clone());
        }
        Ok(())
    }

    /// Refuses to write what only admins may.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check_series<'a>(&self, mut series: impl Iterator<Item = &'a str>) -> Result<(), Problem> {
        if self.is_admin || !series.any(longhaul::access::is_for_admins) {
            return Ok(());
        }
        Err(Problem::too_little(Role::Admin, None))
    }
}
