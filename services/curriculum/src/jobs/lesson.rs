use std::time::Duration;

use longhaul::{Backoff, Context, Job, JobError, JobResult};
use serde::{Deserialize, Serialize};
use service_support::{Commit, Settling, Write};

use super::QUEUE;
use super::module::{lesson, stop_if_cancelled};
use crate::app::{App, Curriculum};
use crate::drafts::{LessonDraft, planned_again};
use crate::model::{Lesson, ModulePlan, Workflow};

/// Writes one lesson anew, because a person wants another one, and puts it in the place of the one of before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewriteLesson {
    /// Of which workflow.
    pub workflow_id: String,
    /// The module's index, from 0.
    pub module_index: u32,
    /// The lesson's number in it, from 1.
    pub lesson_number: u32,
}

/// The result of writing a lesson anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rewritten {
    /// The lesson.
    pub lesson_id: String,
    /// The writer: a model's name, or `outline`.
    pub generator: String,
}

/// The tries to save into plans that are being changed concurrently.
const LOOKS: usize = 20;

impl Job for RewriteLesson {
    const KIND: &'static str = "curriculum.lesson";
    const QUEUE: &'static str = QUEUE;
    const MAX_ATTEMPTS: u32 = 3;

    type State = Curriculum;
    type Output = Rewritten;

    fn backoff() -> Backoff {
        Backoff { base: Duration::from_secs(60), jitter: 0.0, ..Backoff::default() }
    }

    async fn run(self, cx: Context<Curriculum>) -> JobResult<Rewritten> {
        let settling = Settling::new(&cx);
        let app = cx.state().app();
        let Some(workflow) = app.workflow(&self.workflow_id).await? else {
            return Err(JobError::fatal("Workflow not found"));
        };
        let modules = workflow.modules()?;
        let module = modules.get(self.module_index as usize).ok_or_else(no_lesson)?;
        let plan = app.module_plan(&self.workflow_id, self.module_index).await?;
        let (plan, _) = plan.ok_or_else(no_lesson)?;
        let old = self.lesson_of(&plan)?;
        let language = workflow.language(&modules);
        let lessons = planned_again(module, &plan, language);
        let draft = LessonDraft {
            workflow_title: workflow.title(),
            module,
            lessons: &lessons,
            number: self.lesson_number,
            minutes: old.duration,
            instead_of: Some(old),
            language,
        };
        cx.progress(0, old.lesson_title.clone());
        // What was written for the modules of before an edit is not theirs of now.
        let step = format!("lesson@{}", workflow.modules_revision);
        let written = cx.step(&step, || lesson(&cx, &draft, &settling.tokens)).await?;
        stop_if_cancelled(&cx)?;
        self.save(app, &workflow, &written.lesson).await?;
        let Lesson { lesson_id, generator, .. } = written.lesson;
        tracing::info!("Step 10: workflow {}: {lesson_id} was written anew", self.workflow_id);
        Ok(Rewritten { lesson_id, generator })
    }
}

impl RewriteLesson {
    fn lesson_of<'a>(&self, plan: &'a ModulePlan) -> JobResult<&'a Lesson> {
        let place = (self.lesson_number as usize).checked_sub(1);
        place.and_then(|place| plan.lessons.get(place)).ok_or_else(no_lesson)
    }

    /// Puts the lesson into the plans as they are now: others may be written anew beside it.
    async fn save(&self, app: &App, workflow: &Workflow, lesson: &Lesson) -> JobResult<()> {
        for _ in 0..LOOKS {
            let plan = app.module_plan(&self.workflow_id, self.module_index).await?;
            let (mut plan, revision) = plan.ok_or_else(no_lesson)?;
            self.lesson_of(&plan)?;
            plan.lessons[self.lesson_number as usize - 1] = lesson.clone();
            let now = app.clock.now();
            let same_modules = Write::guarded(
                "UPDATE curriculum_workflows SET updated_at = $3 WHERE id = $1 AND modules_revision = $2",
                vec![self.workflow_id.as_str().into(), workflow.modules_revision.into(), now.into()],
            );
            let replace = Write::guarded(
                "UPDATE curriculum_modules SET plan = $4, revision = revision + 1, generated_at = $5 \
                 WHERE workflow_id = $1 AND module_index = $2 AND revision = $3",
                vec![
                    self.workflow_id.as_str().into(),
                    self.module_index.into(),
                    revision.into(),
                    longhaul::Json::new(&plan)?.as_str().into(),
                    now.into(),
                ],
            );
            match app.db.commit(vec![same_modules, replace], vec![]).await? {
                Commit::Done(_) => return Ok(()),
                Commit::Refused { write: 0 } => {
                    return Err(JobError::retry("the modules were changed while the lesson was written"));
                }
                Commit::Refused { .. } => {}
            }
        }
        Err(JobError::retry("other lessons of the module were changed all the time"))
    }
}

fn no_lesson() -> JobError {
    JobError::fatal("Lesson not found")
}
