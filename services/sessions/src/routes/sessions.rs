use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use longhaul::Timestamp;
use service_support::{DbError, Once, User, Write, iso8601, placeholders};
use utoipa::ToSchema;

use super::skills::Deleted;
use super::{Caller, json, named};
use crate::app::App;
use crate::error::{self, Error};
use crate::jobs::dispatch_job;
use crate::model::{STATUSES, Session, SessionFields, for_log, job_id, name_for_log, order_fault};
use crate::validate::Need;

/// Creates a session
///
/// Answered once the session and, where it has a skill and keywords, its dispatch are durable.
#[utoipa::path(
    post,
    path = "/sessions",
    operation_id = "createSession",
    request_body = SessionBody,
    responses((status = 201, description = "The session", body = Session)),
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    once: Once,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Session>), Error> {
    let fields = SessionFields::read(&json(body)?, Need::Whole).map_err(error::invalid)?;
    let host = name_for_log(&user.sub);
    tracing::info!(target: "SessionsController", "Received session creation request from user: {host}");
    tracing::info!(target: "SessionsController", "Request body: {}", for_log(&fields));
    tracing::info!(target: "SessionsService", "Creating new session for user: {host}");
    let now = app.clock.now();
    let session = new_session(fields, app.ids.next(now), user.sub, now);
    let jobs = match session.to_dispatch() {
        Some(_) => vec![dispatch_job(&app, &session)?],
        None => vec![],
    };
    once.commit(&app.db, (StatusCode::CREATED, &session), insert(&session, now), jobs).await?;
    let id = &session.id;
    tracing::info!(target: "SessionsService", "Session created successfully with ID: {id}");
    match session.to_dispatch() {
        Some(_) => {
            tracing::info!(target: "SessionsService", "Triggering background process for session: {id}")
        }
        None => tracing::info!(
            target: "SessionsService",
            "Background process not triggered for session: {id} (it has no teachSkillId or no focusKeywords)"
        ),
    }
    tracing::info!(target: "SessionsController", "Session creation completed successfully");
    Ok((StatusCode::CREATED, Json(session)))
}

/// Validation has made sure of the fields that must be there.
fn new_session(fields: SessionFields, id: String, host_id: String, now: Timestamp) -> Session {
    Session {
        id,
        title: fields.title.unwrap_or_default(),
        description: fields.description,
        teach_skill_id: fields.teach_skill_id,
        focus_keywords: fields.focus_keywords.unwrap_or_default(),
        date: fields.date.unwrap_or_default(),
        start_time: fields.start_time.unwrap_or_default(),
        end_time: fields.end_time.unwrap_or_default(),
        skill_category: fields.skill_category.unwrap_or_default(),
        is_teaching: fields.is_teaching.unwrap_or_default(),
        is_public: fields.is_public.unwrap_or_default(),
        max_participants: fields.max_participants,
        host_id,
        status: STATUSES[0].to_owned(),
        participants: Vec::new(),
        metadata: Vec::new(),
        created_at: iso8601(now),
        updated_at: iso8601(now),
        revision: 0,
        dispatch: 0,
    }
}

/// The rows of a new session: its own, and its host's among the members.
fn insert(session: &Session, now: Timestamp) -> Vec<Write> {
    let mut columns = session.columns();
    columns.extend([
        ("id", session.id.as_str().into()),
        ("host_id", session.host_id.as_str().into()),
        ("created_at", now.into()),
        ("updated_at", now.into()),
    ]);
    let (names, values): (Vec<&str>, Vec<_>) = columns.into_iter().unzip();
    let sql =
        format!("INSERT INTO sessions ({}) VALUES ({})", names.join(", "), placeholders(1, names.len()));
    let host = Write::new(
        "INSERT INTO session_members (session_id, user_id, role, joined_at, session_created_at) \
         VALUES ($1, $2, 'host', $3, $3)",
        vec![session.id.as_str().into(), session.host_id.as_str().into(), now.into()],
    );
    vec![Write::new(sql, values), host]
}

/// Looks a session up
#[utoipa::path(
    get,
    path = "/sessions/{id}",
    operation_id = "getSession",
    responses((status = 200, description = "The session", body = Session)),
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Session>, Error> {
    Ok(Json(app.session_for(&user, named(path)).await?))
}

