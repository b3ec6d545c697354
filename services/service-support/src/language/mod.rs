use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The languages, in the order of [`Language::ALL`].
static LANGUAGES: LazyLock<Vec<Known>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("languages.json")).expect("the languages are a list of languages")
});

/// A language in which the services have their fixed phrases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English, for whatever is in none of the others.
    #[default]
    En,
    /// German.
    De,
    /// Spanish.
    Es,
    /// French.
    Fr,
    /// Hindi.
    Hi,
}

/// A language: its words and phrases.
#[derive(Debug, Deserialize)]
struct Known {
    code: String,
    name: String,
    names: Words,
    /// Words that say nothing by themselves.
    function: Words,
    /// Those of them that a noun comes after.
    determiners: Words,
    /// Words that subjects of schools are called by.
    subjects: Words,
    /// Letters of this language and few others, and of this language alone.
    letters: String,
    strong: String,
    /// Ends of longer words.
    endings: String,
    /// After which a full stop ends no sentence.
    abbreviations: Words,
}

/// A list of words, which stand in the file with spaces between them.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
struct Words(HashSet<String>);

impl From<String> for Words {
    fn from(words: String) -> Self {
        Self(words.split_whitespace().map(str::to_owned).collect())
    }
}

/// The evidence that one word is for a language.
const OF_SUBJECT: u32 = 3;
const OF_FUNCTION: u32 = 2;
/// A function word of several of the languages, as in `Tour de France`, or of one letter, as in `C++`.
const OF_SHARED_FUNCTION: u32 = 1;
const OF_ENDING: u32 = 2;
const OF_STRONG_LETTER: u32 = 2;
const OF_LETTER: u32 = 1;
/// Less evidence than this is none: a foreign name has an accent, too.
const ENOUGH: u32 = 2;
/// Words that have one of the endings are at least this much longer than it.
const STEM_CHARS: usize = 4;

impl Language {
    /// All of them.
    pub const ALL: [Language; 5] = [Language::En, Language::De, Language::Es, Language::Fr, Language::Hi];

    /// The language of some texts, each with its weight: by its script, its words and its letters. What tells of none is
    /// English.
    #[must_use]
    pub fn of(texts: &[(u32, &str)]) -> Self {
        let letters = |is: fn(char) -> bool| {
            let count =
                |(weight, text): &(u32, &str)| *weight as usize * text.chars().filter(|c| is(*c)).count();
            texts.iter().map(count).sum::<usize>()
        };
        if letters(is_devanagari) > letters(|c| c.is_alphabetic() && !is_devanagari(c)) {
            return Self::Hi;
        }
        let score = |language: &Language| -> u32 {
            texts.iter().map(|(weight, text)| weight * language.known().evidence(text)).sum()
        };
        let english = score(&Self::En);
        let others = Self::ALL.into_iter().skip(1).map(|language| (score(&language), language));
        // The first of those with most evidence.
        let best = others.rev().max_by_key(|(score, _)| *score);
        best.filter(|(score, _)| *score >= ENOUGH && *score > english)
            .map_or(Self::En, |(_, language)| language)
    }

