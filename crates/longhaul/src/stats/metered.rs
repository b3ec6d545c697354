use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::{Stopwatch, Timestamp};
use crate::model::{
    Acted, Action, Claim, Claimed, Enqueued, Event, Finish, FinishAndClaim, JobFilter, JobId, JobPage, Json,
    KeyConfig, KeyFilter, KeyInfo, Lane, Lease, LeaseStatus, Lookup, NewJob, Page, QueueConfig, QueueInfo,
    Record, Sample, Signalled, StepRecord, Swept, WorkerInfo,
};
use crate::store::{Changes, Operation, Operations, Result, Store};

/// The same store, with the times of its [calls](Store::operations) measured. A call costs two looks at the clock, two additions
/// and an allocation more, and takes no lock. A call whose caller went away is not counted.
///
/// ```
/// use std::sync::Arc;
/// use longhaul::stats::Metered;
/// use longhaul::{Longhaul, MemoryStore};
///
/// let longhaul = Longhaul::new(Metered::over(Arc::new(MemoryStore::new())));
/// assert!(longhaul.store().operations().is_some_and(|operations| operations.is_up()));
/// ```
pub struct Metered {
    store: Arc<dyn Store>,
    operations: Operations,
}

impl Metered {
    /// Measures the calls that are made by way of the answer.
    #[must_use]
    pub fn over(store: Arc<dyn Store>) -> Self {
        Self { store, operations: Operations::new() }
    }

    async fn timed<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let begun = Stopwatch::start();
        let answer = call.await;
        self.operations.note(operation, &answer, begun.elapsed());
        answer
    }
}

impl fmt::Debug for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered").field("store", &self.store).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for Metered {
    async fn migrate(&self) -> Result<()> {
        self.timed(Operation::Migrate, self.store.migrate()).await
    }

    async fn ready(&self) -> Result<()> {
        self.timed(Operation::Ready, self.store.ready()).await
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        self.timed(Operation::Enqueue, self.store.enqueue(jobs)).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        let operation = if claim.wait.is_zero() { Operation::Claim } else { Operation::ClaimWaiting };
        self.timed(operation, self.store.claim(claim)).await
    }

    async fn heartbeat(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        self.timed(Operation::Heartbeat, self.store.heartbeat(worker, leases, lease_for)).await
    }

    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        self.timed(Operation::Record, self.store.record(records)).await
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        self.timed(Operation::Finish, self.store.finish(finishes)).await
    }

    async fn finish_and_claim(&self, finishes: Vec<Finish>, claim: Claim) -> Result<FinishAndClaim> {
        self.timed(Operation::FinishAndClaim, self.store.finish_and_claim(finishes, claim)).await
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        self.timed(Operation::Sweep, self.store.sweep(limit)).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        self.timed(Operation::Get, self.store.get(ids)).await
    }

    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        self.timed(Operation::List, self.store.list(filter, page)).await
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        let operation = if wait.is_zero() { Operation::Events } else { Operation::EventsWaiting };
        self.timed(operation, self.store.events(id, after, limit, wait)).await
    }

    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        self.timed(Operation::Act, self.store.act(filter, action, limit)).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.timed(Operation::Queues, self.store.queues()).await
    }

    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        self.timed(Operation::SetQueue, self.store.set_queue(queue, config)).await
    }

    async fn update_queue(&self, queue: &str, before: &QueueConfig, config: &QueueConfig) -> Result<bool> {
        self.timed(Operation::UpdateQueue, self.store.update_queue(queue, before, config)).await
    }

    async fn pause_queue(&self, queue: &str) -> Result<()> {
        self.timed(Operation::PauseQueue, self.store.pause_queue(queue)).await
    }

    async fn resume_queue(&self, queue: &str) -> Result<()> {
        self.timed(Operation::ResumeQueue, self.store.resume_queue(queue)).await
    }

    async fn lanes(&self) -> Result<Vec<Lane>> {
        self.timed(Operation::Lanes, self.store.lanes()).await
    }

    async fn set_key(&self, key: &str, config: Option<&KeyConfig>) -> Result<()> {
        self.timed(Operation::SetKey, self.store.set_key(key, config)).await
    }

    async fn pause_key(&self, key: &str, pause: Duration) -> Result<()> {
        self.timed(Operation::PauseKey, self.store.pause_key(key, pause)).await
    }

    async fn resume_key(&self, key: &str) -> Result<()> {
        self.timed(Operation::ResumeKey, self.store.resume_key(key)).await
    }

    async fn keys(&self, filter: &KeyFilter) -> Result<Vec<KeyInfo>> {
        self.timed(Operation::Keys, self.store.keys(filter)).await
    }

    async fn steps(&self, id: &JobId) -> Result<Option<Vec<StepRecord>>> {
        self.timed(Operation::Steps, self.store.steps(id)).await
    }

    async fn signal(&self, id: &JobId, name: &str, value: &Json) -> Result<Signalled> {
        self.timed(Operation::Signal, self.store.signal(id, name, value)).await
    }

    async fn dependants(&self, id: &JobId, limit: usize) -> Result<Vec<JobId>> {
        self.timed(Operation::Dependants, self.store.dependants(id, limit)).await
    }

    async fn put_samples(&self, samples: &[Sample]) -> Result<()> {
        self.timed(Operation::PutSamples, self.store.put_samples(samples)).await
    }

    async fn samples(&self, series: &str, from: Timestamp) -> Result<Vec<Sample>> {
        self.timed(Operation::Samples, self.store.samples(series, from)).await
    }

    fn changes(&self) -> Option<&Changes> {
        self.store.changes()
    }

    fn operations(&self) -> Option<&Operations> {
        Some(&self.operations)
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.timed(Operation::Workers, self.store.workers()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;
    use crate::model::Json;
    use crate::store::Error;
    use crate::testing::{Call, Intercept};

    fn told(store: &dyn Store) -> Vec<(&'static str, &'static str, u64)> {
        let operations = store.operations().unwrap();
        let told = operations.times().map(|of| {
            let calls = of.times.ranges().map(|(_, count)| count).sum();
            (of.operation, of.outcome, calls)
        });
        told.collect()
    }

    #[tokio::test]
    async fn each_call_is_counted_by_its_operation_and_its_end() {
        let away = Intercept::new(MemoryStore::new(), async |store, call| match &call {
            Call::Queues => Err(Error::Unavailable { store: "test", source: "connection refused".into() }),
            _ => call.on(store.as_ref()).await,
        });
        let store = Metered::over(Arc::new(away));
        store.enqueue(vec![NewJob::new("k", Json::null())]).await.unwrap();
        store.enqueue(vec![]).await.unwrap();
        store.enqueue(vec![NewJob { version: 0, ..NewJob::new("k", Json::null()) }]).await.unwrap_err();
        assert!(store.operations().unwrap().is_up());
        store.queues().await.unwrap_err();
        assert!(!store.operations().unwrap().is_up());
        assert_eq!(
            told(&store),
            [("enqueue", "ok", 2), ("enqueue", "refused", 1), ("queues", "unavailable", 1)]
        );
        store.lanes().await.unwrap();
        assert!(store.operations().unwrap().is_up(), "it is back");
        assert!(store.changes().is_some(), "who observes the store hears of it all the same");
    }
}
