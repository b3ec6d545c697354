use std::sync::LazyLock;

use service_support::Texts;

use super::Body;
use super::field::Field;
use crate::draft::LessonDraft;

/// The texts of lessons. Those of a field are named after it: `art.question`.
pub(super) static GUIDE: LazyLock<Texts> = LazyLock::new(|| Texts::read(include_str!("guide.txt")));

/// A lesson for which no article is at hand: how to find out, and nothing that might be wrong.
pub(super) fn to_finding_out(draft: &LessonDraft) -> Body {
    let LessonDraft { subject, topic, wikipedia } = draft;
    let field = Field::of(subject, topic);
    let reason = match wikipedia.as_ref().map(|info| info.note.as_deref()) {
        None => "Wikipedia was not to be asked",
        Some(note) => note.unwrap_or("Wikipedia has no article that fits"),
    };
    let questions = of_field(field, "questions", topic);
    let values = [
        ("subject", subject.as_str()),
        ("topic", topic.as_str()),
        ("reason", reason),
        ("questions", &questions),
    ];
    Body {
        explanation: GUIDE.fill("finding_out", &values),
        activity: activity(field, topic),
        question: of_field(field, "question", topic),
    }
}

/// Something to do with a topic of a field.
pub(super) fn activity(field: Field, topic: &str) -> String {
    of_field(field, "activity", topic)
}

fn of_field(field: Field, part: &str, topic: &str) -> String {
    GUIDE.fill(&format!("{}.{part}", field.0), &[("topic", topic)])
}
