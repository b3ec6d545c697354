//! A job's events, read as a browser reads them.

use futures::StreamExt;
use serde_json::Value;

use crate::courses::{Course, job_id};
use crate::server::{PATIENCE, client};

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// Reads the events of a material's job until one of them is `wanted` or the stream ends, and answers all that were
/// read.
pub(crate) async fn follow(course: &Course, material: &str, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let url = course.at(&format!("/api/jobs/{}/events", job_id(material)));
    let answer = client().get(url).send().await.expect("the server answers");
    assert!(answer.status().is_success(), "{}", answer.status());
    let (mut body, mut text, mut events) = (answer.bytes_stream(), String::new(), Vec::new());
    while let Some(piece) = tokio::time::timeout(PATIENCE, body.next()).await.expect("events come in time") {
        let Ok(piece) = piece else { break };
        text.push_str(std::str::from_utf8(&piece).expect("samples and messages are ASCII"));
        while let Some((event, rest)) = text.split_once("\n\n") {
            let event = parse(event);
            text = rest.to_owned();
            let Some(event) = event else { continue };
            let is_wanted = wanted(&event);
            events.push(event);
            if is_wanted {
                return events;
            }
        }
    }
    events
}

/// `None` for a comment, which only keeps the connection alive.
fn parse(text: &str) -> Option<Event> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let data = serde_json::from_str(field("data:")?).expect("data is JSON");
    let id = field("id:").and_then(|id| id.parse().ok()).expect("every event has a number");
    Some(Event { id, name: field("event:").expect("and a name").to_owned(), data })
}
