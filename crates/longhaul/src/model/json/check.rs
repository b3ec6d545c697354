//! The rules that JSON must keep beyond its grammar, so that every store, language and client reads it back alike.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{self, Write as _};

use memchr::memchr2;

/// The deepest that arrays and objects may be nested.
pub const MAX_JSON_DEPTH: usize = 64;

/// A rule that JSON breaks, and the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonBreach {
    /// The rule.
    pub rule: JsonRule,
    /// The path of the value, as `.a[1]`; empty for the whole.
    pub place: String,
}

/// The rules beyond the grammar of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonRule {
    /// A NUL character (`\u0000`) cannot be stored as text by Postgres.
    NoNul,
    /// Half of a surrogate pair (`\ud800`) is no character: most languages refuse the whole value later (RFC 8259, 8.2).
    WholeCharacters,
    /// A key twice in one object is read differently by different parsers (RFC 8259, 4).
    KeysOnce,
    /// Nesting beyond [`MAX_JSON_DEPTH`] overflows the stacks of recursive parsers.
    Depth,
}

impl fmt::Display for JsonRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonRule::NoNul => f.write_str("must not hold a NUL character"),
            JsonRule::WholeCharacters => f.write_str("must not hold half of a surrogate pair"),
            JsonRule::KeysOnce => f.write_str("must not name a key twice"),
            JsonRule::Depth => write!(f, "must not be nested deeper than {MAX_JSON_DEPTH} levels"),
        }
    }
}

impl fmt::Display for JsonBreach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => self.rule.fmt(f),
            place => write!(f, "{} (at {place})", self.rule),
        }
    }
}

/// Checks JSON text whose grammar was checked before.
///
/// # Errors
/// The first [`JsonBreach`].
pub fn check_json(text: &str) -> Result<(), JsonBreach> {
    check_json_within(text, MAX_JSON_DEPTH)
}

/// The same with another bound on the depth, for a text around JSON that is kept.
///
/// # Errors
/// The first [`JsonBreach`].
pub fn check_json_within(text: &str, max_depth: usize) -> Result<(), JsonBreach> {
    let mut scan =
        Scan { bytes: text.as_bytes(), text, at: 0, open: Vec::new(), max_depth, keys: Vec::new() };
    while let Some(byte) = scan.bytes.get(scan.at) {
        scan.at += 1;
        match byte {
            b'"' => scan.string()?,
            b'{' => {
                scan.open(Open::Object { first_key: scan.keys.len(), is_key: true, many: None })?;
            }
            b'[' => scan.open(Open::Array { index: 0 })?,
            b'}' | b']' => {
                if let Some(Open::Object { first_key, .. }) = scan.open.pop() {
                    scan.keys.truncate(first_key);
                }
            }
            b',' => match scan.open.last_mut() {
                Some(Open::Object { is_key, .. }) => *is_key = true,
                Some(Open::Array { index }) => *index += 1,
                None => {}
            },
            _ => {}
        }
    }
    Ok(())
}

struct Scan<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    open: Vec<Open<'t>>,
    max_depth: usize,
    /// The keys so far of the objects that are open, those of the innermost one last: one list for all of them, because every
    /// job's args pass here.
    keys: Vec<Cow<'t, str>>,
}

/// An array or object that has begun and not ended.
enum Open<'t> {
    Object {
        /// The place of its first key in the list.
        first_key: usize,
        /// The next string is a key and not a value.
        is_key: bool,
        /// Its keys, once they are many: comparing each with each would take a minute for a megabyte of short keys.
        many: Option<HashSet<Cow<'t, str>>>,
    },
    Array {
        index: usize,
    },
}

impl Open<'_> {
    fn first_key(&self) -> Option<usize> {
        match self {
            Open::Object { first_key, .. } => Some(*first_key),
            Open::Array { .. } => None,
        }
    }
}

/// So many keys are compared each with each.
const FEW_KEYS: usize = 32;

impl<'t> Scan<'t> {
    fn open(&mut self, open: Open<'t>) -> Result<(), JsonBreach> {
        if self.open.len() == self.max_depth {
            return Err(JsonBreach { rule: JsonRule::Depth, place: String::new() });
        }
        self.open.push(open);
        Ok(())
    }

