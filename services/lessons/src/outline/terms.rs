use service_support::Language;

use crate::words::{is_form_of, is_word_char, words};

/// Words of an article that a learner should hold on to, at most.
const MAX_TERMS: usize = 5;
/// Shorter words are seldom terms, unless they are acronyms; longer ones are chains of characters of scripts without spaces.
const MIN_CHARS: usize = 5;
const MIN_CHARS_HINDI: usize = 4;
const MIN_ACRONYM: usize = 3;
const MAX_CHARS: usize = 30;
/// Words of encyclopedias that are terms of nothing, of all languages.
const COMMON: &str = include_str!("common.txt");
/// Ends of English words that say how something is or happens.
const NO_NOUNS: [&str; 14] =
    ["ly", "ed", "ing", "ous", "ive", "able", "ible", "ical", "ful", "less", "ish", "ial", "ary", "ern"];

struct Candidate<'a> {
    word: &'a str,
    count: usize,
    /// The times that it stood as the main word of a phrase.
    heads: usize,
    first: usize,
}

/// The terms of some sentences: words that name things, come often or are long, and are neither common nor part of `names`.
pub(super) fn of(sentences: &[&str], names: &[&str], language: Language) -> Vec<String> {
    let names: Vec<&str> = names.iter().flat_map(|name| words(name)).collect();
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    let mut number = 0;
    // What stands in brackets are years, other names and other languages.
    let plain: Vec<String> = sentences.iter().map(|sentence| without_brackets(sentence)).collect();
    for sentence in &plain {
        let all: Vec<&str> = words(sentence).collect();
        for (place, word) in all.iter().enumerate() {
            number += 1;
            let heads = usize::from(is_head(sentence, word, &all[place + 1..], &names, language));
            match candidates.iter_mut().find(|candidate| is_form_of(candidate.word, word)) {
                Some(candidate) => {
                    candidate.count += 1;
                    candidate.heads += heads;
                }
                None if is_term(word, place, &names, language) => {
                    candidates.push(Candidate { word, count: 1, heads, first: number });
                }
                None => {}
            }
        }
    }
    candidates.retain(|candidate| candidate.heads > 0);
    // A long word is likely to be the article's own, and a word that comes back to be what it is about.
    let weight = |candidate: &Candidate<'_>| candidate.count * candidate.word.chars().count();
    candidates.sort_by_key(|candidate| (std::cmp::Reverse(weight(candidate)), candidate.first));
    candidates.truncate(MAX_TERMS);
    // In the order in which a reader meets them.
    candidates.sort_by_key(|candidate| candidate.first);
    candidates.into_iter().map(|candidate| shown(candidate.word, sentences, language)).collect()
}

fn without_brackets(sentence: &str) -> String {
    let mut depth = 0_usize;
    let outside = |c: &char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    };
    sentence.chars().filter(outside).collect()
}

/// True for the main word of a phrase: a comma, a full stop or a word like `of` comes after it, or a verb, which an article
/// comes after. What stands before another word that says something is mostly an adjective.
fn is_head(sentence: &str, word: &str, after: &[&str], names: &[&str], language: Language) -> bool {
    let Some(next) = after.first() else { return true };
    // All are parts of the sentence.
    let place = |word: &str| word.as_ptr() as usize - sentence.as_ptr() as usize;
    let gap = sentence.get(place(word) + word.len()..place(next)).unwrap_or_default();
    if !gap.trim().is_empty() {
        return true;
    }
    match after.get(1) {
        _ if language.is_function_word(next) => !language.is_determiner(next),
        // The topic itself is no verb.
        Some(second) => language.is_determiner(second) && !names.iter().any(|name| is_form_of(name, next)),
        None => false,
    }
}

/// True for a term that is a word of a sentence.
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
        !before.is_some_and(is_word_char) && !after.is_some_and(is_word_char)
    })
}

/// A word as it stands within a sentence: a capital at its beginning says nothing, but in German.
fn shown(word: &str, sentences: &[&str], language: Language) -> String {
    let begins_one = sentences.iter().any(|sentence| words(sentence).next() == Some(word));
    let is_name = word.chars().skip(1).any(char::is_uppercase);
    if begins_one && !is_name && language != Language::De { word.to_lowercase() } else { word.to_owned() }
}

fn is_term(word: &str, place: usize, names: &[&str], language: Language) -> bool {
    let lower = word.to_lowercase();
    let letters = word.chars().count();
    let is_acronym = letters >= MIN_ACRONYM && word.chars().all(char::is_uppercase) && word.is_ascii();
    let is_long = match language {
        Language::Hi => letters >= MIN_CHARS_HINDI,
        _ => letters >= MIN_CHARS,
    };
    let is_noun = match language {
        // Nouns have a capital, and so has whatever begins a sentence.
        Language::De => place > 0 && word.starts_with(char::is_uppercase),
        // Adverbs and adjectives say how, not what.
        Language::En => is_acronym || !NO_NOUNS.iter().any(|end| lower.ends_with(end)),
        Language::Es => !lower.ends_with("mente"),
        Language::Fr => !lower.ends_with("ment") || lower.ends_with("ement"),
        Language::Hi => true,
    };
    (is_long || is_acronym)
        && letters <= MAX_CHARS
        && is_noun
        && word.chars().all(|c| (is_word_char(c) || c == '-') && !c.is_numeric())
        && !language.is_function_word(&lower)
        && !COMMON.split_whitespace().any(|common| common == lower)
        && !names.iter().any(|name| is_form_of(name, word))
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
        let terms = of(&sentences, &["biology", "photosynthesis", "Plant"], Language::En);
        assert_eq!(terms, ["light", "energy", "chlorophyll", "water"]);
    }

    #[test]
    fn terms_of_other_languages_are_words_of_theirs() {
        let german =
            ["Die Photosynthese wandelt Lichtenergie in chemische Energie um.", "Dabei entsteht Sauerstoff."];
        assert_eq!(
            of(&german, &["Biologie", "Photosynthese"], Language::De),
            ["Lichtenergie", "Energie", "Sauerstoff"]
        );
        let hindi = ["संज्ञा किसी व्यक्ति, वस्तु या स्थान का नाम है।"];
        assert_eq!(of(&hindi, &["संज्ञा"], Language::Hi), ["व्यक्ति", "वस्तु", "स्थान"]);
        let spanish = ["La fotosíntesis es un proceso químico de las plantas."];
        assert!(of(&spanish, &["fotosíntesis"], Language::Es).contains(&"plantas".to_owned()));
    }

    #[test]
    fn numbers_letters_and_acronyms() {
        let sentences = ["The energy is stored in ATP, NADPH and 1789 x2 cells of type a."];
        assert_eq!(of(&sentences, &[], Language::En), ["energy", "ATP", "NADPH", "cells"]);
    }

    #[test]
    fn verbs_and_adjectives_by_themselves_are_no_terms() {
        let sentences = [
            "Each symbol corresponds to the sound of a vowel, and its meaning is spiritual.",
            "The alphabet represents the consonants.",
        ];
        let terms = of(&sentences, &[], Language::En);
        for wrong in ["corresponds", "spiritual", "represents"] {
            assert!(!terms.iter().any(|term| term == wrong), "{terms:?}");
        }
        assert!(terms.iter().any(|term| term == "consonants"), "{terms:?}");
    }

    #[test]
    fn a_gap_takes_the_place_of_a_whole_word() {
        assert!(!stands_in("light", "lightning strikes"));
        assert_eq!(with_gap("light", "Sunlight is light."), "Sunlight is _____.");
        assert_eq!(with_gap("light", "Dark."), "Dark.");
    }
}
