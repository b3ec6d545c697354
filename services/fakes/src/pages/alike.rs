//! Compares a server's answer with that of a page, ids and times aside.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Stands for whatever is not worth printing.
const ELLIPSIS: &str = "…";

/// The real id behind each that the page prints.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<String, String>);

impl Known {
    pub(super) fn real(&self, printed: &str) -> Option<&str> {
        self.0.get(printed).map(String::as_str)
    }

    /// A text with the real ids in the place of those that the page prints.
    pub(super) fn with_real_ids(&self, text: &str) -> String {
        let piece = |piece: Piece<'_>| match piece {
            Piece::Plain(text) => text.to_owned(),
            Piece::Told { text, .. } => self.real(text).unwrap_or(text).to_owned(),
        };
        pieces(text).into_iter().map(piece).collect()
    }

    fn meet(&mut self, sort: Sort, printed: &str, actual: &str) -> Result<(), String> {
        match sort {
            // Two tasks of one second have the same number in print and in truth, or only in one of them.
            Sort::Unix => {
                self.0.insert(printed.to_owned(), actual.to_owned());
                Ok(())
            }
            Sort::Time => Ok(()),
            Sort::Id => match self.0.get(printed) {
                Some(known) if known != actual => {
                    Err(format!("the page prints {printed} for {known} and for {actual}"))
                }
                _ => {
                    self.0.insert(printed.to_owned(), actual.to_owned());
                    Ok(())
                }
            },
        }
    }
}

/// A sort of value that differs from run to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Id,
    Time,
    /// Unix seconds or milliseconds.
    Unix,
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// Compared to the letter.
    Plain(&'a str),
    /// Compared by its form.
    Told { sort: Sort, text: &'a str },
}

impl Piece<'_> {
    /// The form that both sides must have in common.
    fn form(&self) -> String {
        match self {
            Piece::Plain(text) => (*text).to_owned(),
            Piece::Told { sort: Sort::Id, text } if text.contains('-') => "⟨uuid⟩".to_owned(),
            Piece::Told { sort: Sort::Id, text } => format!("⟨{} hex digits⟩", text.len()),
            Piece::Told { sort: Sort::Unix, text } => format!("⟨{} digits⟩", text.len()),
            Piece::Told { sort: Sort::Time, text } => {
                let digit = |c: char| if c.is_ascii_digit() { '0' } else { c };
                format!("⟨{}⟩", text.chars().map(digit).collect::<String>())
            }
        }
    }
}

/// Cuts a text into plain parts and values that are compared by their sort.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut begin, mut at) = (0, 0);
    while at < text.len() {
        let at_border = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
        if let Some((sort, length)) = at_border.then(|| told(&text[at..])).flatten() {
            if begin < at {
                pieces.push(Piece::Plain(&text[begin..at]));
            }
            pieces.push(Piece::Told { sort, text: &text[at..at + length] });
            at += length;
            begin = at;
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    if begin < text.len() {
        pieces.push(Piece::Plain(&text[begin..]));
    }
    pieces
}

/// The value at the beginning of a text, and its length in bytes.
fn told(text: &str) -> Option<(Sort, usize)> {
    if let Some(length) = time(text) {
        return Some((Sort::Time, length));
    }
    let ends_at = |length: usize| !text[length..].starts_with(|c: char| c.is_ascii_alphanumeric());
    if shaped(text, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh") && ends_at(36) {
        return Some((Sort::Id, 36));
    }
    let length =
        text.bytes().take_while(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte)).count();
    if [24, 32, 40, 64].contains(&length) && ends_at(length) {
        return Some((Sort::Id, length));
    }
    // Seconds and milliseconds of the years 2001 to 2033.
    let is_number = text.bytes().take(length).all(|byte| byte.is_ascii_digit());
    (is_number && text.starts_with('1') && [10, 13].contains(&length) && ends_at(length))
        .then_some((Sort::Unix, length))
}

/// A date with a time, with or without a fraction and a zone.
fn time(text: &str) -> Option<usize> {
    if !shaped(text, "dddd-dd-ddTdd:dd:dd") {
        return None;
    }
    let mut length = 19;
    let digits = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count();
    if let Some(fraction) = text[length..].strip_prefix('.').map(digits).filter(|digits| *digits > 0) {
        length += 1 + fraction;
    }
    let rest = &text[length..];
    if rest.starts_with('Z') {
        length += 1;
    } else if shaped(rest, "+dd:dd") || shaped(rest, "-dd:dd") {
        length += 6;
    }
    Some(length)
}

