use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use futures::future::try_join_all;
use longhaul::{Action, JobFilter, JobId, JobRecord, State as JobState};
use serde_json::{Value, json};
use service_support::{Commit, DbError, RowJob, Write};

use super::bodies::{Step10Cancelled, Step10Started, Step10Status, Successful};
use super::workflow_id;
use crate::app::App;
use crate::error::{self, Error};
use crate::jobs::{QUEUE, WORKFLOW, module_job, module_job_id};
use crate::model::{Hours, Jobs, Waits, overall};

/// The generated part of a workflow.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    id: String,
    step9_complete: bool,
    modules: u32,
    /// The index of the next module.
    next: u32,
    /// The modules that have their plans.
    generated: u32,
    modules_revision: u32,
    /// Lessons of all modules.
    lessons: u64,
    /// Of the modules that have their plans.
    lessons_generated: u64,
    minutes_generated: u64,
}

/// The result of an attempt to begin the next module.
enum Begun {
    Queued,
    /// It, or the one before it, is on its way already.
    Running,
    /// A module was saved in between.
    Outdated,
}

/// Looks that are taken before a workflow that moves on each time is taken for one that runs.
const LOOKS: usize = 3;
/// The time that a running job has to stop before it is fenced off.
const GRACE: Duration = Duration::from_secs(10);
/// Jobs that are cancelled at a time.
const ACT_AT_ONCE: usize = 1_000;
/// Minutes that a module takes, until it has been measured.
const USUAL_MINUTES: u64 = 15;

/// Generates lesson plans
///
/// Queues the next module that has no plans, whose job queues the one after it. Calling again does no harm.
#[utoipa::path(
    post,
    path = "/api/v3/workflow/{workflow}/step10",
    operation_id = "startStep10",
    responses(
        (status = 200, description = "The generation is on its way, or was", body = Successful<Step10Started>),
        (status = 400, description = "The workflow is not ready for step 10"),
    ),
)]
pub(crate) async fn start(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Error> {
    let id = workflow_id(path)?;
    for _ in 0..LOOKS {
        let standing = app.standing(&id).await?;
        if !standing.step9_complete || standing.modules == 0 {
            return Err(Error::bad_request("Step 9 must be completed before generating lesson plans"));
        }
        if standing.is_complete() {
            return app.started(&standing, 0, "All modules already have their lesson plans.", None).await;
        }
        match app.begin(&standing).await? {
            Begun::Queued => {
                let message = "Step 10 generation started. 1 module(s) will be generated in the background.";
                return app.started(&standing, 1, message, None).await;
            }
            Begun::Running => return app.running(&standing).await,
            Begun::Outdated => {}
        }
    }
    let standing = app.standing(&id).await?;
    app.running(&standing).await
}

/// Ends a generation
///
/// The modules that have their plans keep them.
#[utoipa::path(
    post,
    path = "/api/v3/workflow/{workflow}/step10/cancel",
    operation_id = "cancelStep10",
    responses((status = 200, description = "It is ended", body = Successful<Step10Cancelled>)),
)]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Error> {
    let id = workflow_id(path)?;
    // Noted first, so that a module that ends just now cannot begin the next one.
    let halt = Write::guarded(
        "UPDATE curriculum_workflows SET halted = 1, updated_at = $2 WHERE id = $1",
        vec![id.as_str().into(), app.clock.now().into()],
    );
    if !app.db.commit(vec![halt], vec![]).await?.is_done() {
        return Err(error::no_workflow());
    }
    let cancelled = app.cancel_all(&id).await?;
    let standing = app.standing(&id).await?;
    tracing::info!("Step 10: workflow {id}: {cancelled} job(s) cancelled");
    let message = match cancelled {
        0 => "No generation is in progress.",
        _ => "Step 10 generation is cancelled. Lesson plans that are complete are kept.",
    };
    Ok(Json(json!({
        "success": true,
        "data": {
            "jobsCancelled": cancelled,
            "modulesGenerated": standing.generated,
            "totalModules": standing.modules,
        },
        "message": message,
    })))
}

