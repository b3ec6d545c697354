use std::collections::HashSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Hours, Lesson, Module, ModulePlan};

/// The sums of the lesson plans of a workflow, added up plan by plan: a workflow of thousands of hours has megabytes of them,
/// which are never held together.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    plans: usize,
    lessons: usize,
    minutes: u64,
    case_studies: usize,
    checks: usize,
    ids: HashSet<String>,
    issues: Issues,
}

/// The result of comparing the plans with the modules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Step10Validation)]
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
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Step10Summary)]
pub(crate) struct Summary {
    pub(crate) total_lessons: usize,
    #[schema(value_type = f64)]
    pub(crate) total_contact_hours: Hours,
    /// In minutes, rounded.
    pub(crate) average_lesson_duration: u64,
    pub(crate) case_studies_included: usize,
    pub(crate) formative_checks_included: usize,
}

const IN_RANGE: std::ops::RangeInclusive<u32> = 60..=180;

/// The most issues that are listed one by one.
const MAX_ISSUES: usize = 200;

impl Tally {
    /// Adds the plans of a module.
    pub(crate) fn add(&mut self, plan: &ModulePlan, module: &Module) {
        self.plans += 1;
        self.lessons += plan.lessons.len();
        self.minutes += plan.lessons.iter().map(|lesson| u64::from(lesson.duration)).sum::<u64>();
        self.case_studies += plan.lessons.iter().map(Lesson::case_studies).sum::<usize>();
        self.checks += plan.lessons.iter().map(|lesson| lesson.formative_checks.len()).sum::<usize>();
        self.issues.look_at(plan, module);
        for lesson in &plan.lessons {
            if !self.ids.insert(lesson.lesson_id.clone()) {
                self.issues.note(Check::Ids, format!("{} is the id of two lessons", lesson.lesson_id));
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.plans == 0
    }

    /// The sums.
    pub(crate) fn summary(&self) -> Summary {
        Summary {
            total_lessons: self.lessons,
            total_contact_hours: Hours::of_minutes(self.minutes),
            average_lesson_duration: (self.minutes as f64 / self.lessons.max(1) as f64).round() as u64,
            case_studies_included: self.case_studies,
            formative_checks_included: self.checks,
        }
    }

    /// The result of comparing the plans with the modules, of which there are so many.
    pub(crate) fn validation(mut self, modules: usize) -> Validation {
        let missing = modules.saturating_sub(self.plans);
        if missing > 0 {
            self.issues.note(Check::Modules, format!("{missing} of {modules} modules have no plans yet"));
        }
        let Issues { mut told, failed } = self.issues;
        let holds = |check| !failed.contains(&check);
        let untold = told.len().saturating_sub(MAX_ISSUES);
        if untold > 0 {
            told.truncate(MAX_ISSUES);
            told.push(format!("and {untold} more"));
        }
        Validation {
            valid: failed.is_empty(),
            all_modules_generated: holds(Check::Modules),
            contact_hours_match: holds(Check::Hours),
            lesson_durations_in_range: holds(Check::Range),
            activities_fill_lessons: holds(Check::Activities),
            all_outcomes_linked: holds(Check::Outcomes),
            every_lesson_checked: holds(Check::Checks),
            lesson_ids_unique: holds(Check::Ids),
            issues: told,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Check {
    Modules,
    Hours,
    Range,
    Activities,
    Outcomes,
    Checks,
    Ids,
}

#[derive(Debug, Default)]
struct Issues {
    told: Vec<String>,
    failed: HashSet<Check>,
}

impl Issues {
    fn note(&mut self, check: Check, issue: String) {
        self.failed.insert(check);
        self.told.push(issue);
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
