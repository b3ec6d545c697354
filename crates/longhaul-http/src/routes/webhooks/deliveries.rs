use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use longhaul::webhook::{self, Delivery, Redelivered, Told, status_in};
use longhaul::{AttemptError, JobRecord, State as JobState, Store, WebhookEvent};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::idempotency;
use crate::path::JobPath;
use crate::problem::{Code, Problem};
use crate::routes::jobs::found;
use crate::state::Api;
use crate::state::inflight::Repeatable;
use crate::time::Rfc3339;

/// A delivery of a job's webhook: a job of its own, which `GET /jobs/{id}` shows as such.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(crate) struct DeliveryBody {
    /// Its id, which is that of its job.
    id: String,
    /// The receiver.
    url: String,
    /// The ends that are told.
    events: Vec<WebhookEvent>,
    /// The end that is told; null until it is there.
    #[schema(required)]
    event: Option<WebhookEvent>,
    /// The `webhook-id` of its message: a delivery that sends it again has the same.
    #[schema(required)]
    message_id: Option<String>,
    /// Where it stands: `blocked` until the job has ended, `scheduled` between two attempts, `completed` once the receiver has
    /// taken it, `failed` where it has not.
    state: JobState,
    /// Attempts begun.
    attempt: u32,
    /// Attempts in all.
    max_attempts: u32,
    /// The status that the receiver answered last; null where no answer came.
    #[schema(required)]
    status: Option<u16>,
    /// When the last attempt began.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    at: Option<Rfc3339>,
    /// When the next attempt is due.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    next_at: Option<Rfc3339>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Why there was nothing to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<String>,
    /// The attempts that have failed, oldest first.
    failures: Vec<FailureBody>,
}

/// An attempt of a delivery that has failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryFailure)]
struct FailureBody {
    /// Its number, from 1.
    attempt: u32,
    /// When it failed.
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
    /// The status that the receiver answered; null where no answer came.
    #[schema(required)]
    status: Option<u16>,
    /// Why it failed.
    error: String,
}

/// The most deliveries of a job that are listed.
const MOST: usize = 100;

/// Lists the deliveries of a job's webhook
///
/// What was told, or is to be, of its ends: the first delivery is there with the job, others once the job was run again or a
/// message was sent again. The newest 100, oldest first.
#[utoipa::path(
    get,
    path = "/jobs/{id}/deliveries",
    operation_id = "listDeliveries",
    tag = "webhooks",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The deliveries", body = Vec<DeliveryBody>),
        (status = 404, description = "No job of this id is known"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours, and had no webhook"),
    ),
)]
pub(crate) async fn list(
    State(api): State<Api>,
    _: Caller,
    JobPath(id): JobPath,
) -> Result<Json<Vec<DeliveryBody>>, Problem> {
    let store = api.longhaul.store().as_ref();
    let deliveries = webhook::deliveries(store, &id, MOST).await?;
    if deliveries.is_empty() {
        found(api.longhaul.get(&id).await?)?;
    }
    let mut bodies = Vec::new();
    for record in deliveries {
        bodies.extend(DeliveryBody::read(store, record).await?);
    }
    Ok(Json(bodies))
}

