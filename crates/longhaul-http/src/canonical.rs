//! Digests of JSON that are the same for what means the same: white space, the order of members and the
//! spelling of strings do not count. Numbers count as they are written, so that no two that differ are ever
//! taken for one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// A fingerprint of a `POST` to `route` with this JSON body: equal for bodies that mean the same, and different
/// otherwise.
///
/// # Errors
/// Fails where the body is no JSON.
pub fn fingerprint(route: &str, body: &[u8]) -> serde_json::Result<String> {
    let mut digest = Sha256::new();
    digest.update("POST ");
    digest.update(route);
    digest.update("\n");
    update(&mut digest, serde_json::from_slice::<&RawValue>(body)?)?;
    Ok(hex(&digest.finalize()))
}

/// Adds a JSON value to a digest.
pub(crate) fn update(digest: &mut Sha256, json: &RawValue) -> serde_json::Result<()> {
    let text = json.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<Name<'_>, &RawValue> = serde_json::from_str(text)?;
            digest.update(b"{");
            for (Name(name), value) in members {
                string(digest, &name);
                update(digest, value)?;
            }
            digest.update(b"}");
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            digest.update(b"[");
            for item in items {
                update(digest, item)?;
            }
            digest.update(b"]");
        }
        Some(b'"') => string(digest, &serde_json::from_str::<Name<'_>>(text)?.0),
        _ => {
            digest.update(text);
            digest.update(b",");
        }
    }
    Ok(())
}

/// The length in front keeps one string from running into the next.
fn string(digest: &mut Sha256, text: &str) {
    digest.update(format!("\"{}:", text.len()));
    digest.update(text);
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A digest in hexadecimal.
pub(crate) fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest.iter().fold(String::with_capacity(digest.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(json: &str) -> String {
        let json: &RawValue = serde_json::from_str(json).unwrap();
        let mut digest = Sha256::new();
        update(&mut digest, json).unwrap();
        hex(&digest.finalize())
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        let one = digest(r#"{"a": [1, "x\u0041"], "b": {"c": null, "d": true}}"#);
        assert_eq!(one, digest(r#"{"b":{"d":true,"c":null},"a":[1,"xA"]}"#));
    }

    #[test]
    fn what_differs_differs() {
        let all = [
            r"{}",
            r"[]",
            r"[[]]",
            r"[1,2]",
            r"[12]",
            r"[1,[2]]",
            r#""1""#,
            r"1",
            r"1.0",
            r#"["a","b"]"#,
            r#"["ab"]"#,
            r#"{"a":"b"}"#,
            r"18446744073709551617",
            r"18446744073709551618",
            r"null",
        ];
        let digests: std::collections::BTreeSet<String> = all.iter().map(|json| digest(json)).collect();
        assert_eq!(digests.len(), all.len());
    }
}
