use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use longhaul_http::{Streamed, streamed};
use serde::{Deserialize, Serialize};
use service_support::{Commit, Message, MessageRole, Once, Row, TextStream, Write, iso8601};
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{Caller, json};
use crate::app::App;
use crate::error::{self, Error};
use crate::question::Question;
use crate::retrieval::{Asking, Found};

/// A question about a course.
#[derive(Clone, Debug, Deserialize, ToSchema)]
struct ChatRequest {
    message: String,
    /// The conversation so far, oldest first.
    #[serde(default)]
    history: Vec<Turn>,
    /// The sources beside or instead of those that are found in the course.
    #[serde(default)]
    attachments: Vec<Attachment>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ChatTurn)]
struct Turn {
    #[schema(value_type = String)]
    role: MessageRole,
    content: String,
}

/// A material of the course, by its id alone or in an object, or a text that comes with the question.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ChatAttachment)]
enum Attachment {
    Id(String),
    Material { material_id: String },
    Text { name: String, content: String },
}

/// A passage that an answer was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
struct ChatSource {
    /// `None` for a text that came with the question.
    material_id: Option<String>,
    name: String,
    excerpt: String,
    similarity_score: f64,
    /// The page that it stands on, in a document of pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = ChatAnswer)]
struct ChatResponse {
    response: String,
    timestamp: String,
    sources: Vec<ChatSource>,
}

/// A piece of an answer.
#[derive(Serialize, ToSchema)]
struct ChatPiece<'a> {
    text: &'a str,
}

/// The reason why an answer ends before it is whole.
#[derive(Serialize, ToSchema)]
struct ChatFailure<'a> {
    detail: &'a str,
}

const SOURCES: &str = "sources";
const CHUNK: &str = "chunk";
const DONE: &str = "done";
const ERROR: &str = "error";

/// An event of a streamed answer, as the document describes it.
enum ChatEvent {}

impl PartialSchema for ChatEvent {
    fn schema() -> RefOr<Schema> {
        fn named<D: ToSchema>() -> RefOr<Schema> {
            Ref::from_schema_name(D::name()).into()
        }
        streamed([
            Streamed { event: SOURCES, data: ArrayBuilder::new().items(named::<ChatSource>()).into() },
            Streamed { event: CHUNK, data: named::<ChatPiece<'_>>() },
            Streamed { event: DONE, data: named::<ChatResponse>() },
            Streamed { event: ERROR, data: named::<ChatFailure<'_>>() },
        ])
        .into()
    }
}

impl ToSchema for ChatEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((ChatSource::name().into_owned(), ChatSource::schema()));
        schemas.push((ChatPiece::name().into_owned(), ChatPiece::schema()));
        schemas.push((ChatResponse::name().into_owned(), ChatResponse::schema()));
        schemas.push((ChatFailure::name().into_owned(), ChatFailure::schema()));
    }
}

/// An exchange as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = ChatExchange)]
pub(crate) struct Exchange {
    id: String,
    message: String,
    response: String,
    sources: Vec<ChatSource>,
    generator: String,
    timestamp: String,
}

const MAX_MESSAGE_CHARS: usize = 2_000;
const MAX_HISTORY: usize = 10;
const MAX_ATTACHMENTS: usize = 5;
/// The longest turn of a history or text of an attachment, in characters.
const MAX_TEXT_CHARS: usize = 20_000;