/// Sends a message again
///
/// With the same `webhook-id` and body, by a delivery of its own that begins at once. Only for a delivery that has ended.
#[utoipa::path(
    post,
    path = "/deliveries/{id}/redeliver",
    operation_id = "redeliver",
    tag = "webhooks",
    params(
        ("id" = String, Path, description = "The delivery's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send the request again within 24 hours: the \
            same key is answered with the same delivery, as it stands by then"),
    ),
    responses(
        (status = 202, description = "The new delivery", body = DeliveryBody, headers(
            ("Idempotency-Replayed" = Option<String>, description = "`true` where an earlier request with the same key made it"),
        )),
        (status = 404, description = "There is no delivery of this id"),
        (status = 409, description = "It has not ended (`not_finished`), or had nothing to tell (`nothing_to_deliver`), or a \
            request with the same idempotency key is still being answered"),
        (status = 410, description = "The delivery that the earlier request has made was pruned or deleted"),
        (status = 429, description = "As many deliveries wait as may (`queue_full`)"),
    ),
)]
pub(crate) async fn redeliver(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    JobPath(id): JobPath,
) -> Result<Response, Problem> {
    let store = api.whole.store().as_ref();
    let path = format!("/deliveries/{id}/redeliver");
    let repeatable = Repeatable::begin(&headers, &caller, &path, b"null", &api.in_flight)?;
    let (made, again) = match webhook::redeliver(store, &id, repeatable.as_ref().map(Repeatable::one)).await?
    {
        Redelivered::Yes(made) => (made, Again::No),
        Redelivered::Before(made) => (made, Again::Yes),
        Redelivered::KeyReused => return Err(idempotency::key_reused()),
        Redelivered::Full(full) => {
            let retry_after = api.estimator.of_room(webhook::KIND, webhook::QUEUE).retry_after();
            return Err(Problem::full(&full, retry_after));
        }
        Redelivered::Unknown => {
            return Err(Problem::new(Code::NoSuchDelivery, "there is no delivery of this id"));
        }
        Redelivered::Unfinished(record) => {
            let when = match record.state {
                JobState::Blocked => "it waits for the end of its job".to_owned(),
                JobState::Scheduled => format!("its next attempt is at {}", webhook::rfc3339(record.run_at)),
                state => format!("it is {state}"),
            };
            return Err(Problem::new(Code::NotFinished, format!("the delivery has not ended: {when}")));
        }
        Redelivered::Nothing(reason) => {
            return Err(Problem::new(Code::NothingToDeliver, format!("it had nothing to tell: {reason}")));
        }
    };
    let record = *found(api.longhaul.get(&made).await?)?;
    let body = DeliveryBody::read(api.longhaul.store().as_ref(), record).await?;
    let body = body.ok_or_else(|| Problem::internal("a new delivery could not be read"))?;
    let answer = (StatusCode::ACCEPTED, Json(body));
    Ok(match again {
        Again::No => answer.into_response(),
        Again::Yes => idempotency::replay(answer),
    })
}

/// Whether an earlier request has made the delivery that is answered.
#[derive(Clone, Copy)]
enum Again {
    Yes,
    No,
}

impl DeliveryBody {
    /// The delivery that a job is; nothing for one that only looks after a retry.
    async fn read(store: &dyn Store, record: JobRecord) -> Result<Option<Self>, Problem> {
        let Ok(delivery) = record.args.to::<Delivery>() else { return Ok(None) };
        let told = match record.output.is_some() || record.attempt > 0 {
            true => webhook::told(store, &record).await?,
            false => None,
        };
        let Told { status, skipped, message } = told.unwrap_or_default();
        let message = message.or(delivery.message);
        if delivery.after.is_some() && message.is_none() {
            return Ok(None);
        }
        let failures: Vec<FailureBody> = record.errors.into_iter().map(FailureBody::from).collect();
        let last = failures.last().filter(|_| record.state != JobState::Completed);
        Ok(Some(Self {
            id: record.id.to_string(),
            url: delivery.url,
            events: delivery.events,
            event: message.as_ref().map(|message| message.event),
            message_id: message.map(|message| message.id),
            state: record.state,
            attempt: record.attempt,
            max_attempts: record.max_attempts,
            status: status.or(last.and_then(|failure| failure.status)),
            at: record.started_at.map(Rfc3339),
            next_at: (record.state == JobState::Scheduled).then_some(Rfc3339(record.run_at)),
            error: last.map(|failure| failure.error.clone()),
            skipped,
            failures,
        }))
    }
}

impl From<AttemptError> for FailureBody {
    fn from(AttemptError { attempt, at, message, .. }: AttemptError) -> Self {
        Self { attempt, at: Rfc3339(at), status: status_in(&message), error: message }
    }
}
