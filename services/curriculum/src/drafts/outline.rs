//! Lesson plans without a model: made of the module's own words and of what is known about teaching at each level of
//! Bloom's taxonomy. They say what to do in the lesson and claim nothing about its subject. The same module always
//! gets the same plans.

use std::sync::LazyLock;

use service_support::{Language, Texts, Translated, filled};

use super::lesson::{LessonDraft, WrittenLesson};
use super::topics::{Topic, topics};
use super::{Plan, PlannedLesson};
use crate::model::{Activity, Bloom, CASE_STUDY, FormativeCheck, IndependentStudy, Module, apportion};

/// The texts of lesson plans, by language. `Apply.main` is a part of a plan at that level of the taxonomy: a line an entry; an activity is
/// its type, its title and what happens in it.
static GUIDES: LazyLock<Translated> = LazyLock::new(|| {
    Translated::read(|language| match language {
        Language::En => include_str!("guide/en.txt"),
        Language::De => include_str!("guide/de.txt"),
        Language::Es => include_str!("guide/es.txt"),
        Language::Fr => include_str!("guide/fr.txt"),
        Language::Hi => include_str!("guide/hi.txt"),
    })
});

pub(super) fn guide(language: Language) -> &'static Texts {
    GUIDES.of(language)
}

/// The types of activities.
pub(super) const ACTIVITY_KINDS: [&str; 9] = [
    "opening",
    "instruction",
    "discussion",
    "practice",
    CASE_STUDY,
    "group_work",
    "presentation",
    "break",
    "check",
];

/// From so many lessons on, the last one draws the module together.
const CONSOLIDATION_FROM: usize = 4;
/// From so many minutes on, a lesson has a break.
const BREAK_FROM: u32 = 110;
/// Below so many minutes, a lesson has three activities.
const SHORT_BELOW: u32 = 30;

/// The lessons of a module: its topics in order, each rising to the level that its outcome asks for.
pub(super) fn plan(module: &Module, minutes: &[u32], language: Language) -> Plan {
    let topics = topics(module, language);
    let consolidates = minutes.len() >= CONSOLIDATION_FROM;
    let slots = minutes.len() - usize::from(consolidates);
    let mut lessons = if topics.len() > slots {
        (0..slots).map(|slot| together(share(&topics, slot, slots), language)).collect()
    } else {
        let parts = |index: usize| slots / topics.len() + usize::from(index < slots % topics.len());
        topics
            .iter()
            .enumerate()
            .flat_map(|(index, topic)| rising(topic, parts(index), language))
            .collect::<Vec<_>>()
    };
    if consolidates {
        lessons.push(PlannedLesson {
            title: guide(language).fill("consolidation", &[("module", &module.title)]),
            focus: module.title.clone(),
            bloom_level: Bloom::Evaluate,
            outcomes: (1..).zip(&module.outcomes).map(|(number, _)| number).collect(),
        });
    }
    Plan { lessons }
}

/// Part `slot` of `slots` of a list that has at least as many items.
fn share(topics: &[Topic], slot: usize, slots: usize) -> &[Topic] {
    &topics[slot * topics.len() / slots..(slot + 1) * topics.len() / slots]
}

/// One lesson about several topics.
fn together(topics: &[Topic], language: Language) -> PlannedLesson {
    let texts = guide(language);
    let phrases: Vec<&str> = topics.iter().map(|topic| topic.phrase.as_str()).collect();
    let focus = match phrases.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, second] => texts.fill("two", &[("first", first), ("second", second)]),
        [first, second, third] => {
            texts.fill("three", &[("first", first), ("second", second), ("third", third)])
        }
        [first, second, others @ ..] => {
            let count = others.len().to_string();
            texts.fill("more", &[("first", first), ("second", second), ("count", &count)])
        }
    };
    PlannedLesson {
        title: capitalised(&focus),
        focus,
        bloom_level: topics.iter().map(|topic| topic.level).max().unwrap_or(Bloom::Understand),
        outcomes: topics.iter().flat_map(|topic| topic.outcomes.clone()).collect(),
    }
}

