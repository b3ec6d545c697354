use std::collections::HashSet;

use super::ocr::Seen;
use super::tidy::letters;
use super::{PageText, Warning, WarningCode};

/// A page with fewer letters of its own than this is looked at in any case: a scan that carries a page number.
const MIN_LETTERS: usize = 50;

/// True if the text that a page carries is a text: whether it is all that the page shows is another question.
pub(super) fn is_trusted(layer: &str) -> bool {
    letters(layer) >= MIN_LETTERS && likeness(layer) == Likeness::Language
}

/// Puts together what a page carries and what was seen on it. The layer is right letter for letter, so of what was seen
/// only the lines are added that it does not have; but a layer that is unlike language, and shares hardly a word with
/// what is there to be seen, gives way.
pub(super) fn merge(layer: &str, seen: &Seen) -> PageText {
    if letters(layer) == 0 {
        return PageText { text: seen.text.clone(), warnings: seen.warning().into_iter().collect() };
    }
    let carried = Letters::of(layer);
    let (likeness, shared) = (likeness(layer), carried.share_of(&seen.text));
    let is_contradicted = shared < 0.3 && letters(&seen.text) * 2 >= letters(layer).min(100);
    if likeness != Likeness::Language && is_contradicted && seen.confidence >= 60.0 {
        let message = "the text that the page carries is unlike any language; it was read by OCR instead";
        let mut warnings = vec![Warning::new(WarningCode::LayerDoubtful, message)];
        warnings.extend(seen.warning());
        return PageText { text: seen.text.clone(), warnings };
    }
    let mut text = without_junk(layer);
    let mut is_added = false;
    let mut gap = "\n\n";
    for line in seen.text.lines() {
        let is_new = letters(line) > 1 && carried.share_of(line) < 0.5;
        if is_new && (seen.confidence >= 60.0 || letters(layer) < MIN_LETTERS) {
            text.push_str(if text.is_empty() { "" } else { gap });
            text.push_str(line);
            gap = "\n";
            is_added = true;
        } else {
            gap = "\n\n";
        }
    }
    let is_doubtful = match likeness {
        Likeness::Language => false,
        // What is to be seen bears it out: a list of words, a table of names.
        Likeness::Unknown => shared < 0.5,
        Likeness::Junk => true,
    };
    let mut warnings = Vec::new();
    if is_doubtful && letters(layer) >= MIN_LETTERS {
        let message = "the text that the page carries is unlike any language, and OCR saw no better one";
        warnings.push(Warning::new(WarningCode::LayerDoubtful, message));
    }
    warnings.extend(seen.warning().filter(|_| is_added));
    PageText { text, warnings }
}

/// The letters of a text, in groups of three: the places of spaces depend on the reader of a page.
struct Letters(HashSet<[char; 3]>);

impl Letters {
    fn of(text: &str) -> Self {
        Self(threes(text).collect())
    }

    /// The share of a text's letters that are here, in their order.
    fn share_of(&self, text: &str) -> f64 {
        let (mut all, mut here) = (0, 0);
        for three in threes(text) {
            all += 1;
            here += usize::from(self.0.contains(&three));
        }
        if all == 0 { 0.0 } else { f64::from(u32::try_from(here).unwrap_or(u32::MAX)) / f64::from(all) }
    }
}

