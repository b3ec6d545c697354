use std::borrow::Cow;

/// The JSON of an object or list that a text begins with in the words of another language: texts in single quotes, `True`,
/// `False` and `None`, comments, quotes that were escaped for a web page. What stands within texts stays as it is. `None` where
/// it does not end.
pub(super) fn strict(text: &str) -> Option<String> {
    if !SIGNS.iter().any(|sign| text.contains(sign)) {
        return None;
    }
    let text = without_entities(text);
    let mut json = String::with_capacity(text.len());
    let mut depth = 0_usize;
    // The last sign that is neither space nor comment: a single quote begins a text only where one is expected.
    let mut before = None;
    let mut rest = &*text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '"' => {
                let (within, behind) = until(after, |at| after[at..].starts_with('"'))?;
                json.push('"');
                json.push_str(within);
                json.push('"');
                rest = behind;
            }
            '“' | '„' | '«' if matches!(before, Some('{' | '[' | ',' | ':')) => {
                let (within, behind) = until_typographic(after)?;
                json.push('"');
                push_double(within, &mut json);
                json.push('"');
                rest = behind;
            }
            '\'' if matches!(before, Some('{' | '[' | ',' | ':')) => {
                let (within, behind) = until(after, |at| ends_text(&after[at..]))?;
                json.push('"');
                push_double(within, &mut json);
                json.push('"');
                rest = behind;
            }
            '/' if after.starts_with('/') => {
                rest = after.find('\n').map_or("", |end| &after[end..]);
                continue;
            }
            '/' if after.starts_with('*') => {
                rest = &after[1..];
                rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
                continue;
            }
            c if c.is_ascii_alphabetic() => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                json.push_str(match &rest[..end] {
                    "True" => "true",
                    "False" => "false",
                    "None" => "null",
                    word => word,
                });
                rest = &rest[end..];
            }
            c => {
                json.push(c);
                match c {
                    '{' | '[' => depth += 1,
                    '}' | ']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if depth == 0 {
                    return Some(json);
                }
                rest = after;
            }
        }
        if !c.is_whitespace() {
            before = Some(c);
        }
    }
    None
}

/// What only those other words have.
const SIGNS: [&str; 10] = ["'", "//", "/*", "&", "True", "False", "None", "“", "„", "«"];

/// What stands before the first sign that ends a text, and what behind it; a sign behind a backslash ends none.
fn until(text: &str, ends: impl Fn(usize) -> bool) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' | '\'' if ends(at) => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

/// What stands before the typographic quote that ends a text, and what behind it: one within a text is followed by no sign of JSON,
/// or by a comma and a word.
fn until_typographic(text: &str) -> Option<(&str, &str)> {
    let begins_value = |text: &str| {
        text.starts_with(['"', '“', '„', '«', '\'', '{', '[', '}', ']', '-'])
            || text.starts_with(|c: char| c.is_ascii_digit())
            || ["true", "false", "null"].iter().any(|word| text.starts_with(word))
    };
    let mut quotes = text.match_indices(['”', '“', '»', '"']);
    quotes.find_map(|(at, quote)| {
        let behind = &text[at + quote.len()..];
        let is_end = match behind.trim_start().strip_prefix(',') {
            Some(more) => begins_value(more.trim_start()),
            None => behind.trim_start().starts_with([':', '}', ']']),
        };
        is_end.then(|| (&text[..at], behind))
    })
}

/// True for a single quote that ends a text: what follows one within a text, an apostrophe, is the rest of a word.
fn ends_text(text: &str) -> bool {
    let Some(behind) = text.strip_prefix('\'') else { return false };
    let mut behind = behind.trim_start();
    while let Some(comment) = behind.strip_prefix("/*") {
        behind = comment.find("*/").map_or("", |end| comment[end + 2..].trim_start());
    }
    behind.starts_with([',', ':', '}', ']']) || behind.starts_with("//")
}

