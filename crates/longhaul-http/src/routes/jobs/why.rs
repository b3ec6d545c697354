use axum::Json;
use axum::extract::State;
use longhaul::State as JobState;
use longhaul::lifecycle::Times;
use longhaul::why::{Reason, Why};
use longhaul::{CancelReason, JobRecord, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::read::readable;
use crate::auth::Reader;
use crate::problem::Problem;
use crate::state::Api;
use crate::time::Rfc3339;

/// Why a job is where it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Why)]
pub(crate) struct WhyBody {
    /// Its state.
    state: JobState,
    /// Its place among the available jobs of its queue, from 1; at most 1,000 is counted.
    #[schema(required)]
    position: Option<u64>,
    /// When it is likely to have ended, in seconds from now, where its kind has been measured.
    #[schema(required)]
    eta_seconds: Option<u64>,
    /// When it is cancelled unless it was started, or has ended, by then.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    ends_at: Option<Rfc3339>,
    /// Why it was cancelled, or is to stop.
    #[schema(required)]
    cancel_reason: Option<CancelReason>,
    /// What keeps it from running. An available job with no reason waits for its turn; one that runs or has ended waits for
    /// nothing.
    reasons: Vec<ReasonBody>,
}

/// One thing that keeps a job from running.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reason)]
pub(crate) struct ReasonBody {
    /// `run_at` (its time has not come), `retry` (the next attempt waits for its backoff), `depends_on` (not all of the jobs that it
    /// depends on have ended), `children` (they have not all ended), `signal` (it has not come), `exhausted` (its attempts are used
    /// up, and somebody is to retry or cancel it), `paused_queue`, `paused_key`, `slots_queue` and `slots_key` (the runs of the queue, or
    /// of a limit key, take all the slots that it would need), `rate_queue` and `rate_key` (their rate lets it start later), `turn` (jobs of
    /// other limit keys go first in a fair queue), `no_worker` (no live worker serves the queue, or none that does has the labels that it
    /// must have), `unknown_kind` (none of those that serve it knows the kind and version).
    rule: &'static str,
    /// The limit key, the queue, the kind, the signal or the labels (`gpu=a100`) that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Of what must happen, how much has: jobs that have ended. Of the slots, or of the burst of a rate, the units that are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    /// How much must happen. All slots, or the burst of a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
    /// When it ends, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Rfc3339>,
    /// Jobs that it waits for; at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    waits_for: Vec<String>,
}

/// Tells why a job waits
#[utoipa::path(
    get,
    path = "/jobs/{id}/why",
    operation_id = "whyJob",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job's id"),
        ("token" = Option<String>, Query, description = "The job's read token, where no header can be sent"),
    ),
    responses(
        (status = 200, description = "The reasons", body = WhyBody),
        (status = 404, description = "No job of this id is known"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn why(State(api): State<Api>, reader: Reader) -> Result<Json<WhyBody>, Problem> {
    let record = readable(&api, &reader).await?;
    let Why { state, position, reasons } = api.longhaul.why(&record).await?;
    Ok(Json(WhyBody {
        state,
        position,
        ends_at: ends_at(&record).map(Rfc3339),
        cancel_reason: record.cancel_reason,
        eta_seconds: api.estimator.of(&record).eta_seconds(),
        reasons: reasons.into_iter().map(ReasonBody::from).collect(),
    }))
}

/// The time that ends a job which has not ended.
fn ends_at(record: &JobRecord) -> Option<Timestamp> {
    let times = Times { expires_at: record.expires_at, deadline: record.deadline };
    times.ends_at(record.started_at).filter(|_| !record.state.is_finished())
}

impl From<Reason> for ReasonBody {
    fn from(reason: Reason) -> Self {
        Self {
            rule: reason.rule.as_str(),
            key: reason.key,
            used: reason.done,
            of: reason.of,
            until: reason.until.map(Rfc3339),
            waits_for: reason.waits_for.iter().map(ToString::to_string).collect(),
        }
    }
}
