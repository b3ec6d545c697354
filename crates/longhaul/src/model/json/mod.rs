mod check;

pub use check::{JsonBreach, JsonRule, MAX_JSON_DEPTH, check_json, check_json_within};

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::store::{Error, Result};

/// JSON text that is carried and stored as it is, and parsed only by the job that wants it.
///
/// Making one checks the grammar alone, so that whatever a store holds can be read. The rules that go further are
/// [`check`](Self::check)ed at the [door](crate::admit), before a store is given anything.
///
/// An enum that holds one must be tagged from outside (serde's default): the other forms read their content into
/// a buffer first, which has no text to keep.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the value has no JSON form (a map with keys that are not strings, say).
    pub fn new(value: &impl Serialize) -> Result<Self> {
        serde_json::value::to_raw_value(value)
            .map(Self)
            .map_err(|e| Error::Invalid { field: "json".into(), reason: e.to_string() })
    }

    /// Takes text that must be one JSON value.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not.
    pub fn parse(text: String) -> Result<Self> {
        RawValue::from_string(text)
            .map(Self)
            .map_err(|e| Error::Invalid { field: "json".into(), reason: e.to_string() })
    }

    /// Checks what a store is not to be given: NUL, half of a surrogate pair, a key twice in one object, nesting beyond
    /// [`MAX_JSON_DEPTH`]. `max_bytes` bounds the text.
    ///
    /// # Errors
    /// [`Error::Invalid`] for `field`, with the rule and the place within the value.
    pub fn check(&self, field: &str, max_bytes: usize) -> Result<()> {
        let reason = match self.as_str().len() {
            bytes if bytes > max_bytes => {
                Err(format!("must be at most {max_bytes} bytes of JSON, and has {bytes}"))
            }
            _ => check_json(self.as_str()).map_err(|breach| breach.to_string()),
        };
        reason.map_err(|reason| Error::Invalid { field: field.into(), reason })
    }

    /// Reads the value.
    ///
    /// # Errors
    /// If the JSON is not of `T`'s form.
    pub fn to<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.0.get())
    }

    /// The value as a tree; the text was checked when this was made.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// JSON's `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Two are equal when their text is, so `1.0` and `1` differ.
impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::null()
    }
}
