use std::collections::HashSet;

use longhaul::Timestamp;
use serde::Serialize;

use super::{Hours, Lesson, Module, ModulePlan};

/// The lesson plans of a workflow, with what they come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Step10 {
    pub(crate) module_lesson_plans: Vec<ModulePlan>,
    pub(crate) validation: Validation,
    pub(crate) summary: Summary,
    /// The time at which the newest of the plans was saved.
    pub(crate) generated_at: String,
}

/// The result of comparing the plans with the modules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Validation {
    /// True if all of the following hold.
    pub(crate) valid: bool,
    /// Every module of the workflow has its plans.
    pub(crate) all_modules_generated: bool,
    /// The lessons of each module have its contact hours, to the minute.
    pub(crate) contact_hours_match: bool,
    /// Every lesson has 60 to 180 minutes, where its module has as much.
    pub(crate) lesson_durations_in_range: bool,
    /// The activities of each lesson fill it, to the minute.
    pub(crate) activities_fill_lessons: bool,
    /// Every outcome of each module is worked on in a lesson.
    pub(crate) all_outcomes_linked: bool,
    /// Every lesson has a formative check.
    pub(crate) every_lesson_checked: bool,
    /// No two lessons share an id.
    pub(crate) lesson_ids_unique: bool,
    /// The rules that do not hold, each with its place.
    pub(crate) issues: Vec<String>,
}

/// The sums over the plans.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    pub(crate) total_lessons: usize,
    pub(crate) total_contact_hours: Hours,
    /// In minutes, rounded.
    pub(crate) average_lesson_duration: u64,
    pub(crate) case_studies_included: usize,
    pub(crate) formative_checks_included: usize,
}

const IN_RANGE: std::ops::RangeInclusive<u32> = 60..=180;

impl Step10 {
    /// The plans of the first of `modules`, the last of them saved at `at`.
    pub(crate) fn new(plans: Vec<ModulePlan>, modules: &[Module], at: Timestamp) -> Self {
        Self {
            validation: Validation::of(&plans, modules),
            summary: Summary::of(&plans),
            module_lesson_plans: plans,
            generated_at: service_support::iso8601(at),
        }
    }
}

impl Summary {
    fn of(plans: &[ModulePlan]) -> Self {
        let lessons = || plans.iter().flat_map(|plan| &plan.lessons);
        let count = lessons().count();
        let minutes: u64 = lessons().map(|lesson| u64::from(lesson.duration)).sum();
        Self {
            total_lessons: count,
            total_contact_hours: Hours::of_minutes(minutes),
            average_lesson_duration: (minutes as f64 / count.max(1) as f64).round() as u64,
            case_studies_included: lessons().map(Lesson::case_studies).sum(),
            formative_checks_included: lessons().map(|lesson| lesson.formative_checks.len()).sum(),
        }
    }
}

impl Validation {
    fn of(plans: &[ModulePlan], modules: &[Module]) -> Self {
        let mut found = Issues::default();
        let missing = modules.len().saturating_sub(plans.len());
        if missing > 0 {
            found.note(Check::Modules, format!("{missing} of {} modules have no plans yet", modules.len()));
        }
        let mut ids = HashSet::new();
        for (plan, module) in plans.iter().zip(modules) {
            found.look_at(plan, module);
            for lesson in &plan.lessons {
                if !ids.insert(&lesson.lesson_id) {
                    found.note(Check::Ids, format!("{} is the id of two lessons", lesson.lesson_id));
                }
            }
        }
        let holds = |check| !found.0.iter().any(|(of, _)| *of == check);
        Self {
            valid: found.0.is_empty(),
            all_modules_generated: holds(Check::Modules),
            contact_hours_match: holds(Check::Hours),
            lesson_durations_in_range: holds(Check::Range),
            activities_fill_lessons: holds(Check::Activities),
            all_outcomes_linked: holds(Check::Outcomes),
            every_lesson_checked: holds(Check::Checks),
            lesson_ids_unique: holds(Check::Ids),
            issues: found.0.into_iter().map(|(_, issue)| issue).collect(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Modules,
    Hours,
    Range,
    Activities,
    Outcomes,
    Checks,
    Ids,
}

#[derive(Default)]
struct Issues(Vec<(Check, String)>);

impl Issues {
    fn note(&mut self, check: Check, issue: String) {
        self.0.push((check, issue));
    }

    fn look_at(&mut self, plan: &ModulePlan, module: &Module) {
        let minutes: u32 = plan.lessons.iter().map(|lesson| lesson.duration).sum();
        if minutes != module.minutes() {
            let wanted = module.minutes();
            self.note(Check::Hours, format!("{} has lessons of {minutes} minutes for {wanted}", module.code));
        }
        for lesson in &plan.lessons {
            let (id, duration) = (&lesson.lesson_id, lesson.duration);
            if module.minutes() >= *IN_RANGE.start() && !IN_RANGE.contains(&duration) {
                self.note(Check::Range, format!("{id} has {duration} minutes and not 60 to 180"));
            }
            let filled: u32 = lesson.activities.iter().map(|activity| activity.minutes).sum();
            if filled != duration {
                self.note(
                    Check::Activities,
                    format!("{id} has activities of {filled} minutes for {duration}"),
                );
            }
            if lesson.formative_checks.is_empty() {
                self.note(Check::Checks, format!("{id} has no formative check"));
            }
        }
        for outcome in &module.outcomes {
            if !plan.lessons.iter().any(|lesson| lesson.linked_mlos.contains(&outcome.id)) {
                self.note(Check::Outcomes, format!("no lesson of {} works on {}", module.code, outcome.id));
            }
        }
    }
}