/// True if a text begins with this shape: `d` is a digit, `h` a hex digit in lower case.
fn shaped(text: &str, shape: &str) -> bool {
    let fits = |(byte, shape): (u8, u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        b'h' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        other => byte == other,
    };
    text.len() >= shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

/// Compares two texts, in which `…` of the printed one stands for anything.
pub(super) fn text_alike(printed: &str, actual: &str, known: &mut Known) -> Result<(), String> {
    let lines = |text: &str| text.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    let (printed, actual) = (lines(printed), lines(actual));
    let (expected, got) = (pieces(&printed), pieces(&actual));
    let form = |pieces: &[Piece<'_>]| pieces.iter().map(Piece::form).collect::<String>();
    if printed.contains(ELLIPSIS) {
        let (expected, got) = (form(&expected), form(&got));
        return if elided(&expected, &got) { Ok(()) } else { Err(differ(&expected, &got)) };
    }
    if form(&expected) != form(&got) {
        return Err(differ(&printed, &actual));
    }
    for (expected, got) in expected.iter().zip(&got) {
        if let (Piece::Told { sort, text: printed }, Piece::Told { text: actual, .. }) = (expected, got) {
            known.meet(*sort, printed, actual)?;
        }
    }
    Ok(())
}

fn differ(printed: &str, actual: &str) -> String {
    format!("the page says '{printed}', and it is '{actual}'")
}

fn elided(printed: &str, actual: &str) -> bool {
    let parts: Vec<&str> = printed.split(ELLIPSIS).collect();
    let [first, middle @ .., last] = &parts[..] else { return printed == actual };
    let Some(mut rest) = actual.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Compares two values. What the page names in braces is set.
pub(super) fn json_alike(
    printed: &Value,
    actual: &Value,
    at: &str,
    known: &mut Known,
    variables: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let told = |reason: String| if at.is_empty() { reason } else { format!("{at}: {reason}") };
    match (printed, actual) {
        (Value::String(printed), _) if printed == ELLIPSIS => Ok(()),
        (Value::String(printed), Value::String(actual)) => match named(printed) {
            Some(name) => {
                let before = variables.insert(name.to_owned(), actual.clone());
                match before.filter(|before| before != actual) {
                    Some(before) => Err(told(format!("{{{name}}} was '{before}', and now is '{actual}'"))),
                    None => Ok(()),
                }
            }
            None => text_alike(printed, actual, known).map_err(told),
        },
        (Value::Number(printed), Value::Number(actual)) => {
            text_alike(&printed.to_string(), &actual.to_string(), known).map_err(told)
        }
        (Value::Object(printed), Value::Object(actual)) => {
            let more = printed.contains_key(ELLIPSIS);
            let names: BTreeSet<&String> = printed.keys().chain(actual.keys()).collect();
            for name in names.into_iter().filter(|name| *name != ELLIPSIS) {
                let inner = format!("{at}.{name}");
                match (printed.get(name), actual.get(name)) {
                    (Some(printed), Some(actual)) => json_alike(printed, actual, &inner, known, variables)?,
                    (Some(_), None) => return Err(format!("{inner}: is on the page and not in the answer")),
                    (None, Some(_)) if more => {}
                    (None, _) => return Err(format!("{inner}: is in the answer and not on the page")),
                }
            }
            Ok(())
        }
        (Value::Array(printed), Value::Array(actual)) => lists_alike(printed, actual, at, known, variables),
        _ if printed == actual => Ok(()),
        _ => Err(told(differ(&printed.to_string(), &actual.to_string()))),
    }
}

/// An `…` among the printed entries stands for any number of them; one is enough for a page.
fn lists_alike(
    printed: &[Value],
    actual: &[Value],
    at: &str,
    known: &mut Known,
    variables: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let gap = printed.iter().position(|entry| entry == ELLIPSIS);
    let fits = match gap {
        Some(_) => actual.len() + 1 >= printed.len(),
        None => actual.len() == printed.len(),
    };
    if !fits {
        return Err(format!(
            "{at}: the page shows {} entries, and there are {}",
            printed.len(),
            actual.len()
        ));
    }
    let after = gap.map_or(0, |gap| printed.len() - gap - 1);
    let before = gap.unwrap_or(printed.len());
    let pairs = printed[..before].iter().zip(actual).enumerate();
    let ends = printed[printed.len() - after..].iter().zip(&actual[actual.len() - after..]);
    let ends = (actual.len() - after..).zip(ends);
    for (number, (printed, actual)) in pairs.chain(ends) {
        json_alike(printed, actual, &format!("{at}[{number}]"), known, variables)?;
    }
    Ok(())
}

/// The name in a text that is exactly `{name}`.
fn named(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_name.then_some(name)
}

/// Makes an `…` that stands bare in JSON a value, an entry or a field of that name.
pub(super) fn with_ellipses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_text, mut escaped) = (false, false);
    let mut open = Vec::new();
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            _ if in_text => {}
            '{' | '[' => open.push(c),
            '}' | ']' => {
                open.pop();
            }
            '…' => {
                let is_value = out.trim_end().ends_with(':') || open.last() != Some(&'{');
                out.push_str(if is_value { "\"…\"" } else { "\"…\":\"…\"" });
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn alike(printed: &str, actual: Value) -> Result<(), String> {
        let printed = serde_json::from_str(&with_ellipses(printed)).unwrap();
        json_alike(&printed, &actual, "", &mut Known::default(), &mut BTreeMap::new())
    }

    #[test]
    fn ids_and_times_stand_for_others_of_their_form() {
        let id = "60d5ec49f1b2c8b1f8e4f1a1";
        let page = format!(r#"{{"_id": "{id}", "at": "2026-01-31T09:30:00.000Z", "ms": 1767225600000}}"#);
        let answer = |id: &str, at: &str, ms: u64| json!({ "_id": id, "at": at, "ms": ms });
        let other = "70d5ec49f1b2c8b1f8e4f1a2";
        assert_eq!(alike(&page, answer(other, "2027-02-01T00:00:00.123Z", 1_800_000_000_001)), Ok(()));
        for (id, at, ms) in [
            ("70d5ec49f1b2c8b1f8e4f1a", "2027-02-01T00:00:00.123Z", 1_800_000_000_001),
            (other, "2027-02-01T00:00:00Z", 1_800_000_000_001),
            (other, "2027-02-01", 1_800_000_000_001),
            (other, "2027-02-01T00:00:00.123Z", 1_800_000_001),
        ] {
            assert!(alike(&page, answer(id, at, ms)).is_err(), "{id} {at} {ms}");
        }
        assert!(alike(r#"{"date": "2024-01-15"}"#, json!({ "date": "2024-01-16" })).is_err());
        let task = "github_profile_octocat_1735689600";
        assert_eq!(alike(&format!("[\"{task}\"]"), json!(["github_profile_octocat_1767225600"])), Ok(()));
        assert!(alike(&format!("[\"{task}\"]"), json!(["github_profile_mona_1767225600"])).is_err());
    }

    #[test]
    fn one_id_is_one_id() {
        let (a, b) = ("60d5ec49f1b2c8b1f8e4f1a1", "70d5ec49f1b2c8b1f8e4f1a2");
        let page = format!(r#"["{a}", "session {a} is here"]"#);
        assert_eq!(alike(&page, json!([b, format!("session {b} is here")])), Ok(()));
        assert!(alike(&page, json!([b, format!("session {a} is here")])).is_err());
        let mut known = Known::default();
        text_alike(a, b, &mut known).unwrap();
        assert_eq!(known.with_real_ids(&format!("/s/{a}/x")), format!("/s/{b}/x"));
    }

    #[test]
    fn ellipses_hide_no_more_than_they_say() {
        assert_eq!(alike(r#"{"a": 1, …}"#, json!({ "a": 1, "b": 2 })), Ok(()));
        assert!(alike(r#"{"a": 1}"#, json!({ "a": 1, "b": 2 })).is_err());
        assert!(alike(r#"{"a": 1, …}"#, json!({ "b": 2 })).is_err());
        assert_eq!(alike(r#"{"a": …}"#, json!({ "a": [1] })), Ok(()));
        assert_eq!(alike("[1, …, 9]", json!([1, 2, 3, 9])), Ok(()));
        assert_eq!(alike("[1, …, 9]", json!([1, 9])), Ok(()));
        assert!(alike("[1, …, 9]", json!([1, 2, 3])).is_err());
        assert!(alike("[1, …, 9]", json!([1])).is_err());
        assert!(alike("[1]", json!([1, 2])).is_err());
        assert_eq!(alike(r#"["ab…", "…c"]"#, json!(["abc", "c"])), Ok(()));
        assert!(alike(r#"["ab…"]"#, json!(["acb"])).is_err());
        assert_eq!(alike(r#"{"s": "a … b"}"#, json!({ "s": "a or b" })), Ok(()));
    }

    #[test]
    fn a_named_text_is_the_same_each_time() {
        assert_eq!(alike(r#"["{id}", "{id}"]"#, json!(["x", "x"])), Ok(()));
        assert!(alike(r#"["{id}", "{id}"]"#, json!(["x", "y"])).is_err());
    }
}
