//! A topic's name as it stands in a sentence, and as a title.

use service_support::Language;

use super::guide;
use crate::words::{folded, is_word_char, words};

/// A topic's spelling: the article's own, where it has the name (`french revolution`, `NATO`), or else as it was asked for.
pub(super) fn spelt(topic: &str, article: Option<&str>) -> String {
    let (determiner, name) = split(topic);
    let Some(article) = article else { return topic.to_owned() };
    let found = found_in(name, article);
    // A capital at the begin of a sentence says nothing, where it is the only one.
    let within = found.iter().find(|(at, _)| !begins_sentence(article, *at)).map(|(_, text)| *text);
    let begins = found.first().map(|(_, text)| *text).filter(|text| has_inner_capital(text));
    let name = within.or(begins).unwrap_or(name);
    if determiner.is_empty() { name.to_owned() } else { format!("{determiner} {name}") }
}

/// The name within a sentence: in English with a small article, and with the one that the encyclopedia begins with. The other
/// languages put it in quotation marks, because it would have to be declined.
pub(super) fn within(spelt: &str, article: Option<&str>, language: Language) -> String {
    if language != Language::En {
        return spelt.to_owned();
    }
    let (determiner, name) = split(spelt);
    if !determiner.is_empty() {
        return format!("{} {name}", determiner.to_lowercase());
    }
    let begins_with_the = article.and_then(|article| article.strip_prefix("The ")).is_some_and(|rest| {
        let after = rest.strip_prefix(name);
        after.is_some_and(|after| !after.starts_with(is_word_char) && !after.starts_with('-'))
    });
    if begins_with_the { format!("the {name}") } else { name.to_owned() }
}

/// The title of a lesson. Where the topic has the subject in it, the topic is enough: English grammar.
pub(super) fn title(spelt: &str, subject: &str, language: Language) -> String {
    let of_subject: Vec<String> = words(subject).map(folded).collect();
    let of_topic: Vec<String> = words(spelt).map(folded).collect();
    let topic = capitalized(spelt);
    if !of_subject.is_empty() && of_subject.iter().all(|word| of_topic.contains(word)) {
        return topic;
    }
    let subject = if subject.chars().any(char::is_uppercase) {
        subject.to_owned()
    } else {
        let capital = |word: &str| if is_small(word, language) { word.to_owned() } else { capitalized(word) };
        subject.split(' ').map(capital).collect::<Vec<_>>().join(" ")
    };
    // A subject of one language in a lesson of another one has its own writing.
    guide(language).fill("title", &[("topic", &topic), ("subject", &subject)])
}

/// With its first letter in upper case, unless its writing is its own: `iPhone`, `pH`.
fn capitalized(text: &str) -> String {
    let first_word = text.split(' ').next().unwrap_or_default();
    if first_word.chars().skip(1).any(char::is_uppercase) {
        return text.to_owned();
    }
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return String::new() };
    let mut upper = first.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) => std::iter::once(upper).chain(characters).collect(),
        _ => text.to_owned(),
    }
}

fn is_small(word: &str, language: Language) -> bool {
    // In English titles most words have capitals; elsewhere the first one has.
    language.is_function_word(word)
}

/// A topic's English article and the rest of it.
fn split(topic: &str) -> (&str, &str) {
    match topic.split_once(' ') {
        Some((first, rest)) if ["the", "a", "an"].contains(&first.to_lowercase().as_str()) => {
            (first, rest.trim())
        }
        _ => ("", topic),
    }
}

fn has_inner_capital(text: &str) -> bool {
    text.chars().skip(1).any(char::is_uppercase)
}

/// The places where a text has a name, whatever its case, as whole words.
fn found_in<'a>(name: &str, text: &'a str) -> Vec<(usize, &'a str)> {
    let wanted = name.to_lowercase();
    let starts = text
        .char_indices()
        .filter(|(at, c)| is_word_char(*c) && !text[..*at].chars().next_back().is_some_and(is_word_char));
    let matching = starts.filter_map(|(at, _)| {
        let mut rest = text[at..].char_indices();
        let mut wanted = wanted.chars();
        loop {
            let Some(expected) = wanted.next() else {
                let end = rest.next().map_or(text.len() - at, |(end, _)| end);
                let after = text[at + end..].chars().next();
                return (!after.is_some_and(is_word_char)).then(|| (at, &text[at..at + end]));
            };
            let (_, c) = rest.next()?;
            // Letters whose small form is two are no part of this.
            if c.to_lowercase().next() != Some(expected) {
                return None;
            }
        }
    });
    matching.collect()
}

fn begins_sentence(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches(['"', '“', '(', '„', '«']);
    before.trim_end().is_empty() || before.trim_end().ends_with(['.', '!', '?', '।', ':', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_sentence_is_as_the_article_has_it() {
        let revolution = "The French Revolution was a period of change. The revolution ended.";
        let photosynthesis = "Photosynthesis is a process. The term photosynthesis usually refers to plants.";
        for (topic, article, expected) in [
            ("the French revolution", Some(revolution), "the French Revolution"),
            ("french revolution", Some(revolution), "the French Revolution"),
            ("The French Revolution", None, "the French Revolution"),
            ("Photosynthesis", Some(photosynthesis), "photosynthesis"),
            ("Photosynthesis", None, "Photosynthesis"),
            ("rabindranath tagore", Some("Rabindranath Tagore was a poet."), "Rabindranath Tagore"),
            (
                "nato",
                Some("The North Atlantic Treaty Organization, also called NATO, is an alliance."),
                "NATO",
            ),
            ("fractions", Some("A fraction is a part."), "fractions"),
            ("Verbs", Some("Verbs are words."), "Verbs"),
            ("İstanbul", Some("İstanbul is a city."), "İstanbul"),
            ("pi", Some("The number π is the ratio."), "pi"),
        ] {
            let spelt = spelt(topic, article);
            assert_eq!(within(&spelt, article, Language::En), expected, "{topic}");
        }
    }

    #[test]
    fn a_title_names_the_topic_in_its_subject() {
        for (topic, subject, language, expected) in [
            ("photosynthesis", "biology", Language::En, "Photosynthesis in Biology"),
            ("recursion", "computer science", Language::En, "Recursion in Computer Science"),
            ("the passive voice", "english", Language::En, "The passive voice in English"),
            ("English grammar", "english", Language::En, "English grammar"),
            ("fractions", "Grade 7", Language::En, "Fractions in Grade 7"),
            ("iPhone", "history of design", Language::En, "iPhone in History of Design"),
            ("ßx", "x", Language::En, "ßx in X"),
            ("Photosynthese", "Biologie", Language::De, "Photosynthese im Fach Biologie"),
            ("संज्ञा", "हिन्दी", Language::Hi, "हिन्दी में संज्ञा"),
        ] {
            assert_eq!(title(topic, subject, language), expected);
        }
    }
}
