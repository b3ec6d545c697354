//! Words of any script, and the forms in which two of them are the same.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The words of a text: letters, digits and the marks on them, with hyphens inside, and with the signs of `C++` and `C#`.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !is_word_char(c) && !matches!(c, '-' | '+' | '#'))
        .map(|word| word.trim_start_matches(['-', '+', '#']).trim_end_matches('-'))
        .filter(|word| word.chars().any(char::is_alphanumeric))
}

/// True for what words are made of. The marks of Indian scripts are no letters, and their words fall apart without them.
pub(crate) fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c) || matches!(c, '\u{200c}' | '\u{200d}')
}

/// Without case, hyphens, and the accents of Latin, Greek and Cyrillic letters.
pub(crate) fn folded(word: &str) -> String {
    let is_accent = |c: &char| ('\u{300}'..='\u{36f}').contains(c);
    let letters = word.nfd().filter(|c| !is_accent(c) && *c != '-').flat_map(char::to_lowercase);
    letters.nfc().collect::<String>().replace('ß', "ss")
}

/// True if two words are forms of one: equal but for an ending.
pub(crate) fn is_form_of(one: &str, other: &str) -> bool {
    let (one, other) = (folded(one), folded(other));
    if one == other {
        return true;
    }
    let chars = |text: &str| text.chars().count();
    let (short, long) = if chars(&one) < chars(&other) { (&one, &other) } else { (&other, &one) };
    if let Some(ending) = long.strip_prefix(short.as_str()) {
        // A plural, in the languages that have it at the end.
        if chars(short) >= 3 && matches!(ending, "s" | "es" | "n" | "en" | "e") {
            return true;
        }
    }
    let common = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    common >= MIN_STEM && common * 100 >= chars(long) * STEM_PERCENT
}

/// Characters that two forms of a word begin with, at least, and the part of the longer one that these are.
const MIN_STEM: usize = 5;
const STEM_PERCENT: usize = 65;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_script_stay_whole() {
        let of = |text| words(text).collect::<Vec<_>>();
        assert_eq!(of("C++ and C#: Wi-Fi, -x (9/11)"), ["C++", "and", "C#", "Wi-Fi", "x", "9", "11"]);
        assert_eq!(of("संज्ञा और प्रकाश-संश्लेषण।"), ["संज्ञा", "और", "प्रकाश-संश्लेषण"]);
        assert_eq!(of("l’énergie – ‘x’"), ["l", "énergie", "x"]);
        assert!(of(" - + # … ").is_empty());
    }

    #[test]
    fn forms_of_a_word_are_one() {
        for (one, other) in [
            ("Pythagoras", "Pythagorean"),
            ("Fractions", "fraction"),
            ("Révolution", "revolution"),
            ("WiFi", "Wi-Fi"),
            ("verbs", "Verb"),
            ("Straße", "strasse"),
            ("Pi", "pi"),
        ] {
            assert!(is_form_of(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("WiFi", "Wife"),
            ("BSOD", "BSD"),
            ("inflation", "inflammation"),
            ("Pi", "Pizza"),
            ("iron", "irony"),
            ("C++", "C"),
            ("mars", "market"),
        ] {
            assert!(!is_form_of(one, other), "{one} {other}");
        }
    }
}
