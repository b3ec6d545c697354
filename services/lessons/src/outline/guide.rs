use std::sync::LazyLock;

use service_support::{Language, Texts, Translated};

use super::Body;
use super::field::Field;
use crate::draft::LessonDraft;

/// The texts of lessons, by language. Those of a field are named after it: `art.question`; the languages that have none for a
/// field have the general ones.
static GUIDES: LazyLock<Translated> = LazyLock::new(|| {
    Translated::read(|language| match language {
        Language::En => include_str!("guide/en.txt"),
        Language::De => include_str!("guide/de.txt"),
        Language::Es => include_str!("guide/es.txt"),
        Language::Fr => include_str!("guide/fr.txt"),
        Language::Hi => include_str!("guide/hi.txt"),
    })
});

/// The texts of a language.
pub(crate) fn guide(language: Language) -> &'static Texts {
    GUIDES.of(language)
}

/// A lesson for which no article is at hand: how to find out, and nothing that might be wrong.
pub(super) fn to_finding_out(draft: &LessonDraft, topic: &str) -> Body {
    let LessonDraft { subject, wikipedia, language, .. } = draft;
    let field = Field::of_questions(subject, topic);
    let guide = guide(*language);
    let reason = match wikipedia.as_ref().map(|info| info.note.as_deref()) {
        None => guide.get("note.not_asked"),
        Some(note) => note.unwrap_or(guide.get("note.none")),
    };
    let questions = of_field(*language, field, "questions", topic);
    let values = [("topic", topic), ("reason", reason), ("questions", &questions)];
    Body {
        explanation: guide.fill("finding_out", &values),
        activity: activity(*language, field, topic),
        question: of_field(*language, field, "question", topic),
    }
}

/// Something to do with a topic of a field.
pub(super) fn activity(language: Language, field: Field, topic: &str) -> String {
    of_field(language, field, "activity", topic)
}

fn of_field(language: Language, field: Field, part: &str, topic: &str) -> String {
    let guide = guide(language);
    let name = format!("{}.{part}", field.0);
    let is_there = guide.iter().any(|(known, _)| known == name);
    let name = if is_there { name } else { format!("general.{part}") };
    guide.fill(&name, &[("topic", topic)])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names of a guide's texts, each with the words that it has values for.
    fn names(language: Language) -> BTreeSet<(String, Vec<String>)> {
        let places = |text: &str| {
            let mut places: Vec<String> =
                text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect();
            places.sort();
            places.dedup();
            places
        };
        guide(language).iter().map(|(name, text)| (name.to_owned(), places(text))).collect()
    }

    #[test]
    fn every_language_has_the_texts_of_the_others() {
        let fields = [
            "language.",
            "mathematics.",
            "health.",
            "computing.",
            "nature.",
            "economy.",
            "society.",
            "art.",
            "wisdom.",
            "name.",
            "place.",
        ];
        let english: BTreeSet<(String, Vec<String>)> = names(Language::En)
            .into_iter()
            .filter(|(name, _)| !fields.iter().any(|field| name.starts_with(field)))
            .collect();
        for language in Language::ALL.into_iter().skip(1) {
            let missing: Vec<_> = english.symmetric_difference(&names(language)).cloned().collect();
            // A question may or may not name its topic.
            let missing: Vec<_> =
                missing.into_iter().filter(|(name, _)| !name.starts_with("general.")).collect();
            assert!(missing.is_empty(), "{language}: {missing:?}");
        }
    }
}
