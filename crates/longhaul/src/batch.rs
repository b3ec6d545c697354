use std::collections::HashSet;

use crate::handle::{CANCEL_GRACE, Longhaul};
use crate::model::{
    Action, CancelReason, Enqueued, JobFilter, JobId, JobRecord, NewJob, Page, Payloads, State,
};
use crate::store::{Error, Result};

/// The most children of a batch that are read in one call to the store.
const CHILDREN_AT_ONCE: usize = 500;

/// Batches: jobs that are waited for, and the one that closes them.
impl Longhaul {
    /// Enqueues a batch: `children`, and the job that closes it, which starts once, when all of them have ended,
    /// and finds them by [`children`](Self::children). All or nothing. A child without an id is given that of its
    /// batch and its number, so that a batch which is enqueued again is the same batch. A child that is a duplicate
    /// of a job outside the batch is not waited for.
    ///
    /// # Errors
    /// As for [`enqueue`](Self::enqueue); [`Error::Invalid`] where the closing job has a unique or an idempotency
    /// key: another job could then stand for it, and its children would have none to wait for them. Give it an id.
    pub async fn enqueue_batch(&self, closing: NewJob, children: Vec<NewJob>) -> Result<Enqueued> {
        for (field, has_key) in [
            ("closing.unique", closing.unique.is_some()),
            ("closing.idempotency", closing.idempotency.is_some()),
        ] {
            if has_key {
                let reason = "must be empty: a batch is known by the id of its closing job".into();
                return Err(Error::Invalid { field: field.into(), reason });
            }
        }
        let mut answers = self.enqueue_many(NewJob::batch(closing, children)).await?;
        answers.truncate(1);
        answers.pop().ok_or_else(|| Error::Store {
            store: "any",
            operation: "enqueue",
            source: "the store answered nothing".into(),
        })
    }

    /// The jobs that name `id` as their parent, oldest first: what a closing job is to make something of.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn children(&self, id: &JobId) -> Result<Vec<JobRecord>> {
        let filter = JobFilter { parents: vec![id.clone()], ..JobFilter::default() };
        let mut children = Vec::new();
        let mut cursor = None;
        loop {
            let page = self
                .store()
                .list(&filter, Page { cursor, limit: CHILDREN_AT_ONCE, ..Page::default() })
                .await?;
            children.extend(page.jobs);
            cursor = page.next;
            if cursor.is_none() {
                children.reverse();
                return Ok(children);
            }
        }
    }

    /// Cancels the unfinished children of a batch that is cancelled already, and theirs; answers how many there were. The store
    /// goes through them by itself, and what is read of them afterwards is short, so that very many take little memory.
    pub(crate) async fn cancel_children(&self, id: &JobId) -> Result<u64> {
        let mut done = 0;
        let mut batches = vec![id.clone()];
        // Nothing keeps two jobs from naming each other.
        let mut seen = HashSet::from([id.clone()]);
        while let Some(batch) = batches.pop() {
            let unfinished = State::ALL.into_iter().filter(|state| !state.is_finished());
            let children =
                JobFilter { parents: vec![batch], states: unfinished.collect(), ..JobFilter::default() };
            let cancel = Action::Cancel { grace: CANCEL_GRACE, reason: CancelReason::Parent };
            done += self.store().act(&children, cancel, usize::MAX).await?.done;
            // The cancelled ones may be closing jobs whose children were left by an interrupted call.
            let states = vec![State::Running, State::Cancelled];
            let filter = JobFilter { states, ..children };
            let mut page = Page { cursor: None, limit: CHILDREN_AT_ONCE, payloads: Payloads::Short };
            loop {
                let listed = self.store().list(&filter, page.clone()).await?;
                let inner = listed.jobs.into_iter().filter(|job| job.children.is_some()).map(|job| job.id);
                batches.extend(inner.filter(|inner| seen.insert(inner.clone())));
                page.cursor = listed.next;
                if page.cursor.is_none() {
                    break;
                }
            }
        }
        Ok(done)
    }
}
