use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use longhaul::{KeyConfig, OnFull, Rate};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::KeyBody;
use super::read::find;
use crate::auth::Caller;
use crate::extract::JsonBody;
use crate::faults::{Faults, duration};
use crate::path::KeyPath;
use crate::problem::Problem;
use crate::state::Api;

/// The limits of a limit key; what is left out or null is no limit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyLimits)]
pub(crate) struct LimitsRequest {
    /// The most that run at a time, over all workers.
    #[schema(minimum = 1, maximum = 1_000_000)]
    slots: Option<u32>,
    /// The most that start in a time.
    rate: Option<RateRequest>,
    /// Its share of the turns of a fair queue beside other keys'; 1 unless given.
    #[schema(minimum = 1, maximum = 1_000)]
    weight: Option<u32>,
    /// The most of its jobs that may wait, scheduled or available and in all queues, when another is enqueued.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    max_waiting: Option<u64>,
    /// The fate of a job that is enqueued while as many wait; `reject` unless given.
    on_full: Option<OnFull>,
}

/// In any window of t seconds at most `burst + n · t / per` units start.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RateLimit)]
pub(crate) struct RateRequest {
    /// Units that start in `per`.
    #[schema(minimum = 1, maximum = 1_000_000)]
    n: u32,
    /// In seconds: 0.001 to 31 days.
    #[schema(minimum = 0.001, maximum = 2_678_400.0)]
    per: f64,
    /// Units that may start at once after a rest; a tenth of `n`, rounded up, unless given.
    #[schema(minimum = 1, maximum = 1_000_000)]
    burst: Option<u32>,
}

impl RateRequest {
    pub(crate) fn to_rate(&self, faults: &mut Faults) -> Rate {
        let per = duration("rate.per", self.per, faults).unwrap_or(Duration::from_secs(1));
        Rate { n: self.n, per, burst: self.burst }
    }
}

/// Sets the limits of a limit key
///
/// All of them at once, for a key or for all keys whose names begin alike (`tenant:*`). A key has its own limits or those of its
/// longest prefix. Jobs that run go on; jobs that wait are held against the new limits at once.
#[utoipa::path(
    put,
    path = "/keys/{key}",
    operation_id = "setKey",
    tag = "queues",
    params(("key" = String, Path, description = "The key's name, or a prefix with its `*`")),
    request_body(content = LimitsRequest),
    responses((status = 200, description = "The key as it is now", body = KeyBody)),
)]
pub(crate) async fn set(
    State(api): State<Api>,
    _: Caller,
    KeyPath(key): KeyPath,
    JsonBody { value, .. }: JsonBody<LimitsRequest>,
) -> Result<Json<KeyBody>, Problem> {
    let mut faults = Faults::default();
    let rate = value.rate.map(|rate| rate.to_rate(&mut faults));
    let config = KeyConfig {
        slots: value.slots,
        rate,
        weight: value.weight,
        max_waiting: value.max_waiting,
        on_full: value.on_full.unwrap_or_default(),
    };
    faults.check(longhaul::admit::key(&key, Some(&config)));
    faults.into_result()?;
    api.longhaul.store().set_key(&key, Some(&config)).await?;
    Ok(Json(find(&api, key).await?.into()))
}

/// Takes the limits of a limit key away
///
/// Those of its longest prefix hold then, where there are any.
#[utoipa::path(
    delete,
    path = "/keys/{key}",
    operation_id = "removeKey",
    tag = "queues",
    params(("key" = String, Path, description = "The key's name, or a prefix with its `*`")),
    responses((status = 204, description = "It has no limits of its own")),
)]
pub(crate) async fn remove(
    State(api): State<Api>,
    _: Caller,
    KeyPath(key): KeyPath,
) -> Result<StatusCode, Problem> {
    api.longhaul.store().set_key(&key, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
