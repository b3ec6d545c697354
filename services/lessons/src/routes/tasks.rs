use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use longhaul::{Job, JobFilter, JobId, JobRecord, Page};
use serde::Serialize;

use super::lessons::generator;
use super::object;
use crate::app::App;
use crate::error::{self, Error};
use crate::jobs::{Generate, generate_job};
use crate::model::{LessonRequest, Status, StatusCounts, TaskEntry, TaskStatus, has_expired};

/// The answer to a request for a lesson.
#[derive(Serialize)]
pub(super) struct Started {
    task_id: String,
    status: Status,
    message: String,
    estimated_completion_time: String,
    poll_url: String,
}

/// All tasks that can still be asked about, newest first.
#[derive(Serialize)]
pub(super) struct Tasks {
    status: &'static str,
    total_tasks: usize,
    tasks: Vec<TaskEntry>,
    status_counts: StatusCounts,
}

/// Jobs that are read at a time.
const PAGE: usize = 1_000;
/// Pages that are read at most: the history of other kinds lies between.
const MAX_PAGES: usize = 10;
/// The longest that a task takes, pauses of a provider included: a page of ended tasks that is older is the last one
/// looked at.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

pub(super) async fn create(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Started>, Error> {
    let request = LessonRequest::read(&object(body)?).map_err(Error::bad_request)?;
    let id = JobId::random();
    let message = format!("Lesson generation started for {}/{}", request.subject, request.topic);
    let estimated_completion_time = app.estimated_completion_time().await;
    app.longhaul.enqueue_one(generate_job(&id, request)?).await?;
    Ok(Json(Started {
        poll_url: format!("/lessons/status/{id}"),
        task_id: id.to_string(),
        status: Status::Pending,
        message,
        estimated_completion_time,
    }))
}

pub(super) async fn status(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<(HeaderMap, Json<TaskStatus>), Error> {
    let Ok(Path(id)) = path else { return Err(error::no_task("of that name")) };
    let job = app.task(&id).await?.ok_or_else(|| error::no_task(&id))?;
    let lesson = match Status::of(&job) {
        Status::Completed => app.lesson_of_task(&id).await?,
        _ => None,
    };
    let headers = lesson.as_ref().map(generator).unwrap_or_default();
    Ok((headers, Json(TaskStatus::of(&job, lesson.map(|lesson| lesson.data)))))
}

pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Json<Tasks>, Error> {
    let tasks = app.tasks().await?;
    Ok(Json(Tasks {
        status: "success",
        total_tasks: tasks.len(),
        status_counts: StatusCounts::of(&tasks),
        tasks,
    }))
}

impl App {
    /// The job of a task, while it can be asked about.
    async fn task(&self, id: &str) -> Result<Option<JobRecord>, Error> {
        let Ok(id) = JobId::new(id) else { return Ok(None) };
        let job = self.longhaul.get(&id).await?.found();
        Ok(job.filter(|job| job.kind == Generate::KIND && !self.is_over(job)))
    }

    /// The jobs of all tasks that can be asked about, newest first: at most 10,000 of them.
    async fn tasks(&self) -> Result<Vec<TaskEntry>, Error> {
        let filter = JobFilter { kinds: vec![Generate::KIND.into()], ..JobFilter::default() };
        let oldest = self.clock.now().minus(self.task_ttl).minus(LONGEST);
        let mut tasks = Vec::new();
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let page =
                self.longhaul.store().list(&filter, Page { cursor, limit: PAGE, ..Page::default() }).await?;
            let is_long_ago = page.jobs.last().is_some_and(|job| job.created_at < oldest);
            tasks.extend(page.jobs.iter().filter(|job| !self.is_over(job)).map(TaskEntry::of));
            cursor = page.next;
            if cursor.is_none() || is_long_ago {
                break;
            }
        }
        Ok(tasks)
    }

    fn is_over(&self, job: &JobRecord) -> bool {
        has_expired(job, self.clock.now(), self.task_ttl)
    }
}
