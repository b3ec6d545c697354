use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::call::Call;
use super::pending::Pending;
use crate::admit;
use crate::backoff::Backoff;
use crate::clock::Timestamp;
use crate::model::{
    AttemptError, Claimed, Entry, JobId, Json, Lease, LeaseStatus, Lookup, NewJob, Outcome, Record,
    SIGNAL_PREFIX, TraceParent,
};
use crate::runtime::Runtime;
use crate::store::{Error, Result, Store};

/// A job while it runs here: what its context, the recorder, the heartbeat and the dispatcher share.
#[derive(Debug)]
pub(crate) struct RunningJob {
    pub(crate) claimed: Claimed,
    pub(crate) runtime: Runtime,
    /// Fired when a cancellation of the job is requested; the job may react.
    pub(crate) cancelled: CancellationToken,
    /// Fired when the job must stop now, with the reason beside it.
    aborted: CancellationToken,
    abort_reason: OnceLock<AbortReason>,
    /// The lease as this process knows it: the monotonic time of its begin, and its length.
    lease: Mutex<(Duration, Duration)>,
    /// The channel to the task that sends entries in the background; without one, as in a test harness, all go with the
    /// finish.
    recorder: Option<mpsc::UnboundedSender<Arc<RunningJob>>>,
    /// True from the moment that the recorder was asked to send the job's entries until it does.
    is_awaited: AtomicBool,
    /// Entries that are not yet with the store.
    pending: Mutex<Pending>,
    /// Held while entries are on their way, so that they reach the store in order and before the finish.
    sending: tokio::sync::Mutex<()>,
    /// True once the job has had an entry: one that has not needs neither lock at its end.
    has_entries: AtomicBool,
    /// The time that its run took, once it has ended.
    took: OnceLock<Duration>,
    /// The reason of the abort that ended its run.
    stopped: OnceLock<AbortReason>,
    follow_ups: Mutex<Vec<NewJob>>,
    /// The units of rates that the run has really used, if it has reported them.
    cost: Mutex<Option<u32>>,
    /// The monotonic time of its deadline.
    deadline: Option<Duration>,
    /// The outputs of the steps that are done.
    steps: Mutex<BTreeMap<String, Json>>,
    /// The names of the steps that this attempt has reached.
    reached: Mutex<BTreeSet<String>>,
    /// The last wait that the run has asked for: the outcome, and an entry that goes with it.
    wait: Mutex<Option<(Option<Entry>, Outcome)>>,
    /// The call that it is a part of, where its kind is collected.
    call: OnceLock<Arc<Call>>,
    /// The monotonic time at which the claim was answered.
    claimed_at: Duration,
    /// The time of the claim by the store's clock, once it was looked up.
    started_at: OnceLock<Timestamp>,
    /// The failure of the attempt before, once it was looked up.
    failed_before: OnceLock<AttemptError>,
    /// The place of the run in its trace.
    traceparent: OnceLock<TraceParent>,
}

/// The reason for which a run was aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AbortReason {
    /// The store has answered that the lease is lost: nothing more is sent for the job.
    LeaseLost,
    /// The lease could not be extended and ends soon. The job is released, in case the store still holds the lease.
    LeaseUnsure,
    /// The worker shuts down and releases the job.
    Shutdown,
    /// The store cannot keep what the job has said; with the reason for which the job fails.
    Unkept(String),
    /// The job's deadline has passed.
    Deadline,
}

/// The store's answer to entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Yes,
    LeaseLost,
}

/// The limit on the time of the look-up of the attempt before.
const LOOK_BACK_FOR: Duration = Duration::from_millis(500);

/// The number of tries of a call that concerns one job alone and fails without an outage, before the job fails.
pub(crate) const TRIES: u32 = 3;

