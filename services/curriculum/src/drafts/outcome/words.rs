//! The words of an outcome, and what stands before them.

use std::ops::Range;

use service_support::Language;

/// A word of an outcome.
pub(super) struct Word {
    pub(super) place: Range<usize>,
    /// In small letters, without punctuation.
    pub(super) plain: String,
    /// True if a comma or the like comes after it.
    pub(super) closes: bool,
}

/// The forms without their endings. They are verbs only where it is plain that a verb stands there: models and programming are
/// things, too.
pub(super) fn english_forms(word: &str) -> Vec<String> {
    let mut forms = Vec::new();
    if let Some(stem) = word.strip_suffix("ies") {
        forms.push(format!("{stem}y"));
    }
    forms.extend(word.strip_suffix("es").map(str::to_owned));
    forms.extend(word.strip_suffix('s').map(str::to_owned));
    if let Some(stem) = word.strip_suffix("ing").or(word.strip_suffix("ed")) {
        forms.push(stem.to_owned());
        forms.push(format!("{stem}e"));
        let mut shorter = stem.chars();
        shorter.next_back();
        forms.push(shorter.as_str().to_owned());
    }
    forms
}

pub(super) fn words(text: &str, language: Language) -> Vec<Word> {
    let mut words = Vec::new();
    let mut begin = 0;
    let mut add = |range: Range<usize>| {
        let part = &text[range.clone()];
        let is_edge = |c: char| (c.is_ascii_punctuation() && c != '&') || "’‘“”„«»।…–—•".contains(c);
        let plain = part.trim_matches(is_edge).to_lowercase();
        let closes = part.ends_with([',', ':', ';', '–', '—']);
        if plain.is_empty() {
            // A dash by itself closes what stands before it.
            if let Some(last) = words.last_mut() {
                let last: &mut Word = last;
                last.closes = true;
            }
            return;
        }
        words.push(Word { place: range, plain, closes });
    };
    for (at, c) in text.char_indices() {
        let elides = language == Language::Fr && matches!(c, '\'' | '’');
        if c.is_whitespace() || elides {
            let end = if elides { at + c.len_utf8() } else { at };
            if begin < end {
                add(begin..end);
            }
            begin = at + c.len_utf8();
        }
    }
    if begin < text.len() {
        add(begin..text.len());
    }
    words
}

/// An outcome without the codes in brackets at its ends: `[K3]`.
pub(super) fn without_codes(statement: &str) -> &str {
    let is_code = |code: &str| {
        (1..=12).contains(&code.chars().count())
            && code.chars().any(|c| c.is_ascii_digit() || c.is_uppercase())
            && !code.contains(char::is_whitespace)
    };
    let mut text = statement.trim().trim_end_matches('.');
    let before = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    if let Some((_, rest)) = before.filter(|(code, rest)| is_code(code) && !rest.trim().is_empty()) {
        text = rest.trim_start();
    }
    let after = text.strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
    match after.filter(|(rest, code)| is_code(code) && !rest.trim().is_empty()) {
        Some((rest, _)) => rest.trim_end(),
        None => text,
    }
}

/// An outcome without its bullet, its number (`1.`, `(a)`, `2.3`) and its code (`LO1:`, `Outcome 2 –`).
pub(super) fn without_number(statement: &str) -> &str {
    let mut text = statement.trim();
    loop {
        let bare = text.trim_start_matches(|c: char| "•‣▪◦·*-–—➢✓☐●○■".contains(c) || c.is_whitespace());
        let (first, rest) = bare.split_once(char::is_whitespace).unwrap_or((bare, ""));
        let inner = first.trim_matches(|c| matches!(c, '(' | ')' | '.' | ':' | ']' | '['));
        let is_closed = inner.len() < first.len();
        let is_number = !inner.is_empty() && inner.chars().all(|c| c.is_ascii_digit() || c == '.');
        let is_letter = is_closed && inner.chars().count() == 1 && inner.chars().all(char::is_alphabetic);
        let is_roman =
            is_closed && inner.len() <= 4 && !inner.is_empty() && inner.chars().all(|c| "ivxIVX".contains(c));
        let letters = inner.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
        let is_code = letters.len() < inner.len()
            && (1..=4).contains(&letters.len())
            && letters.chars().all(|c| c.is_ascii_uppercase());
        let label = bare.split_once([':', '–']).filter(|(label, _)| {
            label.len() <= 24
                && label.split_whitespace().count() <= 3
                && label.chars().any(|c| c.is_ascii_digit())
        });
        let next = if !rest.is_empty()
            && (is_number && (is_closed || inner.contains('.')) || is_letter || is_roman || is_code)
        {
            rest.trim_start()
        } else if let Some((_, after)) = label.filter(|(_, after)| !after.trim().is_empty()) {
            after.trim_start()
        } else {
            bare
        };
        if next == text || next.is_empty() {
            return if next.is_empty() { text } else { next };
        }
        text = next;
    }
}