/// Tells how far the lesson plans are
#[utoipa::path(
    get,
    path = "/api/v3/workflow/{workflow}/step10/status",
    operation_id = "getStep10Status",
    responses((status = 200, description = "How far they are", body = Successful<Step10Status>)),
)]
pub(crate) async fn status(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Error> {
    let (standing, jobs) = app.look(&workflow_id(path)?).await?;
    let status = overall(standing.is_complete(), &jobs);
    Ok(Json(json!({
        "success": true,
        "data": {
            "workflowId": standing.id,
            "modulesGenerated": standing.generated,
            "totalModules": standing.modules,
            "allComplete": standing.is_complete(),
            "totalLessons": standing.lessons_generated,
            "totalContactHours": Hours::of_minutes(standing.minutes_generated),
            "jobs": jobs,
            "status": status,
        },
    })))
}

/// True for a job that waits, in its store or on its way to it, or runs.
pub(super) fn is_on_its_way(job: &RowJob) -> bool {
    match job {
        RowJob::Enqueued(job) => !job.state.is_finished(),
        RowJob::Waiting(_) => true,
    }
}

impl Standing {
    pub(super) fn is_complete(&self) -> bool {
        self.modules > 0 && self.next >= self.modules
    }
}

impl App {
    async fn standing(&self, id: &str) -> Result<Standing, Error> {
        let sql = "SELECT w.step9_complete, w.modules, w.generated, w.lessons, w.modules_revision, \
             (SELECT count(*) FROM curriculum_modules m WHERE m.workflow_id = w.id) AS planned, \
             (SELECT CAST(coalesce(sum(m.lessons), 0) AS BIGINT) FROM curriculum_modules m \
             WHERE m.workflow_id = w.id) AS made, \
             (SELECT CAST(coalesce(sum(m.minutes), 0) AS BIGINT) FROM curriculum_modules m \
             WHERE m.workflow_id = w.id) AS minutes \
             FROM curriculum_workflows w WHERE w.id = $1";
        let rows = self.db.read(sql, vec![id.into()]).await?;
        let row = rows.first().ok_or_else(error::no_workflow)?;
        Ok(Standing {
            id: id.to_owned(),
            step9_complete: row.get::<i64>("step9_complete")? != 0,
            modules: row.get("modules")?,
            next: row.get("generated")?,
            generated: row.get("planned")?,
            modules_revision: row.get("modules_revision")?,
            lessons: row.get("lessons")?,
            lessons_generated: row.get("made")?,
            minutes_generated: row.get("minutes")?,
        })
    }

    /// The kept jobs of all modules, and then the rows: a job that ends in between has saved its module and queued the
    /// next one, so that a chain which goes on is never shown as one that has stopped.
    pub(super) async fn look(&self, id: &str) -> Result<(Standing, Jobs), Error> {
        let modules = self.standing(id).await?.modules as usize;
        let ids: Vec<JobId> = (0..modules).map(|index| module_job_id(id, index)).collect();
        let mut found = self.jobs(ids.clone()).await?;
        let jobs: Vec<(usize, JobId, RowJob)> =
            (0..).zip(ids).filter_map(|(index, id)| found.remove(&id).map(|job| (index, id, job))).collect();
        let mut shown = Jobs::of(&jobs);
        // All at once: of a chain one waits, and of modules that were begun again by hand many may.
        let reasons = try_join_all(jobs.iter().map(|(_, _, job)| self.reasons(job))).await?;
        for (detail, reasons) in shown.details.iter_mut().zip(reasons) {
            detail.why = reasons;
        }
        Ok((self.standing(id).await?, shown))
    }

    /// Queues the next module, where none is on its way.
    async fn begin(&self, standing: &Standing) -> Result<Begun, Error> {
        let next = standing.next;
        // The job before may have saved its module and not have ended: its end will queue the next one.
        let previous = next.checked_sub(1).map(|index| module_job_id(&standing.id, index as usize));
        let job_id = module_job_id(&standing.id, next as usize);
        let ids: Vec<JobId> = previous.into_iter().chain([job_id.clone()]).collect();
        let mut jobs = self.jobs(ids).await?;
        if jobs.values().any(is_on_its_way) {
            return Ok(Begun::Running);
        }
        match jobs.remove(&job_id) {
            Some(RowJob::Enqueued(ended)) => self.retry(standing, &ended).await,
            Some(RowJob::Waiting(_)) | None => self.enqueue(standing).await,
        }
    }

    /// The jobs of these ids that are there, in their store or on their way to it.
    pub(super) async fn jobs(&self, ids: Vec<JobId>) -> Result<HashMap<JobId, RowJob>, DbError> {
        let look = |ids: Vec<JobId>| async move { self.longhaul.get_all(&ids).await };
        self.db.find_jobs(ids, |_| true, look).await
    }

    async fn reasons(&self, job: &RowJob) -> Result<Vec<Waits>, longhaul::Error> {
        match job {
            RowJob::Enqueued(job) => {
                Ok(self.longhaul.why(job).await?.reasons.into_iter().map(Waits::from).collect())
            }
            RowJob::Waiting(_) => Ok(Vec::new()),
        }
    }

    async fn enqueue(&self, standing: &Standing) -> Result<Begun, Error> {
        let next = standing.next;
        let workflow = self.workflow(&standing.id).await?.ok_or_else(error::no_workflow)?;
        let modules = workflow.modules()?;
        let Some(module) = modules.get(next as usize) else { return Ok(Begun::Outdated) };
        let job = module_job(self, &workflow, next, module)?;
        match self.db.commit(vec![self.unhalted(standing)], vec![job]).await? {
            Commit::Refused { .. } => Ok(Begun::Outdated),
            // Of several callers at once, one creates the job.
            Commit::Done(done) if done.enqueued.iter().any(|job| job.is_created()) => {
                tracing::info!("Step 10: workflow {}: module {next} is queued", standing.id);
                Ok(Begun::Queued)
            }
            Commit::Done(_) => Ok(Begun::Running),
        }
    }

    /// Lets a generation go on that was cancelled, but only while the modules are those that were looked at, and the next
    /// one is the same.
    fn unhalted(&self, standing: &Standing) -> Write {
        Write::guarded(
            "UPDATE curriculum_workflows SET halted = 0, updated_at = $4 \
             WHERE id = $1 AND generated = $2 AND modules_revision = $3",
            vec![
                standing.id.as_str().into(),
                standing.next.into(),
                standing.modules_revision.into(),
                self.clock.now().into(),
            ],
        )
    }

    /// Cancels whatever still works for a workflow, and counts the jobs.
    pub(super) async fn cancel_all(&self, workflow_id: &str) -> Result<u64, Error> {
        let filter = JobFilter {
            states: JobState::ALL.into_iter().filter(|state| !state.is_finished()).collect(),
            queues: vec![QUEUE.into()],
            labels: vec![(WORKFLOW.into(), workflow_id.into())],
            ..JobFilter::default()
        };
        let mut cancelled = 0;
        // A job that has been asked to stop and runs on fits again, so that an end is set to this.
        for _ in 0..LOOKS {
            let acted = self.longhaul.store().act(&filter, Action::cancel(GRACE), ACT_AT_ONCE).await?;
            cancelled += acted.done;
            if acted.complete {
                break;
            }
        }
        Ok(cancelled)
    }

    /// Runs the job of a module that has failed again, with all its attempts; what its steps have done is kept.
    async fn retry(&self, standing: &Standing, ended: &JobRecord) -> Result<Begun, Error> {
        if !self.db.commit(vec![self.unhalted(standing)], vec![]).await?.is_done() {
            return Ok(Begun::Outdated);
        }
        // Only in the state that was seen: another caller may have retried it, and it may have gone well since.
        let filter = JobFilter { states: vec![ended.state], ..JobFilter::id(ended.id.clone()) };
        if self.longhaul.store().act(&filter, Action::Retry, 1).await?.done == 0 {
            return Ok(Begun::Running);
        }
        tracing::info!("Step 10: workflow {}: module {} is tried again", standing.id, standing.next);
        Ok(Begun::Queued)
    }

    async fn running(&self, standing: &Standing) -> Result<Json<Value>, Error> {
        let message = "Step 10 generation is already in progress. Check status for updates.";
        self.started(standing, 0, message, Some("Generation already in progress")).await
    }

    async fn started(
        &self,
        standing: &Standing,
        jobs_queued: u32,
        message: &str,
        detail: Option<&str>,
    ) -> Result<Json<Value>, Error> {
        let mut data = json!({
            "jobsQueued": jobs_queued,
            "modulesGenerated": standing.generated,
            "totalModules": standing.modules,
            "estimatedTimeMinutes": self.minutes_left(standing).await?,
        });
        if let Some(detail) = detail {
            data["message"] = detail.into();
        }
        Ok(Json(json!({ "success": true, "data": data, "message": message })))
    }

    /// From the last modules that the same composer has written: the time per lesson, for the lessons that remain.
    async fn minutes_left(&self, standing: &Standing) -> Result<u64, Error> {
        if standing.is_complete() {
            return Ok(0);
        }
        let sql = "SELECT CAST(coalesce(sum(worked_ms), 0) AS BIGINT) AS worked, \
             CAST(coalesce(sum(lessons), 0) AS BIGINT) AS lessons FROM (SELECT worked_ms, lessons FROM curriculum_modules WHERE generator = $1 \
             ORDER BY generated_at DESC LIMIT 50) AS newest";
        let rows = self.db.read(sql, vec![self.providers.composer.generator().into()]).await?;
        let measured = rows
            .first()
            .map(|row| -> Result<(u64, u64), DbError> { Ok((row.get("worked")?, row.get("lessons")?)) });
        let (worked, lessons) = measured.transpose()?.unwrap_or_default();
        if lessons == 0 {
            return Ok(USUAL_MINUTES * u64::from(standing.modules.saturating_sub(standing.generated)));
        }
        let remaining = standing.lessons.saturating_sub(standing.lessons_generated);
        Ok((worked * remaining).div_ceil(lessons * 60_000).max(1))
    }
}
