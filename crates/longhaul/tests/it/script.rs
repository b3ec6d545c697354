//! A job whose work is a closure, and the means to wait for what becomes of it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use longhaul::{
    Clock, Context, EnqueueOptions, Event, Job, JobId, JobRecord, JobResult, Longhaul, MemoryStore, State,
    WorkerBuilder,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The job of these tests: it carries a number and does what its [`Script`] says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Scripted {
    pub(crate) number: u32,
}

type Play = dyn Fn(u32, Context<Script>) -> BoxFuture<'static, JobResult<Value>> + Send + Sync;

/// The work of a test's jobs, given their number and their context.
#[derive(Clone)]
pub(crate) struct Script(Arc<Play>);

impl Script {
    pub(crate) fn new<F>(play: impl Fn(u32, Context<Script>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = JobResult<Value>> + Send + 'static,
    {
        Self(Arc::new(move |number, cx| play(number, cx).boxed()))
    }

    /// Does the work of the job of this number, for a script that is made of another.
    pub(crate) async fn play(&self, number: u32, cx: Context<Script>) -> JobResult<Value> {
        (self.0)(number, cx).await
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl Job for Scripted {
    const KIND: &'static str = "scripted";
    type State = Script;
    type Output = Value;

    async fn run(self, cx: Context<Script>) -> JobResult<Value> {
        let script = cx.state().clone();
        script.play(self.number, cx).await
    }
}

/// A lease that ends late enough for a busy machine, and whose heartbeats, ten to a lease, come soon enough
/// for a test that waits for one.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// A handle on a store whose clock only the test moves.
pub(crate) fn longhaul() -> (Longhaul, Clock) {
    let clock = Clock::manual();
    (Longhaul::new(MemoryStore::with_clock(clock.clone())), clock)
}

/// A worker that runs `script` with four slots of the queue "default".
pub(crate) fn worker(longhaul: &Longhaul, script: Script) -> WorkerBuilder {
    longhaul.worker().register::<Scripted>(script).queue("default", 4).lease(LEASE)
}

pub(crate) async fn enqueue(longhaul: &Longhaul, number: u32) -> JobId {
    enqueue_with(longhaul, number, EnqueueOptions::default()).await
}

pub(crate) async fn enqueue_with(longhaul: &Longhaul, number: u32, options: EnqueueOptions) -> JobId {
    longhaul.enqueue_with(Scripted { number }, options).await.unwrap().id
}

/// The job as the store has it now.
pub(crate) async fn record(longhaul: &Longhaul, id: &JobId) -> JobRecord {
    longhaul.get(id).await.unwrap().found().expect("the job is there")
}

/// Waits until the job is in `state`, woken by the store at every change.
pub(crate) async fn until(longhaul: &Longhaul, id: &JobId, state: State) -> JobRecord {
    until_record(longhaul, id, state.as_str(), |record| record.state == state).await
}

/// Waits until the job's record satisfies `is_meant`.
pub(crate) async fn until_record(
    longhaul: &Longhaul,
    id: &JobId,
    what: &str,
    is_meant: impl Fn(&JobRecord) -> bool,
) -> JobRecord {
    let changes = async {
        loop {
            let now = record(longhaul, id).await;
            if is_meant(&now) {
                return now;
            }
            longhaul.events(id, now.last_event, 1, Duration::from_secs(3600)).await.unwrap();
        }
    };
    let what = format!("job {id} to be {what}");
    within(&what, changes).await
}

/// The whole log of a job, as someone reads it who comes late.
pub(crate) async fn events(longhaul: &Longhaul, id: &JobId) -> Vec<Event> {
    longhaul.events(id, 0, 1_000, Duration::ZERO).await.unwrap().expect("the job is there")
}

/// Waits for what must come. The bound only keeps a fault from hanging the test: it is far longer than any
/// busy machine takes.
pub(crate) async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), wait).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Tells a channel when it is dropped: put into a job's future, it tells when that future ends.
#[derive(Debug)]
pub(crate) struct OnDrop(pub(crate) tokio::sync::mpsc::UnboundedSender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        // A test that has heard enough may have gone.
        let _ = self.0.send(());
    }
}
