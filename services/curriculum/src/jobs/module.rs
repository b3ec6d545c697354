use std::time::Duration;

use longhaul::clock::{Stopwatch, millis};
use longhaul::{Backoff, Context, Job, JobError, JobResult};
use serde::{Deserialize, Serialize};
use service_support::{Commit, Language, Settling, Tokens, Write};

use super::{QUEUE, module_job, module_job_id};
use crate::app::{App, Curriculum};
use crate::drafts::{self, LessonDraft, Plan, PlanDraft, PlannedLesson};
use crate::model::{Hours, Lesson, Module, ModulePlan, Workflow};

/// Writes the lesson plans of one module, lesson by lesson, saves them together, and queues the next module with its
/// own completion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerateModule {
    /// Of which workflow.
    pub workflow_id: String,
    /// The module's index, from 0.
    pub module_index: u32,
}

/// The result of a module's job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Generated {
    /// Modules of the workflow that have their plans.
    pub modules_generated: u32,
    /// Modules of the workflow.
    pub total_modules: u32,
    /// Lessons of this module; `None` where an earlier run had saved them.
    pub lessons: Option<u32>,
}

/// A lesson, as its step keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) lesson: Lesson,
    /// The time that it took to write.
    worked_ms: i64,
}

impl Job for GenerateModule {
    const KIND: &'static str = "curriculum.module";
    const QUEUE: &'static str = QUEUE;
    const MAX_ATTEMPTS: u32 = 3;
    /// A backstop for a module of hundreds of lessons: each reply of a model has its own, shorter limit.
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(24 * 3600));

    type State = Curriculum;
    type Output = Generated;

    /// A minute, then two, to the second: that is what was promised to those who wait.
    fn backoff() -> Backoff {
        Backoff { base: Duration::from_secs(60), jitter: 0.0, ..Backoff::default() }
    }

    async fn run(self, cx: Context<Curriculum>) -> JobResult<Generated> {
        let settling = Settling::new(&cx);
        let app = cx.state().app();
        let Some(workflow) = app.workflow(&self.workflow_id).await? else {
            return Err(JobError::fatal("Workflow not found"));
        };
        let modules = workflow.modules()?;
        let Some(module) = modules.get(self.module_index as usize) else {
            return Err(JobError::fatal(format!("the workflow has no module {}", self.module_index)));
        };
        // A cancel that came while the module before this one ended could not stop it from queueing this one.
        if workflow.halted {
            return Err(JobError::cancel("Step 10 was cancelled; POST …/step10 goes on"));
        }
        if workflow.generated < self.module_index {
            return Err(JobError::fatal(format!("module {} comes first", workflow.generated)));
        }
        // A run that saved the plans and died before its end was stored left nothing to do but this end.
        let already_saved = workflow.generated > self.module_index;
        let (lessons, next) = if already_saved {
            (None, workflow.generated)
        } else {
            let (lessons, next) = self.generate(&cx, &workflow, module, &modules, &settling.tokens).await?;
            (Some(lessons), next)
        };

        let total = modules.len() as u32;
        if let Some(module) = modules.get(next as usize).filter(|_| !cx.is_cancelled()) {
            if lessons.is_some() {
                // One that has ended is of the modules of before an edit, which was cut off before it had deleted it: it would stand for
                // the new one, and the chain would end here.
                cx.longhaul().delete(&module_job_id(&self.workflow_id, next as usize)).await?;
            }
            // At the end of the queue, so that workflows take turns.
            cx.follow_up(module_job(app, &workflow, next, module)?)?;
        }
        tracing::info!("Step 10: workflow {}: {next} of {total} modules generated", self.workflow_id);
        Ok(Generated { modules_generated: next, total_modules: total, lessons })
    }
}

impl GenerateModule {
    async fn generate(
        &self,
        cx: &Context<Curriculum>,
        workflow: &Workflow,
        module: &Module,
        modules: &[Module],
        tokens: &Tokens,
    ) -> JobResult<(u32, u32)> {
        let language = workflow.language(modules);
        // What was written for the modules of before an edit is not theirs of now.
        let step = |name: String| match workflow.modules_revision {
            0 => name,
            revision => format!("{name}@{revision}"),
        };
        let minutes = module.lesson_minutes();
        let plan = cx
            .step(&step("plan".into()), || plan(cx, workflow.title(), module, &minutes, language, tokens))
            .await?;
        let mut written: Vec<Written> = Vec::with_capacity(minutes.len());
        for (number, minutes) in (1_u32..).zip(&minutes) {
            let draft = LessonDraft {
                workflow_title: workflow.title(),
                module,
                lessons: &plan.lessons,
                number,
                minutes: *minutes,
                instead_of: None,
                language,
            };
            stop_if_cancelled(cx)?;
            report(cx, written.len(), &plan.lessons);
            written.push(cx.step(&step(format!("lesson-{number}")), || lesson(cx, &draft, tokens)).await?);
        }
        stop_if_cancelled(cx)?;
        let next = self.save(cx.state().app(), workflow, module, &written, modules.len() as u32).await?;
        cx.progress(100, format!("{} is planned", module.title));
        Ok((written.len() as u32, next))
    }

