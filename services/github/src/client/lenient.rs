//! GitHub's JSON as it comes: a null where a value is expected, a field of another type, a byte order mark, half of a
//! surrogate pair. What cannot be read costs itself and nothing else.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longer texts of people's (descriptions, biographies) are cut: what is kept of a reply is bounded.
const MAX_TEXT_CHARS: usize = 1_000;
/// Numbers are bounded so that no sum of them overflows.
pub(super) const MAX_COUNT: u64 = 1 << 48;

/// A body as JSON that can be parsed and kept: without a byte order mark, with U+FFFD for bytes that are no UTF-8, for NULs
/// (Postgres cannot keep them) and for halves of surrogate pairs (RFC 8259, 8.2), which are in old commit messages.
pub(super) fn decode(body: &[u8]) -> Cow<'_, str> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    let is_suspect = ["\\u0000", "\\ud", "\\uD"].iter().any(|escape| text.contains(escape));
    if is_suspect { Cow::Owned(without_bad_escapes(&text)) } else { text }
}

fn without_bad_escapes(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        clean.push_str(before);
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => {
                clean.push_str(escape.get(..12).unwrap_or_default());
                12
            }
            (Some(0 | 0xd800..=0xdfff), _) => {
                clean.push_str("\\ufffd");
                6
            }
            // Two characters at least: the second may be a backslash of its own.
            _ => {
                let length = 1 + escape.chars().nth(1).map_or(0, char::len_utf8);
                clean.push_str(escape.get(..length).unwrap_or_default());
                length
            }
        };
        rest = escape.get(length..).unwrap_or_default();
    }
    clean.push_str(rest);
    clean
}

/// The number of the `\uXXXX` that a text begins with.
fn unit(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// A value, or the default in place of a null and of another type.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// A number, 0 in place of anything else.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_u64().unwrap_or_default().min(MAX_COUNT))
}

/// A text, cut where it is long; `None` for anything else.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(cut(text)),
        _ => None,
    })
}

/// The texts of a list.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let values: Vec<Value> = or_default(deserializer)?;
    let texts = values.into_iter().filter_map(|value| match value {
        Value::String(text) => Some(cut(text)),
        _ => None,
    });
    Ok(texts.collect())
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}

/// A list whose members are read each for itself: those that make no sense are left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = Vec::<Value>::deserialize(deserializer)?;
        let read = values.into_iter().filter_map(|value| serde_json::from_value(value).ok());
        Ok(Self(read.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_cannot_be_kept_are_mended() {
        let read = |body: &[u8]| serde_json::from_str::<Value>(&decode(body)).unwrap()["a"].clone();
        assert_eq!(read("\u{feff}{\"a\":\"é\"}".as_bytes()), "é");
        assert_eq!(read(b"{\"a\":\"x\xffy\"}"), "x\u{fffd}y");
        assert_eq!(read(br#"{"a":"w\ud83dip"}"#), "w\u{fffd}ip");
        assert_eq!(read(br#"{"a":"w\uDC00\ud83d"}"#), "w\u{fffd}\u{fffd}");
        assert_eq!(read(br#"{"a":"\ud83d\ude00 \u0000"}"#), "😀 \u{fffd}");
        // A backslash that is meant as one escapes nothing after it.
        assert_eq!(read(br#"{"a":"\\ud83d \\u0000 \"\\\ud83d\""}"#), "\\ud83d \\u0000 \"\\\u{fffd}\"");
        assert_eq!(read(br#"{"a":"\\ud83d\\"}"#), "\\ud83d\\");
        for text in ["\\", "\\u", "\\ud83", "\\ud83d\\", "\\ud83d\\ué", "\\é\\ud8"] {
            decode(text.as_bytes());
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("é".repeat(1_001)), "é".repeat(1_000));
        assert_eq!(cut("é".repeat(1_000)), "é".repeat(1_000));
    }
}
