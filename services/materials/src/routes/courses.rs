use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use serde::Deserialize;
use service_support::{Row, Write, iso8601};

use super::{Caller, json};
use crate::app::App;
use crate::error::Error;
use crate::model::CourseResponse;

#[derive(Deserialize)]
struct NewCourse {
    name: String,
}

/// The longest name of a course, in characters.
const MAX_NAME_CHARS: usize = 255;

/// `POST /courses`
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<CourseResponse>), Error> {
    let NewCourse { name } = json(body)?;
    let name = name.trim();
    if name.is_empty() {
        return Err(Error::bad_request("Course name cannot be empty"));
    }
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(Error::bad_request("Course name too long"));
    }
    let (id, now) = (uuid::Uuid::now_v7().to_string(), app.clock.now());
    let insert = Write::new(
        "INSERT INTO courses (id, owner, name, created_at) VALUES ($1, $2, $3, $4)",
        vec![id.as_str().into(), user.sub.into(), name.into(), now.into()],
    );
    app.db.commit(vec![insert], vec![]).await?;
    let course = CourseResponse { id, name: name.to_owned(), created_at: iso8601(now) };
    Ok((StatusCode::CREATED, Json(course)))
}

/// `GET /courses`, newest first.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
) -> Result<Json<Vec<CourseResponse>>, Error> {
    let sql = "SELECT id, name, created_at FROM courses WHERE owner = $1 ORDER BY created_at DESC, id DESC";
    let rows = app.db.read(sql, vec![user.sub.into()]).await?;
    let course = |row: &Row| {
        Ok(CourseResponse {
            id: row.get("id")?,
            name: row.get("name")?,
            created_at: iso8601(row.get("created_at")?),
        })
    };
    Ok(Json(rows.iter().map(course).collect::<Result<_, service_support::DbError>>()?))
}
