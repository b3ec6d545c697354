use axum::Json;
use axum::extract::State;
use longhaul::{Keep, OnFull, QueueConfig};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::body::QueueBody;
use super::read::find;
use crate::auth::Caller;
use crate::extract::JsonBody;
use crate::faults::{Faults, duration};
use crate::path::QueuePath;
use crate::problem::Problem;
use crate::routes::keys::RateRequest;
use crate::state::Api;

/// A change of a queue. A field that is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QueuePatch)]
pub(crate) struct ConfigPatch {
    /// The time for which its history is kept.
    #[serde(default)]
    retention: RetentionPatch,
    /// True lets its limit keys take turns, by their weights; within a key, priority and age decide.
    fair: Option<bool>,
    /// The most of its jobs that run at a time, over all workers, in units of their `cost.slots`; null is no limit.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    slots: Option<Option<u32>>,
    /// The most of its jobs that start in a time, in units of their `cost.rate`; null is no limit.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<RateRequest>)]
    rate: Option<Option<RateRequest>>,
    /// The most jobs that may wait, scheduled or available, when another is enqueued; null is no bound.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000)]
    max_waiting: Option<Option<u64>>,
    /// The fate of a job that is enqueued while as many wait.
    on_full: Option<OnFull>,
}

/// A change of a queue's retention, per outcome.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetentionPatch {
    /// Of completed jobs.
    #[serde(default)]
    completed: KeepPatch,
    /// Of failed jobs.
    #[serde(default)]
    failed: KeepPatch,
    /// Of cancelled jobs.
    #[serde(default)]
    cancelled: KeepPatch,
}

/// Null is no bound; a field that is left out stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeepPatch {
    /// The oldest that a finished job may become, in seconds: 0 to ten years.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f64>, minimum = 0.0, maximum = 315_360_000.0)]
    age: Option<Option<f64>>,
    /// The most finished jobs; the newest are kept.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    count: Option<Option<u64>>,
}

/// Tells a null from what is not there.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Configures a queue
///
/// As a JSON merge patch (RFC 7396): what is left out stays as it is. Jobs that are past a new bound go with the
/// next sweeps. Jobs that run go on under new `slots` and a new `rate`, and those that wait are held against them at once. Changes of different fields at the same moment are all kept. A queue may be configured before there is a
/// job in it, and is then listed with the others.
#[utoipa::path(
    patch,
    path = "/queues/{queue}",
    operation_id = "setQueue",
    tag = "queues",
    params(("queue" = String, Path, description = "The queue's name")),
    request_body(content = ConfigPatch),
    responses((status = 200, description = "The queue as it is now", body = QueueBody)),
)]
pub(crate) async fn set(
    State(api): State<Api>,
    _: Caller,
    QueuePath(name): QueuePath,
    JsonBody { value, .. }: JsonBody<ConfigPatch>,
) -> Result<Json<QueueBody>, Problem> {
    longhaul::admit::queue(&name)?;
    api.longhaul.change_queue(&name, |config| value.apply(config)).await?;
    Ok(Json(find(&api, &name).await?.into()))
}

impl ConfigPatch {
    fn apply(&self, config: &mut QueueConfig) -> Result<(), Problem> {
        let mut faults = Faults::default();
        let retention = &mut config.retention;
        self.retention.completed.apply("retention.completed.age", &mut retention.completed, &mut faults);
        self.retention.failed.apply("retention.failed.age", &mut retention.failed, &mut faults);
        self.retention.cancelled.apply("retention.cancelled.age", &mut retention.cancelled, &mut faults);
        config.fair = self.fair.unwrap_or(config.fair);
        config.slots = self.slots.unwrap_or(config.slots);
        if let Some(rate) = &self.rate {
            config.rate = rate.as_ref().map(|rate| rate.to_rate(&mut faults));
        }
        config.max_waiting = self.max_waiting.unwrap_or(config.max_waiting);
        config.on_full = self.on_full.unwrap_or(config.on_full);
        faults.check(config.validate());
        faults.into_result()
    }
}

impl KeepPatch {
    fn apply(&self, field: &str, keep: &mut Keep, faults: &mut Faults) {
        if let Some(age) = self.age {
            keep.age = age.and_then(|age| duration(field, age, faults));
        }
        if let Some(count) = self.count {
            keep.count = count;
        }
    }
}
