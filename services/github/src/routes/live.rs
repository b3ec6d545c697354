//! Tasks as they change: over a WebSocket, or as the events of a request.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use longhaul_http::{Streamed, streamed};
use serde::Serialize;
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::analyze::{AnalyzeRequest, degraded};
use super::{Caller, TaskId, read, task};
use crate::app::App;
use crate::error::{self, Body, Error};
use crate::start::{Asker, StartError};
use crate::task::{COMPLETED, FAILED, PROCESSING, Seen, Task};

/// The time that the store is asked to wait for a change; then it is asked again.
const LONG_POLL: Duration = Duration::from_secs(20);
/// The pause after which a silent connection is used, so that nobody on the way closes it.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The largest message that is read of a client's; none of them is heeded.
const MAX_MESSAGE_BYTES: usize = 4 * 1024;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// Follows a task by WebSocket
///
/// The body of the task each time it changes; it closes with 1000 after the end.
#[utoipa::path(
    get,
    path = "/task/{task_id}/ws",
    operation_id = "followGithubTask",
    responses(
        (status = 101, description = "The WebSocket is open"),
        (status = 404, description = "The task is not known, or not any more"),
        (status = 426, description = "The request is for no WebSocket"),
    ),
)]
pub(super) async fn socket(
    State(app): State<Arc<App>>,
    TaskId(id): TaskId,
    upgrade: Upgrade,
) -> Result<Response, Error> {
    let upgrade =
        upgrade.map_err(|_| Error::new(StatusCode::UPGRADE_REQUIRED, "This address is a WebSocket's"))?;
    follow(app, id, upgrade).await
}

/// Follows a task by WebSocket, or shows it
///
/// The original document's own address; without an upgrade it shows the task once.
#[utoipa::path(
    get,
    path = "/task/{task_id}",
    operation_id = "followTask",
    responses(
        (status = 101, description = "The WebSocket is open"),
        (status = 200, description = "The task", body = Task),
        (status = 404, description = "The task is not known, or not any more"),
    ),
)]
pub(super) async fn socket_or_task(
    State(app): State<Arc<App>>,
    TaskId(id): TaskId,
    upgrade: Upgrade,
) -> Result<Response, Error> {
    match upgrade {
        Ok(upgrade) => follow(app, id, upgrade).await,
        Err(_) => task::show(State(app), TaskId(id)).await.map(IntoResponse::into_response),
    }
}

/// A task that is not there is told before the upgrade, as to every other request.
async fn follow(app: Arc<App>, id: String, upgrade: WebSocketUpgrade) -> Result<Response, Error> {
    let first = app.task(&id).await?;
    let upgrade = upgrade.max_message_size(MAX_MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(move |socket| serve(socket, changes(app, id, Some(first)))))
}

/// Sends each change, and closes after the end. Ends when the client goes away.
async fn serve(mut socket: WebSocket, changes: impl Stream<Item = Result<Task, Error>>) {
    let mut changes = std::pin::pin!(changes);
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    let close = loop {
        let message = tokio::select! {
            change = changes.next() => match change {
                Some(Ok(task)) => Message::text(text(&task)),
                Some(Err(error)) => break CloseFrame { code: close_code::ERROR, reason: error.message.into() },
                None => break CloseFrame { code: close_code::NORMAL, reason: "".into() },
            },
            _ = heartbeat.tick() => Message::Ping(Bytes::new()),
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
        };
        if socket.send(message).await.is_err() {
            return;
        }
    };
    // A client that is gone by now has had all that there was.
    let _ = socket.send(Message::Close(Some(close))).await;
}

const ERROR: &str = "error";

/// An event of a task's stream, as the document describes it.
enum TaskEvent {}

impl PartialSchema for TaskEvent {
    fn schema() -> RefOr<Schema> {
        let task = || Ref::from_schema_name(Task::name()).into();
        let tasks = [PROCESSING, COMPLETED, FAILED].map(|event| Streamed { event, data: task() });
        let error = Streamed { event: ERROR, data: Ref::from_schema_name(Body::name()).into() };
        streamed(tasks.into_iter().chain([error])).into()
    }
}

