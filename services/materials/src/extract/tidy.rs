use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Makes text of one form, whatever wrote it: lines end in `\n`, at most one of them is empty in a row, none ends
/// in spaces, letters are composed, the forms that only typesetters tell apart (ligatures, full-width letters) are the
/// letters that they stand for, and nothing is left that cannot be seen (control characters, soft hyphens, marks of
/// direction).
pub(super) fn tidy(text: &str) -> String {
    let text = without_soft_hyphens(text);
    let mut tidied = String::with_capacity(text.len());
    let mut empty_lines = 0;
    // A form feed parts pages, so it ends a line as well; so do a vertical tab, and the "next line" of mainframes.
    let lines = text.split(['\n', '\x0B', '\x0C', '\u{85}']);
    for line in lines.flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r')) {
        let length = tidied.len();
        push_visible(line, &mut tidied);
        tidied.truncate(length + tidied[length..].trim_end().len());
        if tidied.len() == length {
            empty_lines += 1;
            if empty_lines > 1 || tidied.is_empty() {
                continue;
            }
        } else {
            empty_lines = 0;
        }
        tidied.push('\n');
    }
    tidied.truncate(tidied.trim_end().len());
    if is_nfc(&tidied) { tidied } else { tidied.nfc().collect() }
}

/// A soft hyphen at the end of a line has parted a word; within a line it could have, and did not.
fn without_soft_hyphens(text: &str) -> Cow<'_, str> {
    let mut parts = text.split('\u{AD}');
    let mut joined = String::from(parts.next().unwrap_or_default());
    if joined.len() == text.len() {
        return Cow::Borrowed(text);
    }
    for part in parts {
        let next = part.trim_start();
        let is_break = part[..part.len() - next.len()].matches('\n').count() == 1;
        let is_word = joined.ends_with(char::is_alphabetic) && next.starts_with(char::is_alphabetic);
        joined.push_str(if is_break && is_word { next } else { part });
    }
    Cow::Owned(joined)
}

/// Joins words that a typesetter broke at the end of a line (`photo-` / `synthesis`), or a search for them would
/// find nothing. Only before a lower-case letter: `Hardy-` / `Weinberg` keeps its hyphen and loses its line break.
pub(super) fn join_broken_words(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let kept = joined.strip_suffix("-\n").or_else(|| joined.strip_suffix("\u{2010}\n"));
        let (before, length) = (kept.and_then(|kept| kept.chars().next_back()), kept.map_or(0, str::len));
        match (before, line.chars().next()) {
            (Some(before), Some(after)) if before.is_alphabetic() && after.is_alphabetic() => {
                joined.truncate(length);
                if !after.is_lowercase() {
                    joined.push('-');
                }
            }
            _ => {}
        }
        joined.push_str(line);
    }
    joined
}

/// The number of letters and digits in a text. Signs that a font without a character map stands for lie in Unicode's
/// private areas and are none.
pub(super) fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).count()
}

/// Cuts a text whose kind has no pages into parts that are as long as some pages: between lines where it can.
pub(super) fn parts(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > PART_BYTES {
        let end = rest.floor_char_boundary(PART_BYTES);
        let half = rest.floor_char_boundary(PART_BYTES / 2);
        let cut = rest[half..end].rfind("\n\n").or_else(|| rest[half..end].rfind('\n'));
        let (part, more) = rest.split_at(cut.map_or(end, |at| half + at));
        parts.push(part.to_owned());
        rest = more.trim_start_matches('\n');
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(rest.to_owned());
    }
    parts
}

/// The length of a part of a document without pages.
pub(super) const PART_BYTES: usize = 64 * 1024;

fn push_visible(line: &str, text: &mut String) {
    for c in line.chars() {
        match c {
            '\t' => text.push('\t'),
            '\u{A0}' | '\u{2007}' | '\u{202F}' | '\u{2028}' | '\u{2029}' | '\u{3000}' => text.push(' '),
            // Soft hyphens, spaces of no width, marks of direction: what is left of them would part words.
            '\u{AD}' | '\u{200B}' | '\u{2060}' | '\u{FEFF}' => {}
            '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c if is_compatibility_form(c) => text.extend(std::iter::once(c).nfkc()),
            c => text.push(c),
        }
    }
}

/// Letters in the forms of typesetters and old character sets. Superscripts and fractions are none of them: `x²`
/// is not `x2`.
fn is_compatibility_form(c: char) -> bool {
    matches!(c, '\u{FB00}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}' | '\u{FF01}'..='\u{FFEE}'
        | '\u{2E80}'..='\u{2FDF}' | '\u{F900}'..='\u{FAFF}' | '\u{132}'..='\u{133}' | '\u{1C4}'..='\u{1CC}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_of_any_origin_has_one_form() {
        assert_eq!(
            tidy("\u{FEFF}\r\none  \r\n\r\n\r\n\r\ntwo\rthree\u{AD}s\x0C\x00four\n\n"),
            "one\n\ntwo\nthrees\nfour"
        );
        assert_eq!(tidy("  indented\u{A0}code\n"), "  indented code");
        assert_eq!(tidy(" \n\t\n"), "");
        assert_eq!(tidy("one\u{85}two\x0Bthree"), "one\ntwo\nthree");
    }

    #[test]
    fn the_forms_of_typesetters_become_letters_and_meaning_stays() {
        assert_eq!(tidy("scienti\u{FB01}c o\u{FB03}ce"), "scientific office");
        assert_eq!(tidy("\u{202B}\u{FEB7}\u{FEE4}\u{FEB2}\u{202C}"), "شمس");
        assert_eq!(tidy("ＡＢＣ１２３ ｶﾞ \u{2F08}"), "ABC123 ガ 人");
        assert_eq!(tidy("x² ½ cafe\u{301}"), "x² ½ café");
    }

    #[test]
    fn a_soft_hyphen_joins_what_it_parted() {
        assert_eq!(tidy("hydro\u{AD}\nsphere and ca\u{AD}rote\n"), "hydrosphere and carote");
        assert_eq!(tidy("end\u{AD}\n\nnew"), "end\n\nnew");
    }

    #[test]
    fn broken_words_are_joined_and_names_keep_their_hyphen() {
        assert_eq!(
            join_broken_words("photo-\nsynthesis of the Hardy-\nWeinberg law"),
            "photosynthesis of the Hardy-Weinberg law"
        );
        assert_eq!(join_broken_words("photo\u{2010}\nsynthesis"), "photosynthesis");
        assert_eq!(join_broken_words("pages 3-\n4, a dash -\nhere"), "pages 3-\n4, a dash -\nhere");
    }

    #[test]
    fn a_long_text_is_cut_between_lines_and_keeps_every_word() {
        let text: String = (0..20_000).map(|n| format!("line number {n}\n")).collect();
        let parts = parts(text.trim_end());
        assert!(parts.len() > 4 && parts.iter().all(|part| part.len() <= PART_BYTES));
        assert_eq!(parts.join("\n"), text.trim_end());
        assert_eq!(super::parts(""), [""]);
        assert_eq!(super::parts(&"光".repeat(PART_BYTES)).concat(), "光".repeat(PART_BYTES));
    }

    proptest! {
        #[test]
        fn tidying_twice_changes_nothing_more(text in "[a-z \r\n\t\x0C\u{AD}\u{FB01}é-]{0,60}") {
            let once = tidy(&text);
            prop_assert_eq!(&tidy(&once), &once);
            prop_assert!(!once.contains("\n\n\n"));
        }
    }
}
