//! Lesson plans without a model: made of the module's own words and of what is known about teaching at each level of
//! Bloom's taxonomy. They say what to do in the lesson and claim nothing about its subject. The same module always
//! gets the same plans.

use super::guide::{Guide, guide};
use super::lesson::{LessonDraft, WrittenLesson};
use super::topics::{Topic, topics};
use super::{Plan, PlannedLesson};
use crate::model::{Activity, Bloom, CASE_STUDY, FormativeCheck, IndependentStudy, Module, apportion};

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
pub(super) fn plan(module: &Module, minutes: &[u32]) -> Plan {
    let topics = topics(module);
    let consolidates = minutes.len() >= CONSOLIDATION_FROM;
    let slots = minutes.len() - usize::from(consolidates);
    let mut lessons = if topics.len() > slots {
        (0..slots).map(|slot| together(share(&topics, slot, slots))).collect()
    } else {
        let parts = |index: usize| slots / topics.len() + usize::from(index < slots % topics.len());
        topics.iter().enumerate().flat_map(|(index, topic)| rising(topic, parts(index))).collect::<Vec<_>>()
    };
    if consolidates {
        lessons.push(PlannedLesson {
            title: format!("{}: consolidation and review", module.title),
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
fn together(topics: &[Topic]) -> PlannedLesson {
    let phrases: Vec<&str> = topics.iter().map(|topic| topic.phrase.as_str()).collect();
    let focus = match phrases.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, second] => format!("{first} and {second}"),
        [first, second, third] => format!("{first}, {second} and {third}"),
        [first, second, others @ ..] => format!("{first}, {second} and {} other topics", others.len()),
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
fn rising(topic: &Topic, parts: usize) -> Vec<PlannedLesson> {
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
            title.push_str(&format!(": {}", phase(level)));
            if earlier > 0 {
                title.push_str(&format!(" {}", earlier + 1));
            }
        }
        let (focus, outcomes) = (topic.phrase.clone(), topic.outcomes.clone());
        lessons.push(PlannedLesson { title, focus, bloom_level: level, outcomes });
    }
    lessons
}

fn phase(level: Bloom) -> &'static str {
    match level {
        Bloom::Remember => "terms and facts",
        Bloom::Understand => "foundations",
        Bloom::Apply => "guided practice",
        Bloom::Analyze => "case analysis",
        Bloom::Evaluate => "critical review",
        Bloom::Create => "workshop",
    }
}

/// The plan of a lesson.
pub(super) fn lesson(draft: &LessonDraft<'_>) -> WrittenLesson {
    let planned = draft.planned();
    let level = guide(planned.bloom_level);
    let focus = planned.focus.as_str();
    let say = |text: &str| text.replace("{}", focus);
    let mut objectives: Vec<String> = level.objectives.iter().map(|text| say(text)).collect();
    for number in &planned.outcomes {
        if let Some(outcome) = draft.module.outcomes.get(*number as usize - 1) {
            objectives.push(format!("Make progress towards {}: {}", outcome.id, outcome.statement));
        }
    }
    let study = (draft.minutes / 2 / 5 * 5).max(5);
    WrittenLesson {
        objectives,
        activities: activities(draft, &level, &say),
        materials: level.materials.iter().map(|text| say(text)).collect(),
        instructor_notes: notes(draft, &level),
        independent_study: IndependentStudy {
            minutes: study,
            tasks: level.study.iter().map(|text| say(text)).chain(next_task(draft)).collect(),
        },
        formative_checks: checks(&level, &say),
    }
}

fn activities(draft: &LessonDraft<'_>, level: &Guide, say: &dyn Fn(&str) -> String) -> Vec<Activity> {
    let activity = |kind: &str, title: &str, description: String| Activity {
        kind: kind.to_owned(),
        title: title.to_owned(),
        minutes: 0,
        description,
    };
    let planned = draft.planned();
    let same =
        |lesson: &&PlannedLesson| lesson.focus == planned.focus && lesson.bloom_level == planned.bloom_level;
    let earlier = draft.lessons[..draft.number as usize - 1].iter().filter(same).count();
    let (main_kind, main_title, main_text) = if earlier % 2 == 0 { level.main } else { level.again };
    let opening = match draft.number {
        1 => activity(
            "opening",
            "What we know already",
            say(
                "Students write down what they already know about {} and one question that they bring. Collect the \
                 questions where everybody sees them, and show how the module answers them in order.",
            ),
        ),
        number => activity(
            "opening",
            "Recall from last time",
            format!(
                "Without notes, students write three things that they remember of \"{}\" and compare with a neighbour. \
                 Clear up what is missing before going on.",
                draft.lessons[number as usize - 2].title
            ),
        ),
    };
    let main = activity(main_kind, main_title, say(main_text));
    let check = activity("check", "Exit ticket", say(level.exit.0));
    if draft.minutes < SHORT_BELOW {
        return timed(draft.minutes, vec![(opening, 20), (main, 60), (check, 20)]);
    }
    let input = activity("instruction", level.input.0, say(level.input.1));
    let sharing = activity("discussion", level.sharing.0, say(level.sharing.1));
    let mut parts = vec![(opening, 10), (input, 25), (main, 35), (sharing, 20), (check, 10)];
    if draft.minutes >= BREAK_FROM {
        let text = "Students leave their seats; whoever wants to asks questions.";
        parts.insert(2, (activity("break", "Break", text.into()), 8));
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

fn checks(level: &Guide, say: &dyn Fn(&str) -> String) -> Vec<FormativeCheck> {
    let check = |kind: &str, prompt: &str, look_for: &str| FormativeCheck {
        kind: kind.to_owned(),
        prompt: say(prompt),
        look_for: say(look_for),
    };
    vec![
        check("quick_question", level.question.0, level.question.1),
        check("exit_ticket", level.exit.0, level.exit.1),
    ]
}

fn notes(draft: &LessonDraft<'_>, level: &Guide) -> String {
    let place = match (draft.number as usize, draft.lessons.len()) {
        (1, 1) => format!("The only lesson of {}", draft.module.title),
        (1, count) => format!("The first of {count} lessons of {}", draft.module.title),
        (number, count) if number == count => {
            format!("The last of {count} lessons of {}", draft.module.title)
        }
        (number, count) => format!("Lesson {number} of {count} of {}", draft.module.title),
    };
    format!(
        "{place}. {} If time runs short, shorten the discussion and keep the exit ticket: it decides how the next lesson \
         begins. {}",
        level.difficulty, level.support
    )
}

fn next_task(draft: &LessonDraft<'_>) -> Option<String> {
    let next = draft.lessons.get(draft.number as usize)?;
    Some(format!("Look ahead to \"{}\": note one thing you expect and one question.", next.title))
}

fn capitalised(text: &str) -> String {
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
                let plan = plan(&module, &minutes);
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
            let lessons = plan(&module, &minutes).lessons;
            for (number, minutes) in (1..).zip(minutes) {
                let draft =
                    LessonDraft { workflow_title: "CS", module: &module, lessons: &lessons, number, minutes };
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
                assert!(text.contains(&lessons[number as usize - 1].focus) && !text.contains("{}"), "{text}");
                assert_eq!(
                    serde_json::from_str::<WrittenLesson>(&service_support::Draft::outline(&draft)).unwrap(),
                    written
                );
            }
        }
    }
}