/// The content of a text in single quotes, as it stands in double ones.
fn push_double(text: &str, json: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\\']) {
        json.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        rest = if rest[at..].starts_with('"') {
            json.push_str("\\\"");
            behind
        } else if let Some(behind) = behind.strip_prefix('\'') {
            json.push('\'');
            behind
        } else if let Some(digits) = hexadecimal(behind) {
            json.push_str("\\u00");
            json.push_str(digits);
            &behind[3..]
        } else {
            // An escape that both languages have; its second sign begins no other.
            let length = behind.chars().next().map_or(0, char::len_utf8);
            json.push('\\');
            json.push_str(&behind[..length]);
            &behind[length..]
        };
    }
    json.push_str(rest);
}

/// The two digits of `xe9`.
fn hexadecimal(escape: &str) -> Option<&str> {
    let digits = escape.strip_prefix('x')?.get(..2)?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(digits)
}

/// The text as it was before a web page, where the first quote of the document is an entity.
fn without_entities(text: &str) -> Cow<'_, str> {
    const ENTITIES: [(&str, &str); 10] = [
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#x22;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    let first = text.trim_start_matches(|c: char| matches!(c, '{' | '[') || c.is_whitespace());
    if !ENTITIES[..6].iter().any(|(entity, _)| first.starts_with(entity)) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity));
        let (length, sign) = known.map_or((1, "&"), |(entity, sign)| (entity.len(), sign));
        plain.push_str(sign);
        rest = &rest[length..];
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Value {
        let strict = strict(text).unwrap_or_else(|| panic!("{text} does not end"));
        serde_json::from_str(&strict).unwrap_or_else(|error| panic!("{error}: {strict}"))
    }

    #[test]
    fn dictionaries_of_python_are_objects() {
        let said = read(
            r#"{'title': 'Leaves', "b": True, 'c': [False, None, 1.5], 'd': {'e': ''}} and more 'talk'"#,
        );
        assert_eq!(said, json!({"title": "Leaves", "b": true, "c": [false, null, 1.5], "d": {"e": ""}}));
        assert_eq!(
            read(r#"['He said "hi"', "it's", 'it\'s', 'it's so', 'a\\', 'caf\xe9', '\u00e9\n']"#),
            json!(["He said \"hi\"", "it's", "it's", "it's so", "a\\", "café", "é\n"])
        );
        assert_eq!(
            read("{'a': 'True, None and // no comment', 'b': 'x'}")["a"],
            "True, None and // no comment"
        );
    }

    #[test]
    fn typographic_quotes_are_quotes_where_a_text_begins() {
        assert_eq!(
            read("{“title”: “He said “hi”, and \"so\" it’s”, „b“ : [«c», “”], \"d\": \"“as it is”\"}"),
            json!({"title": "He said “hi”, and \"so\" it’s", "b": ["c", ""], "d": "“as it is”"})
        );
        assert_eq!(strict("{“title”: “Lea"), None);
    }

    #[test]
    fn comments_are_left_out_and_texts_keep_what_looks_like_them() {
        let said = "{ // it's the title\n \"title\": \"see https://example.com/a//b /* here */\", /* don't */ \"n\": [1, // one\n 2]}";
        assert_eq!(read(said), json!({"title": "see https://example.com/a//b /* here */", "n": [1, 2]}));
        assert_eq!(
            read("{'a': 'http://x/' /* 'y' */, 'b': 'z' // 'q'\n}"),
            json!({"a": "http://x/", "b": "z"})
        );
    }

    #[test]
    fn quotes_that_were_escaped_for_a_page_are_quotes() {
        assert_eq!(
            read(
                "{ &quot;title&quot;: &quot;a &lt;b&gt; &amp;amp; &#39;c&#39;&quot;, &quot;q&quot;: &quot;\\&quot;&quot; }"
            ),
            json!({"title": "a <b> &amp; 'c'", "q": "\""})
        );
        assert_eq!(read(r#"{"a": "&quot;x&quot;"}"#), json!({"a": "&quot;x&quot;"}));
    }

    #[test]
    fn what_does_not_end_is_no_document() {
        for text in ["{'a': 'b", "{", "{'a': 1 /* x }", "{\"a\": \"b}", ""] {
            assert_eq!(strict(text), None, "{text}");
        }
    }
}
