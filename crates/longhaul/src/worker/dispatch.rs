use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::active::Active;
use super::gather::{Gather, next_gathering};
use super::layer::Stack;
use super::queue::{LONGEST_WAIT, Waiting, WorkerQueue};
use super::running::RunningJob;
use super::settle::{End, Settled, settle};
use super::task::{Ended, Slot, Task, release};
use crate::backoff::Backoff;
use crate::handle::Longhaul;
use crate::maintenance::Activity;
use crate::model::{Claim, Claimed, QueueSlots, SupportedKind, WorkerInfo};
use crate::runtime::Runtime;
use crate::stats::{Recorder, WorkerFigures};
use crate::store::{Error, Result};

/// Claims jobs into free slots, runs each in a task, and sends their ends to the store in bulk: ends that come while a
/// call is in flight go with the next.
pub(crate) struct Dispatch {
    pub(crate) longhaul: Longhaul,
    pub(crate) runtime: Runtime,
    pub(crate) stack: Arc<Stack>,
    /// The kinds whose jobs run one by one.
    pub(crate) kinds: Vec<SupportedKind>,
    /// One for each of the other kinds.
    pub(crate) gathers: Vec<Gather>,
    pub(crate) worker: WorkerInfo,
    pub(crate) lease_for: Duration,
    pub(crate) active: Active,
    pub(crate) recorder: mpsc::UnboundedSender<Arc<RunningJob>>,
    pub(crate) stats: Recorder,
    pub(crate) figures: Arc<WorkerFigures>,
    pub(crate) activity: Activity,
    /// Fired when no more jobs are to be claimed.
    pub(crate) stopping: CancellationToken,
    /// One for each of `worker.queues`, in their order.
    pub(crate) queues: Vec<WorkerQueue>,
    pub(crate) next_run: u64,
    pub(crate) ended: mpsc::UnboundedSender<Ended>,
    /// Ends that are not yet with the store.
    pub(crate) unsent: Vec<End>,
    /// The pause of sends after an outage.
    pub(crate) sends: Pause,
    /// The pause of claims after one that failed.
    pub(crate) claims: Pause,
}

/// A pause of one sort of call after failures.
#[derive(Default)]
pub(crate) struct Pause {
    failures: u32,
    /// The monotonic time of its end.
    until: Duration,
}

/// An open claim, which waits for jobs.
struct Poll {
    /// The number of jobs to claim of each queue.
    wanted: Vec<usize>,
    /// The jobs, whose leases began no earlier than the monotonic time beside them.
    answer: BoxFuture<'static, (Duration, Result<Vec<Claimed>>)>,
}

/// The answer to a send: the number of jobs that it asked for of each queue, and the monotonic time at which it was sent.
struct SendAnswer {
    wanted: Vec<usize>,
    sent: Duration,
    settled: Settled,
}

/// The sends in flight.
#[derive(Default)]
struct Sends {
    in_flight: FuturesUnordered<BoxFuture<'static, SendAnswer>>,
    /// The number of ends in the last one.
    ends: usize,
}

impl Sends {
    /// True if a send with so many ends may start. Two may be in flight, so that the store works on one while the jobs
    /// of the other run here; the second must not be smaller than the first, because the store is fastest with large
    /// calls.
    fn may_send(&self, ends: usize) -> bool {
        match self.in_flight.len() {
            0 => ends > 0,
            1 => ends >= self.ends,
            _ => false,
        }
    }
}

/// The longest wait of a claim that finds no job. Each expired claim costs the store of an idle worker one query; the
/// limit is for wake-ups that get lost.
const LONGEST_POLL: Duration = Duration::from_secs(20);
/// The time for two heartbeats, one after the other, after a claim that has waited long.
const TIME_FOR_HEARTBEATS: Duration = Duration::from_secs(6);
/// The wait for jobs that were asked to stop; those that ignore it are released while they still run.
const ABORT_GRACE: Duration = Duration::from_secs(1);
/// The time in which released jobs are sent to the store; after that their leases end by themselves.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