    /// The language that somebody names: `de`, `de-AT`, `German`, `Deutsch`. `None` where it is another one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let lower = name.trim().to_lowercase();
        let first = lower.split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.known().names.0.contains(first))
    }

    /// `de`.
    #[must_use]
    pub fn code(self) -> &'static str {
        &self.known().code
    }

    /// Its name in English.
    #[must_use]
    pub fn name(self) -> &'static str {
        &self.known().name
    }

    /// True for a word that says nothing by itself: an article, a preposition, a pronoun.
    #[must_use]
    pub fn is_function_word(self, word: &str) -> bool {
        self.known().function.0.contains(&word.to_lowercase())
    }

    /// True for a word that a noun comes after, in languages in which that tells something: an article, a possessive.
    #[must_use]
    pub fn is_determiner(self, word: &str) -> bool {
        self.known().determiners.0.contains(&word.to_lowercase())
    }

    /// True for a text after which a full stop ends no sentence.
    #[must_use]
    pub fn is_abbreviation(self, text: &str) -> bool {
        self.known().abbreviations.0.contains(&text.to_lowercase())
    }

    fn known(self) -> &'static Known {
        &LANGUAGES[self as usize]
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Known {
    fn evidence(&self, text: &str) -> u32 {
        let lower = text.to_lowercase();
        let of_word = |word: &str| -> u32 {
            let ends =
                |end: &str| word.strip_suffix(end).is_some_and(|stem| stem.chars().count() >= STEM_CHARS);
            if self.subjects.0.contains(word) {
                OF_SUBJECT
            } else if self.function.0.contains(word) {
                let others = LANGUAGES.iter().filter(|known| known.code != self.code);
                let is_shared = others.into_iter().any(|other| other.function.0.contains(word));
                if is_shared || word.chars().count() == 1 { OF_SHARED_FUNCTION } else { OF_FUNCTION }
            } else if self.endings.split_whitespace().any(ends) {
                OF_ENDING
            } else {
                0
            }
        };
        let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let words: u32 = words.map(of_word).sum();
        let each = |letters: &str, evidence: u32| -> u32 {
            letters.chars().filter(|letter| lower.contains(*letter)).map(|_| evidence).sum()
        };
        words + each(&self.letters, OF_LETTER) + each(&self.strong, OF_STRONG_LETTER)
    }
}

fn is_devanagari(c: char) -> bool {
    ('\u{900}'..='\u{97f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_languages_are_those_of_the_file() {
        let codes: Vec<&str> = LANGUAGES.iter().map(|known| known.code.as_str()).collect();
        assert_eq!(codes, ["en", "de", "es", "fr", "hi"]);
        for language in Language::ALL {
            assert_eq!(Language::named(language.code()), Some(language));
            assert_eq!(serde_json::to_value(language).unwrap(), language.code());
        }
        assert_eq!(Language::named("de-AT"), Some(Language::De));
        assert_eq!(Language::named(" Français "), Some(Language::Fr));
        assert_eq!(Language::named("हिन्दी"), Some(Language::Hi));
        for unknown in ["", "pt", "Klingon", "e"] {
            assert_eq!(Language::named(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_request_tells_its_language() {
        let of = |subject: &str, topic: &str| Language::of(&[(2, subject), (1, topic)]);
        for (subject, topic) in [
            ("biology", "photosynthesis"),
            ("history", "the French Revolution"),
            ("geography", "El Niño"),
            ("geography", "São Paulo"),
            ("literature", "Émile Zola"),
            ("spanish", "ser y estar"),
            ("Sanskrit", "संधि rules"),
            ("art", "Dürer"),
            ("STEM", "AC/DC"),
            ("", "9/11"),
            ("英語", "動詞"),
            ("math", "pi"),
            ("politics", "die-in protests"),
            ("sports", "Tour de France"),
            ("coding", "C++"),
            ("algebra club", "y = mx + b"),
        ] {
            assert_eq!(of(subject, topic), Language::En, "{subject}/{topic}");
        }
        for (subject, topic, language) in [
            ("Biologie", "Photosynthese", Language::De),
            ("Mathe", "Bruchrechnung", Language::De),
            ("Klasse 7", "Die Französische Revolution", Language::De),
            ("Geschichte", "Goethe", Language::De),
            ("Deutsch", "Adjektive", Language::De),
            ("biología", "la fotosíntesis", Language::Es),
            ("Historia", "Simón Bolívar", Language::Es),
            ("Matemáticas", "fracciones", Language::Es),
            ("5º", "las fracciones y los decimales", Language::Es),
            ("histoire", "la Révolution française", Language::Fr),
            ("CM2", "les fractions", Language::Fr),
            ("Mathématiques", "Pythagore", Language::Fr),
            ("SVT", "l’énergie des plantes", Language::Fr),
            ("हिन्दी", "संज्ञा", Language::Hi),
            ("विज्ञान", "प्रकाश संश्लेषण (photosynthesis)", Language::Hi),
        ] {
            assert_eq!(of(subject, topic), language, "{subject}/{topic}");
        }
    }
}
