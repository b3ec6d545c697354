use serde::{Deserialize, Serialize};

use super::{Delivery, KIND, Message, QUEUE};
use crate::model::{EnqueueStatus, Enqueued, Full, Idempotency, JobId, JobRecord, Json, NewJob};
use crate::store::{Error, Result, Store};

/// The step of a delivery that keeps its message, so that each attempt sends the same, whatever becomes of the job.
pub const MESSAGE_STEP: &str = "message";

/// The output of a delivery that has completed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The status that the receiver answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The reason for which nothing was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The message that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
}

/// The prefix of a failure's message if the receiver answered with an error status.
const ANSWERED: &str = "the receiver answered ";

/// The message of a failure by an answer that is not a success. It begins with the status.
#[must_use]
pub fn unwanted(answer: &str) -> String {
    format!("{ANSWERED}{answer}")
}

/// The status in the message of a failure, if the receiver answered.
#[must_use]
pub fn status_in(failure: &str) -> Option<u16> {
    failure.strip_prefix(ANSWERED)?.get(..3)?.parse().ok()
}

/// The stored result of a delivery's first step: its message, or the reason to send none.
#[derive(Clone, Debug, PartialEq)]
pub enum Composed {
    /// The message to send.
    Message(Message),
    /// Nothing is sent; the reason.
    Skipped(String),
}

// Written by hand, because the derived form of an enum that holds JSON must be tagged from outside, which this is: the text of
// the body is to stay as it is.
impl Serialize for Composed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Composed::Message(message) => {
                Told { message: Some(message.clone()), ..Told::default() }.serialize(serializer)
            }
            Composed::Skipped(reason) => {
                Told { skipped: Some(reason.clone()), ..Told::default() }.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Composed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let Told { skipped, message, .. } = Told::deserialize(deserializer)?;
        match message {
            Some(message) => Ok(Composed::Message(message)),
            None => Ok(Composed::Skipped(skipped.unwrap_or_default())),
        }
    }
}

/// The result of a request to repeat a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Redelivered {
    /// This delivery was enqueued.
    Yes(JobId),
    /// This delivery was enqueued by an earlier request with the same idempotency key.
    Before(JobId),
    /// The idempotency key was used for another request.
    KeyReused,
    /// As many deliveries wait as may.
    Full(Full),
    /// The delivery has not ended; its record.
    Unfinished(Box<JobRecord>),
    /// The delivery had nothing to send; the reason.
    Nothing(String),
    /// There is no such delivery.
    Unknown,
}

/// Sends the message of a delivery once more, by a new delivery: one for each idempotency key.
///
/// # Errors
/// A store's fault.
pub async fn redeliver(
    store: &dyn Store,
    id: &JobId,
    idempotency: Option<Idempotency>,
) -> Result<Redelivered> {
    let found = store.get(std::slice::from_ref(id)).await?.pop().and_then(crate::Lookup::found);
    let Some(record) = found.filter(|record| record.kind == KIND) else { return Ok(Redelivered::Unknown) };
    let Ok(delivery) = record.args.to::<Delivery>() else { return Ok(Redelivered::Unknown) };
    if !record.state.is_finished() {
        return Ok(Redelivered::Unfinished(Box::new(record)));
    }
    let message = match told(store, &record).await? {
        Some(Told { skipped: Some(reason), .. }) => return Ok(Redelivered::Nothing(reason)),
        Some(Told { message: Some(message), .. }) => Some(message),
        // It was ended before it had read its job.
        _ => delivery.message.clone(),
    };
    let again = Delivery { message, after: None, ..delivery };
    // Any name will do that no other delivery of the job has.
    let job = again.job(&format!(".{}", &uuid::Uuid::new_v4().simple().to_string()[..12]))?;
    let enqueued = store.enqueue(vec![NewJob { idempotency, ..job }]).await?.pop();
    let Enqueued { id, status, full } = enqueued.ok_or_else(|| Error::Store {
        store: "any",
        operation: "enqueue",
        source: "the store answered nothing".into(),
    })?;
    Ok(match status {
        EnqueueStatus::Duplicate => Redelivered::Before(id),
        EnqueueStatus::KeyReused => Redelivered::KeyReused,
        EnqueueStatus::Full => Redelivered::Full(full.unwrap_or_else(|| Full::Queue(QUEUE.into()))),
        _ => Redelivered::Yes(id),
    })
}

/// The message that a delivery has sent, or keeps for its next attempt; `None` if it has not read its job yet.
///
/// # Errors
/// A store's fault.
pub async fn told(store: &dyn Store, record: &JobRecord) -> Result<Option<Told>> {
    if let Some(output) = &record.output {
        return Ok(output.to().ok());
    }
    let steps = store.steps(&record.id).await?.unwrap_or_default();
    let kept = steps.into_iter().find(|step| step.name == MESSAGE_STEP);
    Ok(kept.and_then(|step| step.output).and_then(|output: Json| output.to().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::WebhookEvent;

    #[test]
    fn the_status_is_found_in_the_words_that_were_made_of_it() {
        assert_eq!(status_in(&unwanted("503 Service Unavailable: busy")), Some(503));
        assert_eq!(status_in("no whole answer came within 20.0 s"), None);
        assert_eq!(status_in(&unwanted("")), None);
    }

    #[test]
    fn a_message_keeps_its_text_in_a_step() {
        let body = Json::parse("{\"a\":1.0,\"n\":12345678901234567890123}".into()).unwrap();
        let message = Message { id: "msg_1".into(), event: WebhookEvent::Failed, body };
        for composed in [Composed::Message(message), Composed::Skipped("why".into())] {
            let kept = Json::new(&composed).unwrap();
            assert_eq!(kept.to::<Composed>().unwrap(), composed);
        }
    }
}