/// So many lessons about one topic: the level rises from understanding to what is asked for, and beyond it where there
/// is time.
fn rising(topic: &Topic, parts: usize, language: Language) -> Vec<PlannedLesson> {
    let target = match parts {
        0 | 1 => topic.level,
        2 | 3 => topic.level.max(Bloom::Apply),
        _ => topic.level.max(Bloom::Evaluate),
    };
    let first = if parts <= 1 { target } else { Bloom::Understand.min(topic.level) };
    let (low, high) = (first as usize, target as usize);
    let level = |part: usize| Bloom::ALL[low + (high - low) * part / parts.saturating_sub(1).max(1)];
    let mut lessons: Vec<PlannedLesson> = Vec::with_capacity(parts);
    for part in 0..parts {
        let level = level(part);
        let mut title = capitalised(&topic.phrase);
        if parts > 1 {
            let earlier = lessons.iter().filter(|lesson| lesson.bloom_level == level).count();
            title.push_str(&format!(": {}", guide(language).get(&format!("{}.phase", level.as_str()))));
            if earlier > 0 {
                title.push_str(&format!(" {}", earlier + 1));
            }
        }
        let (focus, outcomes) = (topic.phrase.clone(), topic.outcomes.clone());
        lessons.push(PlannedLesson { title, focus, bloom_level: level, outcomes });
    }
    lessons
}

/// The plan of a lesson.
pub(super) fn lesson(draft: &LessonDraft<'_>) -> WrittenLesson {
    let planned = draft.planned();
    let texts = guide(draft.language);
    let level = Level { name: planned.bloom_level.as_str(), focus: &planned.focus, texts };
    let mut objectives = level.lines("objectives");
    for number in &planned.outcomes {
        if let Some(outcome) = draft.module.outcomes.get(*number as usize - 1) {
            objectives.push(texts.fill("outcome", &[("id", &outcome.id), ("statement", &outcome.statement)]));
        }
    }
    let check = |kind: &str, part: &str| {
        let mut lines = level.lines(part).into_iter();
        let (prompt, look_for) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        FormativeCheck { kind: kind.to_owned(), prompt, look_for }
    };
    let checks = vec![check("quick_question", "question"), check("exit_ticket", "exit")];
    let next = draft.lessons.get(draft.number as usize);
    let next = next.map(|next| texts.fill("next", &[("next", &next.title)]));
    WrittenLesson {
        objectives,
        activities: activities(draft, &level, &checks[1].prompt),
        materials: level.lines("materials"),
        instructor_notes: notes(draft, &level),
        independent_study: IndependentStudy {
            minutes: (draft.minutes / 2 / 5 * 5).max(5),
            tasks: level.lines("study").into_iter().chain(next).collect(),
        },
        formative_checks: checks,
    }
}

/// The part of the guide for a level of the taxonomy, and the subject of the lesson.
struct Level<'a> {
    name: &'static str,
    focus: &'a str,
    texts: &'static Texts,
}

impl Level<'_> {
    fn lines(&self, part: &str) -> Vec<String> {
        let lines = self.texts.lines(&format!("{}.{part}", self.name));
        lines.into_iter().map(|line| filled(line, &[("focus", self.focus)])).collect()
    }
}

/// An activity of three lines: its type, its title and what happens in it.
fn activity(lines: Vec<String>) -> Activity {
    let mut lines = lines.into_iter();
    let mut next = || lines.next().unwrap_or_default();
    Activity { kind: next(), title: next(), minutes: 0, description: next() }
}

fn activities(draft: &LessonDraft<'_>, level: &Level<'_>, exit: &str) -> Vec<Activity> {
    let (planned, number) = (draft.planned(), draft.number as usize);
    let same =
        |lesson: &&PlannedLesson| lesson.focus == planned.focus && lesson.bloom_level == planned.bloom_level;
    let earlier = draft.lessons[..number - 1].iter().filter(same).count();
    let general = |name: &str, values: &[(&str, &str)]| {
        activity(level.texts.lines(name).into_iter().map(|line| filled(line, values)).collect())
    };
    let opening = match number {
        1 => general("opening.first", &[("focus", level.focus)]),
        number => general("opening.later", &[("last", &draft.lessons[number - 2].title)]),
    };
    // Every second lesson of a topic at the same level has another main part.
    let [main, again] = ["main", "again"].map(|part| activity(level.lines(part)));
    let takes_main = match draft.instead_of {
        None => earlier % 2 == 0,
        Some(old) => !old.activities.iter().any(|activity| activity.title == main.title),
    };
    let main = if takes_main { main } else { again };
    let check = activity(vec!["check".into(), level.texts.get("exit.title").into(), exit.into()]);
    if draft.minutes < SHORT_BELOW {
        return timed(draft.minutes, vec![(opening, 20), (main, 60), (check, 20)]);
    }
    let (input, sharing) = (activity(level.lines("input")), activity(level.lines("sharing")));
    let mut parts = vec![(opening, 10), (input, 25), (main, 35), (sharing, 20), (check, 10)];
    if draft.minutes >= BREAK_FROM {
        parts.insert(2, (general("break", &[]), 8));
    }
    timed(draft.minutes, parts)
}

