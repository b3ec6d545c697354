use serde_json::Value;

use super::{relaxed, schema};

/// The most places of a reply at which a document may begin: a reply full of braces is no reason to read it for ever.
const MAX_CANDIDATES: usize = 200;

/// The JSON document of a model's reply that fits the schema: the whole reply, else what stands in a fence, else the first
/// object or list in it that fits. What is sure to be meant is mended: trailing commas, raw line breaks in texts, halves
/// of characters, and the small things that [`schema::fit`] knows. What is no JSON even so is read as [`relaxed`] does.
///
/// # Errors
/// The reason, for the model: where its reply departs from the schema, or that there is no JSON in it.
pub(crate) fn find(reply: &str, schema: &Value) -> Result<Value, String> {
    let reply = reply.trim().trim_start_matches('\u{feff}');
    let mut fault: Option<(usize, String)> = None;
    for Candidate { document, text } in candidates(reply) {
        let strict = document.map(|document| (document.len(), parse(document)));
        let is_json = strict.as_ref().is_some_and(|(_, read)| read.is_ok());
        let relaxed = if is_json { None } else { relaxed::strict(text) };
        // JSON in other words has no fault of its own: that of the reply as it stands is the one that helps.
        let relaxed = relaxed.and_then(|json| Some((json.len(), Ok(parse(&json).ok()?))));
        let Some((length, read)) = relaxed.or(strict) else { continue };
        match read.and_then(|value| schema::fit(value, schema)) {
            Ok(value) => return Ok(value),
            // The reason of the longest document is the one that helps.
            Err(reason) if fault.as_ref().is_none_or(|(most, _)| length > *most) => {
                fault = Some((length, reason));
            }
            Err(_) => {}
        }
    }
    Err(fault.map_or_else(|| "the reply holds no JSON".to_owned(), |(_, reason)| reason))
}

/// A part of a reply that may be the document.
struct Candidate<'r> {
    /// The document, where its end is known.
    document: Option<&'r str>,
    /// The text that begins with it.
    text: &'r str,
}

/// The parts of a reply that may be the document, in the order in which they are tried.
fn candidates(reply: &str) -> impl Iterator<Item = Candidate<'_>> {
    let exact = |text| Candidate { document: Some(text), text };
    let whole = Some(reply).filter(|reply| reply.starts_with(['{', '[', '"']));
    let fenced = reply.split("```").skip(1).step_by(2).map(|block| {
        // The first line may name the language.
        let (first, rest) = block.split_once('\n').unwrap_or(("", block));
        if first.trim().chars().all(char::is_alphanumeric) { rest.trim() } else { block.trim() }
    });
    let fenced = fenced.filter(|block| block.starts_with(['{', '[']));
    let starts = reply.char_indices().filter(|(_, character)| matches!(character, '{' | '['));
    let within = starts.take(MAX_CANDIDATES).map(|(at, _)| {
        let text = &reply[at..];
        Candidate { document: balanced(text), text }
    });
    whole.into_iter().chain(fenced).map(exact).chain(within)
}

/// The object or list that a text begins with.
fn balanced(text: &str) -> Option<&str> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return Some(&text[..=at]);
                }
            }
            _ => {}
        }
    }
    None
}

fn parse(text: &str) -> Result<Value, String> {
    let strict = serde_json::from_str(text).map_err(|error| format!("the reply is not JSON: {error}"));
    // A text with formulas may be JSON as it stands, and mean something else.
    if strict.is_ok() && !has_formula(text) {
        return strict;
    }
    serde_json::from_str(&mended(text)).or(strict)
}