/// Asks about a course
///
/// The answer is made of the passages that speak of the question. With `Accept: text/event-stream` it comes as it is
/// written: `sources`, then `chunk` again and again, then `done` with the whole answer, or `error`. The schema of that stream is
/// that of each event, as a parser of event streams gives it.
#[utoipa::path(
    post,
    path = "/courses/{course}/chat",
    operation_id = "askCourse",
    request_body = ChatRequest,
    responses(
        (status = 201, description = "The answer", content(
            (ChatResponse = "application/json"),
            (ChatEvent = "text/event-stream"),
        )),
        (status = 502, description = "The language model failed"),
        (status = 503, description = "The language model is over its limit; `Retry-After` says for how long"),
        (status = 504, description = "The language model took too long"),
    ),
)]
pub(crate) async fn ask(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Path(course_id): Path<String>,
    headers: HeaderMap,
    once: Once,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Error> {
    app.check_course(&user, &course_id).await?;
    let request = checked(json(body)?)?;
    let asked = app.asked(course_id, request).await?;
    if !wants_stream(&headers) {
        let response =
            app.providers.composer.write_whole(&asked.question).await.map_err(error::model_failed)?;
        let answer = app.keep_answer(&once, asked, response).await?;
        return Ok((StatusCode::CREATED, Json(answer)).into_response());
    }
    // A refusal is still an answer with a status; once the stream has begun, it is an event.
    let pieces = app.providers.composer.write(&asked.question).await.map_err(error::model_failed)?;
    let events = events(app, asked, pieces);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// Lists the exchanges of a course
///
/// Oldest first; the last hundred.
#[utoipa::path(
    get,
    path = "/courses/{course}/chat",
    operation_id = "listChat",
    responses((status = 200, description = "The exchanges", body = Vec<Exchange>)),
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Path(course_id): Path<String>,
) -> Result<Json<Vec<Exchange>>, Error> {
    app.check_course(&user, &course_id).await?;
    let sql = "SELECT id, message, response, sources, generator, created_at FROM course_chats \
               WHERE course_id = $1 ORDER BY created_at DESC, id DESC LIMIT 100";
    let rows = app.db.read(sql, vec![course_id.into()]).await?;
    let mut exchanges = rows.iter().rev().map(exchange).collect::<Result<Vec<_>, Error>>()?;
    for exchange in &mut exchanges {
        exchange.sources = app.present(std::mem::take(&mut exchange.sources)).await?;
    }
    Ok(Json(exchanges))
}

fn exchange(row: &Row) -> Result<Exchange, Error> {
    let sources: String = row.get("sources")?;
    Ok(Exchange {
        id: row.get("id")?,
        message: row.get("message")?,
        response: row.get("response")?,
        sources: serde_json::from_str(&sources).map_err(|e| Error::fault(&e))?,
        generator: row.get("generator")?,
        timestamp: iso8601(row.get("created_at")?),
    })
}

fn checked(request: ChatRequest) -> Result<ChatRequest, Error> {
    let fits = |text: &str| text.chars().count() <= MAX_TEXT_CHARS;
    let length = request.message.trim().chars().count();
    if !(1..=MAX_MESSAGE_CHARS).contains(&length) {
        return Err(Error::bad_request("Message must be between 1 and 2000 characters"));
    }
    if request.history.len() > MAX_HISTORY {
        return Err(Error::bad_request("History cannot exceed 10 messages"));
    }
    // The rules are ours to set.
    if request.history.iter().any(|turn| turn.role == MessageRole::System || !fits(&turn.content)) {
        return Err(Error::bad_request(
            "History must be of role user or assistant and at most 20000 characters each",
        ));
    }
    if request.attachments.len() > MAX_ATTACHMENTS {
        return Err(Error::bad_request("Attachments cannot exceed 5"));
    }
    let text_fits = |attachment: &Attachment| match attachment {
        Attachment::Text { name, content } => fits(content) && name.len() <= 255,
        Attachment::Id(_) | Attachment::Material { .. } => true,
    };
    if !request.attachments.iter().all(text_fits) {
        return Err(Error::bad_request("Attachments must be at most 20000 characters each"));
    }
    Ok(request)
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|kind| kind.split(';').next().unwrap_or_default().trim() == "text/event-stream")
}

/// A question, ready to be answered.
#[derive(Clone, Debug)]
struct Asked {
    course_id: String,
    question: Question,
    sources: Vec<ChatSource>,
}

impl App {
    async fn asked(&self, course_id: String, request: ChatRequest) -> Result<Asked, Error> {
        let mut asking = Asking { message: request.message.trim().to_owned(), ..Asking::default() };
        for attachment in request.attachments {
            match attachment {
                Attachment::Id(id) | Attachment::Material { material_id: id } => asking.materials.push(id),
                Attachment::Text { name, content } => asking.texts.push((name, content)),
            }
        }
        self.check_attached(&course_id, &asking.materials).await?;
        let turns = request.history.into_iter();
        asking.history = turns.map(|turn| Message { role: turn.role, content: turn.content }).collect();
        let (question, found) = self.find_sources(&course_id, &asking).await?;
        let sources = found.into_iter().map(ChatSource::from).collect();
        Ok(Asked { course_id, question, sources })
    }