    /// Reads a string whose opening quote was read.
    fn string(&mut self) -> Result<(), JsonBreach> {
        let start = self.at;
        let mut has_escape = false;
        // Every job's args pass here, and most of their bytes stand in strings.
        while let Some(found) = self.bytes.get(self.at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            self.at += found;
            if self.bytes[self.at] == b'"' {
                break;
            }
            has_escape = true;
            self.at += 2;
        }
        let raw = &self.text[start..self.at.min(self.text.len())];
        self.at += 1;
        let mut text = Cow::Borrowed(raw);
        if has_escape {
            // serde_json unescapes as it will for the reader of the value, and refuses half of a surrogate pair.
            let quoted = &self.text[start - 1..self.at];
            let Ok(unescaped) = serde_json::from_str::<String>(quoted) else {
                return Err(self.breach(JsonRule::WholeCharacters));
            };
            if unescaped.contains('\0') {
                return Err(self.breach(JsonRule::NoNul));
            }
            text = Cow::Owned(unescaped);
        }
        let Some(Open::Object { first_key, is_key: is_key @ true, many }) = self.open.last_mut() else {
            return Ok(());
        };
        *is_key = false;
        let keys = &self.keys[*first_key..];
        let is_known = match many {
            Some(many) => !many.insert(text.clone()),
            None => keys.contains(&text),
        };
        if many.is_none() && keys.len() == FEW_KEYS {
            *many = Some(keys.iter().cloned().chain([text.clone()]).collect());
        }
        self.keys.push(text);
        if is_known { Err(self.breach(JsonRule::KeysOnce)) } else { Ok(()) }
    }

    fn breach(&self, rule: JsonRule) -> JsonBreach {
        let mut place = String::new();
        // The newest key of an object stands before the first one of the object that was opened after it.
        let mut ends: Vec<usize> = self.open.iter().filter_map(Open::first_key).skip(1).collect();
        ends.push(self.keys.len());
        let mut ends = ends.into_iter();
        for open in &self.open {
            match open {
                Open::Object { first_key, .. } => {
                    let keys = &self.keys[*first_key..ends.next().unwrap_or(*first_key)];
                    let last = keys.last().map_or("", |key| key);
                    let _ = write!(place, ".{}", last.chars().take(40).collect::<String>());
                }
                Open::Array { index } => {
                    let _ = write!(place, "[{index}]");
                }
            }
        }
        JsonBreach { rule, place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_reader_understands_is_taken() {
        for text in [
            "null",
            r#"{"a":[1,2,{"b":"c"}],"d":"\ud83d\ude00","e\n":"\\u0000"}"#,
            r#"[{"a":1},{"a":2}]"#,
            r#"{"a":{"a":{"a":1}}}"#,
            r#""\"{\"a\":1,\"a\":2}""#,
        ] {
            assert_eq!(check_json(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_breach_is_named_with_its_place() {
        let breaches = [
            (r#""a\u0000b""#, "must not hold a NUL character"),
            (r#"{"a":[0,"\u0000"]}"#, "must not hold a NUL character (at .a[1])"),
            (r#"{"\u0000":1}"#, "must not hold a NUL character (at .)"),
            (r#"{"s":"\ud800"}"#, "must not hold half of a surrogate pair (at .s)"),
            (r#"{"s":"\udc00\ud800"}"#, "must not hold half of a surrogate pair (at .s)"),
            (r#"{"a":1,"b":2,"a":3}"#, "must not name a key twice (at .a)"),
            (r#"{"a":1,"\u0061":3}"#, "must not name a key twice (at .a)"),
            (r#"[{"x":{"b":1,"b":1}}]"#, "must not name a key twice (at [0].x.b)"),
        ];
        for (text, breach) in breaches {
            assert_eq!(check_json(text).unwrap_err().to_string(), breach, "{text}");
        }
    }

    #[test]
    fn one_key_of_very_many_that_stands_twice_is_found() {
        let keys: Vec<String> = (0..10_000).map(|n| format!("\"k{n}\":1")).collect();
        let once = format!("{{{}}}", keys.join(","));
        assert_eq!(check_json(&once), Ok(()));
        let twice = format!("{{{},\"k77\":1}}", keys.join(","));
        assert_eq!(check_json(&twice).unwrap_err().to_string(), "must not name a key twice (at .k77)");
    }

    #[test]
    fn nesting_has_a_bound() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check_json(&nested(MAX_JSON_DEPTH)), Ok(()));
        assert!(check_json(&nested(MAX_JSON_DEPTH + 1)).is_err());
    }
}
