use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::{Error, Result};

/// A job's name: given by the caller, or a UUIDv7 (so that ids made later sort later).
///
/// A given id is 1–128 characters of `A–Z a–z 0–9 . _ : -`, and neither `.` nor `..`. Enqueueing an id that exists creates nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct JobId(Box<str>);

impl JobId {
    /// A new random id.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::now_v7().to_string().into_boxed_str())
    }

    /// Takes a caller's id, after checking its length and characters.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the id breaks the pattern.
    pub fn new(id: impl Into<String>) -> Result<Self> {
        let id = id.into();
        check_name("id", &id)?;
        Ok(Self(id.into_boxed_str()))
    }

    /// Takes an id that a store has already accepted, or that a look-up is for. It is not checked, but NUL, which
    /// Postgres takes in no parameter, is replaced: no job has an id with either.
    #[must_use]
    pub fn from_store(id: String) -> Self {
        match id.contains('\0') {
            true => Self(id.replace('\0', "\u{fffd}").into_boxed_str()),
            false => Self(id.into_boxed_str()),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for JobId {
    /// [`from_store`](Self::from_store).
    fn from(id: String) -> Self {
        Self::from_store(id)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An id of this process that no other process has had: stores find the runs of a dead predecessor by it.
#[must_use]
pub fn process_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| Uuid::now_v7().to_string())
}

/// Ids, kinds, queues and keys share one pattern, so that each can stand in a URL, a log line and a Redis key.
pub(crate) fn check_name(field: &str, name: &str) -> Result<()> {
    // A path of `.` or `..` is resolved away by clients before it is sent (RFC 3986, 5.2.4), so that it could not be
    // requested.
    let fits = (1..=128).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'));
    if fits {
        return Ok(());
    }
    Err(Error::Invalid {
        field: field.into(),
        reason: "must be 1 to 128 characters of A-Z a-z 0-9 . _ : -, and not . or ..".into(),
    })
}
