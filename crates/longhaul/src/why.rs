//! The reasons for which a job waits.

use crate::clock::Timestamp;
use crate::handle::Longhaul;
use crate::lifecycle::limits::{self, KeyState};
use crate::model::{
    Condition, Cost, JobFilter, JobId, JobRecord, KeyFilter, KeyInfo, MAX_DEPENDENCIES, Page, Payloads,
    Prefer, QueueInfo, State, Strength, Term, WaitsFor, WorkerInfo,
};
use crate::store::Result;

/// A job's state and the reasons for which it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Its state.
    pub state: State,
    /// Its place among the available jobs of its queue, from 1.
    pub position: Option<u64>,
    /// The reasons, in the order of the checks. An available job with none waits for a free worker slot; a running or
    /// finished job has none.
    pub reasons: Vec<Reason>,
}

/// One reason for which a job waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The rule.
    pub rule: Rule,
    /// Its subject: a limit key, a queue, a kind, a signal or labels of workers.
    pub key: Option<String>,
    /// The end of the reason, if it is known.
    pub until: Option<Timestamp>,
    /// The jobs that it waits for; at most [`MAX_WAITED_FOR`].
    pub waits_for: Vec<JobId>,
    /// The number of events that have come, of those waited for; for slots, the number that is taken.
    pub done: Option<u64>,
    /// The number of events waited for; for slots, the number that there is.
    pub of: Option<u64>,
}

/// The rules by which a job waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It was enqueued, or put off, for a later time.
    RunAt,
    /// An attempt failed, and the next one waits for its backoff.
    Retry,
    /// It waits for jobs that it depends on.
    DependsOn,
    /// It waits for its children.
    Children,
    /// It waits for a signal.
    Signal,
    /// Its attempts are used up, and it waits for a person who retries or cancels it.
    Exhausted,
    /// Its queue is paused.
    PausedQueue,
    /// One of its limit keys is paused.
    PausedKey,
    /// The runs of its queue take the slots that it would need.
    SlotsQueue,
    /// The runs of one of its limit keys take all the slots that it may have.
    SlotsKey,
    /// The rate of its queue lets it start later.
    RateQueue,
    /// The rate of one of its limit keys lets it start later.
    RateKey,
    /// Nothing but the turns of other limit keys, in a fair queue.
    Turn,
    /// No live worker serves its queue, or none that does has the labels without which it is not claimed.
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
            Rule::DependsOn => "depends_on",
            Rule::Children => "children",
            Rule::Signal => "signal",
            Rule::Exhausted => "exhausted",
            Rule::PausedQueue => "paused_queue",
            Rule::PausedKey => "paused_key",
            Rule::SlotsQueue => "slots_queue",
            Rule::SlotsKey => "slots_key",
            Rule::RateQueue => "rate_queue",
            Rule::RateKey => "rate_key",
            Rule::Turn => "turn",
            Rule::NoWorker => "no_worker",
            Rule::UnknownKind => "unknown_kind",
        }
    }

    /// The rule by which a limit key keeps its jobs back, those that cost one unit: the first of its pause, its slots, its rate.
    #[must_use]
    pub fn of_key(key: &KeyInfo) -> Option<Self> {
        Reason::closed(key, Cost::default()).map(|reason| reason.rule)
    }
}

/// The most jobs that a reason names.
pub const MAX_WAITED_FOR: usize = 100;

impl Longhaul {
    /// The reasons for which a job waits; `job` is its record, as [read](Self::get).
    ///
    /// # Errors
    /// A store's fault.
    pub async fn why(&self, job: &JobRecord) -> Result<Why> {
        let reasons = match job.state {
            State::Blocked => self.blocked(job).await?,
            State::Scheduled => self.delayed(job).await?,
            State::Available => self.not_claimed(job).await?,
            State::Running | State::Completed | State::Failed | State::Cancelled => Vec::new(),
        };
        Ok(Why { state: job.state, position: job.position, reasons })
    }

