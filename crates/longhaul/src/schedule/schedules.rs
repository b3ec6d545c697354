use std::collections::BTreeMap;
use std::time::Duration;

use super::kept::{self, Definition, Kept, Origin, Pause};
use super::ticker::{Ticker, parent};
use super::{MAX_SCHEDULES, QUEUE, Schedule, invalid, tick_id};
use crate::clock::{Clock, Timestamp};
use crate::handle::{CANCEL_GRACE, Done, Longhaul};
use crate::model::{
    Action, Enqueued, JobFilter, JobId, JobRecord, Keep, NewJob, Page, QueueConfig, Retention, State,
};
use crate::store::Result;

/// The schedules of a store: see [`Longhaul::schedules`].
#[derive(Clone, Debug)]
pub struct Schedules {
    pub(super) longhaul: Longhaul,
    pub(super) clock: Clock,
}

/// A schedule as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleInfo {
    /// Its definition.
    pub schedule: Schedule,
    /// The place that it comes from.
    pub origin: Origin,
    /// True while its ticks are left out.
    pub paused: bool,
    /// Its last ticks, the newest last: at most ten.
    pub recent: Vec<Tick>,
    /// Its next five ticks; none while it is paused.
    pub next: Vec<Timestamp>,
}

/// A tick that was fired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Its time.
    pub at: Timestamp,
    /// Its job.
    pub job: JobId,
    /// The state of the job; `None` where it is there no more, or where another job of its unique key stood for it.
    pub state: Option<State>,
}

/// The effect of putting a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// There was none of its name.
    Created,
    /// It takes the place of another one.
    Replaced,
    /// It was there already.
    Unchanged,
}

/// The number of next ticks in a [`ScheduleInfo`].
const NEXT_TICKS: usize = 5;
/// The number of schedules whose tickers are looked up in one call.
const LOOKED_FOR_AT_ONCE: usize = 100;
/// The times that a schedule is looked at until its ticker is right; a scheduler looks again within two minutes.
const LOOKS: usize = 5;
/// The longest wait for a ticker that runs, which takes milliseconds.
const RUN_PATIENCE: Duration = Duration::from_secs(1);
/// The jobs that are looked up in one call.
const GOT_AT_ONCE: usize = 1_000;

impl Schedules {
    pub(crate) fn new(longhaul: Longhaul) -> Self {
        Self { longhaul, clock: Clock::system() }
    }

