use serde::{Deserialize, Serialize};

use super::{Delivery, KIND, Message};
use crate::model::{JobId, JobRecord, Json};
use crate::store::{Result, Store};

/// The step of a delivery that keeps its message, so that each attempt sends the same, whatever becomes of the job.
pub const MESSAGE_STEP: &str = "message";

/// The output of a delivery that has completed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The status that the receiver answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there was nothing to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// What was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
}

/// What the failures of a delivery that was answered begin with.
const ANSWERED: &str = "the receiver answered ";

/// The words for an answer that is no success. They begin with its status.
#[must_use]
pub fn unwanted(answer: &str) -> String {
    format!("{ANSWERED}{answer}")
}

/// The status in the words of a failure, where there was an answer.
#[must_use]
pub fn status_in(failure: &str) -> Option<u16> {
    failure.strip_prefix(ANSWERED)?.get(..3)?.parse().ok()
}

/// What a delivery has made of the end of its job, or is about to.
#[derive(Clone, Debug, PartialEq)]
pub enum Composed {
    /// This is sent.
    Message(Message),
    /// Nothing is, and why.
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

/// The fate of a delivery that is to be made again.
#[derive(Clone, Debug, PartialEq)]
pub enum Redelivered {
    /// This one was enqueued.
    Yes(JobId),
    /// It has not ended: its record.
    Unfinished(Box<JobRecord>),
    /// It had nothing to tell, and why.
    Nothing(String),
    /// There is no such delivery.
    Unknown,
}

/// Sends what a delivery has told, or was to tell, once more: by another delivery, with the same message.
///
/// # Errors
/// A store's fault.
pub async fn redeliver(store: &dyn Store, id: &JobId) -> Result<Redelivered> {
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
    let id = job.id.clone().unwrap_or_else(JobId::random);
    store.enqueue(vec![job]).await?;
    Ok(Redelivered::Yes(id))
}

/// The message that a delivery has told, or keeps for its next attempt; nothing where it has not read its job.
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