impl RunningJob {
    /// Takes a job whose lease began no earlier than the monotonic time `claiming`.
    pub(crate) fn new(
        mut claimed: Claimed,
        runtime: Runtime,
        claiming: Duration,
        lease_for: Duration,
        recorder: Option<mpsc::UnboundedSender<Arc<RunningJob>>>,
    ) -> Arc<Self> {
        let steps = std::mem::take(&mut claimed.steps);
        let claimed_at = runtime.clock.monotonic();
        let deadline = claimed.deadline_in.map(|left| claimed_at.saturating_add(left));
        Arc::new(Self {
            claimed,
            runtime,
            cancelled: CancellationToken::new(),
            aborted: CancellationToken::new(),
            abort_reason: OnceLock::new(),
            lease: Mutex::new((claiming, lease_for)),
            recorder,
            is_awaited: AtomicBool::new(false),
            pending: Mutex::default(),
            sending: tokio::sync::Mutex::default(),
            has_entries: AtomicBool::new(false),
            took: OnceLock::new(),
            stopped: OnceLock::new(),
            follow_ups: Mutex::default(),
            cost: Mutex::default(),
            deadline,
            steps: Mutex::new(steps),
            reached: Mutex::default(),
            wait: Mutex::default(),
            call: OnceLock::new(),
            claimed_at,
            started_at: OnceLock::new(),
            failed_before: OnceLock::new(),
            traceparent: OnceLock::new(),
        })
    }

    pub(crate) fn id(&self) -> &JobId {
        &self.claimed.lease.id
    }

    /// True where no retry follows if this attempt fails.
    pub(crate) fn is_last_attempt(&self) -> bool {
        self.claimed.attempt >= self.claimed.max_attempts
    }

    pub(crate) fn lease(&self) -> Lease {
        self.claimed.lease.clone()
    }

    /// Looks the failure of the attempt before up, for a tracer. A store that does not answer soon keeps no job from running.
    pub(crate) async fn look_back(&self, store: &dyn Store) {
        if self.claimed.attempt < 2 {
            return;
        }
        let ids = [self.id().clone()];
        let found = self.runtime.clock.timeout(LOOK_BACK_FOR, store.get(&ids)).await;
        if let Ok(Ok(mut found)) = found
            && let Some(Lookup::Found(record)) = found.pop()
            && let Some(error) = record.errors.last()
        {
            let _ = self.failed_before.set(error.clone());
        }
    }

    pub(crate) fn failed_before(&self) -> Option<&AttemptError> {
        self.failed_before.get()
    }

    pub(crate) fn note_traceparent(&self, place: Option<TraceParent>) {
        if let Some(place) = place {
            let _ = self.traceparent.set(place);
        }
    }

    /// The place that a tracer gave the run.
    pub(crate) fn own_traceparent(&self) -> Option<TraceParent> {
        self.traceparent.get().copied()
    }

    /// The place of the run in its trace; without a tracer, that of the enqueueing.
    pub(crate) fn traceparent(&self) -> Option<TraceParent> {
        self.own_traceparent().or(self.claimed.policy.traceparent)
    }

    /// Cuts the execution off. The first reason counts.
    pub(crate) fn abort(&self, reason: AbortReason) {
        let _ = self.abort_reason.set(reason);
        self.aborted.cancel();
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.is_cancelled()
    }

    /// The first reason for which the execution was cut off.
    pub(crate) fn abort_reason(&self) -> Option<&AbortReason> {
        self.abort_reason.get()
    }

    /// Makes the run a part of a call.
    pub(crate) fn join_call(&self, call: Arc<Call>) {
        let _ = self.call.set(call);
    }

    pub(crate) fn call(&self) -> Option<&Call> {
        self.call.get().map(|call| &**call)
    }

    /// Completes when the execution is to be cut off.
    pub(crate) async fn aborted(&self) -> AbortReason {
        self.aborted.cancelled().await;
        self.abort_reason.get().cloned().unwrap_or(AbortReason::LeaseLost)
    }

    /// Notes that an abort has ended the run, and not the job's own code.
    pub(crate) fn stop(&self, reason: AbortReason) {
        let _ = self.stopped.set(reason);
    }

    pub(crate) fn stopped(&self) -> Option<&AbortReason> {
        self.stopped.get()
    }

    /// Completes at the job's deadline.
    pub(crate) async fn deadline(&self) {
        match self.deadline {
            Some(deadline) => {
                let clock = &self.runtime.clock;
                clock.sleep(deadline.saturating_sub(clock.monotonic())).await;
            }
            None => std::future::pending().await,
        }
    }

    pub(crate) fn settle(&self, cost: u32) {
        *self.cost.lock() = Some(cost);
    }

    pub(crate) fn cost(&self) -> Option<u32> {
        *self.cost.lock()
    }

    pub(crate) fn note_took(&self, took: Duration) {
        let _ = self.took.set(took);
    }

