use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::context::Context;
use super::steps::{SLEEP_PREFIX, WAIT_PREFIX, read_output};
use crate::clock::Timestamp;
use crate::job::{JobError, JobResult};
use crate::model::{Children, EnqueueStatus, Entry, JobRecord, Json, NewJob, OnClash, Outcome, WaitsFor};

/// Until when a sleep or a wait lasts, as its step keeps it.
#[derive(Serialize, Deserialize)]
struct Until {
    until: Timestamp,
}

/// A signal as its step keeps it.
#[derive(Deserialize)]
struct Kept {
    #[serde(default)]
    value: Json,
    #[serde(default)]
    timed_out: bool,
}

/// The output of a signal's step where the wait was over before the signal came.
const TIMED_OUT: &str = r#"{"timed_out":true}"#;

/// Waits that hold no slot. Each ends the run with an error that is to be returned (`?`), and the job is run again once the wait is
/// over: it comes to the same point by its steps, and goes on. What stands between steps runs each time.
impl<S> Context<S> {
    /// Sleeps for `time`, at no cost of an attempt and without a slot, through every crash and restart. The job is `scheduled`
    /// meanwhile; a cancel ends it at once.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use longhaul::{Context, JobResult};
    /// # async fn run(cx: Context<()>) -> JobResult<()> {
    /// cx.step("invite", async || Ok(())).await?;
    /// cx.sleep("a-week", Duration::from_secs(7 * 86_400)).await?;
    /// cx.step("remind", async || Ok(())).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// One that ends the run until then: return it. A fatal one for the name, as for [`step`](Self::step); where the store is
    /// [away](JobError::outage), one that runs the job again.
    pub async fn sleep(&self, name: &str, time: Duration) -> JobResult<()> {
        let step = format!("{SLEEP_PREFIX}{name}");
        let kept = self.reach(&step)?;
        if time.is_zero() {
            return Ok(());
        }
        let (left, entry) = self.left(&step, kept, time).await?;
        if left.is_zero() {
            return Ok(());
        }
        self.job.wait(entry, Outcome::Snoozed { delay: left });
        Err(JobError::waits(format!("sleeps for '{name}'")))
    }

    /// Waits for the signal of a name, at most for `timeout`, at no cost of an attempt and without a slot: the value of the first
    /// one that came, early ones too, or `None` once the timeout is over. Whichever came first stays the answer. The job is
    /// `blocked` meanwhile. Signals are sent by [`Longhaul::signal`](crate::Longhaul::signal), or over HTTP.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use longhaul::{Context, JobError, JobResult};
    /// # async fn run(cx: Context<()>) -> JobResult<()> {
    /// match cx.wait_for::<bool>("approved", Some(Duration::from_secs(86_400))).await? {
    ///     Some(true) => cx.step("publish", async || Ok(())).await,
    ///     Some(false) => Err(JobError::cancel("it was turned down")),
    ///     None => Err(JobError::fatal("nobody has answered within a day")),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// One that ends the run until then: return it. A fatal one for the name, as for [`step`](Self::step), and where the value
    /// has another form; where the store is [away](JobError::outage), one that runs the job again.
    pub async fn wait_for<T: DeserializeOwned>(
        &self,
        name: &str,
        timeout: Option<Duration>,
    ) -> JobResult<Option<T>> {
        let on = WaitsFor::Signal(name.to_owned());
        let signal = on.signal_step().unwrap_or_default();
        let step = format!("{WAIT_PREFIX}{name}");
        let (sent, kept) = (self.reach(&signal)?, self.reach(&step)?);
        if let Some(sent) = sent {
            return read_signal(name, &sent);
        }
        let Some(time) = timeout else {
            self.job.wait(None, Outcome::Waits { on, timeout: None, error: None });
            return Err(waits_for_signal(name));
        };
        let (left, entry) = self.left(&step, kept, time).await?;
        if left.is_zero() {
            return read_signal(name, &self.first_signal(&signal).await?);
        }
        self.job.wait(entry, Outcome::Waits { on, timeout: Some(left), error: None });
        Err(waits_for_signal(name))
    }

    /// Waits until each child of this job has ended, however it has, at no cost of an attempt and without a slot. Children are
    /// jobs that name this one as their [`parent`](NewJob::parent) and were enqueued while it was unfinished. The job is
    /// `blocked` meanwhile. A run that comes here again waits for those that are unfinished then.
    ///
    /// ```
    /// # use longhaul::{Context, Json, JobError, JobResult, NewJob};
    /// # async fn run(cx: Context<()>) -> JobResult<usize> {
    /// let pages = (0..100).map(|page| NewJob::new("page", Json::new(&page).unwrap_or_default())).collect();
    /// cx.enqueue_children("pages", pages).await?;
    /// let ended = cx.wait_for_children().await?;
    /// if ended.failed > 0 { return Err(JobError::fatal("a page could not be read")); }
    /// let outputs = cx.children().await?.into_iter().filter_map(|page| page.output);
    /// # Ok(outputs.count()) }
    /// ```
    ///
    /// # Errors
    /// One that ends the run until then: return it. Where the store is [away](JobError::outage), one that runs the job again.
    pub async fn wait_for_children(&self) -> JobResult<Children> {
        let found = self.longhaul().get(self.id()).await?.found();
        let children = found.and_then(|record| record.children).unwrap_or_default();
        if children.unfinished() == 0 {
            return Ok(children);
        }
        self.job.wait(None, Outcome::Waits { on: WaitsFor::Children, timeout: None, error: None });
        Err(JobError::waits(format!("waits for {} children", children.unfinished())))
    }