    /// The same by another clock, which tests move.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// All schedules, by name. One that this release cannot read is left out, with a warning in the log.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn list(&self) -> Result<Vec<ScheduleInfo>> {
        let all = self.kept().await?;
        self.infos(all).await
    }

    /// The schedule of this name.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn get(&self, name: &str) -> Result<Option<ScheduleInfo>> {
        let Some(kept) = self.kept().await?.remove(name) else { return Ok(None) };
        Ok(self.infos(BTreeMap::from([(name.to_owned(), kept)])).await?.pop())
    }

    /// Keeps a schedule, in the place of the one that has its name. What was paused stays paused. Its ticks count from now
    /// on; where its timing stays, from where it was, and what is due by a timing that changes is fired before.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where the schedule breaks a bound; a store's fault.
    pub async fn put(&self, schedule: Schedule) -> Result<Put> {
        self.put_from(Origin::Call, schedule).await
    }

    /// Keeps the schedules of a file, and deletes those that came from it and are in it no more. Servers of one store that
    /// are started with the same file agree on them.
    ///
    /// # Errors
    /// As for [`put`](Self::put); nothing is kept then.
    pub async fn put_file(&self, schedules: Vec<Schedule>) -> Result<()> {
        schedules.iter().try_for_each(Schedule::validate)?;
        let is_of_file = |kept: &Kept| kept.definition.origin == Origin::File;
        for (name, kept) in self.kept().await? {
            if is_of_file(&kept) && !schedules.iter().any(|schedule| schedule.name == name) {
                tracing::info!(schedule = name, "deleted a schedule that is in the file no more");
                self.delete(&name).await?;
            }
        }
        for schedule in schedules {
            self.put_from(Origin::File, schedule).await?;
        }
        Ok(())
    }

    async fn put_from(&self, origin: Origin, schedule: Schedule) -> Result<Put> {
        schedule.validate()?;
        let name = schedule.name.clone();
        let mut all = kept::read(self.store()).await?;
        let before = match all.remove(&name) {
            Some(before) => before.ok().map(|kept| kept.definition),
            None if all.len() >= MAX_SCHEDULES => {
                return invalid(
                    "name",
                    format!("must be one of the {MAX_SCHEDULES} schedules that a store may have"),
                );
            }
            None => None,
        };
        let now = self.clock.now();
        let put = match &before {
            None => Put::Created,
            Some(before) if before.schedule == schedule && before.origin == origin => Put::Unchanged,
            Some(_) => Put::Replaced,
        };
        if put != Put::Unchanged {
            let created_at = before.as_ref().map_or(now, |before| before.created_at);
            let same_timing = before.filter(|before| before.schedule.timing == schedule.timing);
            let timing_since = same_timing.map_or(now, |before| before.timing_since);
            let definition = Definition { schedule, origin, created_at, timing_since };
            kept::put_definition(self.store(), &definition).await?;
        }
        // Also without a change: the process that wrote the definition may have died before this.
        self.settle(&name).await?;
        Ok(put)
    }

    /// Deletes a schedule. Jobs that its ticks have made stay.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn delete(&self, name: &str) -> Result<Done> {
        if !kept::read(self.store()).await?.contains_key(name) {
            return Ok(Done::NotApplicable);
        }
        kept::delete(self.store(), name).await?;
        let waiting = vec![State::Scheduled, State::Available];
        let filter = JobFilter { parents: vec![parent(name)], states: waiting, ..JobFilter::default() };
        self.store().act(&filter, Action::cancel(CANCEL_GRACE), 1).await?;
        // Another process may have put one of the name since, and taken this ticker for its own.
        self.settle(name).await?;
        Ok(Done::Yes)
    }

    /// Leaves out the ticks from now on, on every server, until the schedule is resumed. What it is paused by outlives
    /// restarts and new definitions.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn pause(&self, name: &str) -> Result<Done> {
        self.set_paused(name, Pause { paused: true, at: self.clock.now() }).await
    }

    /// Fires ticks again, from now on: those of the pause are not made up for.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn resume(&self, name: &str) -> Result<Done> {
        self.set_paused(name, Pause { paused: false, at: self.clock.now() }).await
    }

    async fn set_paused(&self, name: &str, pause: Pause) -> Result<Done> {
        let Some(kept) = self.kept().await?.remove(name) else { return Ok(Done::NotApplicable) };
        if kept.is_paused() != pause.paused {
            kept::put_pause(self.store(), name, pause).await?;
            // Deleted meanwhile, it would leave its pause to the next schedule of the name.
            if !kept::read(self.store()).await?.contains_key(name) {
                kept::forget_pause(self.store(), name).await?;
                return Ok(Done::NotApplicable);
            }
        }
        self.settle(name).await?;
        Ok(Done::Yes)
    }

    /// Enqueues the schedule's job at once, beside its ticks. `None` where there is no such schedule.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn run(&self, name: &str) -> Result<Option<Enqueued>> {
        let Some(job) = self.job(name).await? else { return Ok(None) };
        self.longhaul.enqueue_one(job).await.map(Some)
    }

    /// The job that [`run`](Self::run) enqueues, for a caller that changes it before.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn job(&self, name: &str) -> Result<Option<NewJob>> {
        let Some(kept) = self.kept().await?.remove(name) else { return Ok(None) };
        let id = JobId::from_store(format!("schedule:{name}:run:{}", JobId::random()));
        Ok(Some(kept.definition.schedule.labelled_job(id)))
    }

    fn store(&self) -> &dyn crate::Store {
        self.longhaul.store().as_ref()
    }

    async fn kept(&self) -> Result<BTreeMap<String, Kept>> {
        let readable = |(name, kept): (String, Result<Kept, String>)| match kept {
            Ok(kept) => Some((name, kept)),
            Err(reason) => {
                tracing::warn!(schedule = name, "{reason}");
                None
            }
        };
        Ok(kept::read(self.store()).await?.into_iter().filter_map(readable).collect())
    }

    async fn infos(&self, all: BTreeMap<String, Kept>) -> Result<Vec<ScheduleInfo>> {
        let now = self.clock.now();
        let tickers = self.tickers(all.keys().map(String::as_str)).await?;
        let mut infos = Vec::new();
        for (name, kept) in all {
            let (paused, Definition { schedule, origin, created_at, .. }) =
                (kept.is_paused(), kept.definition);
            let ticker = tickers.get(&name).and_then(|job| job.args.to::<Ticker>().ok());
            let recent = ticker.map(|ticker| ticker.recent_since(created_at)).unwrap_or_default();
            let tick = |at| Tick { at, job: tick_id(&name, at), state: None };
            let recent = recent.into_iter().map(tick).collect();
            let next = if paused { Vec::new() } else { schedule.next(now, NEXT_TICKS).unwrap_or_default() };
            infos.push(ScheduleInfo { schedule, origin, paused, recent, next });
        }
        let ids: Vec<JobId> =
            infos.iter().flat_map(|info| &info.recent).map(|tick| tick.job.clone()).collect();
        let mut states = BTreeMap::new();
        for ids in ids.chunks(GOT_AT_ONCE) {
            let jobs = self.longhaul.get_all(ids).await?;
            states.extend(jobs.into_iter().map(|job| (job.id, job.state)));
        }
        for tick in infos.iter_mut().flat_map(|info| &mut info.recent) {
            tick.state = states.get(&tick.job).copied();
        }
        Ok(infos)
    }

    /// The newest ticker of each schedule that has one.
    async fn tickers(&self, names: impl Iterator<Item = &str>) -> Result<BTreeMap<String, JobRecord>> {
        let names: Vec<&str> = names.collect();
        let unfinished = vec![State::Scheduled, State::Available, State::Running];
        let mut tickers = BTreeMap::new();
        for names in names.chunks(LOOKED_FOR_AT_ONCE) {
            let parents = names.iter().map(|name| parent(name)).collect();
            let filter = JobFilter { parents, states: unfinished.clone(), ..JobFilter::default() };
            // A page may be short, and those that it lacks are looked for one by one.
            let page = self.store().list(&filter, Page { limit: 1_000, ..Page::default() }).await?;
            for job in page.jobs {
                let name = job.parent.as_ref().and_then(|parent| parent.as_str().strip_prefix("schedule:"));
                if let Some(name) = name {
                    tickers.insert(name.to_owned(), job);
                }
            }
            for name in names {
                if !tickers.contains_key(*name)
                    && let Some(job) = self.newest_ticker(name).await?
                {
                    tickers.insert((*name).to_owned(), job);
                }
            }
        }
        Ok(tickers)
    }

    async fn newest_ticker(&self, name: &str) -> Result<Option<JobRecord>> {
        let filter = JobFilter { parents: vec![parent(name)], ..JobFilter::default() };
        let page = self.store().list(&filter, Page { limit: 1, ..Page::default() }).await?;
        Ok(page.jobs.into_iter().next())
    }

    /// Sees to it that each schedule which is to fire has a ticker of its timing: for those whose change was cut short.
    ///
    /// # Errors
    /// A store's fault.
    pub(super) async fn settle_all(&self) -> Result<()> {
        let all = self.kept().await?;
        let tickers = self.tickers(all.keys().map(String::as_str)).await?;
        for (name, kept) in &all {
            if !is_settled(kept, tickers.get(name)) {
                self.settle(name).await?;
            }
        }
        Ok(())
    }

    /// Sees to it that a schedule which is to fire has a ticker of its timing. Safe on every process at once: a ticker reads
    /// the definition that holds when it runs, and its unique key keeps a second one away.
    async fn settle(&self, name: &str) -> Result<()> {
        for _ in 0..LOOKS {
            let Some(kept) = self.kept().await?.remove(name) else { return Ok(()) };
            let newest = self.newest_ticker(name).await?;
            if is_settled(&kept, newest.as_ref()) {
                return Ok(());
            }
            match newest {
                Some(job) if job.state == State::Running => {
                    self.store().events(&job.id, job.last_event, 1, RUN_PATIENCE).await?;
                }
                // It runs again at once, goes over to the present timing, and is followed by what is right.
                Some(job) if job.state != State::Completed && job.args.to::<Ticker>().is_ok() => {
                    self.longhaul.cancel(&job.id).await?;
                    self.longhaul.retry(&job.id).await?;
                    return Ok(());
                }
                ended => {
                    let ticker = ended.and_then(|job| job.args.to::<Ticker>().ok());
                    let recent = ticker.map(|ticker| ticker.recent).unwrap_or_default();
                    if let Some(first) = Ticker::first(&kept, recent)? {
                        self.keep_history_short().await?;
                        self.longhaul.enqueue_one(first).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Bounds the history of tickers, because a schedule's history is its jobs. A ticker that has failed or was
    /// cancelled is kept until it is run again, because it knows which ticks are fired.
    async fn keep_history_short(&self) -> Result<()> {
        let queues = self.store().queues().await?;
        let config = queues.into_iter().find(|queue| queue.name == QUEUE).map(|queue| queue.config);
        if config.is_some_and(|config| config != QueueConfig::default()) {
            return Ok(());
        }
        let completed = Keep { age: Some(Duration::from_secs(86_400)), count: Some(MAX_SCHEDULES as u64) };
        let retention = Retention { completed, failed: Keep::default(), cancelled: Keep::default() };
        // Where somebody sets it meanwhile, that stays.
        let config = QueueConfig { retention, ..QueueConfig::default() };
        self.store().update_queue(QUEUE, &QueueConfig::default(), &config).await.map(drop)
    }
}

/// True where a schedule is paused, or has a ticker of its timing that will run.
fn is_settled(kept: &Kept, newest: Option<&JobRecord>) -> bool {
    let has_its_timing = |job: &JobRecord| {
        job.args.to::<Ticker>().is_ok_and(|ticker| ticker.timing == kept.definition.schedule.timing)
    };
    kept.is_paused() || newest.is_some_and(|job| !job.state.is_finished() && has_its_timing(job))
}
