//! The relevance of an article to a topic: a search finds something for nearly everything, and says "did you mean".

use service_support::Language;

use crate::words::{folded, is_form_of, words};

/// The beginning of an article that is looked at, in characters: what comes later is seldom what it is about.
const BEGINNING_CHARS: usize = 400;
/// Topics of so many words may be said in other words by a title.
const LONG_TOPIC: usize = 3;
/// Letters of an acronym at most.
const MAX_ACRONYM: usize = 6;

/// True if an article with this title and this beginning is about a topic. `redirect` is a title by which it is found, too.
pub(crate) fn fits(
    topic: &str,
    title: &str,
    redirect: Option<&str>,
    beginning: &str,
    language: Language,
) -> bool {
    let names: Vec<&str> = [Some(title), redirect].into_iter().flatten().map(without_qualifier).collect();
    let whole = |text: &str| -> String { words(text).map(folded).collect() };
    if names.iter().any(|name| !whole(topic).is_empty() && whole(name) == whole(topic)) {
        return true;
    }
    let topic_words = content_words(topic, language);
    if topic_words.is_empty() {
        return false;
    }
    let beginning: String = beginning.chars().take(BEGINNING_CHARS).collect();
    let stands_in = |text: &str, wanted: &str| words(text).any(|word| is_form_of(word, wanted));
    let in_title = |wanted: &&&str| names.iter().any(|name| stands_in(name, wanted));
    let anywhere = |wanted: &&&str| in_title(wanted) || stands_in(&beginning, wanted);
    let (count, titled) = (topic_words.len(), topic_words.iter().filter(in_title).count());
    let found = topic_words.iter().filter(anywhere).count();
    if topic_words.len() == 1 && names.iter().any(|name| is_acronym_of(topic_words[0], name)) {
        return true;
    }
    match titled {
        0 if count >= LONG_TOPIC => found * 3 >= count * 2,
        0 => found == count,
        _ => found * 2 >= count,
    }
}

/// The words of a topic that say something, or else all of them: there is a band called The Who.
fn content_words(topic: &str, language: Language) -> Vec<&str> {
    let all: Vec<&str> = words(topic).collect();
    let content: Vec<&str> = all
        .iter()
        .copied()
        .filter(|w| !language.is_function_word(w) && !Language::En.is_function_word(w))
        .collect();
    if content.is_empty() { all } else { content }
}

/// A title without the disambiguation in brackets: `Recursion (computer science)`.
fn without_qualifier(title: &str) -> &str {
    title.split_once(" (").map_or(title, |(name, _)| name)
}

fn is_acronym_of(acronym: &str, title: &str) -> bool {
    let letters = acronym.chars().count();
    let initials: String =
        words(title).filter_map(|word| word.chars().next()).filter(|c| c.is_uppercase()).collect();
    (2..=MAX_ACRONYM).contains(&letters) && acronym.chars().all(char::is_uppercase) && initials == acronym
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_article_shares_the_words_of_its_topic() {
        let en = |topic, title, beginning| fits(topic, title, None, beginning, Language::En);
        for (topic, title, beginning) in [
            ("photosynthesis", "Photosynthesis", ""),
            ("recursion", "Recursion (computer science)", ""),
            ("pythagoras theorem", "Pythagorean theorem", ""),
            ("the French Revolution", "French Revolution", ""),
            ("WiFi", "Wi-Fi", ""),
            ("BSOD", "Blue screen of death", "The blue screen of death (BSoD) is"),
            ("9/11", "September 11 attacks", "The September 11 attacks, also known as 9/11, were"),
            ("C++", "C++", ""),
            ("AC/DC", "AC/DC", ""),
            ("The Who", "The Who", ""),
            (
                "acids and bases",
                "Acid–base reaction",
                "An acid–base reaction occurs between an acid and a base.",
            ),
            ("NATO", "North Atlantic Treaty Organization", ""),
            ("संज्ञा", "संज्ञा", ""),
        ] {
            assert!(en(topic, title, beginning), "{topic}: {title}");
        }
        for (topic, title, beginning) in [
            ("photosynthesis", "Iron Maiden", "Iron Maiden are an English heavy metal band."),
            ("BSOD", "Berkeley Software Distribution", "BSD is a discontinued operating system."),
            ("WiFi", "Wife", "A wife is a woman in a marital relationship."),
            ("pi", "Pizza", "Pizza is an Italian dish."),
            ("C++", "C (programming language)", "C is a language."),
            ("!!!", "Exclamation mark", ""),
            ("संज्ञा", "सर्वनाम", "सर्वनाम वह शब्द है"),
        ] {
            assert!(!en(topic, title, beginning), "{topic}: {title}");
        }
        assert!(fits("WW2", "World War II", Some("WW2"), "", Language::En));
        assert!(fits("die Französische Revolution", "Französische Revolution", None, "", Language::De));
    }
}
