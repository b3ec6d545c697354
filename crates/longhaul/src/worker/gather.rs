use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio_util::sync::CancellationToken;

use super::collect::Collect;
use super::execution::DEADLINE_PASSED;
use super::queue::LONGEST_WAIT;
use super::running::{AbortReason, RunningJob};
use super::task::release;
use crate::clock::Clock;
use crate::model::{CancelReason, Claimed, Finish, Outcome, SupportedKind};
use crate::store::Result;

/// Claimed jobs of one kind that wait for others of their queue and key, to be handed to the handler in one call.
pub(crate) struct Gather {
    pub(crate) kind: SupportedKind,
    collect: Collect,
    clock: Clock,
    /// In the order of the arrival of their oldest jobs.
    groups: Vec<Group>,
    /// Resolve to the runs that must not be run.
    watches: FuturesUnordered<BoxFuture<'static, u64>>,
    /// The claim that is under way.
    claim: Option<GatherClaim>,
    /// True where the last claim brought less than it asked for, so that the next one may wait.
    is_dry: bool,
}

/// Jobs of one queue and key.
struct Group {
    queue: usize,
    key: Option<String>,
    jobs: VecDeque<Gathered>,
}

/// A claimed job that is not run yet.
pub(crate) struct Gathered {
    pub(crate) run: u64,
    pub(crate) job: Arc<RunningJob>,
    since: Duration,
    /// Ends its watch when it is dropped.
    _watched: tokio_util::sync::DropGuard,
}

/// A claim of a gather's own.
pub(crate) struct GatherClaim {
    /// The number of jobs to claim of each queue of the worker.
    pub(crate) wanted: Vec<usize>,
    pub(crate) wait: Duration,
    /// The jobs, whose leases began no earlier than the monotonic time beside them.
    pub(crate) answer: BoxFuture<'static, (Duration, Result<Vec<Claimed>>)>,
}

/// An event for a gather.
pub(crate) enum Gathering {
    /// Its claim was answered.
    Claimed { leased: Duration, wanted: usize, claimed: Result<Vec<Claimed>> },
    /// A job that it holds must not be run.
    LeftOut { run: u64 },
}

/// The number of calls' worth of jobs that are held for each free slot if jobs are grouped by a key, so that calls
/// become large.
const CALLS_AHEAD: usize = 8;
/// The most jobs that are held so.
const MOST_HELD: usize = 1_000;
/// The most jobs of one claim, which comes in one answer.
const MOST_CLAIMED: usize = 1_000;

impl Gather {
    pub(crate) fn new(kind: SupportedKind, collect: Collect, clock: Clock) -> Self {
        let (groups, watches) = (Vec::new(), FuturesUnordered::new());
        Self { kind, collect, clock, groups, watches, claim: None, is_dry: false }
    }

    /// Adds a job.
    pub(crate) fn add(&mut self, run: u64, queue: usize, job: Arc<RunningJob>) {
        let key = self.collect.key(&job.claimed.args);
        let taken = CancellationToken::new();
        self.watches.push(watch(run, Arc::clone(&job), taken.clone()).boxed());
        let since = self.clock.monotonic();
        let gathered = Gathered { run, job, since, _watched: taken.drop_guard() };
        match self.groups.iter_mut().find(|group| group.queue == queue && group.key == key) {
            Some(group) => group.jobs.push_back(gathered),
            None => self.groups.push(Group { queue, key, jobs: VecDeque::from([gathered]) }),
        }
    }

    /// The number of jobs that may be claimed of a queue with so many free slots.
    pub(crate) fn room(&self, queue: usize, free: usize) -> usize {
        self.most_held(free).saturating_sub(self.held(queue))
    }

    /// The number of jobs that the next claim asks for in each queue, by its free slots.
    pub(crate) fn wanted(&self, free: &[usize]) -> Vec<usize> {
        let most = (MOST_CLAIMED / free.len().max(1)).max(1);
        free.iter().enumerate().map(|(queue, free)| self.room(queue, *free).min(most)).collect()
    }

    fn most_held(&self, free: usize) -> usize {
        let calls = self.collect.max.saturating_mul(free);
        match self.collect.by {
            None => calls,
            Some(_) => calls.saturating_mul(CALLS_AHEAD).min(MOST_HELD).max(calls),
        }
    }

    fn held(&self, queue: usize) -> usize {
        self.groups.iter().filter(|group| group.queue == queue).map(|group| group.jobs.len()).sum()
    }

    /// The time since which a call of this queue could run, and the number of its group, where there is one: it is full, or its
    /// first job has waited long enough. Where no more may be claimed the fullest need not wait longer.
    pub(crate) fn ready(&self, queue: usize, free: usize) -> Option<(Duration, usize)> {
        let groups = || self.groups.iter().enumerate().filter(|(_, group)| group.queue == queue);
        let ready = groups().find_map(|(n, group)| {
            let since = group.since()?;
            let is_ready =
                group.jobs.len() >= self.collect.max || self.clock.since(since) >= self.collect.wait;
            is_ready.then_some((since, n))
        });
        let fullest = || {
            let (n, group) = groups().max_by_key(|(n, group)| (group.jobs.len(), std::cmp::Reverse(*n)))?;
            Some((group.since()?, n))
        };
        match ready {
            None if free > 0 && self.room(queue, free) == 0 => fullest(),
            ready => ready,
        }
    }