    /// The sources whose materials are still there: one may have been deleted while the answer was written.
    async fn present(&self, mut sources: Vec<ChatSource>) -> Result<Vec<ChatSource>, Error> {
        let ids: Vec<String> = sources.iter().filter_map(|source| source.material_id.clone()).collect();
        let there = self.still_there(&ids).await?;
        sources.retain(|source| source.material_id.as_ref().is_none_or(|id| there.contains(id)));
        Ok(sources)
    }

    async fn check_attached(&self, course_id: &str, materials: &[String]) -> Result<(), Error> {
        for id in materials {
            let sql = "SELECT id FROM materials WHERE id = $1 AND course_id = $2";
            let rows = self.db.read(sql, vec![id.as_str().into(), course_id.into()]).await?;
            if rows.is_empty() {
                return Err(error::no_material());
            }
        }
        Ok(())
    }

    async fn keep_answer(&self, once: &Once, asked: Asked, response: String) -> Result<ChatResponse, Error> {
        let now = self.clock.now();
        let sources = self.present(asked.sources).await?;
        let answer = ChatResponse { response, timestamp: iso8601(now), sources };
        let sources = serde_json::to_string(&answer.sources).map_err(|e| Error::fault(&e))?;
        // Changes nothing where the course was deleted while the answer was written.
        let insert = Write::guarded(
            "INSERT INTO course_chats (id, course_id, message, response, sources, generator, created_at) \
             SELECT $1, $2, $3, $4, $5, $6, $7 FROM courses WHERE id = $2",
            vec![
                uuid::Uuid::now_v7().to_string().into(),
                asked.course_id.into(),
                asked.question.text.into(),
                answer.response.as_str().into(),
                sources.into(),
                self.providers.composer.generator().into(),
                now.into(),
            ],
        );
        match once.commit(&self.db, (StatusCode::CREATED, &answer), vec![insert], vec![]).await? {
            Commit::Refused { write: 0 } => Err(error::no_course()),
            // Another request with its key was first, whose answer is sent.
            Commit::Refused { .. } | Commit::Done(_) => Ok(answer),
        }
    }
}

impl From<Found> for ChatSource {
    fn from(found: Found) -> Self {
        Self {
            material_id: found.material_id,
            name: found.source.name,
            excerpt: found.excerpt,
            similarity_score: found.score,
            page: found.source.page,
        }
    }
}

/// The state of a stream.
enum Writing {
    Begin(Answering),
    Pieces(Answering),
    Over,
}

struct Answering {
    app: Arc<App>,
    asked: Asked,
    pieces: TextStream,
    text: String,
}

fn events(
    app: Arc<App>,
    asked: Asked,
    pieces: TextStream,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let begin = Writing::Begin(Answering { app, asked, pieces, text: String::new() });
    stream::unfold(begin, |writing| async move {
        match writing {
            Writing::Begin(state) => {
                let event = event(SOURCES, &state.asked.sources);
                Some((Ok(event), Writing::Pieces(state)))
            }
            Writing::Pieces(state) => Some(next_event(state).await),
            Writing::Over => None,
        }
    })
}

async fn next_event(mut state: Answering) -> (Result<Event, Infallible>, Writing) {
    match state.pieces.next().await {
        Some(Ok(piece)) => {
            state.text.push_str(&piece);
            (Ok(event(CHUNK, &ChatPiece { text: &piece })), Writing::Pieces(state))
        }
        Some(Err(error)) => (Ok(failed(error::model_failed(error))), Writing::Over),
        // A stream is no answer to keep for a repeated request.
        None => match state.app.keep_answer(&Once::default(), state.asked, state.text).await {
            Ok(answer) => (Ok(event(DONE, &answer)), Writing::Over),
            Err(error) => (Ok(failed(error)), Writing::Over),
        },
    }
}

fn failed(error: Error) -> Event {
    event(ERROR, &ChatFailure { detail: &error.message })
}

fn event(name: &str, data: &impl Serialize) -> Event {
    let event = Event::default().event(name);
    // Text, numbers and lists of them always have a JSON form.
    event.json_data(data).unwrap_or_default()
}
