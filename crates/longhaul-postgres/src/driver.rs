use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use longhaul::{Changes, Clock, Lease, LeaseStatus, Result, Signals, WorkerInfo};
use tokio::sync::{mpsc, oneshot};

use crate::call::{Answer, Call, Op};
use crate::error::{SILENCE, closed, failed, unavailable};
use crate::heartbeat::{Beat, Heartbeats};
use crate::maintenance::Maintenance;
use crate::notifier::Notifier;
use crate::options::PostgresOptions;
use crate::state::DriverState;
use crate::transactor::{Role, Transactor};
use crate::writer::Writer;

/// Hands calls to the thread that writes. Its own thread keeps jobs that block their runtime from delaying heartbeats
/// and calls. Three connections write: one for work, one for maintenance and calls that wait for locks, one for
/// heartbeats.
#[derive(Debug)]
pub(crate) struct Driver {
    work: mpsc::Sender<Call>,
    maintenance: mpsc::Sender<Call>,
    beats: mpsc::Sender<Beat>,
    pub(crate) state: Arc<DriverState>,
    /// The longest that a call may take, with its wait for those before it.
    patience: Duration,
}

/// Calls that may wait for the thread; beyond it, callers wait to hand theirs over.
const CAPACITY: usize = 16_384;

impl Driver {
    /// Connects, on a new thread, and answers once that has succeeded.
    pub(crate) async fn start(
        options: Arc<PostgresOptions>,
        clock: Clock,
        signals: Arc<Signals>,
        observers: Arc<Changes>,
    ) -> Result<Self> {
        let (work, work_inbox) = mpsc::channel(CAPACITY);
        let (maintenance, maintenance_inbox) = mpsc::channel(CAPACITY);
        let (beats, beats_inbox) = mpsc::channel(CAPACITY);
        let (opened, opening) = oneshot::channel();
        let state = Arc::new(DriverState::default());
        let patience = options.response_timeout;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed("open", error.to_string()))?;
        // The maintenance connection ends with the store, and not only when nothing may be deferred to it any more.
        let deferred = maintenance.downgrade();
        let shared = Arc::clone(&state);
        let run = async move {
            let notifier = {
                let (options, signals) = (Arc::clone(&options), Arc::clone(&signals));
                Notifier::new(options, signals, Arc::clone(&observers), Arc::clone(&shared))
            };
            let transactor = |role| {
                let (options, clock) = (Arc::clone(&options), clock.clone());
                let (state, signals) = (Arc::clone(&shared), Arc::clone(&signals));
                let observers = Arc::clone(&observers);
                Transactor::new(role, options, clock, state, signals, observers, notifier.clone())
            };
            let writer = match Writer::open(transactor(Role::Work), deferred).await {
                Ok(writer) => writer,
                Err(error) => return drop(opened.send(Err(error))),
            };
            let maintenance = Maintenance::new(transactor(Role::Maintenance));
            let heartbeats = Heartbeats::new(options, clock);
            let tasks: FuturesUnordered<_> = [
                tokio::spawn(writer.run(work_inbox)),
                tokio::spawn(maintenance.run(maintenance_inbox)),
                tokio::spawn(heartbeats.run(beats_inbox)),
            ]
            .into_iter()
            .collect();
            if opened.send(Ok(())).is_ok() {
                // A panic of one task ends the others, so that every caller is answered at once.
                let _ = tasks.take_while(|ended| std::future::ready(ended.is_ok())).count().await;
            }
        };
        std::thread::Builder::new()
            .name("longhaul-postgres".into())
            .spawn(move || runtime.block_on(run))
            .map_err(|error| failed("open", error.to_string()))?;
        opening.await.map_err(|_| closed())??;
        Ok(Self { work, maintenance, beats, state, patience })
    }

    /// Hands a call over, and answers with where its answer will come.
    pub(crate) async fn send(&self, op: Op) -> Result<oneshot::Receiver<Result<Answer>>> {
        self.state.reach()?;
        let (call, answer) = Call::new(op);
        let inbox = match call.op {
            Op::Sweep(_) | Op::Act { .. } | Op::PutSamples(_) | Op::TakeBack(_) | Op::TakeBackLost(_) => {
                &self.maintenance
            }
            _ => &self.work,
        };
        inbox.send(call).await.map_err(|_| closed())?;
        Ok(answer)
    }

    /// Asks, and waits for the answer: not for longer than one transaction may take, because behind a server that says
    /// nothing those before this call fail one after another.
    pub(crate) async fn call(&self, op: Op) -> Result<Answer> {
        let answer = async { self.send(op).await?.await.map_err(|_| closed())? };
        self.in_time(answer).await
    }

    /// Sends a heartbeat, on its own connection.
    pub(crate) async fn beat(
        &self,
        worker: WorkerInfo,
        leases: Vec<Lease>,
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        self.state.reach()?;
        let (reply, answer) = oneshot::channel();
        let answer = async {
            self.beats.send(Beat { worker, leases, lease_for, reply }).await.map_err(|_| closed())?;
            answer.await.map_err(|_| closed())?
        };
        self.in_time(answer).await
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(self.patience, answer).await.unwrap_or_else(|_| Err(unavailable(SILENCE)))
    }

    /// Reverts claims that were not delivered. If the thread cannot take the call, their leases will expire.
    pub(crate) fn take_back(&self, leases: Vec<Lease>) {
        let (call, _) = Call::new(Op::TakeBack(leases));
        let _ = self.maintenance.try_send(call);
    }
}
