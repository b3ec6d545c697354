use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A term and where in the text it stands, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The first byte of the word.
    pub start: usize,
    /// The byte after the word.
    pub end: usize,
    /// The form that the word is looked up by.
    pub term: String,
}

/// The terms that a text is found by, in their order and as often as they occur.
///
/// Words are runs of letters, digits and their marks. Each is folded: lower case, compatibility forms resolved
/// (`ﬁ` is `fi`), accents of Latin, Greek and Cyrillic letters dropped (`Äther` is `ather`; vowel signs of other
/// scripts are letters in their own right and stay). An English plural loses its ending by the rules of
/// [Harman's S-stemmer], slightly mended (`boxes` is `box`). The commonest English words and what follows an
/// apostrophe (`plant's`) are no terms. Scripts that write no spaces (Chinese, Japanese, Thai …) give overlapping
/// pairs of characters. A word of more than 64 characters is known by its first 64.
///
/// [Harman's S-stemmer]: https://doi.org/10.1002/(SICI)1097-4571(199101)42:1<7::AID-ASI2>3.0.CO;2-P
#[must_use]
pub fn terms(text: &str) -> Vec<String> {
    tokens(text).into_iter().map(|token| token.term).collect()
}

/// The [terms] of a text with their places. Not for more than a chunk at a time: it is all held in memory.
#[must_use]
pub fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let script = Script::of(first);
        let length = rest.find(|c| Script::of(c) != script).unwrap_or(rest.len());
        let start = text.len() - rest.len();
        let (run, after) = rest.split_at(length);
        match script {
            Script::Spaced => push_word(run, start, &text[..start], &mut tokens),
            Script::Unspaced => push_pairs(run, start, &mut tokens),
            Script::None => {}
        }
        rest = after;
    }
    tokens
}

/// Longer runs of letters are no words: keys, encoded data, DNA.
const MAX_TERM_CHARS: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Spaced,
    Unspaced,
    None,
}

impl Script {
    fn of(c: char) -> Self {
        match c {
            '\u{0E00}'..='\u{0EFF}' // Thai, Lao
            | '\u{1000}'..='\u{109F}' // Myanmar
            | '\u{1780}'..='\u{17FF}' // Khmer
            | '\u{3005}'..='\u{3007}'
            | '\u{3041}'..='\u{30FF}' // kana
            | '\u{31F0}'..='\u{31FF}'
            | '\u{3400}'..='\u{4DBF}'
            | '\u{4E00}'..='\u{9FFF}' // Han
            | '\u{F900}'..='\u{FAFF}'
            | '\u{20000}'..='\u{3FFFF}' => Self::Unspaced,
            c if c.is_alphanumeric() || is_combining_mark(c) => Self::Spaced,
            _ => Self::None,
        }
    }
}

fn push_word(word: &str, start: usize, before: &str, tokens: &mut Vec<Token>) {
    let folded = fold(word);
    let is_ending = before.ends_with(['\'', '’'])
        && before.trim_end_matches(['\'', '’']).ends_with(char::is_alphanumeric)
        && matches!(folded.as_str(), "s" | "t" | "d" | "m" | "ll" | "re" | "ve");
    if is_ending || folded.is_empty() || STOP_WORDS.binary_search(&folded.as_str()).is_ok() {
        return;
    }
    tokens.push(Token { start, end: start + word.len(), term: singular(folded) });
}

fn push_pairs(run: &str, start: usize, tokens: &mut Vec<Token>) {
    let characters: Vec<(usize, char)> = run.char_indices().collect();
    // A lone character is a word of its own.
    for pair in characters.windows(2.min(characters.len())) {
        let (from, _) = pair[0];
        let (last, c) = pair[pair.len() - 1];
        let to = last + c.len_utf8();
        tokens.push(Token { start: start + from, end: start + to, term: fold(&run[from..to]) });
    }
}