impl Dispatch {
    /// Works until the worker is asked to stop, and then until no job runs.
    pub(crate) async fn run(mut self, mut ends: mpsc::UnboundedReceiver<Ended>) {
        let mut sends = Sends::default();
        self.work(&mut ends, &mut sends).await;
        let (active, clock) = (self.active.clone(), self.runtime.clock.clone());
        let asked_to_stop = async {
            active.aborted().await;
            clock.sleep(ABORT_GRACE).await;
        };
        tokio::select! {
            biased;
            () = self.drain(&mut ends, &mut sends) => {}
            () = asked_to_stop => {}
        }
        let clock = self.runtime.clock.clone();
        if clock.timeout(RELEASE_PATIENCE, self.release_rest(sends)).await.is_err() {
            tracing::warn!("failed to hand back jobs at shutdown in time; their leases will expire");
        }
    }

    async fn work(&mut self, ends: &mut mpsc::UnboundedReceiver<Ended>, sends: &mut Sends) {
        // Dropping an open claim gives back the jobs that it may have claimed.
        let mut poll: Option<Poll> = None;
        let mut gathered = false;
        let clock = self.runtime.clock.clone();
        while !self.stopping.is_cancelled() {
            while let Ok(end) = ends.try_recv() {
                self.note_end(end);
            }
            self.give_back(LONGEST_WAIT);
            self.start_all();
            if poll.as_ref().is_some_and(|poll| self.is_off(poll)) {
                // Jobs may wait for a slot, and the open claim does not ask for them; or it asks for a slot that a call took.
                poll = None;
            }
            if sends.may_send(self.unsent.len()) && self.left(&self.sends).is_none() {
                if !gathered {
                    // Jobs that are about to end share this send, which costs the store little more for many ends than
                    // for one.
                    gathered = true;
                    tokio::task::yield_now().await;
                    continue;
                }
                // An open poll asks for all free slots, so that there is nothing to claim beside it.
                let may_claim = match poll.is_none() && self.left(&self.claims).is_none() {
                    true => MayClaim::Yes,
                    false => MayClaim::No,
                };
                sends.ends = self.unsent.len();
                sends.in_flight.push(self.send(may_claim));
            }
            gathered = false;
            if poll.is_none() && sends.in_flight.is_empty() && self.may_poll() {
                poll = Some(self.open_poll());
            }
            self.open_gather_claims();
            self.publish_slots();
            let look = self.next_look(poll.as_ref());
            tokio::select! {
                // In this order, so that nothing is claimed once the worker was asked to stop.
                biased;
                () = self.stopping.cancelled() => {}
                Some(end) = ends.recv() => self.note_end(end),
                Some(answer) = sends.in_flight.next() => self.note_answer(answer),
                Some((leased, claimed)) = async { Some((&mut poll.as_mut()?.answer).await) }, if poll.is_some() => {
                    let wanted = poll.take().map(|poll| poll.wanted).unwrap_or_default();
                    self.note_short(&wanted, claimed.as_deref().unwrap_or_default());
                    self.note_claim(leased, claimed);
                }
                (gather, gathering) = next_gathering(&mut self.gathers) => self.note_gathering(gather, gathering),
                () = clock.sleep(look.unwrap_or_default()), if look.is_some() => {}
            }
        }
    }

    /// The time until the next action that no event triggers.
    fn next_look(&self, poll: Option<&Poll>) -> Option<Duration> {
        let waiting = self.queues.iter().any(WorkerQueue::has_waiting).then_some(LONGEST_WAIT);
        let sends = self.left(&self.sends).filter(|_| !self.unsent.is_empty());
        let is_idle = poll.is_none() || !self.gathers.is_empty();
        let claims = self.left(&self.claims).filter(|_| is_idle && self.has_free_slot());
        let gathers = self.gathers.iter().filter_map(Gather::due_in).min();
        [waiting, sends, claims, gathers].into_iter().flatten().min()
    }

