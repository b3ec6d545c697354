use service_support::Language;

use super::outcome::{self, Parsed};
use crate::model::{Bloom, Module};

/// Something that lessons can be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    /// As it can stand in a sentence: `the structure of the heart`.
    pub(super) phrase: String,
    /// The level that students are to reach with it.
    pub(super) level: Bloom,
    /// The numbers of the outcomes that it is taken from, from 1.
    pub(super) outcomes: Vec<u32>,
}

/// The longest that a topic's phrase is, in characters.
const MAX_PHRASE_CHARS: usize = 90;
/// Openings before the topic in a phrase of a description that say nothing.
const PHRASE_OPENINGS: [&str; 24] = [
    "to ",
    "learners ",
    "this module ",
    "the module ",
    "students ",
    "covers ",
    "covering ",
    "cover ",
    "including ",
    "includes ",
    "introduces ",
    "introduction to ",
    "an introduction to ",
    "explores ",
    "examines ",
    "learn about ",
    "learn ",
    "about ",
    "such as ",
    "with ",
    "and ",
    "then ",
    "finally ",
    "as well as ",
];

/// Words that begin a sentence and no name of a topic.
const SENTENCES: [&str; 12] =
    ["it", "they", "we", "you", "he", "she", "this", "these", "there", "which", "who", "that"];

/// The topics of a module: its outcomes, or else the phrases of its description, or else its title.
pub(super) fn topics(module: &Module, language: Language) -> Vec<Topic> {
    if !module.outcomes.is_empty() {
        let outcomes = (1..).zip(&module.outcomes);
        return outcomes.map(|(number, outcome)| of_outcome(number, &outcome.statement, language)).collect();
    }
    let phrases = module.description.split(['.', ',', ';', ':', '?', '!', '।', '\n']).filter_map(of_phrase);
    let mut topics: Vec<Topic> = Vec::new();
    for topic in phrases {
        if !topics.iter().any(|known| known.phrase.eq_ignore_ascii_case(&topic.phrase)) {
            topics.push(topic);
        }
    }
    if topics.is_empty() {
        topics.push(Topic { phrase: shortened(&module.title), level: Bloom::Apply, outcomes: Vec::new() });
    }
    topics
}

/// `Explain and apply Ohm's law.` is about Ohm's law, at the level of applying it.
fn of_outcome(number: u32, statement: &str, language: Language) -> Topic {
    let Parsed { level, object } = outcome::parse(statement, language);
    Topic { phrase: shortened(&object), level: level.unwrap_or(Bloom::Understand), outcomes: vec![number] }
}

fn of_phrase(phrase: &str) -> Option<Topic> {
    let phrase = stripped(phrase.trim(), &PHRASE_OPENINGS);
    let words = phrase.split_whitespace().count();
    // A longer one is a sentence, and a shorter one has no letters.
    let fits = (1..=10).contains(&words) && phrase.chars().filter(|c| c.is_alphabetic()).count() >= 3;
    let first = phrase.split(' ').next().unwrap_or_default().to_lowercase();
    let fits = fits && !SENTENCES.contains(&first.as_str());
    fits.then(|| Topic { phrase: shortened(phrase), level: Bloom::Apply, outcomes: Vec::new() })
}

/// The text without whatever of `openings` it begins with, again and again.
fn stripped<'a>(text: &'a str, openings: &[&str]) -> &'a str {
    let begins = |text: &str, with: &str| {
        text.get(..with.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(with))
    };
    let mut text = text;
    while let Some(opening) = openings.iter().find(|opening| begins(text, opening)) {
        text = text[opening.len()..].trim_start();
    }
    text
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_PHRASE_CHARS {
        return text.to_owned();
    }
    let cut: String = text.chars().take(MAX_PHRASE_CHARS).collect();
    let whole_words = cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words);
    format!("{} …", whole_words.trim_end_matches([',', ';', ':']))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_outcome_is_a_level_and_a_topic() {
        let topic = |statement| {
            let topic = of_outcome(1, statement, Language::En);
            (topic.level, topic.phrase)
        };
        assert_eq!(topic("Explain the water cycle."), (Bloom::Understand, "the water cycle".into()));
        assert_eq!(
            topic("Students will be able to describe, and apply Ohm's law"),
            (Bloom::Apply, "Ohm's law".into())
        );
        assert_eq!(topic("Critically evaluate sources"), (Bloom::Evaluate, "sources".into()));
        assert_eq!(topic("Family law"), (Bloom::Understand, "Family law".into()));
        assert_eq!(topic("Teamwork"), (Bloom::Understand, "Teamwork".into()));
        assert_eq!(topic("Analyse"), (Bloom::Analyze, "Analyse".into()));
        assert_eq!(topic("to"), (Bloom::Understand, "to".into()));
        assert!(topic(&"long words ".repeat(40)).1.ends_with(" …"));
    }

    #[test]
    fn a_description_is_its_phrases() {
        let phrases = |description: &str| -> Vec<String> {
            let module = json!({
                "code": "M", "title": "Data", "description": description, "contactHours": 3,
            });
            let module = Module::check(0, &module).unwrap();
            topics(&module, Language::En).into_iter().map(|topic| topic.phrase).collect()
        };
        let text = "An introduction to data structures, covering arrays, linked lists, and finally graphs. Graphs? 42.";
        assert_eq!(phrases(text), ["data structures", "arrays", "linked lists", "graphs"]);
        assert_eq!(phrases(""), ["Data"]);
        assert_eq!(phrases("…, 12; --"), ["Data"]);
    }
}
