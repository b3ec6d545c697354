use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::execution::execute;
use super::heartbeat::Active;
use super::lane::{LONGEST_WAIT, Lane, Waiting};
use super::recorder::Recorder;
use super::registry::Registry;
use super::running::{AbortReason, RunningJob};
use super::start::Shutdown;
use crate::backoff::Backoff;
use crate::clock::Stopwatch;
use crate::handle::Longhaul;
use crate::maintenance::Maintenance;
use crate::model::{
    Claim, Claimed, Finish, FinishAndClaim, LeaseStatus, Outcome, QueueSlots, SupportedKind, WorkerInfo,
};
use crate::store::Result;

/// Claims jobs into free slots, runs each in a task, and sends their ends to the store in turns: what ended while
/// others were on their way makes up the next.
pub(crate) struct Dispatch {
    pub(crate) longhaul: Longhaul,
    pub(crate) registry: Arc<Registry>,
    pub(crate) kinds: Vec<SupportedKind>,
    pub(crate) worker: WorkerInfo,
    pub(crate) lease_for: Duration,
    pub(crate) active: Active,
    pub(crate) recorder: Recorder,
    /// Runs as long as this does.
    pub(crate) _maintenance: Maintenance,
    /// Fired when no more jobs are to be claimed.
    pub(crate) stopping: CancellationToken,
    /// One for each of `worker.queues`, in their order.
    pub(crate) lanes: Vec<Lane>,
    pub(crate) next_run: u64,
    pub(crate) ended: mpsc::UnboundedSender<RunEnded>,
    /// What ended and is not yet with the store.
    pub(crate) unsent: Unsent,
}

/// A run is over; `finish` is what the store must hear of it.
pub(crate) struct RunEnded {
    run: u64,
    lane: usize,
    took: Duration,
    finish: Option<Finish>,
}

#[derive(Default)]
pub(crate) struct Unsent {
    runs: Vec<u64>,
    finishes: Vec<Finish>,
    /// Calls in a row that failed.
    failures: u32,
}

/// An open claim, which waits for jobs.
struct Poll {
    /// For each lane, whether jobs of it are asked for.
    asks: Vec<bool>,
    answer: BoxFuture<'static, (Stopwatch, Result<Vec<Claimed>>)>,
}

/// Finishes on their way, with a claim beside them.
struct Sending {
    runs: Vec<u64>,
    finishes: Vec<Finish>,
    /// For each lane, how many jobs are asked for.
    wanted: Vec<usize>,
    claiming: Stopwatch,
}

/// The turns on their way.
#[derive(Default)]
struct Turns {
    answers: FuturesUnordered<BoxFuture<'static, (Sending, Result<FinishAndClaim>)>>,
    /// How many ends the last one carries.
    ends: usize,
}

impl Turns {
    /// Whether a turn with so many ends may be sent. A second one goes beside the first, so that the store works on one
    /// while the jobs of the other run here; but not with less than the first: the store works best in large pieces.
    fn may_send(&self, ends: usize) -> bool {
        match self.answers.len() {
            0 => ends > 0,
            1 => ends >= self.ends,
            _ => false,
        }
    }

