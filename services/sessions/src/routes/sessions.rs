use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use longhaul::Timestamp;
use serde::Serialize;
use serde_json::Value;
use service_support::{Commit, DbError, Once, Write, iso8601, placeholders};

use super::{Caller, json, named};
use crate::app::App;
use crate::error::{self, Error};
use crate::jobs::dispatch_job;
use crate::model::{STATUSES, Session, SessionFields, for_log, job_id, name_for_log};
use crate::validate::Need;

/// `POST /sessions`: answered once the session and, where it has a skill and keywords, its dispatch are durable.
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
        Some(_) => vec![dispatch_job(&session.id)?],
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
    }
}

/// The rows of a new session: its own, and its host's among the members.
fn insert(session: &Session, now: Timestamp) -> Vec<Write> {
    let json = |list: Value| service_support::Value::from(list.to_string());
    let columns: Vec<(&str, service_support::Value)> = vec![
        ("id", session.id.as_str().into()),
        ("host_id", session.host_id.as_str().into()),
        ("title", session.title.as_str().into()),
        ("description", session.description.clone().into()),
        ("teach_skill_id", session.teach_skill_id.clone().into()),
        ("focus_keywords", json(session.focus_keywords.clone().into())),
        ("date", session.date.as_str().into()),
        ("start_time", session.start_time.as_str().into()),
        ("end_time", session.end_time.as_str().into()),
        ("skill_category", session.skill_category.as_str().into()),
        ("is_teaching", i64::from(session.is_teaching).into()),
        ("is_public", i64::from(session.is_public).into()),
        ("max_participants", session.max_participants.into()),
        ("status", session.status.as_str().into()),
        ("metadata", json(session.metadata.clone().into())),
        ("words", session.words().into()),
        ("created_at", now.into()),
        ("updated_at", now.into()),
    ];
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

/// `GET /sessions/{id}`: whoever has the id sees it; `isPublic` says whether it is listed.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Session>, Error> {
    Ok(Json(app.session(named(path)).await?))
}

/// `PUT /sessions/{id}`: what is not said stays as it is.
pub(crate) async fn update(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    path: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Session>, Error> {
    let before = app.session(named(path)).await?;
    if before.host_id != user.sub {
        return Err(error::forbidden("You can only update your own sessions"));
    }
    let fields = SessionFields::read(&json(body)?, Need::Part).map_err(error::invalid)?;
    let searched = Session {
        title: fields.title.clone().unwrap_or_else(|| before.title.clone()),
        description: fields.description.clone().or_else(|| before.description.clone()),
        skill_category: fields.skill_category.clone().unwrap_or_else(|| before.skill_category.clone()),
        focus_keywords: fields.focus_keywords.clone().unwrap_or_else(|| before.focus_keywords.clone()),
        ..before
    };
    let mut columns = fields.columns();
    columns.push(("words", searched.words().into()));
    columns.push(("updated_at", app.clock.now().into()));
    let (names, values): (Vec<&str>, Vec<_>) = columns.into_iter().unzip();
    let set: Vec<String> = (3..).zip(names).map(|(number, name)| format!("{name} = ${number}")).collect();
    // By the primary key; only what was said is written, so that the dispatch's answer stays.
    let sql = format!("UPDATE sessions SET {} WHERE id = $1 AND host_id = $2", set.join(", "));
    let mut params = vec![searched.id.as_str().into(), user.sub.into()];
    params.extend(values);
    match app.db.commit(vec![Write::guarded(sql, params)], vec![]).await? {
        Commit::Done(_) => Ok(Json(app.session(Some(searched.id)).await?)),
        // Deleted since it was looked at.
        Commit::Refused { .. } => Err(error::no_session()),
    }
}

/// The answer to a deletion.
#[derive(Serialize)]
pub(crate) struct Deleted {
    message: &'static str,
}

/// `DELETE /sessions/{id}`
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Deleted>, Error> {
    let session = app.session(named(path)).await?;
    if session.host_id != user.sub {
        return Err(error::forbidden("You can only delete your own sessions"));
    }
    let id = session.id;
    let delete = Write::guarded("DELETE FROM sessions WHERE id = $1", vec![id.as_str().into()]);
    let members = Write::new("DELETE FROM session_members WHERE session_id = $1", vec![id.as_str().into()]);
    if !app.db.commit(vec![delete, members], vec![]).await?.is_done() {
        return Err(error::no_session());
    }
    // A job that is not stopped here finds no session and stops by itself.
    if let Err(error) = app.longhaul.cancel(&job_id(&id)).await {
        tracing::warn!(session = id, "failed to cancel the dispatch of a deleted session: {error}");
    }
    Ok(Json(Deleted { message: "Session deleted successfully" }))
}

impl App {
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
