use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::{join, join_all};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::layer::{RunError, RunErrorKind};
use super::registry::Runner;
use super::running::RunningJob;
use crate::clock::Clock;
use crate::job::{JobError, JobResult, Verdict};
use crate::model::JobId;
use crate::panics::{contain, contain_future};

/// A job of a call, its type forgotten.
pub(crate) type Member = Box<dyn Any + Send>;

/// The place where the jobs of one call meet. Each goes through the layers by itself; the innermost part of its run comes here,
/// and the handler is called once with those that have come.
#[derive(Debug)]
pub(crate) struct Call {
    state: Mutex<State>,
    /// Wakes the task that drives the call.
    changed: Notify,
    end: OnceLock<End>,
    ended: CancellationToken,
}

struct State {
    /// Jobs that have neither come nor ended.
    outside: BTreeSet<JobId>,
    /// Those that have come, by their seats; `None` once the handler was called.
    come: Option<BTreeMap<usize, Member>>,
    next_seat: usize,
    /// The number of seats that are taken.
    seated: usize,
    /// True once a job was cut off while the call ran.
    is_cut_off: bool,
}

/// The end of a call, for the jobs that have none of their own.
#[derive(Clone, Debug)]
enum End {
    Returned(Verdict, String),
    Panicked(String),
}

/// The place of a job in its call, which it holds until it has ended.
pub(super) struct Seat<'a> {
    call: &'a Call,
    number: usize,
    has_left: bool,
}

/// The time in which all jobs of a call must have come through their layers. Those that come later are run in another call.
const COME_WITHIN: Duration = Duration::from_secs(5);

/// Runs jobs as one call: each of `members` is a job and its run, through all layers, and what it comes to is in the result.
/// The handler is dropped when `stop` completes.
pub(crate) async fn run_call<F: Future>(
    runner: &Runner,
    members: Vec<(Arc<RunningJob>, F)>,
    clock: &Clock,
    stop: impl Future<Output = ()>,
) -> Vec<F::Output> {
    let outside = members.iter().map(|(job, _)| job.id().clone()).collect();
    let call = Arc::new(Call::new(outside));
    let span = members.first().map_or_else(tracing::Span::none, |(job, _)| {
        let (kind, queue) = (job.claimed.kind.as_str(), job.claimed.queue.as_str());
        tracing::info_span!("call", kind, queue, jobs = members.len())
    });
    let runs = members.into_iter().map(|(job, run)| {
        job.join_call(Arc::clone(&call));
        let call = Arc::clone(&call);
        async move {
            let result = run.await;
            call.stay_out(job.id());
            result
        }
    });
    let handled = async {
        if let Some(members) = call.begin(clock).await {
            call.close(handle(&call, runner, members, stop).await);
        }
    };
    join(join_all(runs), handled.instrument(span)).await.0
}

/// Calls the handler. Its panics go no further, neither when it runs nor when it is dropped.
async fn handle(call: &Call, runner: &Runner, members: Vec<Member>, stop: impl Future<Output = ()>) -> End {
    let mut handling = Box::pin(contain_future(async move { runner.handle(members).await }));
    let end = tokio::select! {
        biased;
        end = &mut handling => end.map_or_else(End::Panicked, End::of),
        () = call.deserted() => End::of(Ok(())),
        () = stop => End::of(Ok(())),
    };
    if let Err(panic) = contain(|| drop(handling)) {
        tracing::error!("a call {panic}, when it was dropped");
    }
    end
}

impl Call {
    fn new(outside: BTreeSet<JobId>) -> Self {
        let come = Some(BTreeMap::new());
        let state = State { outside, come, next_seat: 0, seated: 0, is_cut_off: false };
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            end: OnceLock::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Lets a job in; `None` where the handler was called already.
    pub(super) fn join(&self, id: &JobId, member: Member) -> Option<Seat<'_>> {
        let mut state = self.state.lock();
        state.outside.remove(id);
        let number = state.next_seat;
        state.come.as_mut()?.insert(number, member);
        state.next_seat += 1;
        state.seated += 1;
        self.changed.notify_one();
        Some(Seat { call: self, number, has_left: false })
    }

    /// Notes that the run of a job is over, so that the call does not wait for it.
    fn stay_out(&self, id: &JobId) {
        self.state.lock().outside.remove(id);
        self.changed.notify_one();
    }

    /// The jobs of the call, once all have come or ended, or the time for that is over; `None` where none came.
    async fn begin(&self, clock: &Clock) -> Option<Vec<Member>> {
        let is_complete = |state: &State| state.outside.is_empty();
        // Jobs that come later run in a later call. Without any job there is no call yet.
        if clock.timeout(COME_WITHIN, self.until(is_complete)).await.is_err() {
            self.until(|state| state.seated > 0 || state.outside.is_empty()).await;
        }
        let come = self.state.lock().come.take().unwrap_or_default();
        (!come.is_empty()).then(|| come.into_values().collect())
    }

    /// Completes once no job of the call is left and one of them was aborted: the handler may be waiting in vain for
    /// that one. If all jobs were answered, the handler may finish its own work.
    async fn deserted(&self) {
        self.until(|state| state.seated == 0 && state.is_cut_off).await;
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        while !is_so(&self.state.lock()) {
            self.changed.notified().await;
        }
    }

    fn close(&self, end: End) {
        let _ = self.end.set(end);
        self.ended.cancel();
    }

    /// The end of a job that the handler has given none, once the call is over.
    pub(super) async fn end_of(&self, job: &RunningJob) -> RunError {
        self.ended.cancelled().await;
        match self.end.get().cloned().unwrap_or_else(|| End::of(Ok(()))) {
            End::Returned(Verdict::Waits, message) if !job.has_wait() => {
                JobError::snooze(Duration::ZERO, format!("another job of its call {message}")).into()
            }
            End::Returned(verdict, message) => JobError { verdict, message }.into(),
            End::Panicked(panic) => {
                RunError { error: JobError::retry(format!("its call {panic}")), kind: RunErrorKind::Panicked }
            }
        }
    }
}

impl End {
    fn of(result: JobResult<()>) -> Self {
        match result {
            Ok(()) => {
                Self::Returned(Verdict::Retry(None), "its call ended and gave it no end of its own".into())
            }
            Err(JobError { verdict, message }) => Self::Returned(verdict, message),
        }
    }
}

impl Seat<'_> {
    /// Gives the seat up: the job has come to its end.
    pub(super) fn leave(mut self) {
        self.has_left = true;
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut state = self.call.state.lock();
        // One that is cut off before the handler is called is left out.
        let was_waiting = state.come.as_mut().and_then(|come| come.remove(&self.number));
        state.seated -= 1;
        state.is_cut_off |= !self.has_left;
        drop(state);
        self.call.changed.notify_one();
        // Outside of the lock: it is the application's, and may do anything when it is dropped.
        drop(was_waiting);
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("outside", &self.outside)
            .field("seated", &self.seated)
            .finish_non_exhaustive()
    }
}
