//! [`MemoryStore`]: the whole contract over plain maps. Other stores are compared with it, so it is written to
//! be read: every operation is a function on the [`Table`](table::Table), which one lock guards.
//!
//! | file | what |
//! |---|---|
//! | `table` | the jobs, and the one way in which a job changes |
//! | `row` | a job with what its record does not show |
//! | `index` | which jobs are where: available, scheduled, running, finished |
//! | `samples` | small time series |
//! | `limits` | limit keys: their limits, what is taken of them, and whose turn is next |
//! | `queue_limits` | the same of whole queues |
//! | `bounds` | bounds on waiting jobs |
//! | `dependencies` | which jobs depend on which |
//! | `keys` | unique keys, idempotency keys, and the ids of jobs that are gone |
//! | `moving` | exports and imports |
//! | `enqueue`, `claim`, `finish`, `sweep`, `act`, `read` | the operations |

mod act;
mod bounds;
mod claim;
mod dependencies;
mod enqueue;
mod finish;
mod index;
mod keys;
mod limits;
mod moving;
mod queue_limits;
mod read;
mod row;
mod samples;
mod sweep;
mod table;

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::select_all;
use parking_lot::Mutex;

use self::table::Table;
use crate::admit;
use crate::clock::{Clock, Timestamp};
use crate::model::{
    Acted, Action, Claim, Claimed, Enqueued, Event, Finish, JobFilter, JobId, JobPage, Json, KeyConfig,
    KeyFilter, KeyInfo, Lane, Lease, LeaseStatus, Lookup, NewJob, Page, QueueConfig, QueueInfo, Record,
    Sample, Signalled, StepRecord, Swept, WorkerInfo,
};
use crate::moving::{self as moved, Export, Exported, Imported};
use crate::store::{Changes, Listener, Result, Signals, Store};

/// A store that forgets everything when it is dropped: for tests, examples, and work that need not survive
/// the process. Its "durable" is: in this process's memory.
///
/// Enqueueing, claiming and finishing a job take time that grows with the logarithm of the number of jobs.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Clock,
    signals: Arc<Signals>,
    changes: Arc<Changes>,
    table: Mutex<Table>,
}

