use std::collections::HashSet;

use super::ocr::Seen;
use super::tidy::letters;
use super::{PageText, Warning, WarningCode};

/// A page with fewer letters of its own than this is looked at in any case: a scan that carries a page number.
const MIN_LETTERS: usize = 50;

/// True if the text that a page carries is a text: whether it is all that the page shows is another question.
pub(super) fn is_trusted(layer: &str) -> bool {
    letters(layer) >= MIN_LETTERS && is_like_language(layer)
}

/// Puts together what a page carries and what was seen on it. The layer is right letter for letter, so of what was seen
/// only the lines are added that it does not have; but a layer that is unlike language, and shares hardly a word with
/// what is there to be seen, gives way.
pub(super) fn merge(layer: &str, seen: &Seen) -> PageText {
    let carried = words(layer);
    let found = words(&seen.text);
    let shared = found.iter().filter(|word| carried.contains(*word)).count();
    let is_language = is_like_language(layer);
    if carried.is_empty() && letters(layer) == 0 {
        let warnings = seen.warning().into_iter().collect();
        return PageText { text: seen.text.clone(), warnings };
    }
    let is_contradicted = 5 * shared < found.len() && letters(&seen.text) * 2 >= letters(layer).min(100);
    if !is_language && is_contradicted && seen.confidence >= 60.0 {
        let message = "the text that the page carries is unlike any language; it was read by OCR instead";
        let mut warnings = vec![Warning::new(WarningCode::LayerDoubtful, message)];
        warnings.extend(seen.warning());
        return PageText { text: seen.text.clone(), warnings };
    }
    let mut text = without_junk(layer);
    let mut is_added = false;
    let mut gap = "\n\n";
    for line in seen.text.lines() {
        let line_words: Vec<String> = words_of(line).collect();
        let new = line_words.iter().filter(|word| !carried.contains(*word)).count();
        if 2 * new > line_words.len() && (seen.confidence >= 60.0 || carried.len() < 5) {
            text.push_str(if text.is_empty() { "" } else { gap });
            text.push_str(line);
            gap = "\n";
            is_added = true;
        } else {
            gap = "\n\n";
        }
    }
    let mut warnings = Vec::new();
    if !is_language && letters(layer) >= MIN_LETTERS {
        let message = "the text that the page carries is unlike any language, and OCR saw no better one";
        warnings.push(Warning::new(WarningCode::LayerDoubtful, message));
    }
    warnings.extend(seen.warning().filter(|_| is_added));
    PageText { text, warnings }
}

/// False for what fonts without a right character map give: shifted letters, numbers of glyphs, private signs.
fn is_like_language(layer: &str) -> bool {
    let signs = layer.chars().filter(|c| !c.is_whitespace()).count();
    let junk = layer.chars().filter(|c| is_junk(*c)).count() + layer.matches("(cid:").count() * 6;
    if junk * 10 > signs {
        return false;
    }
    let words: Vec<&str> = layer.split_whitespace().filter(|word| letters(word) > 0).collect();
    let prose: String = words.iter().filter(|word| !word.chars().any(char::is_numeric)).fold(
        String::new(),
        |mut text, word| {
            text.push_str(word);
            text.push(' ');
            text
        },
    );
    // Of tables of numbers there is nothing to tell, and what they carry is seldom shifted.
    if letters(&prose) * 3 < letters(layer) {
        return true;
    }
    whatlang::detect(&prose).is_some_and(|found| {
        !matches!(found.script(), whatlang::Script::Latin) || found.is_reliable() && has_usual_letters(&prose)
    })
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

fn words(text: &str) -> HashSet<String> {
    words_of(text).collect()
}

fn words_of(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 1);
    words.map(str::to_lowercase)
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
        let shift = |c: char| {
            if c.is_ascii_lowercase() { char::from((c as u8 - b'a' + 3) % 26 + b'a') } else { c }
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
    fn private_signs_are_no_text() {
        assert_eq!(merge(&"\u{E001}".repeat(90), &seen("Leaf")).text, "Leaf");
    }
}
