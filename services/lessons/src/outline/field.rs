/// What sort of thing a subject is: it decides what questions fit it, and which verses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Language,
    Mathematics,
    Nature,
    Health,
    Society,
    Art,
    Wisdom,
    Economy,
    Computing,
    General,
}

/// How words of each field begin.
const BEGINNINGS: [(Field, &[&str]); 9] = [
    (
        Field::Language,
        &[
            "english", "hindi", "sanskrit", "language", "grammar", "spanish", "french", "german", "linguist",
            "verb", "noun",
        ],
    ),
    (
        Field::Mathematics,
        &[
            "math",
            "algebra",
            "geometr",
            "calculus",
            "arithmetic",
            "statistic",
            "trigonometr",
            "number",
            "vedic",
        ],
    ),
    (
        Field::Health,
        &["health", "medicin", "ayurved", "yoga", "nutrition", "anatomy", "sport", "fitness", "physical"],
    ),
    (
        Field::Computing,
        &["comput", "program", "software", "informatic", "coding", "data", "algorithm", "python", "robot"],
    ),
    (
        Field::Nature,
        &[
            "science",
            "physic",
            "chemi",
            "biolog",
            "botan",
            "zoolog",
            "astronom",
            "environment",
            "ecolog",
            "geolog",
            "plant",
            "photosynth",
            "nature",
        ],
    ),
    (Field::Economy, &["econom", "commerce", "business", "account", "financ", "trade", "market", "money"]),
    (
        Field::Society,
        &["histor", "geograph", "civic", "social", "politic", "law", "sociolog", "government", "culture"],
    ),
    (
        Field::Art,
        &["art", "music", "literatur", "poet", "dance", "theat", "drama", "paint", "film", "design"],
    ),
    (
        Field::Wisdom,
        &["philosoph", "ethic", "moral", "religio", "veda", "vedas", "upanishad", "spiritual", "psycholog"],
    ),
];

impl Field {
    /// By the subject's words, or else by the topic's.
    pub(crate) fn of(subject: &str, topic: &str) -> Self {
        by_words(subject).or_else(|| by_words(topic)).unwrap_or(Self::General)
    }
}

fn by_words(text: &str) -> Option<Field> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).find_map(|word| {
        let fits = |beginnings: &[&str]| beginnings.iter().any(|beginning| begins(word, beginning));
        BEGINNINGS.iter().find(|(_, beginnings)| fits(beginnings)).map(|(field, _)| *field)
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
        assert_eq!(Field::of("English", "photosynthesis"), Field::Language);
        assert_eq!(Field::of("Grade 7", "Photosynthesis"), Field::Nature);
        assert_eq!(Field::of("Applied Mathematics", "x"), Field::Mathematics);
        assert_eq!(Field::of("the arts", "x"), Field::Art);
        assert_eq!(Field::of("articles", "lawn"), Field::General);
        assert_eq!(Field::of("", "!"), Field::General);
    }
}