    /// The time from which a waiting job may run, by its own `run_at`, the pauses of its limit keys and their rates.
    /// `None` if none of these holds it back.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn waits_until(&self, job: &JobRecord) -> Result<Option<Timestamp>> {
        let own = match job.state {
            State::Scheduled => Some(job.run_at),
            State::Available => None,
            _ => return Ok(None),
        };
        let closed = self.closed_limits(job, self.queue_of(job).await?.as_ref()).await?;
        Ok(closed.into_iter().filter_map(|reason| reason.until).chain(own).max())
    }

    async fn blocked(&self, job: &JobRecord) -> Result<Vec<Reason>> {
        let until = job.wakes_at;
        Ok(match &job.waits_for {
            Some(WaitsFor::Signal(name)) => {
                vec![Reason { key: Some(name.clone()), until, ..Reason::of(Rule::Signal) }]
            }
            Some(WaitsFor::Person) => vec![Reason::of(Rule::Exhausted)],
            Some(WaitsFor::Dependencies) => {
                let mut reasons = vec![self.unfinished_dependencies(job).await?];
                // It closes a batch, too.
                if job.children.is_some_and(|children| children.unfinished() > 0) {
                    reasons.push(self.unfinished_children(job).await?);
                }
                reasons
            }
            Some(WaitsFor::Children) | None => {
                vec![Reason { until, ..self.unfinished_children(job).await? }]
            }
        })
    }

    async fn unfinished_dependencies(&self, job: &JobRecord) -> Result<Reason> {
        let ids = job.depends_on.iter().map(|on| on.id.clone()).collect();
        let waits_for = self.unfinished(JobFilter { ids, ..JobFilter::default() }, MAX_DEPENDENCIES).await?;
        let of = job.depends_on.len() as u64;
        Ok(Reason {
            done: Some(of.saturating_sub(waits_for.len() as u64)),
            of: Some(of),
            waits_for: waits_for.into_iter().take(MAX_WAITED_FOR).collect(),
            ..Reason::of(Rule::DependsOn)
        })
    }

    async fn unfinished_children(&self, job: &JobRecord) -> Result<Reason> {
        let filter = JobFilter { parents: vec![job.id.clone()], ..JobFilter::default() };
        let counts = job.children.unwrap_or_default();
        Ok(Reason {
            waits_for: self.unfinished(filter, MAX_WAITED_FOR).await?,
            done: Some(counts.total - counts.unfinished().min(counts.total)),
            of: Some(counts.total),
            ..Reason::of(Rule::Children)
        })
    }

    /// The first of the jobs that fit and have not ended.
    async fn unfinished(&self, filter: JobFilter, limit: usize) -> Result<Vec<JobId>> {
        let states = vec![State::Blocked, State::Scheduled, State::Available, State::Running];
        let page = Page { limit, payloads: Payloads::Short, ..Page::default() };
        let page = self.store().list(&JobFilter { states, ..filter }, page).await?;
        Ok(page.jobs.into_iter().map(|job| job.id).collect())
    }

    async fn delayed(&self, job: &JobRecord) -> Result<Vec<Reason>> {
        let paused = self.paused_keys(job).await?;
        let has_failed =
            job.errors.last().is_some_and(|error| error.attempt >= job.attempt && job.attempt > 0);
        let rule = if has_failed { Rule::Retry } else { Rule::RunAt };
        // A run that came to its limit waits as long as its key is paused.
        let by_pause = paused.iter().any(|reason| reason.until == Some(job.run_at));
        let own = (!by_pause).then(|| Reason { until: Some(job.run_at), ..Reason::of(rule) });
        let queue = self.queue_of(job).await?;
        Ok(own.into_iter().chain(paused).chain(queue.iter().filter_map(Reason::paused)).collect())
    }

    async fn not_claimed(&self, job: &JobRecord) -> Result<Vec<Reason>> {
        let queue = self.queue_of(job).await?;
        let mut reasons: Vec<Reason> = queue.iter().filter_map(Reason::paused).collect();
        reasons.extend(self.closed_limits(job, queue.as_ref()).await?);
        let workers = self.store().workers().await?;
        let serving: Vec<&WorkerInfo> = workers
            .iter()
            .filter(|worker| worker.queues.iter().any(|queue| queue.queue == job.queue))
            .collect();
        if serving.is_empty() {
            reasons.push(Reason { key: Some(job.queue.clone()), ..Reason::of(Rule::NoWorker) });
        } else if !serving.iter().any(|worker| worker.knows(&job.kind, job.version)) {
            reasons.push(Reason { key: Some(job.kind.clone()), ..Reason::of(Rule::UnknownKind) });
        } else if let Some(prefer) = job.prefer.as_ref().filter(|prefer| prefer.strength == Strength::Hard)
            && !serving
                .iter()
                .any(|worker| worker.knows(&job.kind, job.version) && prefer.is_met_by(&worker.labels))
        {
            let labels = Prefer { strength: Strength::Soft, ..prefer.clone() }.to_string();
            reasons.push(Reason { key: Some(labels), ..Reason::of(Rule::NoWorker) });
        }
        if reasons.is_empty()
            && queue.is_some_and(|queue| queue.config.fair)
            && self.others_have_turns(job).await?
        {
            reasons.push(Reason { key: job.limit_keys.first().cloned(), ..Reason::of(Rule::Turn) });
        }
        Ok(reasons)
    }

    /// True where jobs of other limit keys wait in a job's queue.
    async fn others_have_turns(&self, job: &JobRecord) -> Result<bool> {
        let Some(first) = job.limit_keys.first() else {
            let filter = KeyFilter { queue: Some(job.queue.clone()), limit: 1, ..KeyFilter::default() };
            return Ok(!self.store().keys(&filter).await?.is_empty());
        };
        let of_others = Term { condition: Condition::Key(first.clone()), negated: true };
        let filter = JobFilter {
            states: vec![State::Available],
            queues: vec![job.queue.clone()],
            terms: vec![of_others],
            ..JobFilter::default()
        };
        let page = Page { limit: 1, payloads: Payloads::Short, ..Page::default() };
        Ok(!self.store().list(&filter, page).await?.jobs.is_empty())
    }

    async fn queue_of(&self, job: &JobRecord) -> Result<Option<QueueInfo>> {
        Ok(self.store().queues().await?.into_iter().find(|queue| queue.name == job.queue))
    }

    async fn paused_keys(&self, job: &JobRecord) -> Result<Vec<Reason>> {
        let mut reasons = self.closed_keys(job).await?;
        reasons.retain(|reason| reason.rule == Rule::PausedKey);
        Ok(reasons)
    }

    /// The limits of its queue and of its keys that keep a job from being claimed, in the order in which they are looked at.
    async fn closed_limits(&self, job: &JobRecord, queue: Option<&QueueInfo>) -> Result<Vec<Reason>> {
        let mut reasons = self.closed_keys(job).await?;
        reasons.extend(queue.and_then(|queue| Reason::closed_queue(queue, job)));
        reasons.sort_by_key(|reason| reason.rule as u8);
        Ok(reasons)
    }

    /// The limit keys that keep a job from being claimed: of each the first of its pause, its slots, its rate.
    async fn closed_keys(&self, job: &JobRecord) -> Result<Vec<Reason>> {
        if job.limit_keys.is_empty() {
            return Ok(Vec::new());
        }
        let (names, limit, cost) = (job.limit_keys.clone(), job.limit_keys.len(), job.policy.cost);
        let filter = KeyFilter { names, limit, cost, ..KeyFilter::default() };
        let keys = self.store().keys(&filter).await?;
        Ok(keys.iter().filter_map(|key| Reason::closed(key, cost)).collect())
    }
}

