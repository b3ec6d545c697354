//! Schedules: jobs that are enqueued again and again, by a cron pattern in a time zone or at an interval.
//!
//! A schedule's definition is a [sample](crate::Sample), which one write replaces as a whole. Its place in time is a chain of
//! jobs of kind [`KIND`], the *tickers*: each is due at the next tick and completes with the tick's job and the next ticker as
//! its follow-ups. So a tick is enqueued in the transaction that moves the schedule on, under the fence of a lease: never
//! twice, however many processes fire, and never lost, however they die.

mod kept;
mod scheduler;
mod schedules;
mod ticker;
mod timing;

pub use kept::Origin;
pub use scheduler::Scheduler;
pub use schedules::{Put, ScheduleInfo, Schedules, Tick};
pub use timing::Timing;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::model::{JobId, NewJob, Start, check_name};
use crate::store::{Error, Result};
use timing::text;

/// A job that is enqueued again and again.
///
/// ```
/// use std::time::Duration;
/// use longhaul::{CatchUp, Json, NewJob, Schedule};
///
/// let report = NewJob::new("report", Json::null());
/// let nightly = Schedule::cron("nightly", "0 3 * * *", report.clone()).timezone("Europe/Berlin");
/// let often = Schedule::every("often", Duration::from_secs(900), report).catch_up(CatchUp::All);
/// # nightly.validate().and(often.validate()).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name, 1–64 of `A–Z a–z 0–9 . _ : -`, which no other schedule of the store has.
    pub name: String,
    /// The times at which it fires.
    pub timing: Timing,
    /// The treatment of ticks that fell due while no process was running.
    pub catch_up: CatchUp,
    /// The longest time by which a tick's job starts after its tick: a fixed part of it for each tick.
    pub jitter: Duration,
    /// The job of each tick. It has no id, start, idempotency key, parent or dependencies of its own; the tick gives it an id.
    pub job: NewJob,
}

/// The fate of ticks that fell due while no process fired them. A tick that is up to a [minute](ON_TIME) late is on time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are left out.
    None,
    /// The last one of them is made up for.
    #[default]
    Once,
    /// All of them are made up for, the newest [`MAX_CATCH_UP`] at most.
    All,
}

/// The kind of the jobs that move schedules on.
pub const KIND: &str = "longhaul.schedule";
/// The queue of the jobs that move schedules on.
pub const QUEUE: &str = "longhaul.schedules";
/// The label of a schedule's jobs that has its name.
pub const LABEL: &str = "schedule";
/// The label of a tick's job that has the tick's time (RFC 3339, UTC).
pub const TICK_LABEL: &str = "tick";
/// The time by which a tick may be late and still be on time.
pub const ON_TIME: Duration = Duration::from_secs(60);
/// The most ticks that are made up for at once.
pub const MAX_CATCH_UP: usize = 1_000;
/// The most schedules of a store.
pub const MAX_SCHEDULES: usize = 1_000;
/// The most bytes of JSON that a schedule's job may have as args.
pub const MAX_SCHEDULE_ARGS_BYTES: usize = 64 * 1024;
/// The longest jitter.
pub const MAX_JITTER: Duration = Duration::from_secs(86_400);
/// The longest name.
const MAX_NAME: usize = 64;

impl Schedule {
    /// Fires by a cron pattern: five fields (minute, hour, day of the month, month, day of the week), or six with the second
    /// before them, or `@hourly`, `@daily` and the like. In UTC, unless it is given a [time zone](Self::timezone).
    #[must_use]
    pub fn cron(name: impl Into<String>, cron: impl Into<String>, job: NewJob) -> Self {
        let timing = Timing::Cron { cron: cron.into(), timezone: "UTC".into() };
        Self { name: name.into(), timing, catch_up: CatchUp::default(), jitter: Duration::ZERO, job }
    }

    /// Fires whenever the time since 1970-01-01T00:00:00Z is a multiple of `every`, a whole number of seconds: every 900 s is
    /// at each quarter of an hour. So all processes agree on the ticks, and a restart moves none.
    #[must_use]
    pub fn every(name: impl Into<String>, every: Duration, job: NewJob) -> Self {
        let timing = Timing::Every(every);
        Self { name: name.into(), timing, catch_up: CatchUp::default(), jitter: Duration::ZERO, job }
    }

