/// Words of an article that a learner should hold on to, at most.
const MAX_TERMS: usize = 5;
/// Shorter words are seldom terms.
const MIN_CHARS: usize = 5;
/// Words of encyclopedias that are terms of nothing.
const COMMON: &str = include_str!("common.txt");

struct Candidate<'a> {
    word: &'a str,
    stem: String,
    count: usize,
    first: usize,
}

/// The terms of some sentences: words that come often or are long, and are neither common nor part of `names`.
pub(super) fn of(sentences: &[&str], names: &[&str]) -> Vec<String> {
    let names: Vec<String> = names.iter().flat_map(|name| words(name)).map(stem).collect();
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for (number, word) in sentences.iter().flat_map(|sentence| words(sentence)).enumerate() {
        let stem = stem(word);
        match candidates.iter_mut().find(|candidate| candidate.stem == stem) {
            Some(candidate) => candidate.count += 1,
            None if is_term(word, &stem, &names) => {
                candidates.push(Candidate { word, stem, count: 1, first: number });
            }
            None => {}
        }
    }
    // A long word is likely to be the article's own, and a word that comes back to be what it is about.
    let weight = |candidate: &Candidate<'_>| candidate.count * candidate.word.chars().count();
    candidates.sort_by_key(|candidate| (std::cmp::Reverse(weight(candidate)), candidate.first));
    candidates.truncate(MAX_TERMS);
    // In the order in which a reader meets them.
    candidates.sort_by_key(|candidate| candidate.first);
    candidates.into_iter().map(|candidate| shown(candidate.word, sentences)).collect()
}

/// Whether a term is a word of a sentence.
pub(super) fn stands_in(term: &str, sentence: &str) -> bool {
    place(term, sentence).is_some()
}

/// The sentence with a gap where the term stands first.
pub(super) fn with_gap(term: &str, sentence: &str) -> String {
    match place(term, sentence) {
        Some(at) => format!("{}_____{}", &sentence[..at], &sentence[at + term.len()..]),
        None => sentence.to_owned(),
    }
}

fn place(term: &str, sentence: &str) -> Option<usize> {
    sentence.match_indices(term).map(|(at, _)| at).find(|at| {
        let before = sentence[..*at].chars().next_back();
        let after = sentence[at + term.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// A word as it stands within a sentence: a capital at its beginning says nothing.
fn shown(word: &str, sentences: &[&str]) -> String {
    let begins_one = sentences.iter().any(|sentence| words(sentence).next() == Some(word));
    if begins_one { word.to_lowercase() } else { word.to_owned() }
}

fn is_term(word: &str, stem: &str, names: &[String]) -> bool {
    let lower = word.to_lowercase();
    word.chars().count() >= MIN_CHARS
        && word.chars().all(|c| c.is_alphabetic() || c == '-')
        && !COMMON.split_whitespace().any(|common| common == lower)
        // Adverbs say how, not what.
        && !lower.ends_with("ly")
        && !names.iter().any(|name| name == stem)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '-').filter(|word| !word.is_empty())
}

/// Singular and plural are one word.
fn stem(word: &str) -> String {
    let lower = word.to_lowercase();
    if lower.chars().count() > 3 { lower.trim_end_matches('s').to_owned() } else { lower }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_what_an_article_speaks_of() {
        let sentences = [
            "Photosynthesis usually turns light into energy.",
            "Chlorophyll absorbs light, and the energy splits water.",
            "Plants use chlorophyll for photosynthesis.",
        ];
        let terms = of(&sentences, &["biology", "photosynthesis", "Plant"]);
        assert_eq!(terms, ["light", "energy", "chlorophyll", "absorbs", "splits"]);
    }

    #[test]
    fn a_gap_takes_the_place_of_a_whole_word() {
        assert!(!stands_in("light", "lightning strikes"));
        assert_eq!(with_gap("light", "Sunlight is light."), "Sunlight is _____.");
        assert_eq!(with_gap("light", "Dark."), "Dark.");
    }
}