    /// Saves all lessons or none, and only as the next module of the workflow: the first run saves it, and a second one
    /// changes nothing. Returns the index of the next module.
    async fn save(
        &self,
        app: &App,
        workflow: &Workflow,
        module: &Module,
        written: &[Written],
        total: u32,
    ) -> JobResult<u32> {
        let plan = ModulePlan {
            module_id: module.id.clone(),
            module_code: module.code.clone(),
            module_title: module.title.clone(),
            total_contact_hours: Hours(module.contact_hours),
            total_lessons: written.len() as u32,
            lessons: written.iter().map(|written| written.lesson.clone()).collect(),
        };
        let now = app.clock.now();
        // Modules further on may have kept their plans when others were edited.
        let planned = app.planned_modules(&self.workflow_id).await?;
        let next = (self.module_index + 1..total).find(|index| !planned.contains(index)).unwrap_or(total);
        let advance = Write::guarded(
            "UPDATE curriculum_workflows SET generated = $4, updated_at = $3 \
             WHERE id = $1 AND generated = $2 AND modules_revision = $5",
            vec![
                self.workflow_id.as_str().into(),
                self.module_index.into(),
                now.into(),
                next.into(),
                workflow.modules_revision.into(),
            ],
        );
        let insert = Write::new(
            "INSERT INTO curriculum_modules (workflow_id, module_index, plan, lessons, minutes, generator, worked_ms, \
             generated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            vec![
                self.workflow_id.as_str().into(),
                self.module_index.into(),
                longhaul::Json::new(&plan)?.as_str().into(),
                written.len().into(),
                module.minutes().into(),
                app.providers.composer.generator().into(),
                written.iter().map(|written| written.worked_ms).sum::<i64>().into(),
                now.into(),
            ],
        );
        match app.db.commit(vec![advance, insert], vec![]).await? {
            Commit::Done(_) => {
                tracing::info!(
                    "Step 10: workflow {}: module {} ({}) has its {} lessons",
                    self.workflow_id,
                    self.module_index,
                    module.code,
                    written.len()
                );
                Ok(next)
            }
            Commit::Refused { .. } => {
                let Some(now) = app.workflow(&self.workflow_id).await? else {
                    return Err(JobError::fatal("Workflow not found"));
                };
                if now.modules_revision != workflow.modules_revision {
                    return Err(JobError::retry("the modules were changed while the plans were written"));
                }
                tracing::info!(
                    "Step 10: workflow {}: module {} was saved before",
                    self.workflow_id,
                    self.module_index
                );
                Ok(now.generated)
            }
        }
    }
}

/// Between two texts a cancel ends the job; while one is being written, its stream does.
pub(super) fn stop_if_cancelled(cx: &Context<Curriculum>) -> JobResult<()> {
    if cx.is_cancelled() { Err(JobError::cancel("cancelled on request")) } else { Ok(()) }
}

/// Reports the lessons that are done, and the one that is next.
fn report(cx: &Context<Curriculum>, done: usize, lessons: &[PlannedLesson]) {
    cx.progress(done as f64 * 100.0 / lessons.len() as f64, lessons[done].title.clone());
}

async fn plan(
    cx: &Context<Curriculum>,
    workflow_title: &str,
    module: &Module,
    minutes: &[u32],
    language: Language,
    tokens: &Tokens,
) -> JobResult<Plan> {
    drafts::write(cx, 0, &PlanDraft { workflow_title, module, minutes, language }, tokens, |plan: Plan| {
        let plan = plan.tidied();
        plan.fault(minutes.len(), module.outcomes.len()).map_or(Ok(plan), Err)
    })
    .await
}

pub(super) async fn lesson(
    cx: &Context<Curriculum>,
    draft: &LessonDraft<'_>,
    tokens: &Tokens,
) -> JobResult<Written> {
    let writing = Stopwatch::start();
    let generator = cx.state().app().providers.composer.generator();
    let lesson =
        drafts::write(cx, draft.number, draft, tokens, |written| draft.finish(written, generator)).await?;
    Ok(Written { lesson, worked_ms: millis(writing.elapsed()) })
}
