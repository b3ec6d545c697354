use std::collections::VecDeque;
use std::ops::Range;

/// The most tokens that a chunk has, as embedding models count them, roughly: common ones take 512.
pub const CHUNK_TOKENS: usize = 480;
/// The most tokens that a chunk shares with the one before it.
pub const OVERLAP_TOKENS: usize = 50;

/// Cuts a text into pieces to index, each of at most [`CHUNK_TOKENS`] and, unless the text ends, at least half of that:
/// some 350 English words, or 400 Chinese characters. A cut falls between paragraphs where it can, else between
/// sentences, else between words. A piece begins with the last sentences of the one before it (up to
/// [`OVERLAP_TOKENS`]), so that what is said across a cut is found too. Together the pieces hold every word of the text.
///
/// A token is six letters of an English word, three of another alphabet, of a number or of a word that is too long to be
/// one, and less than one character of a script that writes no spaces; so a piece is bounded whatever the text is.
#[must_use]
pub fn chunks(text: &str) -> Vec<String> {
    chunk_ranges(text).into_iter().map(|range| text[range].to_owned()).collect()
}

/// The places of the [`chunks`] of a text.
#[must_use]
pub fn chunk_ranges(text: &str) -> Vec<Range<usize>> {
    let mut chunks = Vec::new();
    let mut atoms = Atoms { text, at: 0 }.peekable();
    let mut window: VecDeque<Atom> = VecDeque::new();
    loop {
        let mut cost: usize = window.iter().map(|atom| atom.cost).sum();
        while let Some(atom) = atoms.next_if(|atom| cost + atom.cost <= CHUNK_TOKENS) {
            cost += atom.cost;
            window.push_back(atom);
        }
        let is_last = atoms.peek().is_none();
        let length = if is_last { window.len() } else { cut(&window) };
        let (Some(first), Some(last)) = (window.front(), window.get(length.saturating_sub(1))) else {
            return chunks;
        };
        chunks.push(first.start..last.end);
        if is_last {
            return chunks;
        }
        window.drain(..overlap_start(&window, length));
    }
}

/// The number of atoms of a full window that go into its chunk.
fn cut(window: &VecDeque<Atom>) -> usize {
    let mut cost = 0;
    let (mut paragraph, mut sentence) = (None, None);
    for (index, atom) in window.iter().enumerate() {
        cost += atom.cost;
        // A cut in the first half would make pieces that say too little.
        if cost >= CHUNK_TOKENS / 2 {
            match atom.after {
                Break::Paragraph => paragraph = Some(index + 1),
                Break::Sentence => sentence = Some(index + 1),
                Break::Word => {}
            }
        }
    }
    paragraph.or(sentence).unwrap_or(window.len())
}

/// The start of the next chunk in a window whose first `length` atoms made a chunk: the earliest sentence of
/// the overlap, or in a long sentence as far back as the overlap reaches. Always after the window's first atom,
/// because a chunk is longer than the overlap.
fn overlap_start(window: &VecDeque<Atom>, length: usize) -> usize {
    let mut cost = 0;
    let (mut start, mut sentence) = (length, None);
    for index in (1..length).rev() {
        cost += window[index].cost;
        if cost > OVERLAP_TOKENS {
            break;
        }
        start = index;
        if window[index - 1].after != Break::Word {
            sentence = Some(index);
        }
    }
    sentence.unwrap_or(start)
}

/// A word, or a part of one that is longer than words are.
#[derive(Clone, Copy, Debug)]
struct Atom {
    start: usize,
    end: usize,
    /// For how many tokens it counts; less than [`OVERLAP_TOKENS`].
    cost: usize,
    after: Break,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    Word,
    Sentence,
    Paragraph,
}

/// The atoms of a text, made as they are asked for: those of a whole book would take more memory than the book.
struct Atoms<'a> {
    text: &'a str,
    at: usize,
}

/// The weight of a token.
const TOKEN_WEIGHT: usize = 12;
const MAX_ATOM_WEIGHT: usize = 20 * TOKEN_WEIGHT;
/// A longer word is no word.
const WORD_CHARS: usize = 20;

impl Iterator for Atoms<'_> {
    type Item = Atom;

    fn next(&mut self) -> Option<Atom> {
        let rest = &self.text[self.at..];
        let start = self.at + (rest.len() - rest.trim_start().len());
        let (mut end, mut weight) = (start, 0);
        for (count, c) in self.text[start..].chars().enumerate() {
            let added = match c {
                c if is_unspaced(c) => 14,
                c if c.is_ascii_alphabetic() && count < WORD_CHARS => 2,
                _ => 4,
            };
            if c.is_whitespace() || weight + added > MAX_ATOM_WEIGHT {
                break;
            }
            weight += added;
            end += c.len_utf8();
            if ends_unspaced_sentence(c) {
                break;
            }
        }
        self.at = end;
        let after = self.break_after(start, end);
        (end > start).then_some(Atom { start, end, cost: weight.div_ceil(TOKEN_WEIGHT), after })
    }
}

