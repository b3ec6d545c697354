//! Lesson plans without a model: made of the module's own words and of what is known about teaching at each level of
//! Bloom's taxonomy. They say what to do in the lesson and claim nothing about its subject. The same module always
//! gets the same plans.

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
        [first, second, ..] => format!("{first}, {second} and {} more", phrases.len() - 2),
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

/// How a lesson at one level of the taxonomy is taught; `{}` stands for what it is about.
struct Guide {
    objectives: [&'static str; 2],
    /// Title and text.
    input: (&'static str, &'static str),
    /// Type, title and text.
    main: (&'static str, &'static str, &'static str),
    /// The same for every second lesson of a topic at this level.
    again: (&'static str, &'static str, &'static str),
    sharing: (&'static str, &'static str),
    materials: &'static [&'static str],
    /// What goes wrong at this level.
    difficulty: &'static str,
    /// What helps those who are behind, and what those do who are ahead.
    support: &'static str,
    study: &'static [&'static str],
    /// Prompt and what to look for.
    question: (&'static str, &'static str),
    exit: (&'static str, &'static str),
}

fn guide(level: Bloom) -> Guide {
    match level {
        Bloom::Remember => Guide {
            objectives: [
                "Name the terms that {} rests on and say what each means",
                "Recall the main facts about {} without notes",
            ],
            input: (
                "The terms, one by one",
                "Introduce the terms of {} one by one, each with an example and something that it is not. Students keep a \
                 glossary in their own words.",
            ),
            main: (
                "practice",
                "Retrieval in pairs",
                "In pairs, students ask each other for the terms and facts of {} with cards: one side the term, the other \
                 its meaning. Cards that were missed go back into the pile.",
            ),
            again: (
                "group_work",
                "Quiz of their own",
                "In groups, students write six questions on {} with their answers, two of them hard. Groups \
                 swap and answer without notes; whoever wrote a question judges the answer and says what is \
                 missing.",
            ),
            sharing: (
                "What did not stick",
                "The class names the terms that were missed most often and finds an example or a picture for each.",
            ),
            materials: &["Blank cards for the terms of {}", "Glossary sheet", "Slides with one term on each"],
            difficulty: "Students take recognising a term for knowing it; let them write before they look.",
            support: "Give a first letter or a picture as a hint to those who need it; who is done writes a \
                      question that joins two terms.",
            study: &[
                "Go through the cards on {} on two separate days and note which were missed.",
                "Find one of the terms in a text or a situation outside of class.",
            ],
            question: (
                "Give the meaning of one term of {} and an example that was not on the slides.",
                "The meaning in the student's own words, and an example that fits it.",
            ),
            exit: (
                "From memory: the three most important facts about {}.",
                "Three correct facts; note which one is missing most often.",
            ),
        },
        Bloom::Understand => Guide {
            objectives: [
                "Explain {} in their own words, with an example that was not given in class",
                "Tell {} apart from what is easily confused with it",
            ],
            input: (
                "From example to idea",
                "Begin with two examples of {} and one that only looks like it. Students say what the two have in common; \
                 only then name the idea and put it into one sentence on the board.",
            ),
            main: (
                "group_work",
                "Concept map",
                "In threes, students draw a map of {}: the terms as nodes, and on each line between two of them a verb \
                 that says how they hang together. Each group marks the line that it is least sure of.",
            ),
            again: (
                "presentation",
                "Teach it back",
                "Each student explains one part of {} to a partner who plays a newcomer and may only ask why. \
                 Then they swap roles. Parts that could not be explained go on the board.",
            ),
            sharing: (
                "Gallery walk",
                "The maps hang on the wall; each group adds a question to another group's map. The class settles \
                 the lines that were marked as unsure.",
            ),
            materials: &[
                "Two examples of {} and one that only looks like it",
                "Large paper and markers for the maps",
                "Summary sheet on {}",
            ],
            difficulty: "Students repeat the definition and cannot use it; ask for a new example each time.",
            support: "Give the nodes of the map to those who need a start; who is done adds a case at the border and \
                      argues on which side it lies.",
            study: &[
                "Explain {} in half a page to somebody who was not there.",
                "Write one example and one counter-example of {} and say why each is one.",
            ],
            question: (
                "Here is a new case: does it belong to {}? Say why.",
                "A reason that uses what makes the idea, and not only a likeness to the example.",
            ),
            exit: (
                "In two sentences: what belongs to {}, and what does not?",
                "Both halves are there, and the second names something that is really close to it.",
            ),
        },
        Bloom::Apply => Guide {
            objectives: [
                "Carry out a task on {} step by step and give the reason for each step",
                "Choose the right way to go about {} in a situation that is new",
            ],
            input: (
                "A worked example, thought aloud",
                "Work through one complete task on {} in front of the class and say at each step what you do and why. In a \
                 second one, stop before each step and let the class say it.",
            ),
            main: (
                "practice",
                "Guided practice",
                "Students solve three tasks on {}, each with less help than the one before: the first with all steps named, \
                 the second with the first step given, the third with none. Go round and ask for reasons.",
            ),
            again: (
                CASE_STUDY,
                "A task from outside",
                "Students work in pairs on {} in a situation taken from work or daily life, with facts that \
                 are not needed and one that is missing. They say what they need, decide how to go about it, \
                 carry it out and check the result.",
            ),
            sharing: (
                "Mistakes worth having",
                "Show two solutions with a mistake in them, without names. The class finds the step at which \
                 it went wrong and says what would have shown it.",
            ),
            materials: &[
                "Worked example on {}, with the reason for each step",
                "Worksheet with three tasks of falling support",
                "Solutions for self-checking",
            ],
            difficulty: "Students follow the steps without knowing when they hold; ask for the reason, not the result.",
            support: "Give step cards to be put in order to those who are stuck; who is done makes up a task on which \
                      the usual way fails.",
            study: &[
                "Solve two more tasks on {} and write the reason beside each step.",
                "Correct your own solution of the third task with the solutions sheet.",
            ],
            question: (
                "What is the next step in this task on {}, and why this one?",
                "The step and a reason; the step alone may have been guessed.",
            ),
            exit: (
                "One short task on {}: solve it and underline the step that matters most.",
                "The way is right even where the result is not; note which step fails.",
            ),
        },
        Bloom::Analyze => Guide {
            objectives: [
                "Take a case of {} apart and show how its parts act on each other",
                "Separate what a case on {} shows from what is only assumed in it",
            ],
            input: (
                "How to read a case",
                "Show with a short case how it is read: what is known, what is assumed, who wants what, what is missing. Leave \
                 the questions on the board; they serve for every case on {}.",
            ),
            main: (
                CASE_STUDY,
                "Case study",
                "In groups of four, students work on a case of {} with the questions on the board: facts, assumptions, causes, \
                 what would have to be known. Each group writes down one finding and the evidence for it.",
            ),
            again: (
                "group_work",
                "Two cases side by side",
                "Groups get two cases of {} that look alike and end differently. They look for the difference \
                 that explains the ends, and for a third case on which the explanation could be tested.",
            ),
            sharing: (
                "Finding against finding",
                "Groups present their finding in a minute each. The class asks of each: which fact carries it, \
                 and what else could explain that fact?",
            ),
            materials: &[
                "Case on {}, one page",
                "Question sheet: facts, assumptions, causes, gaps",
                "Board or wall for the findings",
            ],
            difficulty: "Students tell the case again instead of taking it apart; ask for the one fact that changes the \
                         finding.",
            support: "Mark the facts in the text for those who need it; who is done changes one fact and works out what \
                      follows.",
            study: &[
                "Write the analysis of the case on {} on one page: finding, evidence, what remains open.",
                "Find a second case and note in what it differs.",
            ],
            question: (
                "Name one assumption in the case on {} and say how it could be tested.",
                "It is an assumption and not a fact, and the test could turn out against it.",
            ),
            exit: (
                "Which part of the case on {} carries the rest? One sentence, with a reason.",
                "A part, a relation to another part, and evidence from the case.",
            ),
        },
        Bloom::Evaluate => Guide {
            objectives: [
                "Judge work on {} against stated criteria and defend the judgement",
                "Weigh two ways of going about {} and recommend one for a given situation",
            ],
            input: (
                "From opinion to criteria",
                "Show two pieces of work on {} and let the class say which is better. Collect the reasons, and turn them into \
                 criteria that others could apply too.",
            ),
            main: (
                CASE_STUDY,
                "Decide and defend",
                "Groups get a situation in which a choice about {} has to be made. They rate each choice by the criteria, decide, \
                 and prepare the strongest objection to their own decision.",
            ),
            again: (
                "group_work",
                "Peer review",
                "Students exchange a piece of their own work on {} and rate it by the criteria, with evidence \
                 for each rating. Where two reviewers differ, they agree on what the criterion asks for.",
            ),
            sharing: (
                "Objection and answer",
                "Each group hears the objection of another one and answers it. The class notes where a \
                 criterion was missing.",
            ),
            materials: &[
                "Two pieces of work on {} of different quality",
                "Rubric with room for the class's own criteria",
                "Situation with two or three choices",
            ],
            difficulty: "Students decide first and look for reasons after; let them rate before they talk.",
            support: "Give two criteria to those who need a start; who is done weighs the criteria and shows when the \
                      decision would turn.",
            study: &[
                "Rate your own last piece of work on {} by the rubric and name the next thing to improve.",
                "Write the recommendation on half a page, with the objection and your answer.",
            ],
            question: (
                "By which criterion does one choice about {} beat the other?",
                "A criterion that could be applied by somebody else, and evidence for the rating.",
            ),
            exit: (
                "Your recommendation on {} in two sentences: what, and by which criterion.",
                "The criterion decides between the choices; a reason that fits both is none.",
            ),
        },
        Bloom::Create => Guide {
            objectives: [
                "Produce a piece of work on {} that meets a given brief",
                "Improve their own work on {} from the feedback of others",
            ],
            input: (
                "The brief and what makes it good",
                "Read the brief for a piece of work on {} together: for whom, for what, within which limits. Look at one \
                 example and mark what makes it work.",
            ),
            main: (
                "group_work",
                "Workshop",
                "In pairs, students draft a piece of work on {}: first three rough ideas, then one of them carried out as far as time \
                 allows. Half-way, each pair shows its draft to another one and gets one question back.",
            ),
            again: (
                "presentation",
                "Second version",
                "Pairs take their work on {} up again: they choose the two most useful remarks from the last \
                 feedback, revise by them, and present the old and the new version side by side.",
            ),
            sharing: (
                "Feedback by the brief",
                "Pairs present what they have. Feedback names one thing that meets the brief and one that does \
                 not yet, and nothing else.",
            ),
            materials: &[
                "Brief for a piece of work on {}",
                "Example to be marked up",
                "Feedback sheet by the brief",
            ],
            difficulty: "Students polish the first idea; insist on three rough ones before any is carried out.",
            support: "Give a template to those who are stuck; who is done makes a second version for other readers.",
            study: &[
                "Revise the draft on {} by the feedback and note what was changed and why.",
                "Write what you would do next with another week.",
            ],
            question: (
                "Which limit of the brief shaped your work on {} most?",
                "A limit of the brief and a decision that came of it.",
            ),
            exit: (
                "What will you change first in your work on {}, and why?",
                "One change that the brief or the feedback asks for.",
            ),
        },
    }
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
                    serde_json::from_str::<WrittenLesson>(&kit::Draft::outline(&draft)).unwrap(),
                    written
                );
            }
        }
    }
}