impl ToSchema for TaskEvent {
    fn name() -> Cow<'static, str> {
        "GithubTaskEvent".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Task::name().into_owned(), Task::schema()));
        Task::schemas(schemas);
        schemas.push((Body::name().into_owned(), Body::schema()));
    }
}

/// Asks for an analysis and follows it
///
/// Events `processing`, then `completed` or `failed`, each with the task.
#[utoipa::path(
    post,
    path = "/analyze/stream",
    operation_id = "streamProfile",
    request_body = AnalyzeRequest,
    responses(
        (status = 200, description = "The events. The schema is that of each, as a parser of event streams gives it",
            content_type = "text/event-stream", body = TaskEvent),
        (status = 429, description = "The caller has too many tasks in progress"),
    ),
)]
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    Caller(caller): Caller,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Error> {
    let (username, wish) = read::<AnalyzeRequest>(body)?.checked()?;
    let id = match app.begin(&username, wish, Asker::Caller(&caller)).await {
        Ok(begun) => begun.task().to_string(),
        Err(StartError::Away) => {
            let answered = app.analyze_here(&username, wish).await?;
            let body = serde_json::json!({
                "task_id": answered.task_id,
                "status": COMPLETED,
                "result": degraded(&answered)?,
                "completed_at": crate::time::original_time(answered.at),
            });
            let only = stream::once(async move { Ok::<_, Infallible>(event(COMPLETED, &body)) });
            return Ok(events(only));
        }
        Err(error) => return Err(error.answer(app.config.tasks_per_user)),
    };
    let changes = changes(app, id, None).map(|change| {
        Ok::<_, Infallible>(match change {
            Ok(task) => event(task.status(), &task),
            Err(error) => event(ERROR, &serde_json::json!({ "detail": error.message })),
        })
    });
    Ok(events(changes))
}

fn events(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert("cache-control", axum::http::HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}

fn event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).data(text(data))
}

/// Tasks always have a JSON form: they are made of text and of JSON.
fn text(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap_or_default()
}

/// The state of a reader of a task.
enum Reading {
    /// This is to be told next.
    Told(Seen),
    /// The body that was sent last, and the number of its event.
    Waiting(String, u64),
    Begin,
    Over,
}

/// A task each time it changes, from how it stands to its end. An error is the last that is told.
fn changes(
    app: Arc<App>,
    id: String,
    first: Option<Seen>,
) -> impl Stream<Item = Result<Task, Error>> + Send + 'static {
    let reading = first.map_or(Reading::Begin, Reading::Told);
    stream::unfold((app, id, reading), |(app, id, reading)| async move {
        let seen = match reading {
            Reading::Over => return None,
            Reading::Told(seen) => Ok(seen),
            Reading::Begin => app.task(&id).await,
            Reading::Waiting(told, last_event) => next(&app, &id, &told, last_event).await,
        };
        match seen {
            Ok(seen) if seen.task.has_ended() => Some((Ok(seen.task), (app, id, Reading::Over))),
            Ok(seen) => {
                let told = Reading::Waiting(text(&seen.task), seen.last_event);
                Some((Ok(seen.task), (app, id, told)))
            }
            Err(error) => Some((Err(error), (app, id, Reading::Over))),
        }
    })
}

/// The task when it is other than what was told.
async fn next(app: &App, id: &str, told: &str, mut last_event: u64) -> Result<Seen, Error> {
    let Ok(job) = longhaul::JobId::new(id) else { return Err(error::no_task(id)) };
    loop {
        app.longhaul.events(&job, last_event, 1, LONG_POLL).await?;
        let seen = app.task(id).await?;
        if text(&seen.task) != told {
            return Ok(seen);
        }
        last_event = seen.last_event;
    }
}
