//! Plans of varied modules, held to the rules that every text keeps. `cargo test -p curriculum reading -- --nocapture` prints them.

use serde_json::json;
use service_support::Language;

use super::lesson::LessonDraft;
use super::outline;
use crate::model::Module;

/// A language, a title, a description and outcomes.
type Wanted = (Language, &'static str, &'static str, &'static [&'static str]);

const MODULES: [Wanted; 6] = [
    (
        Language::En,
        "Databases",
        "",
        &[
            "By the end of this module, students will be able to explain the relational model.",
            "The student can write SQL queries",
            "Design a schema for a small business and justify the choices made",
            "Demonstrate an understanding of transactions",
        ],
    ),
    (
        Language::En,
        "The French Revolution",
        "This module introduces students to the causes of the revolution, the Terror, and the rise of Napoleon. They read sources.",
        &[],
    ),
    (
        Language::En,
        "Sanskrit for beginners",
        "",
        &[
            "1. Recognise Devanagari letters",
            "2. Upon completion learners should be able to read simple verses",
        ],
    ),
    (
        Language::De,
        "Bruchrechnung",
        "",
        &[
            "Die Lernenden können Brüche erweitern und kürzen.",
            "Am Ende des Moduls können sie Textaufgaben lösen.",
        ],
    ),
    (
        Language::Fr,
        "La photosynthèse",
        "",
        &["À la fin du module, l’élève sera capable d’expliquer la photosynthèse."],
    ),
    (Language::Hi, "संज्ञा", "", &["छात्र संज्ञा के भेदों का वर्णन कर सकेंगे।"]),
];

#[test]
fn every_plan_keeps_the_rules_of_prose() {
    for (language, title, description, outcomes) in MODULES {
        let module = json!({
            "code": "M", "title": title, "description": description, "contactHours": 7.5, "outcomes": outcomes,
        });
        let module = Module::check(0, &module).unwrap();
        let minutes = module.lesson_minutes();
        let lessons = outline::plan(&module, &minutes, language).lessons;
        println!("=== {title}");
        for (number, minutes) in (1..).zip(minutes) {
            let draft = LessonDraft {
                workflow_title: "W",
                module: &module,
                lessons: &lessons,
                number,
                minutes,
                language,
                instead_of: None,
            };
            let lesson = draft.finish(outline::lesson(&draft), "outline").unwrap();
            let value = serde_json::to_value(&lesson).unwrap();
            println!("{}", serde_json::to_string_pretty(&value).unwrap());
            let mut texts = Vec::new();
            collect(&value, &mut texts);
            for text in texts {
                for wrong in ["  ", "{", "}", " ,", " .", "..", "()", "students will", "Students will"] {
                    assert!(
                        !text.contains(wrong) || outcomes.iter().any(|outcome| text.contains(outcome)),
                        "'{wrong}' in: {text}"
                    );
                }
                assert_eq!(text.trim(), text);
            }
            for activity in &lesson.activities {
                assert!(activity.description.ends_with(['.', '?', '।']), "{}", activity.description);
            }
            assert!(lesson.instructor_notes.ends_with(['.', '।']), "{}", lesson.instructor_notes);
        }
    }
}

fn collect<'a>(value: &'a serde_json::Value, texts: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::String(text) => texts.push(text),
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        serde_json::Value::Object(fields) => fields.values().for_each(|value| collect(value, texts)),
        _ => {}
    }
}

#[test]
fn every_language_has_the_texts_of_the_others() {
    let shape = |language: Language| -> Vec<(&str, usize, usize)> {
        let texts = outline::guide(language).iter();
        texts.map(|(name, text)| (name, text.lines().count(), text.matches('{').count().min(1))).collect()
    };
    for language in Language::ALL {
        let (these, english) = (shape(language), shape(Language::En));
        for (one, other) in these.iter().zip(&english) {
            assert_eq!((one.0, one.1), (other.0, other.1), "{language}");
        }
        assert_eq!(these.len(), english.len(), "{language}");
    }
}