/// The text without the slips that have one meaning only.
fn mended(text: &str) -> String {
    let mut mended = String::with_capacity(text.len());
    let mut in_string = false;
    let has_formula = has_formula(text);
    let mut rest = text.char_indices();
    while let Some((at, character)) = rest.next() {
        match character {
            '"' => {
                in_string = !in_string;
                mended.push('"');
            }
            '\\' if in_string => {
                let escape = &text[at..];
                let length = escape_len(escape);
                if has_formula && is_command(escape) {
                    mended.push_str("\\\\");
                    continue;
                }
                if is_half(escape, &text[..at]) {
                    mended.push('\u{fffd}')
                } else {
                    mended.push_str(&escape[..length])
                }
                for _ in escape[..length].chars().skip(1) {
                    rest.next();
                }
            }
            _ if in_string && character < ' ' => mended.push_str(&format!("\\u{:04x}", character as u32)),
            ',' if !in_string && text[at + 1..].trim_start().starts_with(['}', ']']) => {}
            _ => mended.push(character),
        }
    }
    mended
}

/// True for a document with backslashes that stand for themselves: `\alpha` and `\(` are no escapes, and nobody means the form
/// feed that `\frac` or the backspace that `\beta` begins with.
fn has_formula(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, escape)) = rest.split_once('\\') {
        let mut characters = escape.chars();
        match (characters.next(), characters.next()) {
            (Some('b' | 'f'), Some(next)) if next.is_ascii_alphabetic() => return true,
            (Some('u'), _) if !is_unit(&escape[1..]) => return true,
            (Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' | 'u'), _) => rest = &escape[1..],
            (Some(_), _) => return true,
            (None, _) => return false,
        }
    }
    false
}

/// True for a command of TeX. Of those that begin like the escape of a line break or a tab, these are followed by no word.
fn is_command(escape: &str) -> bool {
    const LIKE_ESCAPES: [&str; 8] =
        ["times", "theta", "text", "triangle", "nabla", "neq", "right", "rightarrow"];
    let command = &escape[1..];
    let name = command.find(|c: char| !c.is_ascii_alphabetic()).map_or(command, |end| &command[..end]);
    match command.chars().next() {
        Some('b' | 'f') => name.len() > 1,
        Some('n' | 'r' | 't') => LIKE_ESCAPES.contains(&name),
        Some('u') => unit(escape).is_none(),
        Some(c) => !matches!(c, '"' | '\\' | '/'),
        None => false,
    }
}

/// The bytes of the escape that a text begins with.
fn escape_len(text: &str) -> usize {
    let most = if unit(text).is_some() { 6 } else { 1 + text[1..].chars().next().map_or(0, char::len_utf8) };
    most.min(text.len())
}

/// The code unit of the `\uXXXX` that a text begins with.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u").filter(|digits| is_unit(digits))?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

