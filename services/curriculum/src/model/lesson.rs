use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Hours;

/// The lesson plans of one module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModulePlan {
    pub(crate) module_id: String,
    pub(crate) module_code: String,
    pub(crate) module_title: String,
    /// As the workflow has it.
    #[schema(value_type = f64)]
    pub(crate) total_contact_hours: Hours,
    pub(crate) total_lessons: u32,
    pub(crate) lessons: Vec<Lesson>,
}

/// The plan of one lesson.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LessonPlan)]
pub(crate) struct Lesson {
    /// `{code}-L{n}`.
    pub(crate) lesson_id: String,
    /// From 1, within its module.
    pub(crate) lesson_number: u32,
    pub(crate) lesson_title: String,
    /// In minutes.
    pub(crate) duration: u32,
    /// The ids of the module's learning outcomes that it works on.
    #[serde(rename = "linkedMLOs")]
    pub(crate) linked_mlos: Vec<String>,
    pub(crate) bloom_level: Bloom,
    pub(crate) objectives: Vec<String>,
    /// In order; their minutes are the lesson's.
    pub(crate) activities: Vec<Activity>,
    pub(crate) materials: Vec<String>,
    pub(crate) instructor_notes: String,
    pub(crate) independent_study: IndependentStudy,
    pub(crate) formative_checks: Vec<FormativeCheck>,
    /// The writer: a model's name, or `outline`.
    pub(crate) generator: String,
}

/// The levels of Bloom's revised taxonomy, from the simplest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub(crate) enum Bloom {
    #[serde(alias = "remember", alias = "Remembering")]
    Remember,
    #[serde(alias = "understand", alias = "Understanding")]
    Understand,
    #[serde(alias = "apply", alias = "Applying")]
    Apply,
    #[serde(alias = "analyze", alias = "Analyse", alias = "analyse", alias = "Analyzing")]
    Analyze,
    #[serde(alias = "evaluate", alias = "Evaluating")]
    Evaluate,
    #[serde(alias = "create", alias = "Creating")]
    Create,
}

/// Something that happens in a lesson.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LessonActivity)]
pub(crate) struct Activity {
    /// `case_study` is counted; the other words are for people.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) title: String,
    /// In minutes.
    #[serde(rename = "duration", alias = "minutes")]
    pub(crate) minutes: u32,
    pub(crate) description: String,
}

/// Work that students do on their own after a lesson.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct IndependentStudy {
    #[serde(rename = "duration", alias = "minutes")]
    pub(crate) minutes: u32,
    pub(crate) tasks: Vec<String>,
}

/// A check, during the lesson, of what has been learnt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FormativeCheck {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The question to the students.
    pub(crate) prompt: String,
    /// The signs that they have understood.
    pub(crate) look_for: String,
}

impl Lesson {
    /// The number of its activities that are case studies.
    pub(crate) fn case_studies(&self) -> usize {
        self.activities.iter().filter(|activity| activity.kind == CASE_STUDY).count()
    }
}

impl Bloom {
    pub(crate) const ALL: [Bloom; 6] =
        [Bloom::Remember, Bloom::Understand, Bloom::Apply, Bloom::Analyze, Bloom::Evaluate, Bloom::Create];

    /// The level's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Bloom::Remember => "Remember",
            Bloom::Understand => "Understand",
            Bloom::Apply => "Apply",
            Bloom::Analyze => "Analyze",
            Bloom::Evaluate => "Evaluate",
            Bloom::Create => "Create",
        }
    }
}

/// The type of the activities that count as case studies.
pub(crate) const CASE_STUDY: &str = "case_study";

/// The id of a lesson: codes differ within a workflow, so ids do.
pub(crate) fn lesson_id(code: &str, number: u32) -> String {
    format!("{code}-L{number}")
}
