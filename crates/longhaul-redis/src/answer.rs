//! Reads the server's answers: every function answers `None` where there is something that no script answers.

use longhaul::Json;
use redis::Value;
use serde::de::DeserializeOwned;

pub(crate) fn list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

pub(crate) fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

pub(crate) fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

pub(crate) fn text(value: &Value) -> Option<&str> {
    std::str::from_utf8(bytes(value)?).ok()
}

/// JSON text, carried on as it is.
pub(crate) fn json(value: &Value) -> Option<Json> {
    Json::parse(text(value)?.to_owned()).ok()
}

pub(crate) fn parsed<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_str(text(value)?).ok()
}
