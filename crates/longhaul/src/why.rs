//! The reasons for which a job waits.

use crate::clock::Timestamp;
use crate::handle::Longhaul;
use crate::model::{JobFilter, JobId, JobRecord, Page, Payloads, State, WorkerInfo};
use crate::store::Result;

/// Why a job is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Its state.
    pub state: State,
    /// Its place among the available jobs of its queue, from 1.
    pub position: Option<u64>,
    /// What keeps it from running, in the order in which it is looked at. An available job with none waits for its turn;
    /// one that runs or has ended waits for nothing.
    pub reasons: Vec<Reason>,
}

/// One thing that keeps a job from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The rule.
    pub rule: Rule,
    /// The limit key, the queue or the kind that it is about.
    pub key: Option<String>,
    /// When it ends, where that is known.
    pub until: Option<Timestamp>,
    /// Jobs that it waits for; at most [`MAX_WAITED_FOR`].
    pub waits_for: Vec<JobId>,
    /// Of a number of things that must happen, those that have.
    pub done: Option<u64>,
    /// That number.
    pub of: Option<u64>,
}

/// The rules that keep jobs from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It was enqueued, or put off, for a later time.
    RunAt,
    /// An attempt failed, and the next one waits for its backoff.
    Retry,
    /// It waits for its children.
    Children,
    /// Its queue is paused.
    PausedQueue,
    /// Its limit key is paused.
    PausedKey,
    /// No live worker serves its queue.
    NoWorker,
    /// Live workers serve its queue, and none knows its kind and version.
    UnknownKind,
}

impl Rule {
    /// The word used for it everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Rule::RunAt => "run_at",
            Rule::Retry => "retry",
            Rule::Children => "children",
            Rule::PausedQueue => "paused_queue",
            Rule::PausedKey => "paused_key",
            Rule::NoWorker => "no_worker",
            Rule::UnknownKind => "unknown_kind",
        }
    }
}

/// The most jobs that a reason names.
pub const MAX_WAITED_FOR: usize = 20;

impl Longhaul {
    /// Why a job waits, as it was [looked up](Self::get).
    ///
    /// # Errors
    /// A store's fault.
    pub async fn why(&self, job: &JobRecord) -> Result<Why> {
        let reasons = match job.state {
            State::Blocked => vec![self.unfinished_children(job).await?],
            State::Scheduled => self.delayed(job).await?,
            State::Available => self.not_claimed(job).await?,
            State::Running | State::Completed | State::Failed | State::Cancelled => Vec::new(),
        };
        Ok(Why { state: job.state, position: job.position, reasons })
    }

    async fn unfinished_children(&self, job: &JobRecord) -> Result<Reason> {
        let unfinished = [State::Blocked, State::Scheduled, State::Available, State::Running];
        let filter =
            JobFilter { parents: vec![job.id.clone()], states: unfinished.into(), ..JobFilter::default() };
        let page = Page { limit: MAX_WAITED_FOR, payloads: Payloads::Short, ..Page::default() };
        let waits_for =
            self.store().list(&filter, page).await?.jobs.into_iter().map(|child| child.id).collect();
        let counts = job.children.unwrap_or_default();
        Ok(Reason {
            waits_for,
            done: Some(counts.total - counts.unfinished().min(counts.total)),
            of: Some(counts.total),
            ..Reason::of(Rule::Children)
        })
    }

    async fn delayed(&self, job: &JobRecord) -> Result<Vec<Reason>> {
        let pause = self.pause_of(job).await?;
        let rule = match pause {
            // The pause has put it off.
            Some(until) if until >= job.run_at => Rule::PausedKey,
            _ if job.errors.last().is_some_and(|error| error.attempt >= job.attempt && job.attempt > 0) => {
                Rule::Retry
            }
            _ => Rule::RunAt,
        };
        let key = job.limit_key.clone().filter(|_| rule == Rule::PausedKey);
        let mut reasons = vec![Reason { key, until: Some(job.run_at), ..Reason::of(rule) }];
        if rule != Rule::PausedKey {
            reasons.extend(pause.map(|until| Reason::paused_key(job, until)));
        }
        reasons.extend(self.paused_queue(job).await?);
        Ok(reasons)
    }

    async fn not_claimed(&self, job: &JobRecord) -> Result<Vec<Reason>> {
        let mut reasons: Vec<Reason> = self.paused_queue(job).await?.into_iter().collect();
        reasons.extend(self.pause_of(job).await?.map(|until| Reason::paused_key(job, until)));
        let workers = self.store().workers().await?;
        let serving: Vec<&WorkerInfo> = workers
            .iter()
            .filter(|worker| worker.queues.iter().any(|queue| queue.queue == job.queue))
            .collect();
        if serving.is_empty() {
            reasons.push(Reason { key: Some(job.queue.clone()), ..Reason::of(Rule::NoWorker) });
        } else if !serving.iter().any(|worker| worker.knows(&job.kind, job.version)) {
            reasons.push(Reason { key: Some(job.kind.clone()), ..Reason::of(Rule::UnknownKind) });
        }
        Ok(reasons)
    }

    async fn paused_queue(&self, job: &JobRecord) -> Result<Option<Reason>> {
        let queues = self.store().queues().await?;
        let is_paused = queues.iter().any(|queue| queue.name == job.queue && queue.paused);
        Ok(is_paused.then(|| Reason { key: Some(job.queue.clone()), ..Reason::of(Rule::PausedQueue) }))
    }

    async fn pause_of(&self, job: &JobRecord) -> Result<Option<Timestamp>> {
        let Some(key) = &job.limit_key else { return Ok(None) };
        let pauses = self.store().pauses().await?;
        Ok(pauses.into_iter().find(|pause| pause.key == *key).map(|pause| pause.until))
    }
}

impl Reason {
    fn of(rule: Rule) -> Self {
        Self { rule, key: None, until: None, waits_for: Vec::new(), done: None, of: None }
    }

    fn paused_key(job: &JobRecord, until: Timestamp) -> Self {
        Self { key: job.limit_key.clone(), until: Some(until), ..Self::of(Rule::PausedKey) }
    }
}

impl WorkerInfo {
    /// True where it runs jobs of this kind and version. A worker of a release that does not tell its kinds may know any.
    #[must_use]
    pub fn knows(&self, kind: &str, version: u32) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|known| known.kind == kind && known.version >= version)
    }
}