    fn push(&mut self, turn: BoxFuture<'static, (Sending, Result<FinishAndClaim>)>, ends: usize) {
        self.ends = ends;
        self.answers.push(turn);
    }
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
        let mut poll: Option<Poll> = None;
        let mut turns = Turns::default();
        let mut gathered = false;
        while !self.stopping.is_cancelled() {
            while let Ok(end) = ends.try_recv() {
                self.note_end(end);
            }
            self.give_back(LONGEST_WAIT);
            if poll.as_ref().is_some_and(|poll| self.has_free_slot_beside(poll)) {
                // Jobs may wait for that slot, and the open claim does not ask for them.
                poll = None;
            }
            if turns.may_send(self.unsent.finishes.len()) {
                if !gathered {
                    // Jobs that are about to end share this turn: it costs the store little more for many than for one.
                    gathered = true;
                    tokio::task::yield_now().await;
                    continue;
                }
                // While a poll is open its slots are spoken for, so there is nothing to claim beside it.
                let ends = self.unsent.finishes.len();
                turns.push(self.send(poll.is_none()), ends);
            }
            gathered = false;
            if poll.is_none() && turns.answers.is_empty() && self.has_free_slot() {
                poll = Some(self.open_poll());
            }
            tokio::select! {
                // In this order, so that nothing is claimed once the worker was told to stop.
                biased;
                () = self.stopping.cancelled() => {}
                Some(end) = ends.recv() => self.note_end(end),
                Some((sent, turn)) = turns.answers.next() => self.note_turn(sent, turn).await,
                Some((claiming, claimed)) = async { Some((&mut poll.as_mut()?.answer).await) }, if poll.is_some() => {
                    poll = None;
                    self.note_claim(claiming, claimed).await;
                }
                () = tokio::time::sleep(LONGEST_WAIT), if self.lanes.iter().any(Lane::has_waiting) => {}
            }
        }
        // Dropping an open claim gives back what it might have taken.
        drop(poll);
        while let Some((sent, turn)) = turns.answers.next().await {
            self.note_turn(sent, turn).await;
        }
        self.drain(&mut ends).await;
    }

    /// Sends what has ended, and claims into the slots that this frees.
    fn send(&mut self, may_claim: bool) -> BoxFuture<'static, (Sending, Result<FinishAndClaim>)> {
        let store = Arc::clone(self.longhaul.store());
        let finishes = std::mem::take(&mut self.unsent.finishes);
        let runs = std::mem::take(&mut self.unsent.runs);
        let wanted: Vec<usize> = match may_claim {
            true => self.lanes.iter_mut().map(Lane::ask).collect(),
            false => vec![0; self.lanes.len()],
        };
        let claim = wanted.iter().any(|slots| *slots > 0).then(|| self.claim(&wanted, Duration::ZERO));
        let ends = finishes.clone();
        let sent = Sending { runs, finishes, wanted, claiming: Stopwatch::start() };
        let turn = async move {
            let turn = match claim {
                Some(claim) => store.finish_and_claim(ends, claim).await,
                None => {
                    store.finish(ends).await.map(|finished| FinishAndClaim { finished, claimed: Vec::new() })
                }
            };
            (sent, turn)
        };
        turn.boxed()
    }

    async fn note_turn(&mut self, sent: Sending, turn: Result<FinishAndClaim>) {
        for (lane, asked) in self.lanes.iter_mut().zip(&sent.wanted) {
            lane.answered(*asked);
        }
        match turn {
            Ok(turn) => {
                self.unsent.failures = 0;
                for (finish, status) in sent.finishes.iter().zip(turn.finished) {
                    if status == LeaseStatus::Lost {
                        tracing::warn!(job = %finish.lease.id, "a job's end came after its lease was lost; it runs elsewhere");
                    }
                }
                {
                    let mut active = self.active.lock();
                    for run in &sent.runs {
                        active.remove(run);
                    }
                }
                self.take(sent.claiming, turn.claimed);
            }
            Err(error) => {
                self.unsent.runs.splice(..0, sent.runs);
                self.unsent.finishes.splice(..0, sent.finishes);
                self.back_off(&error).await;
            }
        }
    }

    async fn back_off(&mut self, error: &crate::Error) {
        self.unsent.failures += 1;
        let delay = STORE_BACKOFF.delay(self.unsent.failures);
        tracing::warn!("{error}; trying again in {delay:?}");
        tokio::time::sleep(delay).await;
    }

    fn open_poll(&self) -> Poll {
        let store = Arc::clone(self.longhaul.store());
        let wanted: Vec<usize> = self.lanes.iter().map(|lane| lane.free).collect();
        let claim = self.claim(&wanted, LONGEST_POLL.min(self.lease_for / 6));
        Poll {
            asks: wanted.iter().map(|slots| *slots > 0).collect(),
            answer: async move { (Stopwatch::start(), store.claim(claim).await) }.boxed(),
        }
    }

    async fn note_claim(&mut self, claiming: Stopwatch, claimed: Result<Vec<Claimed>>) {
        match claimed {
            Ok(jobs) => {
                self.unsent.failures = 0;
                self.take(claiming, jobs);
            }
            Err(error) => self.back_off(&error).await,
        }
    }

    /// Starts claimed jobs, as far as there are slots for them.
    fn take(&mut self, claiming: Stopwatch, claimed: Vec<Claimed>) {
        for claimed in claimed {
            let Some(lane) = self.lanes.iter().position(|lane| lane.queue == claimed.queue) else {
                tracing::error!(job = %claimed.lease.id, queue = claimed.queue, "was given a job of a queue that it does not serve");
                continue;
            };
            let run = self.next_run;
            self.next_run += 1;
            let job = RunningJob::new(claimed, claiming, self.lease_for, Some(self.recorder.clone()));
            self.active.lock().insert(run, Arc::clone(&job));
            self.lanes[lane].wait(run, job);
            self.start_waiting(lane);
        }
    }

    fn start_waiting(&mut self, lane: usize) {
        while let Some(Waiting { run, job, .. }) = self.lanes[lane].next() {
            let (registry, longhaul, ended) =
                (Arc::clone(&self.registry), self.longhaul.clone(), self.ended.clone());
            tokio::spawn(async move {
                let running = Stopwatch::start();
                let finish = execute(&job, &registry, &longhaul).await;
                // The receiver outlives every run but those that ignored their abort, which were handed back.
                let _ = ended.send(RunEnded { run, lane, took: running.elapsed(), finish });
            });
        }
    }

    fn note_end(&mut self, end: RunEnded) {
        self.lanes[end.lane].note_end(end.took, end.finish.as_ref().map(|finish| &finish.outcome));
        match end.finish {
            Some(finish) => {
                self.unsent.runs.push(end.run);
                self.unsent.finishes.push(finish);
            }
            None => {
                self.active.lock().remove(&end.run);
            }
        }
        self.start_waiting(end.lane);
    }

    /// Gives back claimed jobs that have waited too long for a slot.
    fn give_back(&mut self, patience: Duration) {
        for lane in &mut self.lanes {
            for Waiting { run, job, .. } in lane.give_up(patience) {
                self.unsent.runs.push(run);
                self.unsent.finishes.push(release(&job));
            }
        }
    }

    /// Waits for what still runs; what is told to stop ends as released.
    async fn drain(&mut self, ends: &mut mpsc::UnboundedReceiver<RunEnded>) {
        let mut given_up: Option<Stopwatch> = None;
        loop {
            self.give_back(Duration::ZERO);
            while let Ok(end) = ends.try_recv() {
                self.note_end(end);
            }
            if !self.unsent.finishes.is_empty() {
                let (sent, turn) = self.send(false).await;
                self.note_turn(sent, turn).await;
                if self.unsent.failures > 3 {
                    return;
                }
                continue;
            }
            if self.active.lock().is_empty() || given_up.is_some_and(|since| since.elapsed() >= ABORT_GRACE) {
                return self.hand_back_the_deaf().await;
            }
            tokio::select! {
                Some(end) = ends.recv() => self.note_end(end),
                () = tokio::time::sleep(Duration::from_millis(50)) => {
                    // One that has lost its lease and does not hear it takes nothing from the others' grace.
                    let all_aborted = self.active.lock().values().all(|job| job.is_aborted());
                    given_up = if all_aborted { given_up.or_else(|| Some(Stopwatch::start())) } else { None };
                }
            }
        }
    }

    /// Gives back jobs whose code blocks its thread and so cannot be aborted; their leases are void from here on.
    async fn hand_back_the_deaf(&self) {
        let releases: Vec<Finish> = self.active.lock().drain().map(|(_, job)| release(&job)).collect();
        if releases.is_empty() {
            return;
        }
        if let Err(error) = self.longhaul.store().finish(releases).await {
            tracing::warn!("failed to hand back jobs at shutdown; their leases will expire: {error}");
        }
    }

    /// Whether a lane has a free slot that had none when `poll` was opened.
    fn has_free_slot_beside(&self, poll: &Poll) -> bool {
        self.lanes.iter().zip(&poll.asks).any(|(lane, is_asked_for)| lane.free > 0 && !is_asked_for)
    }

    fn has_free_slot(&self) -> bool {
        self.lanes.iter().any(|lane| lane.free > 0)
    }

    fn claim(&self, wanted: &[usize], wait: Duration) -> Claim {
        let queues = self.lanes.iter().zip(wanted).filter(|(_, slots)| **slots > 0);
        Claim {
            worker: self.worker.clone(),
            queues: queues
                .map(|(lane, slots)| QueueSlots { queue: lane.queue.clone(), slots: *slots })
                .collect(),
            kinds: self.kinds.clone(),
            lease_for: self.lease_for,
            wait,
        }
    }
}

fn release(job: &RunningJob) -> Finish {
    Finish {
        lease: job.claimed.lease.clone(),
        outcome: Outcome::Released,
        entries: Vec::new(),
        follow_ups: Vec::new(),
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
