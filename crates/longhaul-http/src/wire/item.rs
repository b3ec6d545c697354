use longhaul::{Error, Finish, Json, Lease, admit, check_json};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::strict;

/// One item of a request whose items stand alone: what cannot be read of it concerns its own run only.
#[derive(Debug)]
pub(crate) enum Item<T> {
    Read(T),
    /// Its run is known; a string of it is not.
    Unreadable {
        lease: Lease,
        error: Error,
    },
}

/// The part of an item that says whose it is.
#[derive(Deserialize)]
struct Owner {
    lease: Lease,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let (path, error) = match strict::read(json.as_str().as_bytes()) {
            Ok(value) => return Ok(Self::Read(value)),
            Err(error) => error,
        };
        // An item of another form is its client's mistake, and refused with the request. In JSON whose grammar was
        // checked, all else is text that is none: half of a surrogate pair, which a job may have returned.
        match serde_json::from_str(json.as_str()) {
            Ok(Owner { lease }) if !error.is_data() => {
                let breach = check_json(json.as_str()).err();
                let reason = breach.map_or_else(|| strict::words(&error), |breach| breach.rule.to_string());
                Ok(Self::Unreadable { lease, error: Error::Invalid { field: path, reason } })
            }
            _ => Err(D::Error::custom(format!("{path}: {}", strict::words(&error)))),
        }
    }
}

impl<T: Serialize> Serialize for Item<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Read(value) => value.serialize(serializer),
            Self::Unreadable { error, .. } => Err(serde::ser::Error::custom(error)),
        }
    }
}

/// The end of a run that cannot be ended as its worker said.
pub(crate) fn refused(lease: Lease, error: &Error) -> Finish {
    Finish { lease, outcome: admit::refused(error), entries: Vec::new(), follow_ups: Vec::new() }
}
