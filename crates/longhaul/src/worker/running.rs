use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::recorder::Recorder;
use crate::clock::Stopwatch;
use crate::model::{Claimed, Entry, JobId, Json, LeaseStatus, NewJob, Record};
use crate::store::{Result, Store};

/// A job while it runs here: what its context, the recorder, the heartbeat and the dispatcher share.
#[derive(Debug)]
pub(crate) struct RunningJob {
    pub(crate) claimed: Claimed,
    /// Fired when somebody asks for the job to stop; the job may react.
    pub(crate) cancelled: CancellationToken,
    /// Fired when the job must stop now, with the reason beside it.
    aborted: CancellationToken,
    abort_reason: OnceLock<AbortReason>,
    /// The lease as this process knows it: it ends so long after this was started.
    lease: Mutex<(Stopwatch, Duration)>,
    /// Sends entries in the background; a test harness has none and sends them all with the finish.
    recorder: Option<Recorder>,
    /// Entries that are not yet with the store.
    pending: Mutex<Vec<Entry>>,
    /// Held while entries are on their way, so that they reach the store in order and before the finish.
    sending: tokio::sync::Mutex<()>,
    /// Whether the job has ever had an entry: one that has not needs neither lock at its end.
    has_entries: AtomicBool,
    follow_ups: Mutex<Vec<NewJob>>,
    steps: Mutex<BTreeMap<String, Json>>,
}

/// Why a job's execution was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AbortReason {
    /// The job is no longer this worker's, or will not be for long: nothing more is said about it.
    LeaseLost,
    /// The worker shuts down and hands it back.
    Shutdown,
}

/// Whether entries reached a store that still knew the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Yes,
    LeaseLost,
}

impl RunningJob {
    /// Takes a job whose lease began no earlier than `claiming` was started.
    pub(crate) fn new(
        mut claimed: Claimed,
        claiming: Stopwatch,
        lease_for: Duration,
        recorder: Option<Recorder>,
    ) -> Arc<Self> {
        let steps = std::mem::take(&mut claimed.steps);
        Arc::new(Self {
            claimed,
            cancelled: CancellationToken::new(),
            aborted: CancellationToken::new(),
            abort_reason: OnceLock::new(),
            lease: Mutex::new((claiming, lease_for)),
            recorder,
            pending: Mutex::default(),
            sending: tokio::sync::Mutex::default(),
            has_entries: AtomicBool::new(false),
            follow_ups: Mutex::default(),
            steps: Mutex::new(steps),
        })
    }

    pub(crate) fn id(&self) -> &JobId {
        &self.claimed.lease.id
    }

    /// Cuts the execution off. The first reason counts.
    pub(crate) fn abort(&self, reason: AbortReason) {
        let _ = self.abort_reason.set(reason);
        self.aborted.cancel();
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.is_cancelled()
    }

    /// Completes when the execution is to be cut off.
    pub(crate) async fn aborted(&self) -> AbortReason {
        self.aborted.cancelled().await;
        self.abort_reason.get().copied().unwrap_or(AbortReason::LeaseLost)
    }

    /// Notes that the lease was extended by a heartbeat that was sent when `sending` was started.
    pub(crate) fn extend_lease(&self, sending: Stopwatch, lease_for: Duration) {
        *self.lease.lock() = (sending, lease_for);
    }

    /// How much longer this process may believe that the job is its own.
    pub(crate) fn lease_left(&self) -> Duration {
        let (since, lease_for) = *self.lease.lock();
        lease_for.saturating_sub(since.elapsed())
    }

    /// Adds an entry to be sent soon. Of several waiting reports of progress only the last is kept: nobody
    /// could have seen the others.
    pub(crate) fn push(self: &Arc<Self>, entry: Entry) {
        self.has_entries.store(true, Ordering::Release);
        let mut pending = self.pending.lock();
        if let Entry::Progress(_) = entry
            && let Some(Entry::Progress(_)) = pending.last()
        {
            pending.pop();
        }
        pending.push(entry);
        if pending.len() == 1
            && let Some(recorder) = &self.recorder
        {
            recorder.wake(self);
        }
    }

    pub(crate) fn pending_len(&self) -> usize {
        self.pending.lock().len()
    }

    /// Sends what waits, and `entry` after it. What the store did not take waits on, in its place: should it
    /// have been taken and only the answer lost, it is better said twice than not at all.
    pub(crate) async fn send(&self, store: &dyn Store, entry: Option<Entry>) -> Result<Sent> {
        if entry.is_some() {
            self.has_entries.store(true, Ordering::Release);
        }
        let _order = self.sending.lock().await;
        let mut entries = std::mem::take(&mut *self.pending.lock());
        entries.extend(entry);
        if entries.is_empty() {
            return Ok(Sent::Yes);
        }
        let record = Record { lease: self.claimed.lease.clone(), entries: entries.clone() };
        let statuses = match store.record(vec![record]).await {
            Ok(statuses) => statuses,
            Err(error) => {
                self.pending.lock().splice(..0, entries);
                return Err(error);
            }
        };
        match statuses.first() {
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

    /// What is left to be sent with the finish, after whatever is on its way has arrived.
    pub(crate) async fn take_entries(&self) -> Vec<Entry> {
        if !self.has_entries.load(Ordering::Acquire) {
            return Vec::new();
        }
        let _order = self.sending.lock().await;
        std::mem::take(&mut *self.pending.lock())
    }

    pub(crate) fn step_output(&self, name: &str) -> Option<Json> {
        self.steps.lock().get(name).cloned()
    }

    pub(crate) fn keep_step(&self, name: &str, output: Json) {
        self.steps.lock().insert(name.to_owned(), output);
    }

    pub(crate) fn follow_up(&self, job: NewJob) {
        self.follow_ups.lock().push(job);
    }

    pub(crate) fn take_follow_ups(&self) -> Vec<NewJob> {
        std::mem::take(&mut *self.follow_ups.lock())
    }
}
