//! Holds what is answered against the OpenAPI document, by as much of JSON Schema as the document makes use of.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::{Map, Value};

/// The document of the routes under `/api`.
fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        serde_json::to_value(longhaul_http::document("", "/api", Vec::new())).expect("it has a JSON form")
    })
}

/// Fails where an event does not fit what the document says of the stream at a path: `fields` are those of the event, as a parser of
/// event streams gives them.
pub(crate) fn hold_event(path: &str, fields: &Value) {
    let answer = &document()["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"];
    assert!(answer["schema"].is_object(), "{path} has no schema of its events");
    hold(&answer["schema"], fields);
}

/// Fails where a message does not fit what the document says of the WebSocket at a path.
pub(crate) fn hold_message(path: &str, message: &Value) {
    let answer = &document()["paths"][path]["get"]["responses"]["101"]["content"];
    let (_, told) =
        answer.as_object().and_then(|content| content.iter().next()).expect("messages are described");
    hold(&told["schema"], message);
}

/// The names of the events of a stream.
pub(crate) fn events_of(path: &str) -> BTreeSet<String> {
    let answer = &document()["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"];
    let events = resolved(&answer["schema"])["oneOf"].as_array().expect("each event has a form");
    let name = |event: &Value| event["properties"]["event"]["enum"][0].as_str().expect("a name").to_owned();
    events.iter().map(name).collect()
}

fn hold(schema: &'static Value, value: &Value) {
    let mut faults = faults(schema, value, "$");
    faults.extend(undescribed(schema, value, "$"));
    assert!(faults.is_empty(), "{value} does not fit {}: {faults:#?}", resolved(schema));
}

fn resolved(schema: &'static Value) -> &'static Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let named = document().pointer(reference.trim_start_matches('#'));
            resolved(named.unwrap_or_else(|| panic!("{reference} leads nowhere")))
        }
        None => schema,
    }
}

/// The rules of a schema that a value breaks.
fn faults(schema: &'static Value, value: &Value, place: &str) -> Vec<String> {
    let rules = resolved(schema).as_object().expect("a schema is an object");
    rules.iter().flat_map(|(rule, told)| broken(rule, told, rules, value, place)).collect()
}

fn broken(
    rule: &str,
    told: &'static Value,
    rules: &'static Map<String, Value>,
    value: &Value,
    place: &str,
) -> Vec<String> {
    let fault =
        |is_broken: bool| if is_broken { vec![format!("{place}: {rule} {told}")] } else { Vec::new() };
    let forms = || told.as_array().expect("forms").iter().map(|form| faults(form, value, place));
    match rule {
        "description" | "example" | "format" if *told != "date-time" => Vec::new(),
        "format" => fault(value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_err())),
        "type" => fault(!types(told).iter().any(|kind| is(value, kind))),
        "enum" => fault(!told.as_array().expect("words").contains(value)),
        "minimum" => fault(value.as_f64().is_some_and(|number| Some(number) < told.as_f64())),
        "pattern" => {
            assert_eq!(told, "^[0-9]+$", "the only pattern that this test knows");
            fault(
                value
                    .as_str()
                    .is_none_or(|text| text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit())),
            )
        }
        "required" => {
            let names = told.as_array().expect("names").iter().filter_map(Value::as_str);
            names
                .filter(|name| value.get(name).is_none())
                .map(|name| format!("{place}.{name} is missing"))
                .collect()
        }
        "properties" => {
            let members = told.as_object().expect("properties").iter();
            let there = members.filter_map(|(name, form)| Some((name, form, value.get(name)?)));
            there.flat_map(|(name, form, member)| faults(form, member, &format!("{place}.{name}"))).collect()
        }
        "items" => {
            value.as_array().into_iter().flatten().flat_map(|item| faults(told, item, place)).collect()
        }
        "allOf" => forms().flatten().collect(),
        "anyOf" => fault(forms().all(|faults| !faults.is_empty())),
        "oneOf" => match forms().filter(Vec::is_empty).count() {
            1 => Vec::new(),
            0 => forms().flatten().collect(),
            more => vec![format!("{place}: fits {more} forms of one")],
        },
        "contentMediaType" => fault(told != "application/json" || rules.get("contentSchema").is_none()),
        "contentSchema" => match value.as_str().map(serde_json::from_str::<Value>) {
            Some(Ok(content)) => {
                let place = format!("{place} as JSON");
                let mut faults = faults(told, &content, &place);
                faults.extend(undescribed(told, &content, &place));
                faults
            }
            other => vec![format!("{place}: is no JSON: {other:?}")],
        },
        other => panic!("this test does not know the rule {other} at {place}"),
    }
}

fn types(told: &Value) -> Vec<&str> {
    match told {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match value {
        Value::Null => kind == "null",
        Value::Bool(_) => kind == "boolean",
        Value::Number(number) => kind == "number" || (kind == "integer" && !number.is_f64()),
        Value::String(_) => kind == "string",
        Value::Array(_) => kind == "array",
        Value::Object(_) => kind == "object",
    }
}

/// The members of an object that its schema does not name. JSON Schema lets them pass; a reader of the document learns nothing of them.
fn undescribed(schema: &'static Value, value: &Value, place: &str) -> Vec<String> {
    let Value::Object(members) = value else { return Vec::new() };
    let mut forms = vec![resolved(schema)];
    let mut described: BTreeSet<&str> = BTreeSet::new();
    while let Some(form) = forms.pop() {
        if form.get("additionalProperties").is_some() {
            return Vec::new();
        }
        described.extend(form["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()));
        forms.extend(form["allOf"].as_array().into_iter().flatten().map(resolved));
        let of_one = form["oneOf"].as_array().into_iter().flatten();
        forms.extend(of_one.map(resolved).filter(|form| faults(form, value, place).is_empty()));
    }
    let more = members.keys().filter(|name| !described.contains(name.as_str()));
    more.map(|name| format!("{place}.{name} is not described")).collect()
}

mod itself {
    use serde_json::json;

    use super::*;

    fn refuses(fields: &Value) -> bool {
        let fields = fields.clone();
        std::panic::catch_unwind(move || hold_event("/api/jobs/{id}/events", &fields)).is_err()
    }

    #[test]
    fn what_does_not_fit_is_noticed() {
        let at = "2026-01-01T00:00:00.000Z";
        let event = |event: &str, data: Value| json!({"id": "7", "event": event, "data": data.to_string()});
        let log = || json!({"attempt": 1, "at": at, "level": "info", "message": "m"});
        assert!(!refuses(&event("log", log())));
        assert!(!refuses(&event("gap", json!({"attempt": 1, "at": at}))));
        for (name, data) in [
            ("chunk", log()),
            ("news", log()),
            ("log", json!({"attempt": 1, "at": at, "message": "m"})),
            ("log", json!({"attempt": -1, "at": at, "level": "info", "message": "m"})),
            ("log", json!({"attempt": 1, "at": "today", "level": "info", "message": "m"})),
            ("log", json!({"attempt": 1, "at": at, "level": "loud", "message": "m"})),
            ("log", json!({"attempt": 1, "at": at, "level": "info", "message": "m", "colour": "red"})),
        ] {
            assert!(refuses(&event(name, data.clone())), "{name} {data}");
        }
        assert!(refuses(&json!({"id": "x", "event": "log", "data": log().to_string()})));
        assert!(refuses(&json!({"id": "7", "event": "log", "data": log()})), "data is text");
        assert!(refuses(&json!({"id": "7", "event": "log", "data": "{"})));
    }
}
