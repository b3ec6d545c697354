use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use longhaul::{Action, CANCEL_GRACE, JobFilter, NewJob};
use serde::Deserialize;
use service_support::{Commit, DbError, Once, Row, User, Write, iso8601, placeholders};
use utoipa::ToSchema;

use super::list::{Cursor, Listed, Part};
use super::{Caller, json};
use crate::app::App;
use crate::error::{self, Error};
use crate::jobs::PurgeCourse;
use crate::model::CourseResponse;

#[derive(Deserialize, ToSchema)]
#[schema(as = CourseName)]
struct Named {
    name: String,
}

/// The longest name of a course, in characters.
const MAX_NAME_CHARS: usize = 255;

/// Creates a course
#[utoipa::path(
    post,
    path = "/courses",
    operation_id = "createCourse",
    request_body = Named,
    responses((status = 201, description = "The course", body = CourseResponse)),
)]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    once: Once,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<CourseResponse>), Error> {
    let name = name(body)?;
    let (id, now) = (uuid::Uuid::now_v7().to_string(), app.clock.now());
    let insert = Write::new(
        "INSERT INTO courses (id, owner, name, created_at) VALUES ($1, $2, $3, $4)",
        vec![id.as_str().into(), user.sub.into(), name.as_str().into(), now.into()],
    );
    let course = CourseResponse { id, name, created_at: iso8601(now) };
    once.commit(&app.db, (StatusCode::CREATED, &course), vec![insert], vec![]).await?;
    Ok((StatusCode::CREATED, Json(course)))
}

/// Lists the caller's courses
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/courses",
    operation_id = "listCourses",
    params(Part),
    responses((status = 200, description = "The courses", body = Vec<CourseResponse>, headers(
        ("Link" = Option<String>, description = "The next part of the list, as `rel=\"next\"`"),
    ))),
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Listed<CourseResponse>, Error> {
    let part = part.map_err(|_| Error::bad_request("Query parameters are not valid"))?.0;
    let sql = format!(
        "SELECT c.id, c.name, c.created_at FROM courses c WHERE c.owner = $1 AND {} \
         ORDER BY c.created_at DESC, c.id DESC LIMIT $4",
        Part::after("c")
    );
    let rows = app.db.read(sql, part.params(user.sub.into())?).await?;
    let courses = rows.iter().map(CourseResponse::from_row).collect::<Result<Vec<_>, DbError>>()?;
    let last = rows.last().map(Cursor::of).transpose()?;
    Ok(part.listed(&format!("{}/courses", app.base_path), courses, last))
}

/// Renames a course
#[utoipa::path(
    patch,
    path = "/courses/{course}",
    operation_id = "renameCourse",
    request_body = Named,
    responses((status = 200, description = "The course under its new name", body = CourseResponse)),
)]
pub(crate) async fn rename(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<CourseResponse>, Error> {
    let name = name(body)?;
    let rename = Write::guarded(
        "UPDATE courses SET name = $3 WHERE id = $1 AND owner = $2",
        vec![id.as_str().into(), user.sub.as_str().into(), name.into()],
    );
    if !app.db.commit(vec![rename], vec![]).await?.is_done() {
        return Err(error::no_course());
    }
    let sql = "SELECT id, name, created_at FROM courses WHERE id = $1";
    let rows = app.db.read(sql, vec![id.into()]).await?;
    Ok(Json(CourseResponse::from_row(rows.first().ok_or_else(error::no_course)?)?))
}

/// Deletes a course
///
/// It is gone at once with its materials and chats; their files and texts follow in the background.
#[utoipa::path(
    delete,
    path = "/courses/{course}",
    operation_id = "deleteCourse",
    responses(
        (status = 204, description = "It is gone"),
        (status = 409, description = "Somebody uploads to it at the moment"),
    ),
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Error> {
    // Each try fails only where somebody uploaded to the course in between.
    for _ in 0..DELETE_TRIES {
        app.check_course(&user, &id).await?;
        if app.try_delete(&user, &id).await? {
            app.cancel_processing(&id).await;
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(Error::new(StatusCode::CONFLICT, "Course is being uploaded to"))
}

const DELETE_TRIES: usize = 10;

impl App {
    /// Deletes a course with the materials that it has at the moment; nothing where it gets another one meanwhile, whose file
    /// and texts nobody would remove.
    async fn try_delete(&self, user: &User, id: &str) -> Result<bool, Error> {
        let rows = self.db.read("SELECT id FROM materials WHERE course_id = $1", vec![id.into()]).await?;
        let materials = rows.iter().map(|row| row.get("id")).collect::<Result<Vec<String>, DbError>>()?;
        let mut writes = vec![Write::new("DELETE FROM course_chats WHERE course_id = $1", vec![id.into()])];
        let mut purges = Vec::new();
        for some in materials.chunks(PurgeCourse::MATERIALS) {
            let sql = format!("DELETE FROM materials WHERE id IN ({})", placeholders(1, some.len()));
            writes.push(Write::new(sql, some.iter().map(|id| id.as_str().into()).collect()));
            let purge = PurgeCourse { materials: some.to_vec() };
            purges.push(NewJob { priority: 10, ..NewJob::of(&purge)? });
        }
        writes.push(Write::guarded(
            "DELETE FROM courses WHERE id = $1 AND owner = $2 \
             AND NOT EXISTS (SELECT 1 FROM materials WHERE course_id = $1)",
            vec![id.into(), user.sub.as_str().into()],
        ));
        Ok(matches!(self.db.commit(writes, purges).await?, Commit::Done(_)))
    }

    /// A job that is not stopped here finds no row and stops by itself.
    async fn cancel_processing(&self, course_id: &str) {
        let labels = vec![("course".to_owned(), course_id.to_owned())];
        let filter = JobFilter { labels, ..JobFilter::default() };
        let action = Action::cancel(CANCEL_GRACE);
        if let Err(error) = self.longhaul.store().act(&filter, action, usize::MAX).await {
            tracing::warn!(
                course = course_id,
                "failed to cancel the processing of a deleted course: {error}"
            );
        }
    }
}

impl CourseResponse {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self { id: row.get("id")?, name: row.get("name")?, created_at: iso8601(row.get("created_at")?) })
    }
}

fn name(body: Result<Bytes, BytesRejection>) -> Result<String, Error> {
    let Named { name } = json(body)?;
    let name = name.trim();
    if name.is_empty() {
        return Err(Error::bad_request("Course name cannot be empty"));
    }
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(Error::bad_request("Course name too long"));
    }
    if name.contains('\0') {
        return Err(Error::bad_request("Course name is not valid"));
    }
    Ok(name.to_owned())
}