fn timed(minutes: u32, parts: Vec<(Activity, u32)>) -> Vec<Activity> {
    let weights: Vec<u32> = parts.iter().map(|(_, weight)| *weight).collect();
    // A lesson of a minute or two has room for the main thing only.
    if (minutes as usize) < parts.len() {
        let longest = parts.into_iter().max_by_key(|(_, weight)| *weight);
        return longest.map(|(activity, _)| Activity { minutes, ..activity }).into_iter().collect();
    }
    let shares = apportion(minutes, &weights);
    parts.into_iter().zip(shares).map(|((activity, _), minutes)| Activity { minutes, ..activity }).collect()
}

fn notes(draft: &LessonDraft<'_>, level: &Level<'_>) -> String {
    let place = match (draft.number as usize, draft.lessons.len()) {
        (1, 1) => "place.only",
        (1, _) => "place.first",
        (number, count) if number == count => "place.last",
        _ => "place.middle",
    };
    let (number, count) = (draft.number.to_string(), draft.lessons.len().to_string());
    let place =
        level.texts.fill(place, &[("module", &draft.module.title), ("number", &number), ("count", &count)]);
    let [difficulty, support] = ["difficulty", "support"].map(|part| level.lines(part).concat());
    level.texts.fill("notes", &[("place", &place), ("difficulty", &difficulty), ("support", &support)])
}

/// With a capital at the beginning, unless the first word has a writing of its own: `iPhone`, `pH`.
fn capitalised(text: &str) -> String {
    if text.split(' ').next().is_some_and(|word| word.chars().skip(1).any(char::is_uppercase)) {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    fn module(hours: f64, description: &str, outcomes: &[&str]) -> Module {
        let module = json!({
            "code": "CS1", "title": "Databases", "description": description, "contactHours": hours,
            "outcomes": outcomes,
        });
        Module::check(0, &module).unwrap()
    }

    const OUTCOMES: [&str; 3] =
        ["Explain the relational model.", "Apply normal forms", "Design a schema for a small business"];

    #[test]
    fn every_outcome_has_its_lessons_and_every_title_is_its_own() {
        for hours in [0.02, 0.5, 1.0, 3.0, 7.5, 15.0, 40.0, 200.0] {
            for module in [
                module(hours, "", &OUTCOMES),
                module(hours, "Tables, keys and joins.", &[]),
                module(hours, "", &[]),
            ] {
                let minutes = module.lesson_minutes();
                let plan = plan(&module, &minutes, Language::En);
                assert_eq!(plan.fault(minutes.len(), module.outcomes.len()), None, "{hours}");
                let titles: HashSet<&String> = plan.lessons.iter().map(|lesson| &lesson.title).collect();
                assert_eq!(titles.len(), minutes.len(), "{plan:?}");
                for number in (1..).zip(&module.outcomes).map(|(number, _)| number) {
                    assert!(
                        plan.lessons.iter().any(|lesson| lesson.outcomes.contains(&number)),
                        "{hours}: {number}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_lesson_is_filled_to_the_minute_and_says_what_it_is_about() {
        for hours in [0.02, 0.1, 0.5, 1.0, 2.2, 15.0] {
            let module = module(hours, "", &OUTCOMES);
            let minutes = module.lesson_minutes();
            let lessons = plan(&module, &minutes, Language::En).lessons;
            for (number, minutes) in (1..).zip(minutes) {
                let draft = LessonDraft {
                    workflow_title: "CS",
                    module: &module,
                    lessons: &lessons,
                    number,
                    minutes,
                    instead_of: None,
                    language: Language::En,
                };
                let written = lesson(&draft);
                let given: u32 = written.activities.iter().map(|activity| activity.minutes).sum();
                assert_eq!(given, minutes, "{written:?}");
                assert!(
                    written
                        .activities
                        .iter()
                        .all(|activity| ACTIVITY_KINDS.contains(&activity.kind.as_str()))
                );
                let finished = draft.finish(written.clone(), "outline").unwrap();
                let text = serde_json::to_string(&finished).unwrap();
                assert!(
                    text.contains(&lessons[number as usize - 1].focus) && !text.contains("{focus}"),
                    "{text}"
                );
                assert_eq!(
                    serde_json::from_str::<WrittenLesson>(&service_support::Draft::outline(&draft)).unwrap(),
                    written
                );
            }
        }
    }
}
