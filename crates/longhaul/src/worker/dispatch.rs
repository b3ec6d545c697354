use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::execution::execute;
use super::heartbeat::Active;
use super::recorder::Recorder;
use super::registry::Registry;
use super::running::{AbortReason, RunningJob};
use super::start::Shutdown;
use crate::backoff::Backoff;
use crate::clock::Stopwatch;
use crate::handle::Longhaul;
use crate::model::{
    Claim, Claimed, Finish, LeaseStatus, Outcome, QueueSlots, SupportedKind, Turn, WorkerInfo,
};
use crate::store::Result;
use crate::upkeep::Upkeep;

/// Claims jobs into free slots, runs each in a task, and sends their ends to the store in batches: what ended
/// while one batch was on its way makes up the next.
pub(crate) struct Dispatch {
    pub(crate) longhaul: Longhaul,
    pub(crate) registry: Arc<Registry>,
    pub(crate) kinds: Vec<SupportedKind>,
    pub(crate) worker: WorkerInfo,
    pub(crate) lease_for: Duration,
    pub(crate) active: Active,
    pub(crate) recorder: Recorder,
    /// Runs as long as this does.
    pub(crate) _upkeep: Upkeep,
    /// Fired when no more jobs are to be claimed.
    pub(crate) stopping: CancellationToken,
    /// Free slots of each queue, in the order of `worker.queues`.
    pub(crate) free: Vec<usize>,
    pub(crate) next_run: u64,
    pub(crate) ended: mpsc::UnboundedSender<RunEnded>,
}

/// A run is over; `finish` is what the store must hear of it.
pub(crate) struct RunEnded {
    run: u64,
    queue: usize,
    finish: Option<Finish>,
}

/// What ended and is not yet with the store.
#[derive(Default)]
struct Unsent {
    runs: Vec<u64>,
    finishes: Vec<Finish>,
    /// Calls in a row that failed.
    failures: u32,
}

/// An open claim, which waits for jobs.
struct Poll {
    /// For each queue, whether jobs of it are asked for.
    queues: Vec<bool>,
    answer: BoxFuture<'static, (Stopwatch, Result<Vec<Claimed>>)>,
}

/// How long a claim with nothing to take stays open; with no hint lost, it could be for ever.
const LONGEST_POLL: Duration = Duration::from_secs(5);
/// How long a job that ignores its abort is waited for before it is handed back over its head.
const ABORT_GRACE: Duration = Duration::from_secs(1);
/// The wait after a failed call to the store. The jitter keeps workers from coming back all at once.
pub(crate) const STORE_BACKOFF: Backoff =
    Backoff { base: Duration::from_millis(100), factor: 2.0, max: Duration::from_secs(5), jitter: 0.5 };

impl Dispatch {
    pub(crate) async fn run(mut self, mut ends: mpsc::UnboundedReceiver<RunEnded>) {
        let mut unsent = Unsent::default();
        let mut poll: Option<Poll> = None;
        while !self.stopping.is_cancelled() {
            while let Ok(end) = ends.try_recv() {
                self.note_end(end, &mut unsent);
            }
            if poll.as_ref().is_some_and(|poll| self.has_free_slot_beside(poll)) {
                // Jobs may wait for that slot, and the open claim does not ask for them.
                poll = None;
            }
            if !unsent.finishes.is_empty() {
                // While a poll is open its slots are spoken for, so there is nothing to claim beside it.
                let may_claim = poll.is_none() && self.has_free_slot();
                self.send(&mut unsent, may_claim).await;
                continue;
            }
            if poll.is_none() && self.has_free_slot() {
                poll = Some(self.open_poll());
            }
            tokio::select! {
                // In this order, so that nothing is claimed once the worker was told to stop.
                biased;
                () = self.stopping.cancelled() => {}
                Some(end) = ends.recv() => self.note_end(end, &mut unsent),
                Some((claiming, claimed)) = async { Some((&mut poll.as_mut()?.answer).await) }, if poll.is_some() => {
                    poll = None;
                    self.start_claimed(claiming, claimed, &mut unsent).await;
                }
            }
        }
        // Dropping an open claim gives back what it might have taken.
        drop(poll);
        self.drain(&mut ends, &mut unsent).await;
    }

    /// Sends what has ended, and claims into the slots that this frees.
    async fn send(&mut self, unsent: &mut Unsent, may_claim: bool) {
        let store = Arc::clone(self.longhaul.store());
        let finishes = unsent.finishes.clone();
        let claiming = Stopwatch::start();
        let answer = if may_claim {
            store.turn(finishes, self.claim(Duration::ZERO)).await
        } else {
            store.finish(finishes).await.map(|finished| Turn { finished, claimed: Vec::new() })
        };
        match answer {
            Ok(turn) => {
                self.forget_sent(unsent, &turn.finished);
                for claimed in turn.claimed {
                    self.start(claiming, claimed);
                }
            }
            Err(error) => self.back_off(unsent, &error).await,
        }
    }

    fn forget_sent(&self, unsent: &mut Unsent, statuses: &[LeaseStatus]) {
        for (finish, status) in unsent.finishes.drain(..).zip(statuses) {
            if *status == LeaseStatus::Lost {
                tracing::warn!(job = %finish.lease.id, "a job's end came after its lease was lost; it runs elsewhere");
            }
        }
        let mut active = self.active.lock();
        for run in unsent.runs.drain(..) {
            active.remove(&run);
        }
        unsent.failures = 0;
    }