    /// Enqueues children of this job once, as a [step](Self::step) of the name: those without an id are given this job's, the name
    /// and their number, so that an attempt which comes here again after a crash creates none twice. Where there is
    /// [no room](EnqueueStatus::Full) for one of them, the job runs again a little later, at no cost of an attempt, until there is.
    ///
    /// # Errors
    /// As for [`step`](Self::step), a fatal one where the idempotency key of a child was used for another request or a child is rejected
    /// that was to [follow](OnClash::Follow) the holder of its unique key, and as for [`Longhaul::enqueue_many`](crate::Longhaul::enqueue_many).
    pub async fn enqueue_children(&self, name: &str, mut jobs: Vec<NewJob>) -> JobResult<()> {
        for (n, job) in jobs.iter_mut().enumerate() {
            job.parent = Some(self.id().clone());
            if job.id.is_none() {
                job.id = Some(crate::JobId::new(format!("{}.{name}.{n}", self.id()))?);
            }
        }
        let follows =
            |job: &NewJob| job.unique.as_ref().is_some_and(|unique| unique.on_clash == OnClash::Follow);
        let follow: Vec<bool> = jobs.iter().map(follows).collect();
        let enqueue = async || {
            let answers = self.longhaul().enqueue_many(jobs).await?;
            let mut followers = answers.iter().zip(follow).filter(|(_, follows)| *follows);
            if let Some((answer, _)) = followers.find(|(answer, _)| answer.status == EnqueueStatus::Rejected)
            {
                return Err(JobError::fatal(format!(
                    "a child cannot follow '{}', which holds its unique key: the two would wait for each other for ever, or are of different kinds; \
                     use another key or another `on_clash`",
                    answer.id
                )));
            }
            let is_any = |status| answers.iter().any(|answer| answer.status == status);
            // Once the step is done, a child that was not created is missing for ever. Those that were are not created again.
            if is_any(EnqueueStatus::KeyReused) {
                return Err(JobError::fatal("the idempotency key of a child was used for another request"));
            }
            if is_any(EnqueueStatus::Full) {
                return Err(JobError::outage(
                    "a child has no room: its queue or one of its limit keys is full",
                ));
            }
            Ok(())
        };
        self.step(name, enqueue).await
    }

    /// The children of this job, oldest first, with their outputs.
    ///
    /// # Errors
    /// An error that runs the job again at no cost of an attempt if the store is [unreachable](JobError::outage).
    pub async fn children(&self) -> JobResult<Vec<JobRecord>> {
        Ok(self.longhaul().children(self.id()).await?)
    }

    /// The time that is left of a wait, and the entry that keeps its end where it has just begun. Times are the store's: a clock
    /// of another machine may be wrong.
    async fn left(
        &self,
        step: &str,
        kept: Option<Json>,
        time: Duration,
    ) -> JobResult<(Duration, Option<Entry>)> {
        let now = self.job.store_time(self.longhaul().store().as_ref()).await?;
        match kept {
            Some(kept) => {
                let Until { until } = read_output(step, &kept)?;
                Ok((until.since(now), None))
            }
            None => {
                let output = Json::new(&Until { until: now.plus(time).min(Timestamp::MAX) })?;
                Ok((time, Some(Entry::Step { name: step.to_owned(), output, took: Duration::ZERO })))
            }
        }
    }

    /// Keeps that a wait is over, and answers what came first: that, or the signal.
    async fn first_signal(&self, signal: &str) -> JobResult<Json> {
        let timed_out = Json::parse(TIMED_OUT.to_owned())?;
        let entry = Entry::Step { name: signal.to_owned(), output: timed_out.clone(), took: Duration::ZERO };
        self.send(Some(entry)).await?;
        let steps = self.longhaul().store().steps(self.id()).await?.unwrap_or_default();
        let first = steps.into_iter().find(|step| step.name == signal).and_then(|step| step.output);
        let first = first.unwrap_or(timed_out);
        self.job.keep_step(signal, first.clone());
        Ok(first)
    }
}

fn waits_for_signal(name: &str) -> JobError {
    JobError::waits(format!("waits for the signal '{name}'"))
}

fn read_signal<T: DeserializeOwned>(name: &str, kept: &Json) -> JobResult<Option<T>> {
    let unreadable = |e| JobError::fatal(format!("failed to read the signal '{name}': {e}"));
    let Kept { value, timed_out } = kept.to().map_err(unreadable)?;
    if timed_out { Ok(None) } else { value.to().map(Some).map_err(unreadable) }
}
