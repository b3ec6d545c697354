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
        // An item of another form is its client's mistake, and refused with the request. Text that is none, half of a
        // surrogate pair, is what a job may have returned: then all else can be read.
        match (strict::read::<T>(mended(json.as_str()).as_bytes()), serde_json::from_str(json.as_str())) {
            (Ok(_), Ok(Owner { lease })) => {
                let breach = check_json(json.as_str()).err();
                let reason = breach.map_or_else(|| strict::words(&error), |breach| breach.rule.to_string());
                Ok(Self::Unreadable { lease, error: Error::Invalid { field: path, reason } })
            }
            (Ok(_), Err(error)) => Err(D::Error::custom(strict::words(&error))),
            (Err((path, error)), _) => Err(D::Error::custom(format!("{path}: {}", strict::words(&error)))),
        }
    }
}

/// JSON with a replacement character in place of each half of a surrogate pair.
fn mended(json: &str) -> String {
    let mut mended = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        mended.push_str(&rest[..at]);
        rest = &rest[at..];
        let (kept, length) = match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (&rest[..12], 12),
            (Some(0xd800..=0xdfff), _) => ("\\ufffd", 6),
            _ => {
                let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                (&rest[..length], length)
            }
        };
        mended.push_str(kept);
        rest = &rest[length..];
    }
    mended.push_str(rest);
    mended
}

/// The UTF-16 code unit of the escape that a text begins with.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
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
    Finish { lease, outcome: admit::refused(error), entries: Vec::new(), follow_ups: Vec::new(), cost: None }
}

#[cfg(test)]
mod tests {
    use super::mended;

    #[test]
    fn halves_of_surrogate_pairs_are_mended_and_all_else_stays() {
        for same in [r#""é \n \\ud800 \u00e9 \ud83d\ude00""#, r#""\\\ud83d\ude00\\""#, "7"] {
            assert_eq!(mended(same), same);
        }
        for (half, whole) in [
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""\udc00\ud800x""#, r#""\ufffd\ufffdx""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\\uDFFF\n""#, r#""\\\ufffd\n""#),
        ] {
            assert_eq!(mended(half), whole);
        }
    }
}
