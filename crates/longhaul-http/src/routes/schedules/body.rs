use std::collections::BTreeMap;

use longhaul::schedule::{Origin, Tick};
use longhaul::{CatchUp, Cost, Edge, Json, NewJob, OnExhausted, ScheduleInfo, State, Timing, Unique};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::redaction::Redaction;
use crate::time::{Rfc3339, in_seconds};
use crate::wire::{self, ClashWord};

/// A schedule: jobs that are enqueued again and again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Schedule)]
pub(crate) struct ScheduleBody {
    /// Its name.
    #[schema(example = "nightly")]
    name: String,
    /// The cron pattern that it fires by; null where it fires at an interval.
    #[schema(required, example = "0 3 * * *")]
    cron: Option<String>,
    /// The interval at which it fires, in seconds; null where it fires by a pattern.
    #[schema(required)]
    every: Option<u64>,
    /// The time zone that the pattern is read in.
    #[schema(example = "Europe/Berlin")]
    timezone: String,
    /// When it fires, in words.
    #[schema(example = "At 03:00 (Europe/Berlin)")]
    description: String,
    /// The longest time by which a tick's job starts after its tick, in seconds.
    jitter: f64,
    /// The fate of ticks that nobody was there to fire.
    catch_up: CatchUpWord,
    /// True while its ticks are left out.
    paused: bool,
    /// The place that it comes from.
    origin: OriginWord,
    /// The job of each tick.
    job: ScheduledJobBody,
    /// The time of the last tick that was fired.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    last_at: Option<Rfc3339>,
    /// The id of the last tick's job; null where it is there no more.
    #[schema(required)]
    last_job: Option<String>,
    /// The last ticks that were fired, at most ten, the newest last.
    recent: Vec<TickBody>,
    /// The times of the next five ticks; none while it is paused.
    #[schema(value_type = Vec<String>)]
    next: Vec<Rfc3339>,
}

/// All schedules.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduleList)]
pub(crate) struct SchedulesBody {
    /// By name.
    pub(crate) schedules: Vec<ScheduleBody>,
}

/// A tick that was fired.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduleTick)]
struct TickBody {
    /// Its time.
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
    /// The id of its job.
    job: String,
    /// The state of its job; null where it is there no more, and where another job of its unique key stood for it.
    #[schema(required, value_type = Option<String>)]
    state: Option<State>,
}

/// The job that each tick of a schedule enqueues.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduledJob)]
struct ScheduledJobBody {
    /// The job type that runs it.
    kind: String,
    /// The input of the job type.
    #[schema(value_type = serde_json::Value)]
    args: Json,
    /// The queue that it waits in.
    queue: String,
    /// −100 to 100, higher first.
    priority: i32,
    /// Attempts in all.
    max_attempts: u32,
    /// The longest that one attempt may take, in seconds.
    #[schema(required)]
    timeout: Option<f64>,
    /// The longest that it may wait for its first start, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<f64>,
    /// When it must have ended: seconds from its tick, or a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<wire::DeadlineBody>,
    /// What becomes of it when its last attempt fails.
    on_exhausted: OnExhausted,
    /// The names of limits that it shares with others.
    limit_keys: Vec<String>,
    /// The first of them.
    #[schema(required)]
    key: Option<String>,
    /// The units of their limits, and of its queue's, that a run takes.
    cost: Cost,
    /// The labels of the workers that it prefers.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefer: Option<BTreeMap<String, String>>,
    /// True where no other worker is given it. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    prefer_hard: bool,
    /// Keeps a second job of the same key from being created, so that a tick enqueues nothing while an earlier one's job goes on.
    #[schema(required)]
    unique: Option<UniqueBody>,
    /// Names and values to find it by; a tick adds `schedule` and `tick`.
    labels: BTreeMap<String, String>,
    /// What is told how each tick's job ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<wire::WebhookBody>,
}

/// The jobs that count as one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduledUnique)]
struct UniqueBody {
    /// Jobs of the kind with this key.
    key: String,
    /// Holds the key for so many seconds after the job has completed.
    #[schema(required)]
    period: Option<f64>,
    /// The states in which another job that holds the key keeps it from this one, where they are not the usual ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    states: Option<Vec<State>>,
    /// The fate of the second job.
    on_clash: ClashWord,
    /// Of a debounce, the seconds without another that end a succession.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<f64>,
    /// Of a debounce, the most seconds that a succession may last.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_delay: Option<f64>,
    /// Of a debounce, the job of a succession that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    edge: Option<Edge>,
}

