//! Traditional Sanskrit verses, each with its meaning and its source. All are centuries old and belong to nobody; the
//! translations were made for this list.

use std::sync::LazyLock;

use service_support::{Language, Texts};

use super::chosen;
use super::field::Field;

/// A text is named after its source and, behind a bar, its fields; the translation is its last line.
static VERSES: LazyLock<Vec<Verse>> =
    LazyLock::new(|| Texts::read(include_str!("verses/en.txt")).iter().filter_map(Verse::read).collect());
/// The translations into the other languages, a line each, in the order of the verses.
const TRANSLATIONS: [(Language, &str); 4] = [
    (Language::De, include_str!("verses/de.txt")),
    (Language::Es, include_str!("verses/es.txt")),
    (Language::Fr, include_str!("verses/fr.txt")),
    (Language::Hi, include_str!("verses/hi.txt")),
];

/// A verse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verse {
    pub(crate) text: &'static str,
    translation: &'static str,
    /// The work that it is from; a subhashita is a verse that is handed down without an author.
    pub(crate) source: &'static str,
    /// The fields that it speaks of beside learning itself; empty where it fits every subject.
    fields: Vec<&'static str>,
}

impl Verse {
    fn read((name, lines): (&'static str, &'static str)) -> Option<Self> {
        let (source, fields) = name.split_once(" | ").unwrap_or((name, ""));
        let (text, translation) = lines.rsplit_once('\n')?;
        Some(Self { text, translation, source, fields: fields.split_whitespace().collect() })
    }
}

impl Verse {
    /// Its meaning, with where it is from.
    pub(crate) fn translated(&self, language: Language) -> String {
        let place = VERSES.iter().position(|verse| verse == self);
        let others = TRANSLATIONS.iter().find(|(other, _)| *other == language).map(|(_, texts)| texts);
        let translated = others.and_then(|texts| texts.lines().nth(place?));
        format!("{} ({})", translated.unwrap_or(self.translation), self.source)
    }
}

/// The verse for a topic: one of its field where there is any, and always the same one.
pub(crate) fn verse(subject: &str, topic: &str) -> &'static Verse {
    let field = Field::of(subject, topic);
    let mut fitting: Vec<&Verse> = VERSES.iter().filter(|verse| verse.fields.contains(&field.0)).collect();
    if fitting.is_empty() {
        fitting = VERSES.iter().filter(|verse| verse.fields.is_empty()).collect();
    }
    fitting[chosen(fitting.len(), &[subject, topic])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verse_is_sanskrit_with_a_meaning_and_a_source() {
        assert_eq!(VERSES.len(), 20);
        for verse in VERSES.iter() {
            let is_devanagari = |c: char| ('\u{900}'..='\u{97f}').contains(&c) || c.is_whitespace();
            assert!(verse.text.chars().all(is_devanagari), "{}", verse.text);
            assert!(verse.text.ends_with('॥'), "{}", verse.text);
            assert!(verse.translation.ends_with(['.', '?']) && !verse.source.is_empty(), "{}", verse.text);
        }
        for (language, texts) in TRANSLATIONS {
            assert_eq!(texts.lines().count(), VERSES.len(), "{language}");
            assert!(texts.lines().all(|line| line.ends_with(['.', '?', '।'])), "{language}");
        }
    }

    #[test]
    fn a_verse_fits_its_subject_and_does_not_change() {
        assert!(verse("English", "verbs").text.contains("व्याकरणम्"));
        assert!(verse("maths", "fractions").text.contains("गणितं"));
        assert_eq!(verse("Cooking", "Bread"), verse("cooking", "bread"));
        let fields = [
            "english",
            "math",
            "science",
            "health",
            "history",
            "music",
            "ethics",
            "economics",
            "programming",
            "cooking",
        ];
        for subject in fields {
            let field = Field::of(subject, "");
            let verse = verse(subject, "anything");
            assert!(verse.fields.is_empty() || verse.fields.contains(&field.0), "{subject}");
        }
    }
}
