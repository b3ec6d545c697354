use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use longhaul::webhook::{
    self, BACKOFF, Composed, Delivery, MAX_ATTEMPTS, MESSAGE_STEP, Message, Secrets, Told, next_end, next_id,
    rfc3339, unwanted,
};
use longhaul::{
    Backoff, Clock, Context, Job, JobError, JobRecord, JobResult, Json, Lookup, Store, Timestamp,
    WebhookEvent,
};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::answered::{SHOWN_BYTES, again, in_words, retry_after, target, unanswered};
use crate::outbound::{Outbound, Request};
use crate::sign::sign;

/// The delivery of a webhook, as a job: reads the job that has ended, and posts its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Deliver(Delivery);

/// The dependencies of deliveries.
#[derive(Clone, Debug)]
pub struct Sender {
    outbound: Outbound,
    /// The store in which receivers' view of jobs is read, if values are hidden from receivers.
    shown: Option<Arc<dyn Store>>,
    clock: Clock,
}

/// The most bytes of an output in a message: a message is also the args of a delivery that repeats it.
const MAX_OUTPUT: usize = 160 * 1024;
/// The time after which a job that is still unknown never existed: a job that did is known as gone for longer.
const KNOWN_FOR: Duration = longhaul::GONE_FOR;

impl Sender {
    /// A sender of all of an ended job's output.
    #[must_use]
    pub fn new(outbound: Outbound) -> Self {
        Self { outbound, shown: None, clock: Clock::system() }
    }

    /// Reads the jobs that it reports from `shown`, the store as receivers may see it.
    #[must_use]
    pub fn showing(self, shown: Arc<dyn Store>) -> Self {
        Self { shown: Some(shown), ..self }
    }
}

impl Job for Deliver {
    const KIND: &'static str = webhook::KIND;
    const QUEUE: &'static str = webhook::QUEUE;
    const MAX_ATTEMPTS: u32 = MAX_ATTEMPTS;
    type State = Sender;
    type Output = Told;

    fn backoff() -> Backoff {
        BACKOFF
    }

    async fn run(self, cx: Context<Sender>) -> JobResult<Told> {
        let Self(delivery) = self;
        let composed = match &delivery.message {
            Some(message) => Composed::Message(message.clone()),
            None => cx.step(MESSAGE_STEP, || compose(&cx, &delivery)).await?,
        };
        let message = match composed {
            Composed::Message(message) => message,
            Composed::Skipped(reason) => return Ok(Told { skipped: Some(reason), ..Told::default() }),
        };
        let status = post(&cx, &delivery.url, &message).await?;
        Ok(Told { status: Some(status), message: Some(message), skipped: None })
    }
}

/// The message about the end of the job, or the reason to send none.
async fn compose(cx: &Context<Sender>, delivery: &Delivery) -> JobResult<Composed> {
    let skipped = |reason: &str| Ok(Composed::Skipped(reason.into()));
    let record = match cx.longhaul().get(&delivery.job).await? {
        Lookup::Found(record) => *record,
        Lookup::Gone => {
            // Retention waits for a job's deliveries, so that it was deleted by hand.
            return Err(JobError::fatal(
                "the job was deleted before its end could be told: delete jobs once their deliveries have ended",
            ));
        }
        Lookup::Unknown => return not_there(cx, delivery).await,
    };
    if let Some(after) = delivery.after {
        if record.last_event <= after {
            return skipped("the job was not run again");
        }
        let next = cx.longhaul().get(&next_id(&delivery.job, after)).await?;
        if !matches!(next, Lookup::Unknown) {
            return skipped("another delivery tells it");
        }
    }
    let Some(event) = WebhookEvent::of(record.state) else {
        // It was run again after its end.
        cx.longhaul().enqueue_one(next_end(delivery, delivery.after.unwrap_or(record.last_event))?).await?;
        return skipped("the job runs again; its next end is told by another delivery");
    };
    if !delivery.events.contains(&event) {
        return skipped("the webhook does not ask for this event");
    }
    let id = message_id(&record);
    let record = match &cx.state().shown {
        Some(shown) => {
            let seen = shown.get(std::slice::from_ref(&delivery.job)).await?.pop().and_then(Lookup::found);
            seen.ok_or_else(|| JobError::retry("the job was removed while its end was read"))?
        }
        None => record,
    };
    let body = body(event, &record)?;
    Ok(Composed::Message(Message { id, event, body }))
}

