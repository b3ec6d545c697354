use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use longhaul::Timestamp;
use service_support::{Commit, Write};

use super::{Caller, named};
use crate::app::App;
use crate::error::{self, Error};
use crate::model::Session;
use crate::times::is_past;

/// Adds a participant, unless the user is a member already or all places are taken. In: session, user, time. By the
/// primary keys of both tables; counts the participants of one session.
const JOIN: &str = "INSERT INTO session_members (session_id, user_id, role, joined_at, session_created_at) \
    SELECT s.id, CAST($2 AS TEXT), 'participant', CAST($3 AS BIGINT), s.created_at FROM sessions s \
    WHERE s.id = $1 AND s.status NOT IN ('completed', 'cancelled') \
      AND NOT EXISTS (SELECT 1 FROM session_members m WHERE m.session_id = $1 AND m.user_id = $2) \
      AND (s.max_participants IS NULL OR s.max_participants > \
           (SELECT count(*) FROM session_members m WHERE m.session_id = $1 AND m.role = 'participant'))";

/// Removes a participant. In: session, user. By the primary key.
const LEAVE: &str =
    "DELETE FROM session_members WHERE session_id = $1 AND user_id = $2 AND role = 'participant'";

/// Stands before both. It holds the session's row to the end of the commit, so that of two users who join at once
/// one sees the other, on a database that runs both at the same time too.
fn touch(session_id: &str, now: Timestamp) -> Write {
    let sql = "UPDATE sessions SET updated_at = $2, revision = revision + 1 WHERE id = $1";
    Write::guarded(sql, vec![session_id.into(), now.into()])
}

/// Joins a session
#[utoipa::path(
    post,
    path = "/sessions/{id}/join",
    operation_id = "joinSession",
    responses((status = 200, description = "The session", body = Session)),
)]
pub(crate) async fn join(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Session>, Error> {
    let session = app.session_for(&user, named(path)).await?;
    if session.host_id == user.sub {
        return Err(Error::bad_request("You cannot join your own session"));
    }
    if let Some(reason) = closed(&session, app.clock.now()) {
        return Err(Error::bad_request(reason));
    }
    let (id, now) = (session.id.as_str(), app.clock.now());
    let join = Write::guarded(JOIN, vec![id.into(), user.sub.as_str().into(), now.into()]);
    match app.db.commit(vec![touch(id, now), join], vec![]).await? {
        Commit::Done(_) => Ok(Json(app.session(Some(session.id)).await?)),
        Commit::Refused { write: 0 } => Err(error::no_session()),
        Commit::Refused { .. } => {
            let session = app.session(Some(session.id)).await?;
            let is_in = session.participants.contains(&user.sub);
            let told = match closed(&session, now) {
                _ if is_in => "You are already a participant in this session",
                Some(reason) => reason,
                None => "Session is full",
            };
            Err(Error::bad_request(told))
        }
    }
}

/// The reason why nobody can join the session any more.
fn closed(session: &Session, now: Timestamp) -> Option<&'static str> {
    match session.status.as_str() {
        "cancelled" => Some("You cannot join a session that has been cancelled"),
        "completed" => Some("You cannot join a session that is over"),
        _ if is_past(&session.date, &session.end_time, now) => Some("You cannot join a session that is over"),
        _ => None,
    }
}

/// Leaves a session
#[utoipa::path(
    post,
    path = "/sessions/{id}/leave",
    operation_id = "leaveSession",
    responses((status = 200, description = "The session", body = Session)),
)]
pub(crate) async fn leave(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Session>, Error> {
    let session = app.session_for(&user, named(path)).await?;
    let id = session.id.as_str();
    let leave = Write::guarded(LEAVE, vec![id.into(), user.sub.into()]);
    match app.db.commit(vec![touch(id, app.clock.now()), leave], vec![]).await? {
        Commit::Done(_) => Ok(Json(app.session(Some(session.id)).await?)),
        Commit::Refused { write: 0 } => Err(error::no_session()),
        Commit::Refused { .. } => Err(Error::bad_request("You are not a participant in this session")),
    }
}