fn threes(text: &str) -> impl Iterator<Item = [char; 3]> {
    let letters: Vec<char> =
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    (0..letters.len().saturating_sub(2)).map(move |at| [letters[at], letters[at + 1], letters[at + 2]])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Likeness {
    Language,
    /// Letters as languages have them, but none that is known for sure.
    Unknown,
    /// Characters that fonts without a right character map give: shifted letters, numbers of glyphs, private signs.
    Junk,
}

fn likeness(layer: &str) -> Likeness {
    let signs = layer.chars().filter(|c| !c.is_whitespace()).count();
    let junk = layer.chars().filter(|c| is_junk(*c)).count() + layer.matches("(cid:").count() * 6;
    if junk * 10 > signs {
        return Likeness::Junk;
    }
    let words =
        layer.split_whitespace().filter(|word| letters(word) > 0 && !word.chars().any(char::is_numeric));
    let mut prose = String::with_capacity(layer.len());
    for word in words {
        prose.push_str(word);
        prose.push(' ');
    }
    // Tables of numbers give no evidence, and their text layers are seldom shifted.
    if letters(&prose) * 3 < letters(layer) {
        return Likeness::Language;
    }
    match whatlang::detect(&prose) {
        None => Likeness::Junk,
        Some(found) if found.script() != whatlang::Script::Latin => Likeness::Language,
        Some(_) if !has_usual_letters(&prose) => Likeness::Junk,
        Some(found) if found.is_reliable() => Likeness::Language,
        Some(_) => Likeness::Unknown,
    }
}

/// In every language of Latin letters between a quarter and two thirds of them are vowels.
fn has_usual_letters(text: &str) -> bool {
    let all = text.chars().filter(|c| c.is_alphabetic()).count();
    let plain = text.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase());
    let vowels = plain.filter(|c| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y')).count();
    let others = text.chars().filter(|c| c.is_alphabetic() && !c.is_ascii()).count();
    4 * (vowels + others) >= all && 3 * vowels <= 2 * all
}

fn without_junk(layer: &str) -> String {
    layer.chars().filter(|c| !is_junk(*c)).collect::<String>().trim().to_owned()
}

fn is_junk(c: char) -> bool {
    c == char::REPLACEMENT_CHARACTER || matches!(c, '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{10FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROSE: &str =
        "The powerhouse of the cell is the mitochondrion, and chlorophyll absorbs light in the leaf.";

    fn seen(text: &str) -> Seen {
        Seen { text: text.to_owned(), confidence: 92.0 }
    }

    fn shifted(text: &str) -> String {
        shifted_by(text, 3)
    }

    fn shifted_by(text: &str, letters: u8) -> String {
        let shift = |c: char| {
            if c.is_ascii_lowercase() { char::from((c as u8 - b'a' + letters) % 26 + b'a') } else { c }
        };
        text.to_lowercase().chars().map(shift).collect()
    }

    #[test]
    fn language_is_told_from_what_wrong_maps_give() {
        for good in [
            PROSE,
            "Die Photosynthese wandelt das Licht der Sonne in Zucker um, den die Pflanze braucht.",
            "光合作用是植物利用阳光制造葡萄糖的过程。光合作用是植物利用阳光制造葡萄糖的过程。光合作用是植物利用阳光制造",
            "Фотосинтез идёт в листьях растений при свете солнца и даёт растению сахар, а нам воздух.",
            "12.5 13.7 14.9 2021 2022 2023 2024 1,250.00 1,300.50 17 18 19 20 21 22 23 24 25 26 27 28 30",
        ] {
            assert!(is_trusted(good), "{good}");
        }
        for bad in [
            shifted(PROSE),
            "(cid:12)(cid:44)(cid:7) ".repeat(20),
            "\u{E001}".repeat(200),
            "\u{FFFD}\u{FFFD}\u{FFFD} ".repeat(60),
            "page 7".to_owned(),
        ] {
            assert!(!is_trusted(&bad), "{bad}");
        }
    }

    #[test]
    fn no_shift_of_the_alphabet_passes_for_language() {
        let passed: Vec<u8> = (1..26).filter(|shift| is_trusted(&shifted_by(PROSE, *shift))).collect();
        assert_eq!(passed, Vec::<u8>::new());
    }

    #[test]
    fn a_stamp_and_the_scan_below_it_are_both_kept() {
        let page = merge(
            "Downloaded by user 4711 from the library",
            &seen("Downloaded by user 4711\nZanzibar lies here"),
        );
        assert_eq!(page.text, "Downloaded by user 4711 from the library\n\nZanzibar lies here");
        assert_eq!(page.warnings, []);
    }

    #[test]
    fn a_page_that_is_all_carried_gains_nothing_from_being_seen() {
        assert_eq!(merge(PROSE, &seen("The powerhouse of the ce1l is the\nmitochondrion, and")).text, PROSE);
    }

    #[test]
    fn a_layer_of_shifted_letters_gives_way_to_what_is_seen() {
        let page = merge(&shifted(PROSE), &seen(PROSE));
        assert_eq!(page.text, PROSE);
        assert_eq!(page.warnings[0].code, WarningCode::LayerDoubtful);
        let blind = merge(&shifted(PROSE), &Seen::default());
        assert_eq!(blind.warnings[0].code, WarningCode::LayerDoubtful);
        assert!(blind.text.starts_with("wkh srzhukrxvh"));
    }

    #[test]
    fn a_list_of_words_that_is_seen_with_other_spaces_is_kept_as_it_is() {
        let list = "scientific office flow different fire flour scientific rivers";
        let page = merge(list, &seen("sci enti fic offte flow\ndi fferent fire flour sci enti fic ri vers"));
        assert_eq!((page.text.as_str(), page.warnings), (list, vec![]));
    }

    #[test]
    fn private_signs_are_no_text() {
        assert_eq!(merge(&"\u{E001}".repeat(90), &seen("Leaf")).text, "Leaf");
    }
}
