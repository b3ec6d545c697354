use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::language::{Language, Languages};

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

/// The terms of a text, and the language by whose rules they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// In their order and as often as they occur.
    pub tokens: Vec<Token>,
    /// Of the text as a whole.
    pub language: Language,
}

/// The terms of a piece of text. Not for more than a chunk at a time: it is all held in memory.
///
/// Words are runs of letters, digits and their marks. Each is brought to its stem by the rules of the text's language
/// and folded: lower case, compatibility forms resolved (`ﬁ` is `fi`), accents of Latin, Greek and Cyrillic letters
/// dropped (vowel signs of other scripts are letters in their own right and stay). The language's commonest words and
/// what follows an apostrophe (`plant's`) are no terms. A number keeps its points (`3.14`), a name its signs (`C++`), and
/// a code is found whole, too (`POL-358` is `pol`, `358` and `pol358`). Scripts that write no spaces (Chinese,
/// Japanese, Thai …) and Korean, whose words carry particles, give characters and overlapping pairs of them. A
/// pictograph is a term. A word of more than 64 characters is known by its first 64.
#[must_use]
pub fn tokens(text: &str) -> Tokens {
    let (words, lower) = split(text);
    let language = Language::of(lower.iter().map(String::as_str));
    Tokens { tokens: stemmed(text, &words, &lower, language), language }
}

/// The terms of a text of a known language, such as a sentence that is too short to recognise it.
#[must_use]
pub fn tokens_in(text: &str, language: Language) -> Vec<Token> {
    let (words, lower) = split(text);
    stemmed(text, &words, &lower, language)
}

/// The words of a text, as they stand and in lower case.
fn split(text: &str) -> (Vec<Word<'_>>, Vec<String>) {
    let words: Vec<Word<'_>> = Words { text, at: 0 }.collect();
    let lower = words.iter().map(|word| word.text.to_lowercase()).collect();
    (words, lower)
}

fn stemmed(text: &str, words: &[Word<'_>], lower: &[String], language: Language) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(words.len());
    for (word, lower) in words.iter().zip(lower) {
        match word.form {
            Form::Letters if language.has_common(lower) => {}
            Form::Letters => push(&mut tokens, word, stem(lower, language)),
            Form::Exact => push(&mut tokens, word, fold_exact(lower)),
            Form::Unspaced => {
                push_runs(&mut tokens, word, 1);
                push_runs(&mut tokens, word, 2);
            }
        }
    }
    tokens.extend(codes(text, words, lower));
    tokens.sort_by_key(|token| token.start);
    tokens
}

/// A word of a query: the forms of which any is as good as the word, one for each language of what is searched.
pub type Wanted = Vec<String>;

/// The words to look for where texts of some languages are searched: each once, and the commonest ones of the query's
/// own language left out.
#[must_use]
pub fn query(text: &str, languages: Languages) -> Vec<Wanted> {
    let (words, lower) = split(text);
    let own = Language::of(lower.iter().map(String::as_str));
    let mut wanted: Vec<Wanted> = Vec::with_capacity(words.len());
    for (word, lower) in words.iter().zip(&lower) {
        match word.form {
            Form::Letters if own.has_common(lower) => {}
            Form::Letters => {
                // A word typed without accents matches the word that has them, and the other way round.
                let plain = fold(lower);
                let stems =
                    languages.iter().flat_map(|language| [stem(lower, language), stem(&plain, language)]);
                let mut forms: Wanted = stems.chain([plain.clone()]).collect();
                forms.sort();
                forms.dedup();
                forms.retain(|form| !form.is_empty());
                wanted.push(forms);
            }
            Form::Exact => wanted.push(vec![fold_exact(lower)]),
            Form::Unspaced => {
                let mut tokens = Vec::new();
                // A single character of many stands in other words, too; alone it is all there is.
                let is_one = word.text.chars().nth(1).is_none();
                push_runs(&mut tokens, word, if is_one { 1 } else { 2 });
                wanted.extend(tokens.into_iter().map(|token| vec![token.term]));
            }
        }
    }
    wanted.extend(codes(text, &words, &lower).map(|code| vec![code.term]));
    wanted.retain(|forms| forms.iter().any(|form| !form.is_empty()));
    wanted.sort();
    wanted.dedup();
    wanted
}

/// Longer runs of letters are no words: keys, encoded data, DNA.
const MAX_TERM_CHARS: usize = 64;

struct Word<'a> {
    start: usize,
    text: &'a str,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A word of a language.
    Letters,
    /// A number, a code, a pictograph: it has no stem.
    Exact,
    /// A run of a script without spaces.
    Unspaced,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Spaced,
    Unspaced,
    Pictograph,
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
            | '\u{AC00}'..='\u{D7AF}' // Hangul
            | '\u{F900}'..='\u{FAFF}'
            | '\u{FF66}'..='\u{FF9F}' // kana of half width
            | '\u{20000}'..='\u{3FFFF}' => Self::Unspaced,
            '\u{2600}'..='\u{27BF}' | '\u{1F300}'..='\u{1FAFF}' => Self::Pictograph,
            c if c.is_alphanumeric() || is_combining_mark(c) => Self::Spaced,
            _ => Self::None,
        }
    }
}

