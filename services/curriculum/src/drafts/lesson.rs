use serde::{Deserialize, Serialize};
use serde_json::json;
use service_support::{ChatRequest, Draft, JsonSchema, Language, Message, MessageRole};

use super::plan::{describe, role, to_json};
use super::{PlannedLesson, outline};
use crate::model::{Activity, FormativeCheck, IndependentStudy, Lesson, Module, apportion, lesson_id};

/// The plan of one lesson.
#[derive(Debug)]
pub(crate) struct LessonDraft<'a> {
    pub(crate) workflow_title: &'a str,
    pub(crate) module: &'a Module,
    /// All lessons of the module.
    pub(crate) lessons: &'a [PlannedLesson],
    /// The lesson's number, from 1.
    pub(crate) number: u32,
    /// Its minutes.
    pub(crate) minutes: u32,
    /// The language of its texts.
    pub(crate) language: Language,
    /// The lesson that it replaces on request.
    pub(crate) instead_of: Option<&'a Lesson>,
}

/// The written part of a lesson; the rest of it follows from the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WrittenLesson {
    pub(crate) objectives: Vec<String>,
    pub(crate) activities: Vec<Activity>,
    pub(crate) materials: Vec<String>,
    pub(crate) instructor_notes: String,
    pub(crate) independent_study: IndependentStudy,
    pub(crate) formative_checks: Vec<FormativeCheck>,
}

impl LessonDraft<'_> {
    pub(crate) fn planned(&self) -> &PlannedLesson {
        &self.lessons[self.number as usize - 1]
    }

    /// The lesson as it will be kept; what cannot be used of it is the error.
    pub(crate) fn finish(&self, written: WrittenLesson, generator: &str) -> Result<Lesson, String> {
        let planned = self.planned();
        let WrittenLesson { objectives, activities, materials, instructor_notes, .. } = written;
        let empty = [
            ("objectives", objectives.is_empty()),
            ("activities", activities.is_empty()),
            ("instructorNotes", instructor_notes.trim().is_empty()),
            ("formativeChecks", written.formative_checks.is_empty()),
        ];
        if let Some((field, _)) = empty.into_iter().find(|(_, is_empty)| *is_empty) {
            return Err(format!("{field} is empty"));
        }
        if activities.len() > self.minutes as usize {
            return Err(format!("it has {} activities in {} minutes", activities.len(), self.minutes));
        }
        let outcome = |number: &u32| self.module.outcomes.get(*number as usize - 1).map(|o| o.id.clone());
        Ok(Lesson {
            lesson_id: lesson_id(&self.module.code, self.number),
            lesson_number: self.number,
            lesson_title: planned.title.clone(),
            duration: self.minutes,
            linked_mlos: planned.outcomes.iter().filter_map(outcome).collect(),
            bloom_level: planned.bloom_level,
            objectives,
            activities: fitted(activities, self.minutes),
            materials,
            instructor_notes,
            independent_study: written.independent_study,
            formative_checks: written.formative_checks,
            generator: generator.to_owned(),
        })
    }
}

/// Models are not good at sums: where the activities do not fill the lesson, their minutes are scaled to it.
fn fitted(mut activities: Vec<Activity>, minutes: u32) -> Vec<Activity> {
    let given: u64 = activities.iter().map(|activity| u64::from(activity.minutes)).sum();
    if given == u64::from(minutes) && activities.iter().all(|activity| activity.minutes > 0) {
        return activities;
    }
    let weights: Vec<u32> = activities.iter().map(|activity| activity.minutes).collect();
    for (activity, share) in activities.iter_mut().zip(apportion(minutes, &weights)) {
        activity.minutes = share;
    }
    activities
}

impl Draft for LessonDraft<'_> {
    fn request(&self) -> ChatRequest {
        let planned = self.planned();
        let text = json!({ "type": "string" });
        let texts = json!({ "type": "array", "items": text });
        let minutes = json!({ "type": "integer" });
        let object = |properties: serde_json::Value| {
            let required: Vec<&String> = properties.as_object().into_iter().flat_map(|p| p.keys()).collect();
            json!({
                "type": "object", "additionalProperties": false, "required": required, "properties": properties,
            })
        };
        let kind = json!({ "type": "string", "enum": outline::ACTIVITY_KINDS });
        let activity =
            object(json!({ "type": kind, "title": text, "duration": minutes, "description": text }));
        let check = object(json!({ "type": text, "prompt": text, "lookFor": text }));
        let schema = object(json!({
            "objectives": texts,
            "activities": { "type": "array", "items": activity },
            "materials": texts,
            "instructorNotes": text,
            "independentStudy": object(json!({ "duration": minutes, "tasks": texts })),
            "formativeChecks": { "type": "array", "items": check },
        }));
        let mut task = describe(self.workflow_title, self.module);
        task.push_str("\n\nThe lessons of the module:");
        for (number, lesson) in (1..).zip(self.lessons) {
            task.push_str(&format!("\n{number}. {}", lesson.title));
        }
        task.push_str(&format!(
            "\n\nWrite the plan of lesson {}, \"{}\", about {}, at the level {} of Bloom's taxonomy. It has {} minutes: the \
             durations of its activities must add up to exactly that.",
            self.number,
            planned.title,
            planned.focus,
            planned.bloom_level.as_str(),
            self.minutes
        ));
        let linked = planned.outcomes.iter().filter_map(|n| self.module.outcomes.get(*n as usize - 1));
        for outcome in linked {
            task.push_str(&format!("\nIt works on the outcome: {}", outcome.statement));
        }
        if let Some(old) = self.instead_of {
            let titles: Vec<&str> = old.activities.iter().map(|activity| activity.title.as_str()).collect();
            task.push_str(&format!(
                "\nThe lesson was planned before, with these activities: {}. Plan it in another way.",
                titles.join("; ")
            ));
        }
        ChatRequest {
            messages: vec![
                Message { role: MessageRole::System, content: role(self.language) },
                Message { role: MessageRole::User, content: task },
            ],
            schema: Some(JsonSchema { name: "lesson_plan", schema }),
        }
    }

    fn outline(&self) -> String {
        to_json(&outline::lesson(self))
    }
}
