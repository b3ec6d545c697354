use std::sync::LazyLock;

use service_support::Texts;

/// The beginnings of the words of each field.
static BEGINNINGS: LazyLock<Texts> = LazyLock::new(|| Texts::read(include_str!("fields.txt")));

/// The field of a subject, by its name in `fields.txt`: it decides which questions and which verses fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field(pub(super) &'static str);

impl Field {
    /// By the subject's words, or else by the topic's.
    pub(super) fn of(subject: &str, topic: &str) -> Self {
        by_words(subject).or_else(|| by_words(topic)).unwrap_or(Self("general"))
    }

    /// The one whose questions fit a topic. Of Isaac Newton nothing can be measured, nor can World War II be computed: a name
    /// has questions of its own, unless its field is one of names.
    pub(super) fn of_questions(subject: &str, topic: &str) -> Self {
        let field = Self::of(subject, topic);
        let is_of_names = ["society", "place", "art", "wisdom", "language"].contains(&field.0);
        if is_name(topic) && !is_of_names { Self("name") } else { field }
    }
}

/// True for two or more words that all have a capital, as persons, events and works have.
fn is_name(topic: &str) -> bool {
    let topic = topic.strip_prefix("the ").unwrap_or(topic);
    let is_small = |word: &str| ["of", "the", "and", "von", "de", "van", "da"].contains(&word);
    let words: Vec<&str> = topic.split(' ').filter(|word| !is_small(word)).collect();
    words.len() > 1 && words.iter().all(|word| word.starts_with(char::is_uppercase))
}

fn by_words(text: &str) -> Option<Field> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).find_map(|word| {
        let fits = |beginnings: &str| beginnings.split_whitespace().any(|beginning| begins(word, beginning));
        BEGINNINGS.iter().find(|(_, beginnings)| fits(beginnings)).map(|(name, _)| Field(name))
    })
}

/// A short beginning must be the whole word, with or without its plural: an article is no art.
fn begins(word: &str, beginning: &str) -> bool {
    match beginning.len() {
        ..=3 => word == beginning || word.strip_suffix('s') == Some(beginning),
        _ => word.starts_with(beginning),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_decides_and_then_the_topic() {
        assert_eq!(Field::of("English", "photosynthesis"), Field("language"));
        assert_eq!(Field::of("Grade 7", "Photosynthesis"), Field("nature"));
        assert_eq!(Field::of("Applied Mathematics", "x"), Field("mathematics"));
        assert_eq!(Field::of("the arts", "x"), Field("art"));
        assert_eq!(Field::of("articles", "lawn"), Field("general"));
        assert_eq!(Field::of("", "!"), Field("general"));
        assert_eq!(Field::of_questions("physics", "Isaac Newton"), Field("name"));
        assert_eq!(Field::of_questions("art", "Leonardo da Vinci"), Field("art"));
        assert_eq!(Field::of_questions("physics", "Ohm's law"), Field("nature"));
    }
}
