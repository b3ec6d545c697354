use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::store::{Error, Result};

/// JSON text that is carried and stored as it is, and parsed only by the job that wants it.
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

    /// Reads the value.
    ///
    /// # Errors
    /// Where the JSON is not of `T`'s form.
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