/// The most times that a change is made anew because of one that came between.
const LOOKS: usize = 50;

/// Changes a session
///
/// A field that is not given stays as it is, and a null empties one that may be left out. Another skill or other keywords are
/// dispatched anew.
#[utoipa::path(
    put,
    path = "/sessions/{id}",
    operation_id = "updateSession",
    request_body = SessionChange,
    responses(
        (status = 200, description = "The session", body = Session),
        (status = 403, description = "The caller does not host it"),
    ),
)]
pub(crate) async fn update(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    path: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Session>, Error> {
    let mut before = app.own_session(&user, named(path), "update").await?;
    let fields = SessionFields::read(&json(body)?, Need::Part).map_err(error::invalid)?;
    for _ in 0..LOOKS {
        let after = changed(&before, &fields)?;
        let is_anew = after.dispatch != before.dispatch;
        let jobs =
            if is_anew && after.to_dispatch().is_some() { vec![dispatch_job(&app, &after)?] } else { vec![] };
        let is_triggered = !jobs.is_empty();
        let mut columns = after.columns();
        columns.push(("updated_at", app.clock.now().into()));
        let (names, values): (Vec<&str>, Vec<_>) = columns.into_iter().unzip();
        let set: Vec<String> = (4..).zip(names).map(|(number, name)| format!("{name} = ${number}")).collect();
        // By the primary key. The old row's dispatch is compared: a new one has no answer yet, and so nothing made it.
        let sql = format!(
            "UPDATE sessions SET {}, revision = revision + 1, \
             generator = CASE WHEN dispatch = $3 THEN generator ELSE NULL END WHERE id = $1 AND revision = $2",
            set.join(", ")
        );
        let mut params = vec![after.id.as_str().into(), before.revision.into(), after.dispatch.into()];
        params.extend(values);
        if app.db.commit(vec![Write::guarded(sql, params)], jobs).await?.is_done() {
            let id = after.id;
            if is_triggered {
                tracing::info!(target: "SessionsService", "Triggering background process for session: {id}");
            }
            if is_anew {
                app.cancel_dispatch(&id, before.dispatch).await;
            }
            return Ok(Json(app.session(Some(id)).await?));
        }
        // Changed or deleted since it was looked at: what is searched and dispatched must be made of what is there.
        before = app.own_session(&user, Some(after.id), "update").await?;
    }
    Err(Error::unavailable(Duration::from_secs(1)))
}

/// The session as the update makes it.
fn changed(before: &Session, fields: &SessionFields) -> Result<Session, Error> {
    let mut after = before.clone();
    fields.change(&mut after);
    let mut faults = Vec::new();
    if fields.start_time.is_some() || fields.end_time.is_some() {
        faults.extend(order_fault(&after.start_time, &after.end_time));
    }
    let joined = before.participants.len();
    if fields.max_participants.is_some_and(|most| (most as usize) < joined) {
        faults.push(format!(
            "maxParticipants must not be less than {joined}, the number of those who have joined"
        ));
    }
    if !faults.is_empty() {
        return Err(error::invalid(faults));
    }
    let topic = |session: &Session| (session.teach_skill_id.clone(), session.focus_keywords.clone());
    if topic(before) != topic(&after) {
        after.dispatch += 1;
        after.metadata.clear();
    }
    Ok(after)
}

/// A request for a session, as the document describes it.
#[derive(ToSchema)]
#[schema(as = SessionRequest, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes")]
struct SessionBody {
    #[schema(example = "React Hooks Masterclass")]
    title: String,
    description: Option<String>,
    /// The id of a skill of the caller's: with it and a keyword, the session is dispatched.
    teach_skill_id: Option<String>,
    #[schema(example = json!(["useState", "useEffect"]))]
    focus_keywords: Option<Vec<String>>,
    #[schema(example = "2030-01-15")]
    date: String,
    /// `HH:MM`.
    #[schema(example = "14:00")]
    start_time: String,
    /// `HH:MM`, after the start.
    #[schema(example = "16:00")]
    end_time: String,
    #[schema(example = "Programming")]
    skill_category: String,
    #[schema(example = true)]
    is_teaching: bool,
    is_public: Option<bool>,
    max_participants: Option<u32>,
}

/// A change of a session: what it leaves out stays as it is.
#[derive(ToSchema)]
#[schema(as = SessionChange, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes")]
struct SessionChange {
    title: Option<String>,
    description: Option<String>,
    /// The id of a skill of the caller's: Option<with it and a keyword>, the session is dispatched.
    teach_skill_id: Option<String>,
    focus_keywords: Option<Vec<String>>,
    date: Option<String>,
    /// `HH:MM`.
    start_time: Option<String>,
    /// `HH:MM`, after the start.
    end_time: Option<String>,
    skill_category: Option<String>,
    is_teaching: Option<bool>,
    is_public: Option<bool>,
    max_participants: Option<u32>,
    /// `upcoming`, `ongoing`, `completed` or `cancelled`.
    status: Option<String>,
}

/// Deletes a session
#[utoipa::path(
    delete,
    path = "/sessions/{id}",
    operation_id = "deleteSession",
    responses(
        (status = 200, description = "It is gone", body = Deleted),
        (status = 403, description = "The caller does not host it"),
    ),
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Deleted>, Error> {
    let Session { id, dispatch, .. } = app.own_session(&user, named(path), "delete").await?;
    let delete = Write::guarded("DELETE FROM sessions WHERE id = $1", vec![id.as_str().into()]);
    let members = Write::new("DELETE FROM session_members WHERE session_id = $1", vec![id.as_str().into()]);
    if !app.db.commit(vec![delete, members], vec![]).await?.is_done() {
        return Err(error::no_session());
    }
    app.cancel_dispatch(&id, dispatch).await;
    Ok(Json(Deleted { message: "Session deleted successfully" }))
}

impl App {
    /// A session that the caller may see; for everybody else it is not there.
    pub(crate) async fn session_for(&self, user: &User, id: Option<String>) -> Result<Session, Error> {
        let session = self.session(id).await?;
        if session.is_shown_to(&user.sub) { Ok(session) } else { Err(error::no_session()) }
    }

    /// A session that the caller hosts; `what` says what others may not do.
    pub(crate) async fn own_session(
        &self,
        user: &User,
        id: Option<String>,
        what: &str,
    ) -> Result<Session, Error> {
        let session = self.session_for(user, id).await?;
        if session.host_id != user.sub {
            return Err(error::forbidden(&format!("You can only {what} your own sessions")));
        }
        Ok(session)
    }

    /// Stops a dispatch that does not count any more. One that is not stopped here sees so itself, and stops.
    async fn cancel_dispatch(&self, id: &str, dispatch: u32) {
        if let Err(error) = self.longhaul.cancel(&job_id(id, dispatch)).await {
            tracing::warn!(session = id, "failed to cancel a dispatch: {error}");
        }
    }

    /// A session with its participants.
    pub(crate) async fn session(&self, id: Option<String>) -> Result<Session, Error> {
        let id = id.ok_or_else(error::no_session)?;
        let session = self.session_row(&id).await?.ok_or_else(error::no_session)?;
        let mut sessions = self.with_participants(vec![session]).await?;
        sessions.pop().ok_or_else(error::no_session)
    }

    /// Adds the participants to sessions, of which there are a page at most. Ranges of the members' primary key.
    pub(crate) async fn with_participants(
        &self,
        mut sessions: Vec<Session>,
    ) -> Result<Vec<Session>, DbError> {
        if sessions.is_empty() {
            return Ok(sessions);
        }
        let sql = format!(
            "SELECT session_id, user_id FROM session_members WHERE session_id IN ({}) AND role = 'participant' \
             ORDER BY joined_at, user_id",
            placeholders(1, sessions.len())
        );
        let ids = sessions.iter().map(|session| session.id.as_str().into()).collect();
        for row in self.db.read(sql, ids).await? {
            let (id, user): (String, String) = (row.get("session_id")?, row.get("user_id")?);
            let joined = sessions.iter_mut().find(|session| session.id == id);
            joined.into_iter().for_each(|session| session.participants.push(user.clone()));
        }
        Ok(sessions)
    }
}