    pub(crate) fn took(&self) -> Option<Duration> {
        self.took.get().copied()
    }

    /// Notes that the lease was extended by a heartbeat that was sent at the monotonic time `sending`.
    pub(crate) fn extend_lease(&self, sending: Duration, lease_for: Duration) {
        *self.lease.lock() = (sending, lease_for);
    }

    /// True if the lease may end before the next check: a heartbeat takes at most one interval and the pause another;
    /// the third is for threads that are scheduled late.
    pub(crate) fn is_lease_unsure(&self) -> bool {
        let (since, lease_for) = *self.lease.lock();
        let left = lease_for.saturating_sub(self.runtime.clock.since(since));
        left <= 3 * heartbeat_interval(lease_for)
    }

    /// Adds an entry to be sent soon.
    pub(crate) fn push(self: &Arc<Self>, entry: Entry) {
        self.has_entries.store(true, Ordering::Release);
        self.pending.lock().push(entry);
        self.wake_recorder();
    }

    /// Adds an entry with its text cut to its bound. An entry that cannot be stored is left to the store, which ends
    /// the job with the reason, because the caller gets no error.
    pub(crate) fn say(self: &Arc<Self>, mut entry: Entry) {
        let _ = admit::entry(&mut entry);
        self.push(entry);
    }

    /// True if so many entries are pending that a caller who can wait should do so.
    pub(crate) fn is_full(&self) -> bool {
        self.pending.lock().is_full()
    }

    fn wake_recorder(self: &Arc<Self>) {
        if let Some(recorder) = &self.recorder
            && !self.is_awaited.swap(true, Ordering::AcqRel)
        {
            // The receiver is gone only while the runtime shuts down; the entries then go with the finish.
            let _ = recorder.send(Arc::clone(self));
        }
    }

    /// Notes that the recorder is about to send: what is pushed from now on asks for it anew.
    pub(crate) fn note_recorder(&self) {
        self.is_awaited.store(false, Ordering::Release);
    }

    /// Sends what waits, and `entry` after it. What an outage kept from the store waits on, in its place: should it have
    /// been taken and only the answer lost, it is better said twice than not at all. An entry that the store cannot keep
    /// ends the job as failed.
    pub(crate) async fn send(self: &Arc<Self>, store: &dyn Store, entry: Option<Entry>) -> Result<Sent> {
        if entry.is_some() {
            self.has_entries.store(true, Ordering::Release);
        }
        let _order = self.sending.lock().await;
        let mut taken = std::mem::take(&mut *self.pending.lock());
        if let Some(entry) = entry {
            taken.push(entry);
        }
        if taken.is_empty() {
            return Ok(Sent::Yes);
        }
        match self.record(store, taken.to_entries()).await {
            Ok(sent) => Ok(sent),
            Err(error) if error.is_outage() => {
                self.put_back(taken);
                Err(error)
            }
            Err(_) => self.send_each(store, taken).await,
        }
    }

    /// Sends entries one by one, so that those which the store can keep do not go with the one that it cannot.
    async fn send_each(self: &Arc<Self>, store: &dyn Store, taken: Pending) -> Result<Sent> {
        let mut entries = taken.to_entries().into_iter();
        while let Some(entry) = entries.next() {
            let mut failures = 0;
            loop {
                let error = match self.record(store, vec![entry.clone()]).await {
                    Ok(Sent::Yes) => break,
                    Ok(Sent::LeaseLost) => return Ok(Sent::LeaseLost),
                    Err(error) => error,
                };
                if error.is_outage() {
                    self.put_back(std::iter::once(entry).chain(entries).collect::<Vec<_>>().into());
                    return Err(error);
                }
                failures += 1;
                if failures >= TRIES || matches!(error, Error::Invalid { .. }) {
                    let reason = format!("failed to keep {}: {error}", describe(&entry));
                    tracing::error!(job = %self.id(), "{reason}");
                    self.put_back(entries.collect::<Vec<_>>().into());
                    self.abort(AbortReason::Unkept(reason));
                    return Err(error);
                }
                self.runtime.clock.sleep(self.runtime.delay(&Backoff::STORE, failures)).await;
            }
        }
        Ok(Sent::Yes)
    }

