use serde::{Deserialize, Serialize};
use serde_json::json;
use service_support::{ChatRequest, Draft, JsonSchema, Language, Message, MessageRole, Tokens};

use super::outline;
use crate::model::{Bloom, Module, ModulePlan};

/// The list of a module's lessons: asked for before the lessons themselves, so that they build on each other.
#[derive(Debug)]
pub(crate) struct PlanDraft<'a> {
    pub(crate) workflow_title: &'a str,
    pub(crate) module: &'a Module,
    /// The minutes of each lesson.
    pub(crate) minutes: &'a [u32],
    /// The language of its texts.
    pub(crate) language: Language,
}

/// A module's lessons, before they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) lessons: Vec<PlannedLesson>,
}

/// The outline of a lesson.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlannedLesson {
    pub(crate) title: String,
    /// The topic, as it can stand in a sentence.
    pub(crate) focus: String,
    pub(crate) bloom_level: Bloom,
    /// The numbers of the module's outcomes that it works on, from 1.
    pub(crate) outcomes: Vec<u32>,
}

impl Plan {
    /// Without needless additions by models.
    pub(crate) fn tidied(mut self) -> Self {
        for lesson in &mut self.lessons {
            lesson.title = lesson.title.trim().to_owned();
            lesson.focus = lesson.focus.trim().to_owned();
            lesson.outcomes.sort_unstable();
            lesson.outcomes.dedup();
        }
        self
    }

    /// The reason why it cannot be the plan of a module of so many lessons and outcomes.
    pub(crate) fn fault(&self, lessons: usize, outcomes: usize) -> Option<String> {
        if self.lessons.len() != lessons {
            return Some(format!("it has {} lessons and not {lessons}", self.lessons.len()));
        }
        for (number, lesson) in (1..).zip(&self.lessons) {
            if lesson.title.is_empty() || lesson.focus.is_empty() {
                return Some(format!("lesson {number} has no title or no focus"));
            }
            if let Some(unknown) = lesson.outcomes.iter().find(|n| !(1..=outcomes).contains(&(**n as usize)))
            {
                return Some(format!("lesson {number} works on outcome {unknown} of {outcomes}"));
            }
        }
        None
    }
}

/// Tokens of a lesson's plan with what is asked for around it, about.
pub(crate) const LESSON_TOKENS: u64 = 2_000;
/// Tokens of a lesson in the list of lessons, about.
const LISTED_TOKENS: u64 = 40;

/// The tokens that the plans of a module are likely to take: the list of its lessons, and each lesson, which is asked for with
/// the module and that list.
pub(crate) fn tokens_of(module: &Module) -> u64 {
    let lessons = module.lesson_minutes().len() as u64;
    let known = Tokens::of(&describe("", module)) + lessons * LISTED_TOKENS;
    known + lessons * (known + LESSON_TOKENS)
}

/// The list of the lessons that a module has, for one of them to be written anew. Plans do not keep the focus of a lesson: it
/// is the outline's where the outline would give the lesson that title, and the title otherwise.
pub(crate) fn planned_again(module: &Module, plan: &ModulePlan, language: Language) -> Vec<PlannedLesson> {
    let outline = outline::plan(module, &module.lesson_minutes(), language).lessons;
    let number_of = |id: &String| module.outcomes.iter().position(|outcome| outcome.id == *id);
    let planned = |(place, lesson): (usize, &crate::model::Lesson)| {
        let known = outline.get(place).filter(|known| known.title == lesson.lesson_title);
        PlannedLesson {
            title: lesson.lesson_title.clone(),
            focus: known.map_or_else(|| lesson.lesson_title.clone(), |known| known.focus.clone()),
            bloom_level: lesson.bloom_level,
            outcomes: lesson.linked_mlos.iter().filter_map(number_of).map(|place| place as u32 + 1).collect(),
        }
    };
    plan.lessons.iter().enumerate().map(planned).collect()
}

impl Draft for PlanDraft<'_> {
    fn request(&self) -> ChatRequest {
        let (count, outcomes) = (self.minutes.len(), self.module.outcomes.len());
        let numbers = json!({
            "type": "array", "items": { "type": "integer", "minimum": 1, "maximum": outcomes.max(1) },
            "maxItems": outcomes,
        });
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["lessons"],
            "properties": {
                "lessons": {
                    "type": "array",
                    "minItems": count,
                    "maxItems": count,
                    "items": {
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["title", "focus", "bloomLevel", "outcomes"],
                        "properties": {
                            "title": { "type": "string" },
                            "focus": { "type": "string" },
                            "bloomLevel": { "type": "string", "enum": Bloom::ALL.map(Bloom::as_str) },
                            "outcomes": numbers,
                        },
                    },
                },
            },
        });
        let task = format!(
            "{}\n\nDivide this module into exactly {count} lessons that build on each other. For each give a title, its \
             focus (the topic as a short noun phrase), the level of Bloom's taxonomy that it reaches, and the numbers of \
             the learning outcomes that it works on. Every outcome must be worked on in at least one lesson.",
            describe(self.workflow_title, self.module)
        );
        ChatRequest {
            messages: vec![
                Message { role: MessageRole::System, content: role(self.language) },
                Message { role: MessageRole::User, content: task },
            ],
            schema: Some(JsonSchema { name: "module_plan", schema }),
        }
    }

    fn outline(&self) -> String {
        to_json(&outline::plan(self.module, self.minutes, self.language))
    }
}

/// The role of the model.
pub(super) fn role(language: Language) -> String {
    format!(
        "You are an experienced curriculum designer. You write lesson plans that a teacher can use tomorrow: concrete, \
         realistic in time, and true to the module's learning outcomes. Write in {}.",
        language.name()
    )
}

/// The module, in words for a model.
pub(super) fn describe(workflow_title: &str, module: &Module) -> String {
    let mut text = format!(
        "Curriculum: {workflow_title}\nModule {}: {} ({} contact hours)",
        module.code, module.title, module.contact_hours
    );
    if !module.description.is_empty() {
        text.push_str(&format!("\nDescription: {}", module.description));
    }
    if module.outcomes.is_empty() {
        text.push_str("\nThe module states no learning outcomes; leave the lists of outcomes empty.");
    } else {
        text.push_str("\nLearning outcomes:");
        for (number, outcome) in (1..).zip(&module.outcomes) {
            text.push_str(&format!("\n{number}. {}", outcome.statement));
        }
    }
    text
}

/// Texts and numbers always have a JSON form.
pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