    /// Takes the jobs of a call out of a group.
    pub(crate) fn take(&mut self, group: usize) -> Vec<Gathered> {
        let jobs = &mut self.groups[group].jobs;
        let taken = jobs.drain(..self.collect.max.min(jobs.len())).collect();
        self.tidy();
        taken
    }

    /// The jobs that have waited for others, and for so long again for a slot: another worker may have one.
    pub(crate) fn give_up(&mut self) -> Vec<Gathered> {
        let patience = self.patience();
        let mut given_up = Vec::new();
        for group in &mut self.groups {
            let is_overdue = |gathered: &&Gathered| self.clock.since(gathered.since) >= patience;
            let overdue = group.jobs.iter().take_while(is_overdue).count();
            given_up.extend(group.jobs.drain(..overdue));
        }
        self.tidy();
        given_up
    }

    fn patience(&self) -> Duration {
        self.collect.wait + self.collect.wait.max(LONGEST_WAIT)
    }

    /// Takes all jobs out, and claims no more.
    pub(crate) fn close(&mut self) -> Vec<Gathered> {
        self.claim = None;
        std::mem::take(&mut self.groups).into_iter().flat_map(|group| group.jobs).collect()
    }

    /// Takes one job out.
    pub(crate) fn remove(&mut self, run: u64) -> Option<Gathered> {
        let is_it = |gathered: &Gathered| gathered.run == run;
        let removed = self.groups.iter_mut().find_map(|group| {
            let place = group.jobs.iter().position(is_it)?;
            group.jobs.remove(place)
        });
        self.tidy();
        removed
    }

    /// The time until a group has waited long enough, or has waited for a slot for too long.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        let due = |since: Duration| {
            let waited = self.clock.since(since);
            let (wait, patience) = (self.collect.wait, self.patience());
            if waited < wait { wait - waited } else { patience.saturating_sub(waited) }
        };
        self.groups.iter().filter_map(Group::since).map(due).min()
    }

    pub(crate) fn is_claiming(&self) -> bool {
        self.claim.is_some()
    }

    pub(crate) fn begin_claim(&mut self, claim: GatherClaim) {
        self.claim = Some(claim);
    }

    /// Drops a claim that waits for jobs, where a queue that it asks has no room any more, or one that it does not ask has some.
    pub(crate) fn review_claim(&mut self, free: &[usize]) {
        let has_room: Vec<bool> = self.wanted(free).into_iter().map(|jobs| jobs > 0).collect();
        self.claim.take_if(|claim| {
            let is_asked = claim.wanted.iter().map(|wanted| *wanted > 0);
            !claim.wait.is_zero() && !is_asked.eq(has_room)
        });
    }

    /// True where the next claim may wait for jobs: the last has found no more than it brought.
    pub(crate) fn is_dry(&self) -> bool {
        self.is_dry
    }

    pub(crate) fn note_claim(&mut self, wanted: usize, claimed: usize) {
        self.is_dry = claimed < wanted;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Gathering> {
        if let Poll::Ready(Some(run)) = self.watches.poll_next_unpin(cx) {
            return Poll::Ready(Gathering::LeftOut { run });
        }
        let Some(claim) = &mut self.claim else { return Poll::Pending };
        let Poll::Ready((leased, claimed)) = claim.answer.poll_unpin(cx) else { return Poll::Pending };
        let wanted = claim.wanted.iter().sum();
        self.claim = None;
        Poll::Ready(Gathering::Claimed { leased, wanted, claimed })
    }

    fn tidy(&mut self) {
        self.groups.retain(|group| !group.jobs.is_empty());
        // What is left of a group is younger than what was taken.
        self.groups.sort_by_key(Group::since);
    }
}

impl Group {
    fn since(&self) -> Option<Duration> {
        self.jobs.front().map(|gathered| gathered.since)
    }
}

/// The next event of one of the gathers.
pub(crate) async fn next_gathering(gathers: &mut [Gather]) -> (usize, Gathering) {
    std::future::poll_fn(|cx| {
        for (n, gather) in gathers.iter_mut().enumerate() {
            if let Poll::Ready(gathering) = gather.poll(cx) {
                return Poll::Ready((n, gathering));
            }
        }
        Poll::Pending
    })
    .await
}

/// Completes when a job must not be run any more, or was taken out of the gather.
async fn watch(run: u64, job: Arc<RunningJob>, taken: CancellationToken) -> u64 {
    tokio::select! {
        biased;
        () = taken.cancelled() => {}
        _ = job.aborted() => {}
        () = job.cancelled.cancelled() => {}
        () = job.deadline() => {}
    }
    run
}

/// The end of a job that is left out of its call; nothing, where it is no longer ours.
pub(crate) fn left_out(job: &RunningJob) -> Option<Finish> {
    let outcome = match job.abort_reason() {
        Some(AbortReason::LeaseLost) => return None,
        Some(_) => Outcome::Released,
        None if job.cancelled.is_cancelled() => Outcome::Cancelled {
            reason: "cancelled while it waited for others of its call".to_owned(),
            cancel_reason: CancelReason::Asked,
        },
        None => {
            Outcome::Cancelled { reason: DEADLINE_PASSED.to_owned(), cancel_reason: CancelReason::Deadline }
        }
    };
    Some(Finish { outcome, ..release(job) })
}
