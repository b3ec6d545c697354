use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use longhaul::{Action, CANCEL_GRACE, JobFilter, JobId, Json, Longhaul, Lookup, Page, Payloads, State};

use super::{Deed, EraseError, Erased, Erasure};

/// A job that may be the user's: one of the store, or one that waits in the outbox.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Its args; null where they have more than a kibibyte.
    pub args: &'a Json,
}

/// Jobs of one call.
const AT_ONCE: usize = 500;
/// The time, beyond its grace, within which a job that was cancelled has stopped or is fenced off.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two looks at jobs that are to stop.
const LOOK: Duration = Duration::from_secs(1);
/// The most jobs of one sweep, which ends the leases of jobs that did not stop.
const SWEPT: usize = 1_000;

impl Candidate<'_> {
    /// True if it has this label.
    #[must_use]
    pub fn has(&self, (name, value): &(String, String)) -> bool {
        self.labels.get(name) == Some(value)
    }

    /// True if this label names one of these.
    #[must_use]
    pub fn is_of(&self, name: &str, ids: &BTreeSet<String>) -> bool {
        self.labels.get(name).is_some_and(|id| ids.contains(id))
    }
}

impl Erasure {
    /// Deletes those jobs of these kinds that are the user's, with their args, outputs, steps and logs. Those that run are
    /// cancelled and waited for: whoever does not stop is fenced off, so that nothing that it writes later counts.
    ///
    /// # Errors
    /// A fault of the store or of the outbox, or a job that cannot be stopped.
    pub async fn jobs(
        &self,
        erased: &mut Erased,
        kinds: &[&str],
        is_own: impl Fn(&Candidate<'_>) -> bool + Send + Sync,
    ) -> Result<(), EraseError> {
        let is_meant = |job: &Candidate<'_>| kinds.contains(&job.kind) && is_own(job);
        let sifted = self.db.undelivered(self.deed, &is_meant).await?;
        erased.add("outbox", sifted.jobs);
        let ids = self.find_jobs(kinds, &is_own).await?;
        if self.deed == Deed::Count {
            erased.add("jobs", ids.len() as u64);
            return Ok(());
        }
        for some in ids.chunks(AT_ONCE) {
            self.stop(some).await?;
            let filter = JobFilter { ids: some.to_vec(), ..JobFilter::default() };
            let deleted = self.longhaul.store().act(&filter, Action::Delete, some.len()).await?;
            erased.add("jobs", deleted.done);
        }
        Ok(())
    }

    /// Those jobs of these kinds, in their store, that are the user's.
    ///
    /// # Errors
    /// A fault of the store.
    pub async fn find_jobs(
        &self,
        kinds: &[&str],
        is_own: &(impl Fn(&Candidate<'_>) -> bool + Sync),
    ) -> Result<Vec<JobId>, EraseError> {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        self.find_jobs_of(JobFilter { kinds, ..JobFilter::default() }, is_own).await
    }

    /// The same for jobs that fit a filter.
    ///
    /// # Errors
    /// A fault of the store.
    pub async fn find_jobs_of(
        &self,
        filter: JobFilter,
        is_own: &(impl Fn(&Candidate<'_>) -> bool + Sync),
    ) -> Result<Vec<JobId>, EraseError> {
        let mut page = Page { cursor: None, limit: AT_ONCE, payloads: Payloads::Short };
        let mut own = Vec::new();
        loop {
            let found = self.longhaul.store().list(&filter, page.clone()).await?;
            for job in found.jobs {
                let (id, args) = (job.id.as_str(), &job.args);
                if is_own(&Candidate { id, kind: &job.kind, labels: &job.labels, args }) {
                    own.push(job.id);
                }
            }
            page.cursor = found.next;
            if page.cursor.is_none() {
                return Ok(own);
            }
        }
    }

    /// Cancels jobs, and waits until none of them runs.
    async fn stop(&self, ids: &[JobId]) -> Result<(), EraseError> {
        let states = State::ALL.into_iter().filter(|state| !state.is_finished()).collect();
        let unfinished = JobFilter { ids: ids.to_vec(), states, ..JobFilter::default() };
        self.longhaul.store().act(&unfinished, Action::cancel(CANCEL_GRACE), ids.len()).await?;
        let end = self.clock.now().plus(CANCEL_GRACE + PATIENCE);
        loop {
            let running = running(&self.longhaul, ids).await?;
            let Some(first) = running.first() else { return Ok(()) };
            if self.clock.now() >= end {
                return Err(EraseError::StillRunning(running.len()));
            }
            // There may be no server that would do it.
            self.longhaul.store().sweep(SWEPT).await?;
            self.longhaul.wait(first, LOOK).await?;
        }
    }
}

async fn running(longhaul: &Longhaul, ids: &[JobId]) -> longhaul::Result<Vec<JobId>> {
    let jobs = longhaul.store().get(ids).await?;
    let is_running = |lookup: &Lookup| matches!(lookup, Lookup::Found(job) if !job.state.is_finished());
    Ok(ids.iter().zip(&jobs).filter(|(_, job)| is_running(job)).map(|(id, _)| id.clone()).collect())
}