    /// Reads the cron pattern in a time zone of the IANA database, as `Europe/Berlin`.
    ///
    /// When clocks are set forward, a skipped time of day fires once, right after the gap; when they are set back, a
    /// repeated time of day fires once, the first time. Patterns with `*` or a step in the second, minute or hour
    /// follow the clock: they fire in both of the repeated hours, and not in a skipped one.
    #[must_use]
    pub fn timezone(mut self, zone: impl Into<String>) -> Self {
        if let Timing::Cron { timezone, .. } = &mut self.timing {
            *timezone = zone.into();
        }
        self
    }

    /// Sets the treatment of ticks that fell due while no process was running.
    #[must_use]
    pub fn catch_up(self, catch_up: CatchUp) -> Self {
        Self { catch_up, ..self }
    }

    /// Spreads the starts of a tick's job over this time, so that schedules of one moment do not start together.
    #[must_use]
    pub fn jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming the field and what it must be.
    pub fn validate(&self) -> Result<()> {
        check_schedule_name(&self.name)?;
        self.timing.validate()?;
        if self.jitter > MAX_JITTER {
            return invalid("jitter", format!("must be at most {} seconds", MAX_JITTER.as_secs()));
        }
        let job = &self.job;
        let own = [
            ("id", job.id.is_some(), "the tick gives the job its id"),
            ("run_at", job.start != Start::Now, "the tick is when it starts; use jitter to spread starts"),
            ("idempotency", job.idempotency.is_some(), "each tick is a request of its own"),
            ("parent", job.parent.is_some(), "each tick's job stands by itself"),
            ("depends_on", !job.depends_on.is_empty(), "each tick's job stands by itself"),
        ];
        if let Some((field, _, reason)) = own.into_iter().find(|(_, is_set, _)| *is_set) {
            return invalid(&format!("job.{field}"), format!("must be left out: {reason}"));
        }
        job.validate().and_then(|()| job.args.check("args", MAX_SCHEDULE_ARGS_BYTES)).map_err(in_job)?;
        // With the labels that a tick adds.
        self.tick_job(Timestamp(0)).validate().map_err(in_job)
    }

    /// The next ticks after a moment, at most `limit` of them.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the timing is.
    pub fn next(&self, after: Timestamp, limit: usize) -> Result<Vec<Timestamp>> {
        let ticks = self.timing.ticks()?;
        Ok(std::iter::successors(ticks.next(after), |tick| ticks.next(*tick)).take(limit).collect())
    }

    /// The job of a tick.
    #[must_use]
    pub fn tick_job(&self, tick: Timestamp) -> NewJob {
        let at = text(tick);
        let mut job = self.labelled_job(tick_id(&self.name, tick));
        job.labels.insert(TICK_LABEL.into(), at);
        job.start = Start::At(tick.plus(self.jitter_of(&job)));
        job
    }

    fn labelled_job(&self, id: JobId) -> NewJob {
        let mut job = NewJob { id: Some(id), ..self.job.clone() };
        // The trace of the request that made the schedule would grow for ever.
        job.policy.traceparent = None;
        job.labels.insert(LABEL.into(), self.name.clone());
        job
    }

    /// The same for a tick on every process, and another one for each tick.
    fn jitter_of(&self, job: &NewJob) -> Duration {
        let Ok(longest) = u64::try_from(self.jitter.as_millis()) else { return Duration::ZERO };
        let id = job.id.iter().flat_map(|id| id.as_str().bytes());
        // FNV-1a, whose low bits are mixed well enough for this.
        let hash = id.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Duration::from_millis((hash >> 11) % (longest + 1))
    }
}

/// The id of a tick's job.
#[must_use]
pub fn tick_id(name: &str, tick: Timestamp) -> JobId {
    JobId::from_store(format!("schedule:{name}:{}", text(tick)))
}

fn check_schedule_name(name: &str) -> Result<()> {
    check_name("name", name)?;
    if name.len() > MAX_NAME {
        return invalid("name", format!("must be at most {MAX_NAME} characters"));
    }
    Ok(())
}

fn in_job(error: Error) -> Error {
    match error {
        Error::Invalid { field, reason } => Error::Invalid { field: format!("job.{field}"), reason },
        other => other,
    }
}

fn invalid<T>(field: &str, reason: impl Into<String>) -> Result<T> {
    Err(Error::Invalid { field: field.into(), reason: reason.into() })
}