impl Atoms<'_> {
    fn break_after(&self, start: usize, end: usize) -> Break {
        let (word, rest) = (&self.text[start..end], &self.text[end..]);
        let space = &rest[..rest.len() - rest.trim_start().len()];
        let mark =
            word.trim_end_matches(['"', '\'', '’', '”', ')', ']', '»', '」', '』', '）']).chars().next_back();
        let ends = mark.is_some_and(|mark| matches!(mark, '.' | '!' | '?' | '…' | '।') && !space.is_empty());
        if space.matches('\n').count() > 1 {
            Break::Paragraph
        } else if ends || mark.is_some_and(ends_unspaced_sentence) {
            Break::Sentence
        } else {
            Break::Word
        }
    }
}

fn ends_unspaced_sentence(c: char) -> bool {
    matches!(c, '。' | '！' | '？')
}

fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{2E80}'..='\u{A4CF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    /// `count` sentences of ten words, numbered so that each is unlike the others.
    fn sentences(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("Leaf number {n} turns light and water into sugar today.")).collect()
    }

    #[test]
    fn a_short_text_is_one_chunk() {
        assert_eq!(chunks("  one two\n\nthree \n"), ["one two\n\nthree"]);
        assert_eq!(chunks(" \n\t "), Vec::<String>::new());
    }

    #[test]
    fn cuts_fall_between_sentences_and_sentences_overlap() {
        let text = sentences(100).join(" ");
        let chunks = chunks(&text);
        assert_eq!(chunks.len(), 3);
        for chunk in &chunks {
            assert!(chunk.starts_with("Leaf number") && chunk.ends_with("today."));
            assert!(words(chunk).len() <= CHUNK_TOKENS);
        }
        assert!(chunks[0].ends_with("Leaf number 42 turns light and water into sugar today."));
        assert!(chunks[1].starts_with("Leaf number 39 turns"));
    }

    #[test]
    fn a_paragraph_is_kept_whole_where_that_costs_less_than_half_a_chunk() {
        let text = [sentences(25).join(" "), sentences(30).join(" ")].join("\n\n");
        let chunks = chunks(&text);
        assert_eq!(words(&chunks[0]).len(), 250);
        assert!(chunks[1].contains("\n\n"));
    }

    #[test]
    fn texts_without_spaces_are_cut_too() {
        let encoded = chunks(&"x".repeat(20_000));
        assert!(encoded.iter().all(|chunk| chunk.len() <= 1_700), "{}", encoded.len());
        let chinese = chunks(&"植物利用阳光制造糖。".repeat(300));
        assert!(chinese.iter().all(|chunk| chunk.chars().count() <= 411));
        assert!(chinese.iter().all(|chunk| chunk.ends_with('。') && chunk.starts_with('植')));
    }

    #[test]
    fn a_sentence_without_an_end_is_cut_between_words() {
        let text = vec!["word"; 1000].join(" ");
        let chunks = chunks(&text);
        assert_eq!(words(&chunks[0]).len(), CHUNK_TOKENS);
        assert_eq!(chunks.iter().map(|chunk| words(chunk).len()).sum::<usize>(), 1000 + 2 * OVERLAP_TOKENS);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn together_they_hold_the_text_and_none_is_too_long(
            parts in prop::collection::vec(("[a-zé光。]{1,30}", prop::sample::select(vec![" ", ". ", "\n", ".\n\n", ""])), 0..1500),
        ) {
            let text: String = parts.into_iter().map(|(word, space)| word + space).collect();
            let mut covered = 0;
            let mut from = 0;
            for chunk in chunks(&text) {
                prop_assert!(!chunk.trim().is_empty());
                prop_assert!(chunk.chars().filter(|c| !c.is_whitespace()).count() <= CHUNK_TOKENS * 6);
                // Pieces follow one another, and only spaces lie between those that do not overlap.
                let start = from + text[from..].find(&chunk).expect("a piece is a part of the text");
                prop_assert!(start <= covered || text[covered..start].trim().is_empty());
                covered = start + chunk.len();
                from = start + chunk.chars().next().map_or(0, char::len_utf8);
            }
            prop_assert!(text[covered..].trim().is_empty());
        }
    }
}