fn fold(word: &str) -> String {
    let plain = word.nfkd().filter(|c| !matches!(c, '\u{300}'..='\u{36F}'));
    let lower = plain.flat_map(char::to_lowercase).filter(|c| Script::of(*c) != Script::None);
    let mut folded = String::with_capacity(word.len());
    for c in lower.nfc().take(MAX_TERM_CHARS) {
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' => folded.push('d'),
            'ı' => folded.push('i'),
            c => folded.push(c),
        }
    }
    folded
}

fn singular(mut word: String) -> String {
    let ends = |endings: &[&str]| endings.iter().any(|ending| word.ends_with(ending));
    let (dropped, added) = if word.len() <= 3 || !word.ends_with('s') || !word.is_ascii() {
        (0, "")
    } else if word.len() > 4 && ends(&["ies"]) && !ends(&["aies", "eies"]) {
        (3, "y")
    } else if ends(&["sses", "xes", "ches", "shes", "zzes"]) || (word.len() > 5 && ends(&["oes"])) {
        (2, "")
    } else if ends(&["ss", "us", "is"]) {
        (0, "")
    } else {
        (1, "")
    };
    word.truncate(word.len() - dropped);
    word.push_str(added);
    word
}

/// Sorted, for the search by halves.
const STOP_WORDS: [&str; 94] = [
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "because",
    "been", "before", "being", "between", "both", "but", "by", "can", "could", "did", "do", "does", "each",
    "for", "from", "had", "has", "have", "he", "her", "here", "him", "his", "how", "i", "if", "in", "into",
    "is", "it", "its", "just", "may", "me", "more", "most", "my", "no", "nor", "not", "of", "on", "or",
    "our", "out", "over", "she", "should", "so", "some", "such", "than", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "those", "to", "too", "very", "was", "we", "were", "what",
    "when", "where", "which", "while", "who", "why", "will", "with", "would", "you", "your",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_folded_and_common_ones_dropped() {
        assert_eq!(terms("The Leaves of a PLANT are green."), ["leave", "plant", "green"]);
        assert_eq!(
            terms("Äther, naïve façade; Straße Ørsted ﬁnally"),
            ["ather", "naive", "facade", "strasse", "orsted", "finally"]
        );
        assert_eq!(terms("plant's plants’ don't l'eau"), ["plant", "plant", "don", "l", "eau"]);
        assert_eq!(terms("vitamin C, H2O and 3.5"), ["vitamin", "c", "h2o", "3", "5"]);
        assert_eq!(terms(" \n--- ... "), Vec::<String>::new());
    }

    #[test]
    fn plurals_meet_their_singulars() {
        for (many, one) in [
            ("cells", "cell"),
            ("theories", "theory"),
            ("boxes", "box"),
            ("classes", "class"),
            ("churches", "church"),
            ("enzymes", "enzyme"),
            ("trees", "tree"),
            ("potatoes", "potato"),
            ("shoes", "shoe"),
        ] {
            assert_eq!(terms(many), terms(one), "{many}");
        }
        for alone in ["photosynthesis", "virus", "glass", "gas", "dns"] {
            assert_eq!(terms(alone), [alone], "{alone}");
        }
    }

    #[test]
    fn scripts_keep_what_makes_their_words() {
        // The signs that join letters in Devanagari are part of the word.
        assert_eq!(terms("संस्कृत श्लोक"), ["संस्कृत", "श्लोक"]);
        assert_eq!(terms("광합성 과정"), ["광합성", "과정"]);
        assert_eq!(terms("光合作用"), ["光合", "合作", "作用"]);
        assert_eq!(terms("水 and 光"), ["水", "光"]);
        assert_eq!(terms("ガス"), ["ガス"]);
        assert_eq!(terms("Фотосинтез"), ["фотосинтез"]);
    }

    #[test]
    fn stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
    }

    proptest! {
        #[test]
        fn tokens_lie_in_order_within_the_text_and_fold_to_themselves(text in "\\PC{0,80}") {
            let mut last = 0;
            for token in tokens(&text) {
                prop_assert!(token.start >= last && token.start < token.end);
                prop_assert!(!text[token.start..token.end].is_empty());
                prop_assert!(!token.term.is_empty() && token.term.chars().count() <= 2 * MAX_TERM_CHARS);
                last = token.start;
            }
        }
    }
}