impl MemoryStore {
    /// An empty store on the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// An empty store on `clock`, which a test may move by hand.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        let (signals, changes) = (Arc::new(Signals::default()), Arc::new(Changes::default()));
        let table = Mutex::new(Table::new(Arc::clone(&signals), Arc::clone(&changes)));
        Self { clock, signals, changes, table }
    }

    /// Sleeps until `due`, or for ever without one.
    async fn sleep_until(&self, due: Option<Timestamp>) {
        match due {
            Some(due) => self.clock.sleep_until(due).await,
            None => pending().await,
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

/// Completes at the first signal.
async fn any_heard(listeners: &mut [Listener]) {
    if listeners.is_empty() {
        return pending().await;
    }
    select_all(listeners.iter_mut().map(|listener| Box::pin(listener.heard()))).await;
}

#[async_trait]
impl Store for MemoryStore {
    async fn migrate(&self) -> Result<()> {
        Ok(())
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        let asked = jobs.len();
        let jobs = admit::with_deliveries(jobs)?;
        let mut enqueued = self.table.lock().enqueue(jobs, self.clock.now())?;
        enqueued.truncate(asked);
        Ok(enqueued)
    }

    // No await stands between taking jobs and returning them, so that a dropped claim has taken nothing.
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        let claim = admit::claim(claim);
        let mut over = pin!(self.clock.sleep_until(self.clock.now().plus(claim.wait)));
        let mut is_over = claim.wait.is_zero();
        loop {
            // Listens before the look, so that no arrival after the look is missed.
            let mut arrivals = Vec::new();
            if !is_over {
                arrivals.extend(claim.queues.iter().map(|q| self.signals.listen(&q.queue)));
            }
            let (claimed, next_change) = {
                let mut table = self.table.lock();
                let now = self.clock.now();
                (table.claim(&claim, now), table.next_change(&claim, now))
            };
            if is_over || !claimed.is_empty() {
                return Ok(claimed);
            }
            tokio::select! {
                // In one order, so that a simulation takes the same course each time; the end first, which signals without end
                // must not put off.
                biased;
                () = &mut over => is_over = true,
                () = any_heard(&mut arrivals) => {}
                () = self.sleep_until(next_change) => {}
            }
        }
    }

    async fn heartbeat(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        let worker = admit::worker(worker.clone());
        Ok(self.table.lock().heartbeat(&worker, leases, lease_for, self.clock.now()))
    }

    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        let keep = async |records| Ok(self.table.lock().record(records, self.clock.now()));
        admit::record_with(self, records, keep).await
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        Ok(self.table.lock().finish(admit::finishes(finishes), self.clock.now()))
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        Ok(self.table.lock().sweep(limit, self.clock.now()))
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        Ok(self.table.lock().get(ids, self.clock.now()))
    }

    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        admit::filter(filter)?;
        self.table.lock().list(filter, &page)
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        let mut over = pin!(self.clock.sleep_until(self.clock.now().plus(wait)));
        let mut is_over = wait.is_zero();
        loop {
            let mut changes = Vec::new();
            if !is_over {
                changes.push(self.signals.listen(id.as_str()));
            }
            let Some(new) = self.table.lock().events(id, after, limit) else { return Ok(None) };
            if is_over || new.is_finished || !new.events.is_empty() {
                return Ok(Some(new.events));
            }
            tokio::select! {
                biased;
                () = &mut over => is_over = true,
                () = any_heard(&mut changes) => {}
            }
        }
    }

    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        admit::filter(filter)?;
        admit::action(&action)?;
        Ok(self.table.lock().act(filter, &action, limit, self.clock.now()))
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        Ok(self.table.lock().queues(self.clock.now()))
    }

    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        admit::queue_config(queue, config)?;
        self.table.lock().set_queue(queue, config);
        Ok(())
    }

    async fn update_queue(&self, queue: &str, before: &QueueConfig, config: &QueueConfig) -> Result<bool> {
        admit::queue_config(queue, config)?;
        let mut table = self.table.lock();
        let is_as_read = table.config_of(queue) == *before;
        if is_as_read {
            table.set_queue(queue, config);
        }
        Ok(is_as_read)
    }

    async fn pause_queue(&self, queue: &str) -> Result<()> {
        admit::queue(queue)?;
        self.table.lock().paused_queues.insert(queue.to_owned());
        Ok(())
    }

    async fn resume_queue(&self, queue: &str) -> Result<()> {
        if self.table.lock().paused_queues.remove(queue) {
            self.signals.send(queue);
        }
        Ok(())
    }

    async fn lanes(&self) -> Result<Vec<Lane>> {
        Ok(self.table.lock().lanes())
    }

    async fn set_key(&self, key: &str, config: Option<&KeyConfig>) -> Result<()> {
        admit::key(key, config)?;
        self.table.lock().set_key(key, config);
        self.signals.send_all();
        Ok(())
    }

    async fn pause_key(&self, key: &str, pause: Duration) -> Result<()> {
        admit::paused_key(key)?;
        self.table.lock().pause_key(key, pause, self.clock.now());
        Ok(())
    }

    async fn resume_key(&self, key: &str) -> Result<()> {
        self.table.lock().resume_key(key);
        Ok(())
    }

    async fn keys(&self, filter: &KeyFilter) -> Result<Vec<KeyInfo>> {
        admit::key_filter(filter)?;
        Ok(self.table.lock().list_keys(filter, self.clock.now()))
    }

    async fn steps(&self, id: &JobId) -> Result<Option<Vec<StepRecord>>> {
        Ok(self.table.lock().steps(id))
    }

    async fn signal(&self, id: &JobId, name: &str, value: &Json) -> Result<Signalled> {
        admit::signal(name, value)?;
        let output = admit::signal_output(value)?;
        Ok(self.table.lock().signal(id, name, output, self.clock.now()))
    }

    async fn dependants(&self, id: &JobId, limit: usize) -> Result<Vec<JobId>> {
        Ok(self.table.lock().dependants(id, limit))
    }

    async fn put_samples(&self, samples: &[Sample]) -> Result<()> {
        admit::samples(samples)?;
        self.table.lock().samples.put(samples, self.clock.now());
        Ok(())
    }

    async fn samples(&self, series: &str, from: Timestamp) -> Result<Vec<Sample>> {
        Ok(self.table.lock().samples.read(series, from, self.clock.now()))
    }

    fn changes(&self) -> Option<&Changes> {
        Some(&self.changes)
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        Ok(self.table.lock().workers(self.clock.now()))
    }

    async fn export(&self) -> Result<Box<dyn Export>> {
        let settings = moved::export_settings(self).await?;
        Ok(Box::new(self.table.lock().export(settings, self.clock.now())))
    }

    async fn import(&self, records: Vec<Exported>) -> Result<Vec<Imported>> {
        let records = moved::admit(records)?;
        let now = self.clock.now();
        let settings = moved::import_settings(self, &records, now).await?;
        Ok(self.table.lock().import(records, settings, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Cost, Idempotency, Json, LeaseStatus, Outcome, Policy, QueueSlots, Start, SupportedKind, Unique,
    };
    use crate::store::GONE_FOR;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A job whose key is its own for an hour after it has completed, and whose request is remembered as long.
    fn job() -> NewJob {
        let job = serde_json::json!({
            "id": "a", "kind": "k", "version": 1, "queue": "q", "args": null, "priority": 0, "start": "now",
            "max_attempts": 1, "max_crashes": 1, "timeout": null, "backoff": null, "unique": null,
            "idempotency": null, "parent": null, "labels": {},
        });
        NewJob {
            unique: Some(Unique { period: Some(HOUR), ..Unique::new("once") }),
            idempotency: Some(Idempotency { key: "i".into(), fingerprint: "f".into(), keep_for: HOUR }),
            ..serde_json::from_value(job).unwrap()
        }
    }

    async fn claim_and_complete(store: &MemoryStore) {
        let worker =
            WorkerInfo { id: "w".into(), process: "p".into(), host: "h".into(), ..WorkerInfo::default() };
        let claim = Claim {
            worker,
            queues: vec![QueueSlots { queue: "q".into(), slots: 1 }],
            kinds: vec![SupportedKind { kind: "k".into(), version: 1 }],
            lease_for: HOUR,
            wait: Duration::ZERO,
        };
        let lease = store.claim(claim).await.unwrap().pop().unwrap().lease;
        let finish = Finish {
            lease,
            outcome: Outcome::Completed { output: Json::null() },
            entries: Vec::new(),
            follow_ups: Vec::new(),
            cost: None,
        };
        assert_eq!(store.finish(vec![finish]).await.unwrap(), [LeaseStatus::Held]);
    }

    #[tokio::test]
    async fn a_sweep_throws_away_what_need_not_be_remembered_any_more() {
        let clock = Clock::manual();
        let store = MemoryStore::with_clock(clock.clone());
        store.enqueue(vec![job()]).await.unwrap();
        claim_and_complete(&store).await;
        store.sweep(10).await.unwrap();
        assert_eq!(store.table.lock().keys.remembered(), 2, "the unique key and the idempotency key");
        clock.advance(HOUR);
        store.sweep(10).await.unwrap();
        assert_eq!(store.table.lock().keys.remembered(), 0);

        store.act(&JobFilter::default(), Action::Delete, 1).await.unwrap();
        assert_eq!(store.table.lock().keys.remembered(), 1, "the id that is gone");
        clock.advance(GONE_FOR);
        store.sweep(10).await.unwrap();
        assert_eq!(store.table.lock().keys.remembered(), 0);
        assert!(store.table.lock().index.counts.is_empty());
    }

    #[tokio::test]
    async fn the_jobs_that_wait_of_a_limit_key_are_counted_as_they_come_and_go() {
        let clock = Clock::manual();
        let store = MemoryStore::with_clock(clock.clone());
        let keyed = |keys: &[&str], start| NewJob {
            limit_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            start,
            ..NewJob::new("k", Json::null())
        };
        let waiting = |key: &str| store.table.lock().index.backlog_of_key(key).len();
        let later = Start::After(HOUR);
        store
            .enqueue(vec![keyed(&["a", "b"], Start::Now), keyed(&["a"], later), keyed(&[], Start::Now)])
            .await
            .unwrap();
        assert_eq!((waiting("a"), waiting("b"), waiting("c")), (2, 1, 0));
        let claim = Claim {
            worker: WorkerInfo { id: "w".into(), ..WorkerInfo::default() },
            queues: vec![QueueSlots { queue: "default".into(), slots: 1 }],
            kinds: vec![SupportedKind { kind: "k".into(), version: 1 }],
            lease_for: HOUR,
            wait: Duration::ZERO,
        };
        store.claim(claim).await.unwrap();
        assert_eq!((waiting("a"), waiting("b")), (1, 0), "one that runs does not wait");
        clock.advance(HOUR);
        store.sweep(10).await.unwrap();
        assert_eq!(waiting("a"), 2, "one that is rescued waits again, and one that falls due waits on");
        store.act(&JobFilter::default(), Action::cancel(HOUR), 10).await.unwrap();
        assert_eq!((waiting("a"), waiting("b")), (0, 0));
    }

    // The simulation found it (seed 1905 of its second version).
    #[tokio::test]
    async fn a_waiting_claim_answers_when_a_job_is_cancelled_that_kept_back_those_of_its_key() {
        let store = MemoryStore::with_clock(Clock::manual());
        let keyed = |id: &str, slots| {
            let policy = Policy { cost: Cost { slots, rate: 1 }, ..Policy::default() };
            let id = Some(JobId::new(id).unwrap());
            NewJob {
                id,
                limit_keys: vec!["key".into()],
                policy,
                queue: "q".into(),
                ..NewJob::new("k", Json::null())
            }
        };
        let config = KeyConfig { slots: Some(2), ..KeyConfig::default() };
        store.set_key("key", Some(&config)).await.unwrap();
        store.enqueue(vec![keyed("runs", 1)]).await.unwrap();
        let claim = |wait| Claim {
            worker: WorkerInfo { id: "w".into(), ..WorkerInfo::default() },
            queues: vec![QueueSlots { queue: "q".into(), slots: 1 }],
            kinds: vec![SupportedKind { kind: "k".into(), version: 1 }],
            lease_for: HOUR,
            wait,
        };
        assert_eq!(store.claim(claim(Duration::ZERO)).await.unwrap().len(), 1);
        store.enqueue(vec![keyed("wide", 2), keyed("narrow", 1)]).await.unwrap();
        let mut waiting = Box::pin(store.claim(claim(HOUR)));
        assert!(futures::poll!(&mut waiting).is_pending());
        let wide = JobFilter::id(JobId::new("wide").unwrap());
        store.act(&wide, Action::cancel(HOUR), 1).await.unwrap();
        let std::task::Poll::Ready(Ok(claimed)) = futures::poll!(&mut waiting) else { panic!("it waits on") };
        assert_eq!(claimed[0].lease.id.as_str(), "narrow");
    }

    #[tokio::test]
    async fn a_key_that_was_taken_again_is_not_thrown_away_when_its_first_hold_would_have_ended() {
        let clock = Clock::manual();
        let store = MemoryStore::with_clock(clock.clone());
        store.enqueue(vec![job()]).await.unwrap();
        claim_and_complete(&store).await;
        clock.advance(HOUR / 2);
        assert_eq!(store.act(&JobFilter::default(), Action::Retry, 1).await.unwrap().done, 1);
        clock.advance(HOUR / 2);
        store.sweep(10).await.unwrap();
        let second = NewJob { id: None, idempotency: None, ..job() };
        let joined = store.enqueue(vec![second.clone()]).await.unwrap();
        assert!(joined[0].is_duplicate(), "the retried job holds its key while it waits");

        claim_and_complete(&store).await;
        clock.advance(HOUR / 2);
        store.sweep(10).await.unwrap();
        assert!(
            store.enqueue(vec![second]).await.unwrap()[0].is_duplicate(),
            "and for its period after that"
        );
    }
}