    async fn back_off(&self, unsent: &mut Unsent, error: &crate::Error) {
        unsent.failures += 1;
        let delay = STORE_BACKOFF.delay(unsent.failures);
        tracing::warn!("{error}; trying again in {delay:?}");
        tokio::time::sleep(delay).await;
    }

    fn open_poll(&self) -> Poll {
        let store = Arc::clone(self.longhaul.store());
        let claim = self.claim(LONGEST_POLL.min(self.lease_for / 6));
        Poll {
            queues: self.free.iter().map(|free| *free > 0).collect(),
            answer: async move { (Stopwatch::start(), store.claim(claim).await) }.boxed(),
        }
    }

    async fn start_claimed(
        &mut self,
        claiming: Stopwatch,
        claimed: Result<Vec<Claimed>>,
        unsent: &mut Unsent,
    ) {
        match claimed {
            Ok(jobs) => {
                unsent.failures = 0;
                for job in jobs {
                    self.start(claiming, job);
                }
            }
            Err(error) => self.back_off(unsent, &error).await,
        }
    }

    fn start(&mut self, claiming: Stopwatch, claimed: Claimed) {
        let Some(queue) = self.worker.queues.iter().position(|q| q.queue == claimed.queue) else {
            tracing::error!(job = %claimed.lease.id, queue = claimed.queue, "was given a job of a queue that it does not serve");
            return;
        };
        self.free[queue] = self.free[queue].saturating_sub(1);
        let run = self.next_run;
        self.next_run += 1;
        let job = RunningJob::new(claimed, claiming, self.lease_for, Some(self.recorder.clone()));
        self.active.lock().insert(run, Arc::clone(&job));
        let (registry, longhaul, ended) =
            (Arc::clone(&self.registry), self.longhaul.clone(), self.ended.clone());
        tokio::spawn(async move {
            let finish = execute(&job, &registry, &longhaul).await;
            // The receiver outlives every run but those that ignored their abort, which were handed back.
            let _ = ended.send(RunEnded { run, queue, finish });
        });
    }

    fn note_end(&mut self, end: RunEnded, unsent: &mut Unsent) {
        self.free[end.queue] += 1;
        match end.finish {
            Some(finish) => {
                unsent.runs.push(end.run);
                unsent.finishes.push(finish);
            }
            None => {
                self.active.lock().remove(&end.run);
            }
        }
    }

    /// Waits for what still runs; what is told to stop ends as released.
    async fn drain(&mut self, ends: &mut mpsc::UnboundedReceiver<RunEnded>, unsent: &mut Unsent) {
        let mut failures = 0;
        let mut given_up: Option<Stopwatch> = None;
        loop {
            while let Ok(end) = ends.try_recv() {
                self.note_end(end, unsent);
            }
            if !unsent.finishes.is_empty() {
                self.send(unsent, false).await;
                failures = unsent.failures;
                if failures > 3 {
                    break;
                }
                continue;
            }
            if self.active.lock().is_empty() || given_up.is_some_and(|since| since.elapsed() >= ABORT_GRACE) {
                break;
            }
            tokio::select! {
                Some(end) = ends.recv() => self.note_end(end, unsent),
                () = tokio::time::sleep(Duration::from_millis(50)) => {
                    // One that has lost its lease and does not hear it takes nothing from the others' grace.
                    let all_aborted = self.active.lock().values().all(|job| job.is_aborted());
                    given_up = if all_aborted { given_up.or_else(|| Some(Stopwatch::start())) } else { None };
                }
            }
        }
        if failures == 0 {
            self.hand_back_the_deaf().await;
        }
    }

    /// Gives back jobs whose code blocks its thread and so cannot be aborted; their leases are void from here on.
    async fn hand_back_the_deaf(&self) {
        let release = |job: &Arc<RunningJob>| Finish {
            lease: job.claimed.lease.clone(),
            outcome: Outcome::Released,
            entries: Vec::new(),
            follow_ups: Vec::new(),
        };
        let releases: Vec<Finish> = self.active.lock().drain().map(|(_, job)| release(&job)).collect();
        if releases.is_empty() {
            return;
        }
        if let Err(error) = self.longhaul.store().finish(releases).await {
            tracing::warn!("failed to hand back jobs at shutdown; their leases will expire: {error}");
        }
    }

    /// Whether a queue has a free slot that had none when `poll` was opened.
    fn has_free_slot_beside(&self, poll: &Poll) -> bool {
        self.free.iter().zip(&poll.queues).any(|(free, is_asked_for)| *free > 0 && !is_asked_for)
    }

    fn has_free_slot(&self) -> bool {
        self.free.iter().any(|free| *free > 0)
    }

    fn claim(&self, wait: Duration) -> Claim {
        let queues = self.worker.queues.iter().zip(&self.free);
        let queues = queues.filter(|(_, free)| **free > 0);
        Claim {
            worker: self.worker.clone(),
            queues: queues.map(|(q, free)| QueueSlots { queue: q.queue.clone(), slots: *free }).collect(),
            kinds: self.kinds.clone(),
            lease_for: self.lease_for,
            wait,
        }
    }
}

/// Ends everything that runs, now.
pub(crate) fn abort_all(active: &Active) -> Shutdown {
    let jobs = active.lock();
    for job in jobs.values() {
        job.abort(AbortReason::Shutdown);
    }
    Shutdown { handed_back: jobs.len() }
}