impl Reason {
    fn of(rule: Rule) -> Self {
        Self { rule, key: None, until: None, waits_for: Vec::new(), done: None, of: None }
    }

    fn closed(key: &KeyInfo, cost: Cost) -> Option<Self> {
        let of = |rule| Self { key: Some(key.key.clone()), ..Self::of(rule) };
        if key.closed_until.is_some() {
            return Some(Self { until: key.closed_until, ..of(Rule::PausedKey) });
        }
        if let Some(most) = lacks_slots(key.limits.slots, key.used, cost) {
            return Some(Self { done: Some(key.used), of: Some(most), ..of(Rule::SlotsKey) });
        }
        key.rate_free_at.map(|_| Self { until: key.rate_free_at, ..of(Rule::RateKey) })
    }

    fn paused(queue: &QueueInfo) -> Option<Self> {
        queue.paused.then(|| Self { key: Some(queue.name.clone()), ..Self::of(Rule::PausedQueue) })
    }

    fn closed_queue(queue: &QueueInfo, job: &JobRecord) -> Option<Self> {
        let of = |rule| Self { key: Some(queue.name.clone()), ..Self::of(rule) };
        let used = queue.used.unwrap_or_default();
        if let Some(most) = lacks_slots(queue.config.slots, used, job.policy.cost) {
            return Some(Self { done: Some(used), of: Some(most), ..of(Rule::SlotsQueue) });
        }
        let (rate, left, free_at) = (queue.config.rate?, queue.rate_left?, queue.rate_free_at?);
        let (units, burst) = (job.policy.cost.rate, rate.burst());
        if units <= left {
            return None;
        }
        let state = KeyState {
            rate_free_at: free_at.0.saturating_mul(1_000),
            rate: Some(rate),
            ..KeyState::default()
        };
        let until = limits::rate_admits_at(&queue.config.limits(), &state, units, Timestamp(i64::MIN));
        let used = u64::from(burst - left.min(burst));
        Some(Self { until, done: Some(used), of: Some(u64::from(burst)), ..of(Rule::RateQueue) })
    }
}

/// The slots of a limit where a job of this cost must wait for some of them.
fn lacks_slots(most: Option<u32>, used: u64, cost: Cost) -> Option<u64> {
    let slots = u64::from(cost.slots);
    most.map(u64::from).filter(|most| used > 0 && used + slots > *most)
}

impl WorkerInfo {
    /// True if it runs jobs of this kind and version. A worker of a release that does not report its kinds may run any.
    #[must_use]
    pub fn knows(&self, kind: &str, version: u32) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|known| known.kind == kind && known.version >= version)
    }
}