/// The fate of ticks that fell due while no server was there to fire them. One that is up to a minute late is on time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CatchUp)]
pub(crate) enum CatchUpWord {
    /// They are left out.
    None,
    /// The last one of them is made up for.
    #[default]
    Once,
    /// All of them are made up for, the newest thousand at most.
    All,
}

/// The place that a schedule comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ScheduleOrigin)]
enum OriginWord {
    /// A request, or the code of an application.
    Call,
    /// The file that servers are started with.
    File,
}

impl ScheduleBody {
    pub(crate) fn of(info: ScheduleInfo, redaction: &Redaction) -> Self {
        let ScheduleInfo { schedule, origin, paused, recent, next } = info;
        let description = schedule.timing.describe();
        let (cron, every, timezone) = match schedule.timing {
            Timing::Cron { cron, timezone } => (Some(cron), None, timezone),
            Timing::Every(every) => (None, Some(every.as_secs()), "UTC".to_owned()),
        };
        let last = recent.last();
        Self {
            name: schedule.name,
            cron,
            every,
            timezone,
            description,
            jitter: in_seconds(schedule.jitter),
            catch_up: schedule.catch_up.into(),
            paused,
            origin: match origin {
                Origin::Call => OriginWord::Call,
                Origin::File => OriginWord::File,
            },
            job: ScheduledJobBody::of(schedule.job, redaction),
            last_at: last.map(|tick| Rfc3339(tick.at)),
            last_job: last.filter(|tick| tick.state.is_some()).map(|tick| tick.job.to_string()),
            recent: recent.into_iter().map(TickBody::from).collect(),
            next: next.into_iter().map(Rfc3339).collect(),
        }
    }
}

impl ScheduledJobBody {
    fn of(job: NewJob, redaction: &Redaction) -> Self {
        let webhook = job.webhook.as_ref().map(wire::WebhookBody::from);
        let own = format!("{}:", job.kind);
        let unique = |unique: Unique| {
            let wire::UniqueBody { key, period, states, on_clash, delay, max_delay, edge } = (&unique).into();
            let seconds = |time: Option<wire::Seconds>| time.map(|time| in_seconds(time.0));
            UniqueBody {
                // As it was asked for: the kind was put before it.
                key: key.strip_prefix(&own).map_or(key.clone(), str::to_owned),
                period: seconds(period),
                states,
                on_clash,
                delay: seconds(delay),
                max_delay: seconds(max_delay),
                edge,
            }
        };
        Self {
            args: redaction.args(&job.args),
            unique: job.unique.map(unique),
            kind: job.kind.into_owned(),
            queue: job.queue.into_owned(),
            priority: job.priority,
            max_attempts: job.max_attempts,
            timeout: job.policy.timeout.map(in_seconds),
            expires_in: job.expires_in.map(in_seconds),
            deadline: job.deadline.map(wire::DeadlineBody),
            on_exhausted: job.policy.on_exhausted,
            key: job.limit_keys.first().cloned(),
            limit_keys: job.limit_keys,
            cost: job.policy.cost,
            prefer_hard: wire::is_hard(job.prefer.as_ref()),
            prefer: job.prefer.map(|prefer| prefer.labels),
            labels: job.labels,
            webhook,
        }
    }
}

impl From<Tick> for TickBody {
    fn from(Tick { at, job, state }: Tick) -> Self {
        Self { at: Rfc3339(at), job: job.to_string(), state }
    }
}

impl From<CatchUp> for CatchUpWord {
    fn from(catch_up: CatchUp) -> Self {
        match catch_up {
            CatchUp::None => Self::None,
            CatchUp::Once => Self::Once,
            CatchUp::All => Self::All,
        }
    }
}

impl From<CatchUpWord> for CatchUp {
    fn from(word: CatchUpWord) -> Self {
        match word {
            CatchUpWord::None => Self::None,
            CatchUpWord::Once => Self::Once,
            CatchUpWord::All => Self::All,
        }
    }
}
