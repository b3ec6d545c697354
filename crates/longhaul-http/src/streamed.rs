//! The schemas of events, as they are followed: over `text/event-stream`, and over a WebSocket.
//!
//! OpenAPI 3.1 has no word for the items of a stream. Tools that check one (Schemathesis) take the schema of the answer for that of
//! each event, in the form that the HTML standard's parser gives it: an object whose `data` is text. The text's own schema is then its
//! `contentSchema`, which is JSON Schema 2020-12. OpenAPI 3.2 names the same object `itemSchema`, but most generators of types do not
//! read 3.2 yet.

use std::fmt;

use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// An event of a stream: its name, and the schema of its data.
pub struct Streamed {
    /// The name, which is the field `event`.
    pub event: &'static str,
    /// The schema of the data, once it was read as JSON.
    pub data: RefOr<Schema>,
}

// A schema is too long to be printed.
impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed").field("event", &self.event).finish_non_exhaustive()
    }
}

/// The schema of the events of a stream that does not number them.
pub fn streamed(events: impl IntoIterator<Item = Streamed>) -> Schema {
    one_of(events, |event| named(event.event).property("data", text(event.data)).required("data"))
}

/// The same for events with a number, by which a reader goes on after the last one that it has seen.
pub(crate) fn numbered(events: impl IntoIterator<Item = Streamed>) -> Schema {
    let id = || {
        let id = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]+$"));
        id.description(Some("Its number within the job; as `Last-Event-ID` it resumes the log."))
    };
    one_of(events, |event| {
        let data = named(event.event).property("data", text(event.data)).required("data");
        data.property("id", id()).required("id")
    })
}

/// The schema of the same events as messages of a WebSocket, whose data is JSON within JSON.
pub(crate) fn messages(events: impl IntoIterator<Item = Streamed>) -> Schema {
    let id = || {
        let id = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
        id.description(Some("Its number within the job; as `?after=` it resumes the log."))
    };
    one_of(events, |event| {
        let data = named(event.event).property("data", event.data).required("data");
        data.property("id", id()).required("id")
    })
}

fn one_of(events: impl IntoIterator<Item = Streamed>, form: impl Fn(Streamed) -> ObjectBuilder) -> Schema {
    events.into_iter().map(form).fold(OneOfBuilder::new(), OneOfBuilder::item).build().into()
}

fn named(event: &'static str) -> ObjectBuilder {
    let name = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([event]));
    ObjectBuilder::new().property("event", name).required("event")
}

/// Text that is JSON of this schema.
fn text(data: RefOr<Schema>) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).content_media_type("application/json");
    text.content_schema(Some(data))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use utoipa::openapi::Ref;

    use super::*;

    #[test]
    fn the_data_of_a_streamed_event_is_text_and_that_of_a_message_is_not() {
        let event = || Streamed { event: "gap", data: Ref::from_schema_name("Gap").into() };
        let gap = json!({"$ref": "#/components/schemas/Gap"});
        let name = json!({"type": "string", "enum": ["gap"]});
        let data = json!({"type": "string", "contentMediaType": "application/json", "contentSchema": gap});
        let written = serde_json::to_value(streamed([event()])).unwrap();
        let expected = json!({"oneOf": [{
            "type": "object", "required": ["event", "data"], "properties": {"event": name, "data": data},
        }]});
        assert_eq!(written, expected);
        let message = serde_json::to_value(messages([event()])).unwrap();
        assert_eq!(message["oneOf"][0]["properties"]["data"], gap);
        let numbered = serde_json::to_value(numbered([event()])).unwrap();
        assert_eq!(numbered["oneOf"][0]["properties"]["data"], data);
        assert_eq!(numbered["oneOf"][0]["required"], json!(["event", "data", "id"]));
    }
}