    async fn record(&self, store: &dyn Store, entries: Vec<Entry>) -> Result<Sent> {
        let record = Record { lease: self.lease(), entries };
        match store.record(vec![record]).await?.first() {
            Some(LeaseStatus::Held) => Ok(Sent::Yes),
            Some(LeaseStatus::CancelRequested) => {
                self.cancelled.cancel();
                Ok(Sent::Yes)
            }
            Some(LeaseStatus::Lost) | None => {
                self.abort(AbortReason::LeaseLost);
                Ok(Sent::LeaseLost)
            }
        }
    }

    fn put_back(self: &Arc<Self>, entries: Pending) {
        self.pending.lock().put_back(entries);
        if !self.is_aborted() {
            self.wake_recorder();
        }
    }

    /// The entries that are left to be sent with the finish, after whatever is on its way has arrived.
    pub(crate) async fn take_entries(&self) -> Vec<Entry> {
        if !self.has_entries.load(Ordering::Acquire) {
            return Vec::new();
        }
        let _order = self.sending.lock().await;
        std::mem::take(&mut *self.pending.lock()).to_entries()
    }

    pub(crate) fn step_output(&self, name: &str) -> Option<Json> {
        self.steps.lock().get(name).cloned()
    }

    /// Notes that the attempt has come to a step. Answers false where it had come to one of the name already.
    pub(crate) fn reach(&self, name: &str) -> bool {
        self.reached.lock().insert(name.to_owned())
    }

    /// True where the attempt has come to a step.
    pub(crate) fn has_reached(&self, name: &str) -> bool {
        self.reached.lock().contains(name)
    }

    /// Takes back that the attempt has come to a step, which has failed and may be tried again.
    pub(crate) fn leave(&self, name: &str) {
        self.reached.lock().remove(name);
    }

    /// True while a step is done that this attempt has not come to, signals aside: they come when others send them.
    pub(crate) fn is_replaying(&self) -> bool {
        let reached = self.reached.lock();
        self.steps.lock().keys().any(|name| !name.starts_with(SIGNAL_PREFIX) && !reached.contains(name))
    }

    /// Notes what the run is to wait for, should it end with [`Verdict::Waits`](crate::Verdict::Waits).
    pub(crate) fn wait(&self, entry: Option<Entry>, outcome: Outcome) {
        *self.wait.lock() = Some((entry, outcome));
    }

    pub(crate) fn has_wait(&self) -> bool {
        self.wait.lock().is_some()
    }

    pub(crate) fn take_wait(&self) -> Option<(Option<Entry>, Outcome)> {
        self.wait.lock().take()
    }

    /// The time on the store's clock, by the moment of the claim and what has passed since: clocks of machines differ.
    pub(crate) async fn store_time(&self, store: &dyn Store) -> Result<Timestamp> {
        let since = |at: Timestamp| at.plus(self.runtime.clock.since(self.claimed_at));
        if let Some(at) = self.started_at.get() {
            return Ok(since(*at));
        }
        let found = store.get(std::slice::from_ref(self.id())).await?.pop().and_then(Lookup::found);
        // A job that is not there has no run whose time would matter.
        let at = found.and_then(|record| record.started_at).unwrap_or(self.claimed.created_at);
        Ok(since(*self.started_at.get_or_init(|| at)))
    }

    pub(crate) fn keep_step(&self, name: &str, output: Json) {
        self.steps.lock().insert(name.to_owned(), output);
    }

    pub(crate) fn follow_up(&self, job: NewJob) {
        self.follow_ups.lock().push(job);
    }

    pub(crate) fn follow_ups_len(&self) -> usize {
        self.follow_ups.lock().len()
    }

    pub(crate) fn take_follow_ups(&self) -> Vec<NewJob> {
        std::mem::take(&mut *self.follow_ups.lock())
    }
}

/// The time from one heartbeat to the next: a tenth of the lease.
pub(crate) fn heartbeat_interval(lease_for: Duration) -> Duration {
    (lease_for / 10).max(SHORTEST_PAUSE)
}

/// The shortest pause between two heartbeats, so that a slow store is not called without a pause.
pub(crate) const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

fn describe(entry: &Entry) -> String {
    match entry {
        Entry::Progress(_) => "a report of progress".into(),
        Entry::Log { .. } => "a line of the log".into(),
        Entry::Chunk { data } => format!("a chunk of {} bytes", data.as_str().len()),
        Entry::Step { name, output, .. } => {
            format!("the output of step '{name}', {} bytes", output.as_str().len())
        }
    }
}
