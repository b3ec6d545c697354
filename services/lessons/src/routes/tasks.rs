use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use longhaul::{Job, JobFilter, JobId, JobRecord, Page, Payloads, Timestamp};
use serde::{Deserialize, Serialize};
use service_support::{Once, RowJob};
use utoipa::{IntoParams, ToSchema};

use super::lessons::generator;
use super::object;
use crate::app::App;
use crate::error::{self, Error};
use crate::jobs::{Generate, generate_job};
use crate::model::{LessonRequest, Status, StatusCounts, TaskEntry, TaskStatus, has_expired};

/// The answer to a request for a lesson.
#[derive(Serialize, ToSchema)]
#[schema(as = LessonStarted)]
pub(super) struct Started {
    task_id: String,
    status: Status,
    message: String,
    estimated_completion_time: String,
    poll_url: String,
}

/// Tasks that can still be asked about, newest first, and the numbers of all of them.
#[derive(Serialize, ToSchema)]
#[schema(as = LessonTasks)]
pub(super) struct Tasks {
    status: &'static str,
    total_tasks: u64,
    tasks: Vec<TaskEntry>,
    status_counts: StatusCounts,
}

/// A task that can be asked about.
enum Task {
    Known(Box<JobRecord>),
    /// On its way to the jobs' store since then.
    Waiting(Timestamp),
}

/// The part of the list that is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// The user whose tasks they are; everybody's unless given.
    user_id: Option<String>,
    /// From 1.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    page: Option<String>,
    /// The most tasks of a page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000)]
    limit: Option<String>,
}

/// A request for a lesson, as the document describes it: it is read by hand, in the words of the original document.
#[derive(ToSchema)]
#[schema(as = LessonRequest)]
#[expect(dead_code, reason = "it describes")]
struct RequestBody {
    /// 1 to 200 characters.
    #[schema(example = "english")]
    subject: String,
    /// 1 to 200 characters.
    #[schema(example = "verbs")]
    topic: String,
    /// 1 to 200 characters.
    #[schema(example = "user123")]
    user_id: String,
    /// True unless said otherwise.
    include_wikipedia: Option<bool>,
    /// English, German, Spanish, French or Hindi, by code or name; the words of the request tell it unless given.
    language: Option<String>,
}

/// The wait for the store of the jobs that a request is told.
const AGAIN_AFTER: std::time::Duration = std::time::Duration::from_secs(5);
/// Tasks on a page, unless the caller wants fewer.
const MAX_LIMIT: usize = 1_000;
const MAX_PAGE: usize = 10_000;
/// Jobs that are read at a time.
const PAGE: usize = 1_000;
/// The longest that a task takes, pauses of a provider included: a page of ended tasks that is older is the last one
/// looked at.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Asks for a lesson
///
/// Answered as soon as the task is durable. Every request makes a new lesson, also for a topic that has one.
#[utoipa::path(
    post,
    path = "/lessons",
    operation_id = "createLesson",
    request_body = RequestBody,
    responses((status = 200, description = "The task", body = Started)),
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    once: Once,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Started>, Error> {
    let request = LessonRequest::read(&object(body)?).map_err(Error::bad_request)?;
    let id = JobId::random();
    let message = format!("Lesson generation started for {}/{}", request.subject, request.topic);
    let estimated_completion_time = app.estimated_completion_time().await;
    let job = generate_job(&app, &id, request)?;
    let started = Started {
        poll_url: format!("{}/lessons/status/{id}", app.base_path),
        task_id: id.to_string(),
        status: Status::Pending,
        message,
        estimated_completion_time,
    };
    once.commit(&app.db, (StatusCode::OK, &started), vec![], vec![job]).await?;
    Ok(Json(started))
}

