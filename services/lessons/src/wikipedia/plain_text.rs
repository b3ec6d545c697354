//! Prose of an encyclopedia as people read it: no tags, entities, formulas' source, reference marks or pronunciations.

use quick_xml::escape::resolve_html5_entity;

/// The longest name of an entity.
const MAX_ENTITY_CHARS: usize = 32;
/// Openings of what says how a name is spoken.
const SPOKEN: [&str; 13] = [
    "pronounced",
    "pronunciation",
    "ipa",
    "listen",
    "respelling",
    "aussprache",
    "ausgesprochen",
    "pronunciado",
    "pronunciación",
    "prononcé",
    "prononciation",
    "écouter",
    "उच्चारण",
];

/// A text as people read it.
pub(crate) fn of(text: &str) -> String {
    let text = without_entities(&without_tags(text));
    let text = without_formulas(&text);
    let text = without_marks(&text);
    let text = without_pronunciations(&text);
    tidied(&text)
}

/// Without what looks like a tag; `a < b` stays.
fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        plain.push_str(before);
        let is_tag = after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        match after.split_once('>') {
            Some((_, after)) if is_tag => rest = after,
            None if is_tag => rest = "",
            _ => {
                plain.push('<');
                rest = after;
            }
        }
    }
    plain + rest
}

fn without_entities(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let name = after.split_once(';').map(|(name, _)| name).filter(|name| name.len() <= MAX_ENTITY_CHARS);
        match name.and_then(|name| Some((name, character_of(name)?))) {
            Some((name, text)) => {
                plain.push_str(&text);
                rest = &after[name.len() + 1..];
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain + rest
}

fn character_of(name: &str) -> Option<String> {
    let number = match name.strip_prefix('#') {
        None => return resolve_html5_entity(name).map(str::to_owned),
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        },
    };
    char::from_u32(number.ok()?).map(String::from)
}

/// Formulas come as their TeX, in braces, after the same in loose symbols, a line each. What is simple is kept: `a^2 + b^2`.
fn without_formulas(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{\\displaystyle").or_else(|| rest.find("{\\textstyle")) {
        let before = rest[..at].trim_end_matches(|c: char| c != '\n' && c.is_whitespace());
        plain.push_str(without_loose_symbols(before));
        let (formula, after) = braced(&rest[at..]);
        if let Some(formula) = simple(formula) {
            plain.push(' ');
            plain.push_str(&formula);
        }
        rest = after;
    }
    plain + rest
}

/// Without the lines of single symbols at the end.
fn without_loose_symbols(text: &str) -> &str {
    let mut text = text;
    while let Some((before, last)) = text.rsplit_once('\n') {
        if last.trim().chars().count() > 3 {
            break;
        }
        text = before;
    }
    text
}

/// The braces that a text begins with, and the text after them.
fn braced(text: &str) -> (&str, &str) {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.split_at(at + c.len_utf8());
        }
    }
    (text, "")
}

fn simple(formula: &str) -> Option<String> {
    let inner = formula.strip_prefix('{')?.strip_suffix('}')?;
    let inner = inner.trim_start_matches("\\displaystyle").trim_start_matches("\\textstyle");
    let plain: String = inner.chars().filter(|c| !matches!(c, '{' | '}')).collect();
    let plain = plain.trim();
    (!plain.is_empty() && !plain.contains('\\')).then(|| plain.to_owned())
}

/// Without `[1]`, `[note 2]`, `[a]` and `[citation needed]`.
fn without_marks(text: &str) -> String {
    let is_mark = |inner: &str| {
        let inner = inner.trim().to_lowercase();
        let first = inner.split(' ').next().unwrap_or_default();
        inner.chars().count() <= 1
            || inner.chars().all(|c| c.is_ascii_digit())
            || matches!(first, "note" | "citation" | "update" | "edit" | "clarification" | "anm." | "réf.")
            || is_phonetic(&inner)
    };
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        match after.split_once(']') {
            Some((inner, after)) if !inner.contains('[') && is_mark(inner) => rest = after,
            _ => {
                plain.push('[');
                rest = after;
            }
        }
    }
    plain + rest
}

