use std::collections::HashMap;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};
use service_support::Texts;

/// A language whose words are known by their stems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Language(u8);

/// A set of languages, as a number that a row holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Languages(pub u32);

const STEMMERS: [(&str, Algorithm); 12] = [
    ("English", Algorithm::English),
    ("German", Algorithm::German),
    ("French", Algorithm::French),
    ("Spanish", Algorithm::Spanish),
    ("Italian", Algorithm::Italian),
    ("Portuguese", Algorithm::Portuguese),
    ("Dutch", Algorithm::Dutch),
    ("Swedish", Algorithm::Swedish),
    ("Danish", Algorithm::Danish),
    ("Norwegian", Algorithm::Norwegian),
    ("Russian", Algorithm::Russian),
    ("Turkish", Algorithm::Turkish),
];

/// For each common word, the languages that it is common in.
static COMMON: LazyLock<HashMap<&'static str, Languages>> = LazyLock::new(|| {
    let texts = Texts::read(include_str!("stop_words.txt"));
    let mut common: HashMap<&'static str, Languages> = HashMap::new();
    for language in Language::all() {
        for word in texts.get(language.name()).split_whitespace() {
            common.entry(word).or_default().insert(language);
        }
    }
    common
});

impl Language {
    /// The language of a text whose language is not recognised.
    pub const ENGLISH: Self = Self(0);

    fn all() -> impl Iterator<Item = Self> {
        (0_u8..).take(STEMMERS.len()).map(Self)
    }

    /// The language that has most of a text's words among its commonest; English where none has any.
    #[must_use]
    pub fn of<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut counts = [0_u32; STEMMERS.len()];
        for word in words {
            for language in COMMON.get(word).copied().unwrap_or_default().iter() {
                counts[usize::from(language.0)] += 1;
            }
        }
        let most = counts.iter().max().copied().unwrap_or_default();
        Self::all().find(|language| counts[usize::from(language.0)] == most).unwrap_or(Self::ENGLISH)
    }

    /// Its name in English.
    #[must_use]
    pub fn name(self) -> &'static str {
        STEMMERS[usize::from(self.0)].0
    }

    /// True if a word, in lower case, says too little to be looked for.
    #[must_use]
    pub fn has_common(self, word: &str) -> bool {
        COMMON.get(word).is_some_and(|languages| languages.contains(self))
    }

    /// True if a word, in lower case, is one of the commonest of any language.
    #[must_use]
    pub fn any_has_common(word: &str) -> bool {
        COMMON.contains_key(word)
    }

    /// The stem of a word in lower case.
    #[must_use]
    pub fn stem(self, word: &str) -> String {
        Stemmer::create(STEMMERS[usize::from(self.0)].1).stem(word).into_owned()
    }
}

impl Languages {
    /// Adds a language.
    pub fn insert(&mut self, language: Language) {
        self.0 |= 1 << language.0;
    }

    /// True if the language is in it.
    #[must_use]
    pub fn contains(self, language: Language) -> bool {
        self.0 & (1 << language.0) != 0
    }

    /// Its languages, in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = Language> {
        Language::all().filter(move |language| self.contains(*language))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_of_a_sentence_is_told_by_its_commonest_words() {
        for (text, name) in [
            ("the cells of the leaf are green", "English"),
            ("die Zellen des Blattes sind grün und nicht rot", "German"),
            ("les cellules de la feuille sont vertes", "French"),
            ("las células de la hoja son verdes y no rojas", "Spanish"),
            ("le cellule della foglia sono verdi", "Italian"),
            ("as células da folha são verdes e não são vermelhas", "Portuguese"),
            ("de cellen van het blad zijn groen", "Dutch"),
            ("клетки листа зелёные и не красные", "Russian"),
            ("chlorophyll 42", "English"),
        ] {
            assert_eq!(Language::of(text.split(' ')).name(), name, "{text}");
        }
    }

    #[test]
    fn every_language_has_common_words_and_a_set_holds_all_of_them() {
        let mut all = Languages::default();
        for language in Language::all() {
            assert!(COMMON.values().filter(|languages| languages.contains(language)).count() > 50);
            all.insert(language);
        }
        assert_eq!(all.iter().count(), STEMMERS.len());
    }
}