/// Tells how a task stands
///
/// A task that has failed is answered with 200 too, for an hour after its end.
#[utoipa::path(
    get,
    path = "/lessons/status/{task}",
    operation_id = "getLessonTask",
    responses(
        (status = 200, description = "The task", body = TaskStatus, headers(
            ("Lesson-Generator" = Option<String>, description = "What wrote the lesson: a model, or `outline`"),
        )),
        (status = 404, description = "The task is not known, or not any more"),
    ),
)]
pub(super) async fn status(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<(HeaderMap, Json<TaskStatus>), Error> {
    let Ok(Path(id)) = path else { return Err(error::no_task("of that name")) };
    let job = match app.task(&id).await?.ok_or_else(|| error::no_task(&id))? {
        Task::Known(job) => job,
        Task::Waiting(since) => return Ok((HeaderMap::new(), Json(TaskStatus::waiting(id, since)))),
    };
    let lesson = match Status::of(&job) {
        Status::Completed => app.lesson_of_task(&id).await?,
        _ => None,
    };
    let headers = lesson.as_ref().map(generator).unwrap_or_default();
    Ok((headers, Json(TaskStatus::of(&job, lesson.map(|lesson| lesson.data)))))
}

/// Lists tasks
///
/// Those that can still be asked about, newest first.
#[utoipa::path(
    get,
    path = "/lessons/tasks",
    operation_id = "listLessonTasks",
    params(Wanted),
    responses((status = 200, description = "The tasks", body = Tasks)),
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Tasks>, Error> {
    let Query(wanted) =
        query.map_err(|_| Error::bad_request("user_id, page and limit must be given once each"))?;
    let number = |name: &str, text: Option<String>, usual: usize, most: usize| match text.map(|t| t.parse()) {
        None => Ok(usual),
        Some(Ok(number)) if (1..=most).contains(&number) => Ok(number),
        Some(_) => Err(Error::bad_request(format!("{name} must be between 1 and {most}"))),
    };
    let page = number("page", wanted.page, 1, MAX_PAGE)?;
    let limit = number("limit", wanted.limit, MAX_LIMIT, MAX_LIMIT)?;
    // A label holds no NUL: such a user is nobody, and is not asked for as another.
    let user_id = wanted.user_id.map(|user| user.trim().replace('\0', "\u{fffd}"));
    let user_id = user_id.filter(|user| !user.is_empty());
    Ok(Json(app.tasks(user_id, (page - 1) * limit, limit).await?))
}

/// Cancels a task
///
/// One that was cancelled before is shown again.
#[utoipa::path(
    post,
    path = "/lessons/status/{task}/cancel",
    operation_id = "cancelLessonTask",
    responses(
        (status = 200, description = "The task", body = TaskStatus),
        (status = 404, description = "The task is not known, or not any more"),
        (status = 409, description = "It has ended"),
    ),
)]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<TaskStatus>, Error> {
    let Ok(Path(id)) = path else { return Err(error::no_task("of that name")) };
    let Task::Known(job) = app.task(&id).await?.ok_or_else(|| error::no_task(&id))? else {
        // Whoever delivers it might have it in hand, so that it would run in spite of an end that is noted here.
        return Err(Error::unavailable(AGAIN_AFTER));
    };
    app.longhaul.cancel(&job.id).await?;
    let Some(Task::Known(job)) = app.task(&id).await? else { return Err(error::no_task(&id)) };
    match job.state {
        longhaul::State::Completed => Err(error::ended(&id, "completed")),
        longhaul::State::Failed => Err(error::ended(&id, "failed")),
        _ => Ok(Json(TaskStatus::of(&job, None))),
    }
}

impl App {
    /// A task, while it can be asked about.
    async fn task(&self, id: &str) -> Result<Option<Task>, Error> {
        let Ok(id) = JobId::new(id) else { return Ok(None) };
        let look = |ids: Vec<JobId>| async move { self.longhaul.get_all(&ids).await };
        Ok(match self.db.find_jobs(vec![id.clone()], |_| true, look).await?.remove(&id) {
            Some(RowJob::Enqueued(job)) if job.kind == Generate::KIND && !self.is_over(&job) => {
                Some(Task::Known(job))
            }
            Some(RowJob::Waiting(job)) if job.kind() == Generate::KIND => Some(Task::Waiting(job.since)),
            _ => None,
        })
    }

    /// The tasks that can be asked about, of a user or of all, and the counts of them by status. All jobs of that time are
    /// gone through for the counts, a page at a time and one caller at a time, so that neither a long list nor many who
    /// ask for it hold more than a page and what is shown.
    async fn tasks(&self, user_id: Option<String>, skip: usize, limit: usize) -> Result<Tasks, Error> {
        let user = user_id.into_iter().map(|user| ("user".to_owned(), user));
        let filter =
            JobFilter { kinds: vec![Generate::KIND.into()], labels: user.collect(), ..JobFilter::default() };
        let _turn = self.counting.lock().await;
        let oldest = self.clock.now().minus(self.task_ttl).minus(LONGEST);
        let (mut tasks, mut status_counts, mut total_tasks) = (Vec::new(), StatusCounts::default(), 0_u64);
        let mut cursor = None;
        loop {
            let wanted = Page { cursor, limit: PAGE, payloads: Payloads::Short };
            let page = self.longhaul.store().list(&filter, wanted).await?;
            let is_long_ago = page.jobs.last().is_some_and(|job| job.created_at < oldest);
            for job in page.jobs.iter().filter(|job| !self.is_over(job)) {
                status_counts.add(Status::of(job));
                if total_tasks >= skip as u64 && tasks.len() < limit {
                    tasks.push(TaskEntry::of(job));
                }
                total_tasks += 1;
            }
            cursor = page.next;
            if cursor.is_none() || is_long_ago {
                return Ok(Tasks { status: "success", total_tasks, tasks, status_counts });
            }
        }
    }

    fn is_over(&self, job: &JobRecord) -> bool {
        has_expired(job, self.clock.now(), self.task_ttl)
    }
}
