use longhaul::why::Rule;
use longhaul::{KeyInfo, OnFull, Rate};
use serde::Serialize;
use utoipa::ToSchema;

use crate::time::{Rfc3339, in_seconds};

/// A limit key, or the default of all keys whose names begin alike.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyBody {
    /// Its name; one that ends in `*` is the default of its prefix.
    #[schema(example = "provider:openai")]
    key: String,
    /// Its jobs that could run but for limits, pauses and free workers; at most 1,000 are counted.
    waiting: u64,
    /// The slots that its running jobs take: one for each that costs no more.
    running: u64,
    /// The most of these at a time, over all workers; null is no limit.
    #[schema(required)]
    slots: Option<u32>,
    /// The most that start in a time; null is no limit.
    #[schema(required)]
    rate: Option<RateBody>,
    /// Its share of the turns of a fair queue beside other keys'.
    weight: u32,
    /// The most of its jobs that may wait, scheduled or available and in all queues, when another is enqueued; null is no bound.
    #[schema(required)]
    max_waiting: Option<u64>,
    /// The fate of a job that is enqueued while as many wait.
    on_full: OnFull,
    /// False where its limits are those of a prefix, or none.
    own: bool,
    /// The end of its pause: until then none of its jobs is claimed.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    closed_until: Option<Rfc3339>,
    /// From when on its rate lets another job start, where that is later than now.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    rate_free_at: Option<Rfc3339>,
    /// The rule by which it keeps its jobs back now, as `GET /api/jobs/{id}/why` names it: `paused_key`, `slots_key` (its running jobs
    /// take all of its slots) or `rate_key`. Absent where the next job may start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "slots_key")]
    why: Option<&'static str>,
}

/// A bound on starts: in any window of t seconds at most `burst + n · t / per` units start.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rate)]
pub(crate) struct RateBody {
    /// Units that start in `per`.
    n: u32,
    /// In seconds.
    per: f64,
    /// Units that may start at once after a rest.
    burst: u32,
}

/// A page of limit keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyList)]
pub(crate) struct KeysBody {
    /// By name.
    pub(crate) keys: Vec<KeyBody>,
    /// The cursor of the next page; null after the last.
    #[schema(required)]
    pub(crate) next: Option<String>,
}

impl From<KeyInfo> for KeyBody {
    fn from(key: KeyInfo) -> Self {
        Self {
            why: Rule::of_key(&key).map(Rule::as_str),
            waiting: key.waiting,
            running: key.used,
            slots: key.limits.slots,
            rate: key.limits.rate.map(RateBody::from),
            weight: key.limits.weight.unwrap_or(1),
            max_waiting: key.limits.max_waiting,
            on_full: key.limits.on_full,
            own: key.config.is_some(),
            closed_until: key.closed_until.map(Rfc3339),
            rate_free_at: key.rate_free_at.map(Rfc3339),
            key: key.key,
        }
    }
}

impl From<Rate> for RateBody {
    fn from(rate: Rate) -> Self {
        Self { n: rate.n, per: in_seconds(rate.per), burst: rate.burst() }
    }
}