/// The words of a text with what belongs to them, each code followed by its whole.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        loop {
            let start = self.at + self.text[self.at..].find(|c| Script::of(c) != Script::None)?;
            let rest = &self.text[start..];
            let first = rest.chars().next()?;
            let script = Script::of(first);
            let run = rest.find(|c| Script::of(c) != script).unwrap_or(rest.len());
            let (length, form) = match script {
                Script::Unspaced => (run, Form::Unspaced),
                Script::Pictograph => (first.len_utf8(), Form::Exact),
                _ => spaced(rest, run),
            };
            self.at = start + length;
            let text = &rest[..length];
            if !is_ending(&self.text[..start], text) {
                return Some(Word { start, text, form });
            }
        }
    }
}

/// The length and form of the word that begins a text with a run of letters and digits.
fn spaced(rest: &str, run: usize) -> (usize, Form) {
    let mut length = run;
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits(&rest[..run]) {
        // 3.14, 10,000, 2.3.1
        while let Some(tail) = rest[length..].strip_prefix(['.', ',']) {
            let digits = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
            if digits == 0 || tail[digits..].starts_with(char::is_alphanumeric) {
                break;
            }
            length += 1 + digits;
        }
    } else if let Some(sign) = ["++", "#"].iter().find(|sign| rest[run..].starts_with(**sign))
        && !rest[run + sign.len()..].starts_with(|c: char| c.is_alphanumeric() || matches!(c, '+' | '#'))
    {
        length += sign.len();
    } else if rest[..run].chars().all(|c| !c.is_numeric()) {
        return (length, Form::Letters);
    }
    (length, Form::Exact)
}

/// True for what an apostrophe cuts off an English word.
fn is_ending(before: &str, word: &str) -> bool {
    matches!(word, "s" | "t" | "d" | "m" | "ll" | "re" | "ve" | "S" | "T" | "LL" | "RE" | "VE")
        && before.ends_with(['\'', '’'])
        && before.trim_end_matches(['\'', '’']).ends_with(char::is_alphanumeric)
}

/// The words that hyphens join to a code, as one: `POL-358`.
fn codes<'a>(text: &'a str, words: &'a [Word<'_>], lower: &'a [String]) -> impl Iterator<Item = Token> + 'a {
    let end = |at: usize| words[at].start + words[at].text.len();
    let is_joined = move |at: usize| matches!(&text[end(at - 1)..words[at].start], "-" | "_" | "‑");
    let mut next = 0;
    std::iter::from_fn(move || {
        while next < words.len() {
            let first = next;
            next += 1;
            while next < words.len() && is_joined(next) {
                next += 1;
            }
            let is_code = (first..next).any(|at| words[at].text.contains(|c: char| c.is_numeric()));
            if next - first > 1 && is_code {
                let term = fold_exact(&lower[first..next].concat());
                return Some(Token { start: words[first].start, end: end(next - 1), term });
            }
        }
        None
    })
}

fn push(tokens: &mut Vec<Token>, word: &Word<'_>, term: String) {
    if !term.is_empty() {
        tokens.push(Token { start: word.start, end: word.start + word.text.len(), term });
    }
}

/// Every `length` neighbours of a run; the run itself where it is shorter.
fn push_runs(tokens: &mut Vec<Token>, word: &Word<'_>, length: usize) {
    let places: Vec<(usize, char)> = word.text.char_indices().collect();
    if length > 1 && places.len() == 1 {
        return;
    }
    for run in places.windows(length) {
        let (from, (last, c)) = (run[0].0, run[run.len() - 1]);
        let to = last + c.len_utf8();
        let term = fold(&word.text[from..to]);
        if !term.is_empty() {
            tokens.push(Token { start: word.start + from, end: word.start + to, term });
        }
    }
}

/// The folded stem of a word in lower case.
fn stem(lower: &str, language: Language) -> String {
    // Only German has rules for `ß`, and its other spelling is the same word everywhere.
    let composed: String = lower.nfkc().collect();
    fold(&language.stem(&composed.replace('ß', "ss")))
}

fn fold_exact(lower: &str) -> String {
    lower.nfkd().filter(|c| !is_accent(*c)).nfc().take(MAX_TERM_CHARS).collect()
}

fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}')
}

fn fold(word: &str) -> String {
    let plain = word.nfkd().filter(|c| !is_accent(*c));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(text: &str) -> Vec<String> {
        tokens(text).tokens.into_iter().map(|token| token.term).collect()
    }

    /// True if a text is found by a query that stands in it.
    fn finds(query_text: &str, text: &str) -> bool {
        let tokens = tokens(text);
        let mut languages = Languages::default();
        languages.insert(tokens.language);
        let wanted = query(query_text, languages);
        let held = |forms: &Wanted| tokens.tokens.iter().any(|token| forms.contains(&token.term));
        !wanted.is_empty() && wanted.iter().all(held)
    }

    #[test]
    fn words_are_stemmed_and_folded_and_common_ones_dropped() {
        assert_eq!(terms("The plants of a GREEN planet"), ["plant", "green", "planet"]);
        assert_eq!(terms("plant's plants’ don't"), ["plant", "plant", "don"]);
        assert_eq!(terms("vitamin C, H2O and 3.5"), ["vitamin", "c", "h2o", "3.5"]);
        assert_eq!(terms(" \n--- ... "), Vec::<String>::new());
        assert_eq!(terms("weighs 10,000 tons"), ["weigh", "10,000", "ton"]);
    }

    #[test]
    fn each_form_of_a_word_finds_the_others() {
        for (query, text) in [
            ("dividing", "The cell divides and was divided"),
            ("theories", "the theory of relativity"),
            ("Zellen", "Die Zelle ist nicht rot und der Kern ist klein"),
            ("planètes", "la planète est dans le ciel"),
            ("generalise", "le cas est généralisé dans les livres"),
            ("células", "la célula es verde y no roja"),
            ("книги", "это книга о том что было"),
            ("cafe", "the café is open"),
            ("café", "the cafe is open"),
            ("resume", "send us your résumé"),
            ("STRASSE", "die Straße ist lang und nicht breit"),
            ("straße", "the STRASSE of Berlin"),
            ("istanbul", "İSTANBUL is a city"),
            ("İstanbul", "istanbul is a city"),
            ("office", "the ofﬁce is open"),
        ] {
            assert!(finds(query, text), "{query}: {:?}", terms(text));
        }
        assert!(!finds("universe", "die Zellen sind nicht rot"));
    }

    #[test]
    fn numbers_codes_names_and_signs_find_themselves() {
        for word in
            ["3.14", "2.3.1", "10,000", "POL-358", "C++", "C#", "F#", "H2O", "don't", "a:b", "x_1", "😀", "½"]
        {
            assert!(finds(word, &format!("Something about {word} and more.")), "{word}");
        }
        assert!(!finds("3.14", "3 apples and 14 pears"));
        assert!(!finds("C++", "vitamin C"));
        for nothing in ["\"", "%", "*", "@@@", "(", "' '"] {
            assert_eq!(query(nothing, Languages::default()), Vec::<Wanted>::new(), "{nothing}");
        }
    }

    #[test]
    fn scripts_keep_what_makes_their_words() {
        // The signs that join letters in Devanagari are part of the word.
        assert_eq!(terms("संस्कृत श्लोक"), ["संस्कृत", "श्लोक"]);
        for (query, text) in [
            ("光合作用", "植物的光合作用很重要"),
            ("水", "植物需要喝水"),
            ("광합성", "식물은 광합성을 한다"),
            ("ガス", "ガスの温度"),
            ("ﾃｽﾄ", "テスト"),
            ("สังเคราะห์", "พืชใช้การสังเคราะห์ด้วยแสง"),
        ] {
            assert!(finds(query, text), "{query}: {:?}", terms(text));
        }
        assert!(!finds("作光", "光合作用"));
    }

    proptest! {
        #[test]
        fn tokens_lie_in_order_within_the_text(text in "\\PC{0,80}") {
            let mut last = 0;
            for token in tokens(&text).tokens {
                prop_assert!(token.start >= last && token.start < token.end);
                prop_assert!(!text[token.start..token.end].is_empty());
                prop_assert!(!token.term.is_empty() && token.term.chars().count() <= 2 * MAX_TERM_CHARS);
                last = token.start;
            }
        }

        #[test]
        fn a_text_is_found_by_itself(text in "[a-zA-Zäéß0-9一-龠 .,+#'-]{1,40}") {
            let wanted = query(&text, Languages(1 << 0));
            let held: Vec<String> = terms(&text);
            // Where the text's own language is another one, its stems are not those that are looked for.
            if tokens(&text).language == Language::ENGLISH {
                for forms in wanted {
                    prop_assert!(forms.iter().any(|form| held.contains(form)), "{:?} {:?}", forms, held);
                }
            }
        }
    }
}