fn is_unit(digits: &str) -> bool {
    digits.get(..4).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// True for the escape of one half of a character whose other half is not beside it.
fn is_half(text: &str, before: &str) -> bool {
    let is_high = |text: &str| unit(text).is_some_and(|unit| (0xd800..0xdc00).contains(&unit));
    let is_low = |text: &str| unit(text).is_some_and(|unit| (0xdc00..0xe000).contains(&unit));
    let previous = before.len().checked_sub(6).and_then(|at| before.get(at..)).unwrap_or_default();
    is_high(text) && !text.get(6..).is_some_and(is_low) || is_low(text) && !is_high(previous)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(reply: &str) -> Result<Value, String> {
        let schema = json!({
            "type": "object", "required": ["title"], "properties": { "title": { "type": "string" } },
        });
        find(reply, &schema)
    }

    #[test]
    fn the_document_is_found_wherever_it_stands() {
        for reply in [
            "{\"title\": \"Leaves\"}",
            "\u{feff} {\"title\": \"Leaves\"} ",
            "```json\n{\"title\": \"Leaves\"}\n```",
            "Here it is:\n```json\n{\"title\": \"Leaves\"}\n```\nHope that helps {really}!",
            "```{\"title\": \"Leaves\"}```",
            "Let me see {braces} and [lists]: {\"title\": \"Leaves\"}. Or {\"title\": \"Roots\"}?",
            "First {\"tit\": \"x\"}, then {\"title\": \"Leaves\"}",
            "It's \"so {\" hard: {\"title\": \"Leaves\"}",
            "{\"title\": \"Leaves\"}}",
            "[{\"title\": \"Leaves\"}]",
            "{\"lesson\": {\"title\": \"Leaves\"}}",
            "\"{\\\"title\\\": \\\"Leaves\\\"}\"",
            "{\"title\": \"Leaves\",}",
            "{\"title\": \"Leaves\", \"more\": [1, 2,],\n}",
        ] {
            assert_eq!(read(reply).unwrap()["title"], "Leaves", "{reply}");
        }
    }

    #[test]
    fn a_document_in_the_words_of_another_language_is_read() {
        for reply in [
            "{'title': 'Leaves'}",
            "{'title': 'Leaves', 'done': True, 'more': None,}",
            "Sure, it's here: {'title': \"Leaves\", 'steps': []} - isn't it?",
            "```python\n{'title': 'Leaves'}\n```",
            "{ // the title's line\n \"title\": \"Leaves\", /* \"title\": \"Roots\" */ }",
            "{&quot;title&quot;: &quot;Leaves&quot;}",
            "\u{feff}{'title': 'Leaves'}",
            "[{'title': 'Leaves'}]",
        ] {
            assert_eq!(read(reply).unwrap()["title"], "Leaves", "{reply}");
        }
        let title = |reply: &str| read(reply).unwrap()["title"].clone();
        assert_eq!(
            title("{\"title\": \"it's 'so' // here: https://example.com, &quot;True&quot;\"}"),
            "it's 'so' // here: https://example.com, &quot;True&quot;"
        );
        assert_eq!(
            title("{'title': 'the leaf's \\alpha at https://example.com'}"),
            "the leaf's \\alpha at https://example.com"
        );
        assert_eq!(read("{'titel': 1, 'x': None}").unwrap_err(), "'title' is missing");
        assert!(read("{'title': 'Lea").unwrap_err().starts_with("the reply is not JSON"));
    }

    #[test]
    fn slips_of_one_meaning_are_mended() {
        let title = |text: &str| read(&format!("{{\"title\": \"{text}\"}}")).unwrap()["title"].clone();
        assert_eq!(title("a\nb\tc"), "a\nb\tc");
        assert_eq!(title("x\\ud83dy\\udc00z"), "x\u{fffd}y\u{fffd}z");
        assert_eq!(title("\\ud83e\\udd80 \\n \\\" \n"), "🦀 \n \" \n");
        assert_eq!(title("a\u{0}b\\u0000"), "ab", "a NUL has no place in a text");
        assert_eq!(title("one, }two"), "one, }two");
    }

    #[test]
    fn formulas_whose_backslashes_are_not_doubled_are_read_as_they_are_meant() {
        let title = |text: &str| read(&format!("{{\"title\": \"{text}\"}}")).unwrap()["title"].clone();
        for formula in [
            "\\alpha \\times \\theta",
            "\\frac{1}{2}",
            "so \\(x\\) is \\beta",
            "\\sum \\upsilon \\nabla f \\neq 0",
            "\\d \\text{if}",
            "\\upsilon",
        ] {
            assert_eq!(title(formula), formula);
        }
        assert_eq!(title("\\alpha\\nand then\\tfour \\\"x\\\" \\u00e9"), "\\alpha\nand then\tfour \"x\" é");
        assert_eq!(title("\\\\frac{1}{2} \\times"), "\\frac{1}{2} \times", "doubled as they are to be");
        assert_eq!(title("one\\nabla"), "one\nabla");
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        assert_eq!(read("I would rather not.").unwrap_err(), "the reply holds no JSON");
        assert_eq!(read("} no {").unwrap_err(), "the reply holds no JSON");
        assert!(read("{\"title\": \"Lea").unwrap_err().starts_with("the reply is not JSON: EOF"));
        assert_eq!(read("{\"titel\": 1, \"x\": 2}").unwrap_err(), "'title' is missing");
        assert!(read(&"{".repeat(100_000)).is_err());
    }
}