/// A job that is not known: it was never created, or it was removed long ago.
async fn not_there(cx: &Context<Sender>, delivery: &Delivery) -> JobResult<Composed> {
    let own = cx.longhaul().get(cx.id()).await?.found();
    let is_recent = |own: &JobRecord| cx.state().clock.now().since(own.created_at) < KNOWN_FOR;
    let stood_in = |own: &JobRecord| own.depends_on.iter().any(|on| on.id != delivery.job);
    match own {
        Some(own) if stood_in(&own) || is_recent(&own) => {
            Ok(Composed::Skipped("another job stands for this one, or it was refused".into()))
        }
        _ => Err(JobError::fatal("the job was removed before its end could be told")),
    }
}

/// The `webhook-id` of an end: the same for each delivery of it.
fn message_id(record: &JobRecord) -> String {
    let mut hash = Sha256::new();
    for part in
        [record.id.as_str(), "\n", &record.last_event.to_string(), "\n", &record.created_at.0.to_string()]
    {
        hash.update(part);
    }
    let hex: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("msg_{hex}")
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    timestamp: String,
    data: Data<'a>,
}

/// The job, in the words of the HTTP contract.
#[derive(Serialize)]
struct Data<'a> {
    id: &'a str,
    kind: &'a str,
    queue: &'a str,
    state: &'static str,
    attempt: u32,
    max_attempts: u32,
    created_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    output: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_cut: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_bytes: Option<usize>,
    error: Option<&'a str>,
    cancel_reason: Option<longhaul::CancelReason>,
    labels: &'a std::collections::BTreeMap<String, String>,
}

fn body(event: WebhookEvent, record: &JobRecord) -> JobResult<Json> {
    let at = |moment: Option<Timestamp>| moment.map(|moment| rfc3339(moment).to_string());
    let bytes = record.output.as_ref().map(|output| output.as_str().len());
    let cut = bytes.filter(|bytes| *bytes > MAX_OUTPUT);
    // An error of an attempt that another one followed is not the job's.
    let error = record.errors.last().filter(|_| event == WebhookEvent::Failed);
    let data = Data {
        id: record.id.as_str(),
        kind: &record.kind,
        queue: &record.queue,
        state: record.state.as_str(),
        attempt: record.attempt,
        max_attempts: record.max_attempts,
        created_at: rfc3339(record.created_at).to_string(),
        started_at: at(record.started_at),
        finished_at: at(record.finished_at),
        output: record.output.as_ref().filter(|_| cut.is_none()),
        output_cut: cut.map(|_| true),
        output_bytes: cut,
        error: error.map(|error| error.message.as_str()),
        cancel_reason: record.cancel_reason,
        labels: &record.labels,
    };
    let timestamp = rfc3339(record.finished_at.unwrap_or(record.created_at)).to_string();
    Ok(Json::new(&Body { r#type: event.as_str(), timestamp, data })?)
}

/// Posts a message, and answers the status of a success.
async fn post(cx: &Context<Sender>, url: &str, message: &Message) -> JobResult<u16> {
    // Read for each attempt, so that a new secret counts at once.
    let secrets = Secrets::of(cx.longhaul().store().as_ref()).list().await?;
    let Sender { outbound, clock, .. } = cx.state();
    let timestamp = clock.now().0.div_euclid(1_000);
    let (id, body) = (&message.id, message.body.as_str());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let signature = sign(secrets.iter().map(|secret| secret.secret.as_str()), id, timestamp, body);
    let all = [
        ("webhook-id", Some(id.clone())),
        ("webhook-timestamp", Some(timestamp.to_string())),
        ("webhook-signature", signature),
        ("traceparent", cx.traceparent().map(|place| place.to_string())),
    ];
    for (name, value) in all {
        if let Some(value) = value {
            let value = HeaderValue::try_from(value);
            headers.insert(
                name,
                value.map_err(|_| JobError::fatal(format!("{name} has characters that none may have")))?,
            );
        }
    }
    let request = Request {
        method: Method::POST,
        url,
        headers,
        body: Some(Bytes::from(body.to_owned())),
        timeout: outbound.delivery_timeout,
        max_answer: SHOWN_BYTES,
    };
    let answer = outbound.call(request).await.map_err(unanswered)?;
    let words = unwanted(&in_words(answer.status, &answer.body));
    match answer.status {
        200..=299 => Ok(answer.status),
        300..=399 => {
            let to = target(&answer.headers);
            Err(JobError::retry(format!(
                "{words} (a redirection to {to}, which is not followed: give the final URL)"
            )))
        }
        410 => Err(JobError::fatal(format!("{words}; it asks for no more"))),
        _ => Err(again(retry_after(&answer.headers), words)),
    }
}