/// Without `/ˈvɜːb/` and what stands in brackets only to say how a name is spoken.
fn without_pronunciations(text: &str) -> String {
    let text = without_slashed(text);
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('(') {
        plain.push_str(before);
        let Some(inner) = bracketed(after) else {
            plain.push('(');
            rest = after;
            continue;
        };
        rest = &after[inner.len() + 1..];
        let parts: Vec<&str> = inner.split(';').map(str::trim).collect();
        let kept: Vec<&str> = parts.iter().copied().filter(|part| !is_spoken(part)).collect();
        if kept.len() == parts.len() {
            plain.push_str(&format!("({inner})"));
        } else if !kept.is_empty() {
            plain.push_str(&format!("({})", kept.join("; ")));
        }
    }
    plain + rest
}

/// The text up to the bracket that closes the one before it.
fn bracketed(text: &str) -> Option<&str> {
    let mut depth = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&text[..at]);
        }
    }
    None
}

fn without_slashed(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('/') {
        plain.push_str(before);
        match after.split_once('/') {
            Some((inner, after)) if is_phonetic(inner) && !inner.contains('\n') && inner.len() < 120 => {
                rest = after
            }
            _ => {
                plain.push('/');
                rest = after;
            }
        }
    }
    plain + rest
}

/// True for a part of a bracket that only says how something is spoken: empty without its phonetics, or respelt.
fn is_spoken(part: &str) -> bool {
    let lower = part.to_lowercase();
    let respelt = |word: &str| {
        let syllables: Vec<&str> = word.split('-').collect();
        let is_stressed = |s: &&str| s.chars().count() >= 2 && s.chars().all(char::is_uppercase);
        syllables.len() >= 2
            && syllables.iter().any(is_stressed)
            && syllables.iter().any(|s| s.chars().any(char::is_lowercase))
    };
    part.is_empty()
        || part.ends_with(':')
        || is_phonetic(part)
        || SPOKEN.iter().any(|opening| lower.starts_with(opening))
        || part.split([' ', ',']).any(respelt)
}

/// True if a text has letters that only the phonetic alphabet has.
fn is_phonetic(text: &str) -> bool {
    text.chars().any(|c| matches!(c, '\u{250}'..='\u{2af}' | 'ˈ' | 'ˌ' | 'ː' | '\u{32f}' | '\u{361}'))
}

/// Without control characters, doubled spaces, and the gaps where something was taken out. Paragraphs stay.
fn tidied(text: &str) -> String {
    let mut paragraphs = Vec::new();
    for line in text.lines() {
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        for (gap, mended) in [(" ,", ","), (" .", "."), (" )", ")"), ("( ", "("), ("()", ""), (",,", ",")] {
            line = line.replace(gap, mended);
        }
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if !line.is_empty() {
            paragraphs.push(line);
        }
    }
    paragraphs.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_what_people_read() {
        for (text, plain) in [
            (
                "the <span class=\"searchmatch\">verb</span> &quot;to be&quot; &amp;amp; more &ndash; &#039;x&#x27; <b",
                "the verb \"to be\" &amp; more – 'x'",
            ),
            ("if a < b & c > d, R&D; &nosuch; &#xZZ;", "if a < b & c > d, R&D; &nosuch; &#xZZ;"),
            (
                "Rabindranath Tagore (ra-BIN-drə-NAHT tə-GOR; Bengali: রবীন্দ্রনাথ; 7 May 1861 – 7 August 1941) was",
                "Rabindranath Tagore (Bengali: রবীন্দ্রনাথ; 7 May 1861 – 7 August 1941) was",
            ),
            (
                "A verb (/vɜːrb/ ) is a word[1] that[note 2] acts.[citation needed]",
                "A verb is a word that acts.",
            ),
            ("Paris (French pronunciation: [paʁi] ) is", "Paris is"),
            (
                "The Révolution (French: Révolution française [ʁevɔlysjɔ̃]) was",
                "The Révolution (French: Révolution française) was",
            ),
            (
                "Water (H2O) is and/or (in some sense) wet [sic].",
                "Water (H2O) is and/or (in some sense) wet [sic].",
            ),
            (
                "sometimes called the Pythagorean equation: {\\displaystyle a^{2}+b^{2}=c^{2}.}",
                "sometimes called the Pythagorean equation: a^2+b^2=c^2.",
            ),
            ("equal to\n  \n    π\n  \n{\\displaystyle \\pi } radians", "equal to radians"),
            ("nul \0 and\tmore\n\n  words  ", "nul and more\nwords"),
            ("open { brace {\\displaystyle x", "open { brace"),
            ("(open", "(open"),
            ("", ""),
        ] {
            assert_eq!(of(text), plain, "{text}");
        }
    }
}