    /// The time left of a pause; `None` once it is over.
    pub(super) fn left(&self, pause: &Pause) -> Option<Duration> {
        let left = pause.until.saturating_sub(self.runtime.clock.monotonic());
        (!left.is_zero()).then_some(left)
    }

    fn may_poll(&self) -> bool {
        !self.kinds.is_empty() && self.has_free_slot() && self.left(&self.claims).is_none()
    }

    /// Sends the ends of runs, and claims into the slots that they free.
    fn send(&mut self, may_claim: MayClaim) -> BoxFuture<'static, SendAnswer> {
        let store = Arc::clone(self.longhaul.store());
        let ends = std::mem::take(&mut self.unsent);
        let wanted: Vec<usize> = match may_claim {
            MayClaim::Yes if !self.kinds.is_empty() => self.queues.iter_mut().map(WorkerQueue::ask).collect(),
            MayClaim::Yes | MayClaim::No => vec![0; self.queues.len()],
        };
        let claim = wanted
            .iter()
            .any(|slots| *slots > 0)
            .then(|| self.claim(self.kinds.clone(), &wanted, Duration::ZERO));
        let (runtime, sent) = (self.runtime.clone(), self.runtime.clock.monotonic());
        async move { SendAnswer { wanted, sent, settled: settle(store, runtime, ends, claim).await } }.boxed()
    }

    fn note_answer(&mut self, answer: SendAnswer) {
        for (queue, asked) in self.queues.iter_mut().zip(&answer.wanted) {
            queue.answered(*asked);
        }
        let Settled { over, unsent, claimed, outage, claim_fault } = answer.settled;
        self.active.remove(&over);
        self.unsent.splice(..0, unsent);
        match (&outage, &claim_fault) {
            (Some(error), _) => {
                self.pause_sends(error);
                self.pause_claims(error);
            }
            (None, Some(error)) => {
                self.sends = Pause::default();
                self.pause_claims(error);
            }
            (None, None) => {
                self.sends = Pause::default();
                if answer.wanted.iter().any(|slots| *slots > 0) {
                    self.claims = Pause::default();
                }
                self.note_short(&answer.wanted, &claimed);
                self.take(answer.sent, claimed);
            }
        }
    }

    fn pause_sends(&mut self, error: &Error) {
        let failures = self.sends.failures + 1;
        let delay = self.runtime.delay(&Backoff::STORE, failures);
        self.sends = Pause { failures, until: self.runtime.clock.monotonic() + delay };
        tracing::warn!("{error}; sending the ends of {} jobs again in {delay:?}", self.unsent.len());
    }

    fn pause_claims(&mut self, error: &Error) {
        let failures = self.claims.failures + 1;
        let delay = self.runtime.delay(&Backoff::STORE, failures);
        self.claims = Pause { failures, until: self.runtime.clock.monotonic() + delay };
        tracing::warn!("{error}; claiming again in {delay:?}");
        self.queues.iter_mut().for_each(|queue| queue.owes_single = false);
    }

    fn open_poll(&self) -> Poll {
        let store = Arc::clone(self.longhaul.store());
        let wanted: Vec<usize> = self.queues.iter().map(|queue| queue.free).collect();
        // A call that has left its slot to single jobs of this claim must learn at once if there are none.
        let is_awaited = self.queues.iter().any(|queue| queue.owes_single && queue.free > 0);
        let wait = if is_awaited {
            Duration::ZERO
        } else {
            // The claims of all idle workers end together: the next of them looks for jobs, and the others need not.
            self.runtime.clock.until_multiple_of(self.longest_poll())
        };
        let claim = self.claim(self.kinds.clone(), &wanted, wait);
        let clock = self.runtime.clock.clone();
        Poll { wanted, answer: async move { (clock.monotonic(), store.claim(claim).await) }.boxed() }
    }

    /// The longest time that a claim may wait: a sixth of the lease, or more if that leaves time for heartbeats before
    /// the job is stopped. The wait counts against the lease of the claimed jobs, because the worker does not know when
    /// the store took them.
    pub(super) fn longest_poll(&self) -> Duration {
        let spare = (self.lease_for * 7 / 10).saturating_sub(TIME_FOR_HEARTBEATS);
        LONGEST_POLL.min(spare.max(self.lease_for / 6))
    }

    pub(super) fn note_claim(&mut self, leased: Duration, claimed: Result<Vec<Claimed>>) {
        match claimed {
            Ok(jobs) => {
                self.claims = Pause::default();
                let has_late_jobs = !jobs.is_empty() && self.runtime.clock.since(leased) > self.lease_for / 6;
                self.take(leased, jobs);
                if has_late_jobs {
                    self.active.beat_now();
                }
            }
            Err(error) => self.pause_claims(&error),
        }
    }

    /// Clears the slots that calls have left to single jobs, in queues where the claim brought fewer than it asked for.
    fn note_short(&mut self, wanted: &[usize], claimed: &[Claimed]) {
        for (queue, wanted) in self.queues.iter_mut().zip(wanted) {
            let of_queue = claimed.iter().filter(|job| job.queue == queue.name).count();
            queue.owes_single &= of_queue >= *wanted;
        }
    }

    /// Starts claimed jobs, as far as there are slots for them. Their leases began no earlier than `leased`.
    fn take(&mut self, leased: Duration, claimed: Vec<Claimed>) {
        if !claimed.is_empty() {
            self.activity.note();
        }
        for claimed in claimed {
            let run = self.next_run;
            self.next_run += 1;
            let recorder = Some(self.recorder.clone());
            let job = RunningJob::new(claimed, self.runtime.clone(), leased, self.lease_for, recorder);
            let Some(queue) = self.queues.iter().position(|queue| queue.name == job.claimed.queue) else {
                tracing::error!(job = %job.id(), queue = job.claimed.queue, "was given a job of a queue that it does not serve");
                self.unsent.push(End { run, finish: release(&job) });
                continue;
            };
            self.active.insert(run, Arc::clone(&job));
            match self.gather_of(&job) {
                Some(gather) => gather.add(run, queue, job),
                None => self.queues[queue].wait(run, job),
            }
            self.start(queue);
        }
    }

    /// Starts what waits for the free slots of all queues.
    fn start_all(&mut self) {
        if !self.gathers.is_empty() {
            (0..self.queues.len()).for_each(|queue| self.start(queue));
        }
    }

    /// Starts what waits for the free slots of a queue.
    fn start(&mut self, queue: usize) {
        while self.queues[queue].free > 0 {
            let call = if self.stopping.is_cancelled() { None } else { self.ready_call(queue) };
            let slots = &mut self.queues[queue];
            match call {
                Some((gather, group)) if !slots.owes_single => {
                    slots.free -= 1;
                    slots.owes_single = !self.kinds.is_empty();
                    self.start_call(queue, gather, group);
                }
                _ => {
                    let Some(Waiting { run, job, .. }) = slots.next() else { return };
                    slots.owes_single = false;
                    let task = Task::new(run, Slot::Of(queue), job, self.ended.clone());
                    self.runtime.spawn(task.execute(Arc::clone(&self.stack)));
                }
            }
        }
    }

    fn note_end(&mut self, ended: Ended) {
        let end = match ended {
            Ended::Run(end) => end,
            Ended::Call { queue } => {
                self.queues[queue].free += 1;
                return self.start(queue);
            }
        };
        self.figures.note_end(end.slot.queue(), end.finish.as_ref().map(|finish| &finish.outcome));
        if let Slot::Of(queue) = end.slot {
            self.queues[queue].note_end(end.took, end.finish.as_ref().map(|finish| &finish.outcome));
        }
        match end.finish {
            Some(finish) => self.unsent.push(End { run: end.run, finish }),
            None => {
                self.stats.counters().leases_lost.add(1);
                self.active.remove(&[end.run]);
            }
        }
        if let Slot::Of(queue) = end.slot {
            self.start(queue);
        }
    }

    /// Gives back claimed jobs that have waited too long for a slot.
    fn give_back(&mut self, patience: Duration) {
        for queue in &mut self.queues {
            for Waiting { run, job, .. } in queue.give_up(patience) {
                self.unsent.push(End { run, finish: release(&job) });
            }
        }
        self.give_back_gathered();
    }

    /// Waits for running jobs; a job that is asked to stop ends as released.
    async fn drain(&mut self, ends: &mut mpsc::UnboundedReceiver<Ended>, sends: &mut Sends) {
        let mut all_aborted_since: Option<Duration> = None;
        self.close_gathers();
        loop {
            while let Ok(end) = ends.try_recv() {
                self.note_end(end);
            }
            self.give_back(Duration::ZERO);
            if sends.in_flight.is_empty() {
                if !self.unsent.is_empty() && self.left(&self.sends).is_none() {
                    sends.in_flight.push(self.send(MayClaim::No));
                } else if self.unsent.is_empty() {
                    let clock = &self.runtime.clock;
                    if self.active.len() == 0
                        || all_aborted_since.is_some_and(|since| clock.since(since) >= ABORT_GRACE)
                    {
                        return;
                    }
                }
            }
            self.publish_slots();
            tokio::select! {
                biased;
                Some(end) = ends.recv() => self.note_end(end),
                Some(answer) = sends.in_flight.next() => self.note_answer(answer),
                () = self.runtime.clock.sleep(Duration::from_millis(50)) => {
                    // A job that ignores its abort does not use up the grace of the others.
                    let all_aborted = self.active.jobs().iter().all(|job| job.is_aborted());
                    let now = self.runtime.clock.monotonic();
                    all_aborted_since = if all_aborted { all_aborted_since.or(Some(now)) } else { None };
                }
            }
        }
    }

    /// Releases the remaining runs: those whose finish is not stored, and those that ignored their abort because their
    /// code blocks its thread. Their leases are void from here on.
    async fn release_rest(&mut self, mut sends: Sends) {
        while let Some(answer) = sends.in_flight.next().await {
            self.note_answer(answer);
        }
        let mut left = self.active.take();
        for End { run, .. } in &self.unsent {
            left.remove(run);
        }
        let releases = left.into_iter().map(|(run, job)| End { run, finish: release(&job) });
        self.unsent.extend(releases);
        if self.unsent.is_empty() {
            return;
        }
        let SendAnswer { settled, .. } = self.send(MayClaim::No).await;
        if let Some(error) = settled.outage {
            tracing::warn!("failed to hand back jobs at shutdown; their leases will expire: {error}");
        }
    }

    /// True if a queue has a free slot for which `poll` does not ask, or fewer free slots than `poll` asks for.
    fn is_off(&self, poll: &Poll) -> bool {
        self.queues
            .iter()
            .zip(&poll.wanted)
            .any(|(queue, wanted)| (queue.free > 0 && *wanted == 0) || queue.free < *wanted)
    }

    /// Publishes the numbers of used slots.
    fn publish_slots(&self) {
        for (place, queue) in self.queues.iter().enumerate() {
            self.figures.use_slots(place, queue.slots.saturating_sub(queue.free));
        }
    }

    fn has_free_slot(&self) -> bool {
        self.queues.iter().any(|queue| queue.free > 0)
    }

    pub(super) fn claim(&self, kinds: Vec<SupportedKind>, wanted: &[usize], wait: Duration) -> Claim {
        let queues = self.queues.iter().zip(wanted).filter(|(_, slots)| **slots > 0);
        Claim {
            worker: self.worker.clone(),
            queues: queues
                .map(|(queue, slots)| QueueSlots { queue: queue.name.clone(), slots: *slots })
                .collect(),
            kinds,
            lease_for: self.lease_for,
            wait,
        }
    }
}

/// The permission of a turn to claim into free slots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MayClaim {
    Yes,
    No,
}
