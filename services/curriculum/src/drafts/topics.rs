use super::bloom::level_of;
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
/// Openings before the verb of an outcome that say nothing.
const OUTCOME_OPENINGS: [&str; 10] = [
    "by the end of this module, ",
    "by the end of the module, ",
    "on completion, ",
    "students will be able to ",
    "students can ",
    "learners will be able to ",
    "learners can ",
    "you will be able to ",
    "be able to ",
    "to ",
];
/// Openings before the topic in a phrase of a description that say nothing.
const PHRASE_OPENINGS: [&str; 22] = [
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

/// The topics of a module: its outcomes, or else the phrases of its description, or else its title.
pub(super) fn topics(module: &Module) -> Vec<Topic> {
    if !module.outcomes.is_empty() {
        let outcomes = (1..).zip(&module.outcomes);
        return outcomes.map(|(number, outcome)| of_outcome(number, &outcome.statement)).collect();
    }
    let phrases = module.description.split(['.', ',', ';', ':', '?', '!', '\n']).filter_map(of_phrase);
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
fn of_outcome(number: u32, statement: &str) -> Topic {
    let mut rest = stripped(statement.trim().trim_end_matches('.'), &OUTCOME_OPENINGS);
    let mut level = None;
    loop {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let joins = matches!(word, "and" | "or" | "&") && level.is_some();
        match level_of(word) {
            Some(found) => level = level.max(Some(found)),
            None if joins => {}
            // Critically evaluate.
            None if word.ends_with("ly") && after.split(' ').next().and_then(level_of).is_some() => {}
            None => break,
        }
        if after.is_empty() {
            break;
        }
        rest = after.trim_start();
    }
    Topic { phrase: shortened(rest), level: level.unwrap_or(Bloom::Understand), outcomes: vec![number] }
}

fn of_phrase(phrase: &str) -> Option<Topic> {
    let phrase = stripped(phrase.trim(), &PHRASE_OPENINGS);
    let words = phrase.split_whitespace().count();
    // A longer one is a sentence, and a shorter one has no letters.
    let fits = (1..=10).contains(&words) && phrase.chars().filter(|c| c.is_alphabetic()).count() >= 3;
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
            let topic = of_outcome(1, statement);
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
            topics(&module).into_iter().map(|topic| topic.phrase).collect()
        };
        let text = "An introduction to data structures, covering arrays, linked lists, and finally graphs. Graphs? 42.";
        assert_eq!(phrases(text), ["data structures", "arrays", "linked lists", "graphs"]);
        assert_eq!(phrases(""), ["Data"]);
        assert_eq!(phrases("…, 12; --"), ["Data"]);
    }
}
