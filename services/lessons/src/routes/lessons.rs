use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::error::{self, Error};
use crate::model::{Lesson, LessonData, Version, isoformat};

/// Says what wrote a lesson: the lesson's own fields are the original document's.
const LESSON_GENERATOR: HeaderName = HeaderName::from_static("lesson-generator");

/// A lesson with its version.
#[derive(Serialize, ToSchema)]
#[schema(as = Lesson)]
pub(super) struct Versioned {
    #[serde(flatten)]
    data: LessonData,
    version: Version,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LessonVersions)]
pub(super) struct Versions {
    subject: String,
    topic: String,
    versions: Vec<Made>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LessonVersion)]
struct Made {
    version: Version,
    created_at: String,
}

#[derive(Deserialize)]
pub(super) struct Which {
    version: Option<String>,
}

type TopicPath = Result<Path<(String, String)>, PathRejection>;

/// Reads a lesson
///
/// The newest version, unless one is named.
#[utoipa::path(
    get,
    path = "/lessons/{subject}/{topic}",
    operation_id = "getLesson",
    params(("version" = Option<String>, Query, description = "Its version", example = "1.3")),
    responses(
        (status = 200, description = "The lesson", body = Versioned, headers(
            ("Lesson-Generator" = Option<String>, description = "What wrote it: a model, or `outline`"),
        )),
        (status = 404, description = "No lesson of that name"),
    ),
)]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    path: TopicPath,
    query: Result<Query<Which>, QueryRejection>,
) -> Result<(HeaderMap, Json<Versioned>), Error> {
    let (subject, topic) = topic(path)?;
    let Query(Which { version }) = query.map_err(|_| bad_version())?;
    let version = match version.as_deref().map(str::parse::<Version>) {
        None => None,
        Some(Ok(version)) => Some(version),
        Some(Err(())) => return Err(bad_version()),
    };
    let lesson = app.lesson(&subject, &topic, version).await?.ok_or_else(|| match version {
        None => no_lesson(&subject, &topic),
        Some(version) => {
            error::no_lesson(format!("No lesson found for {subject}/{topic} in version {version}"))
        }
    })?;
    let headers = generator(&lesson);
    Ok((headers, Json(Versioned { data: lesson.data, version: lesson.version })))
}

/// Lists the versions of a lesson
///
/// Newest first, at most 1,000.
#[utoipa::path(
    get,
    path = "/lessons/{subject}/{topic}/versions",
    operation_id = "listLessonVersions",
    responses(
        (status = 200, description = "The versions", body = Versions),
        (status = 404, description = "No lesson of that name"),
    ),
)]
pub(super) async fn versions(State(app): State<Arc<App>>, path: TopicPath) -> Result<Json<Versions>, Error> {
    let (subject, topic) = topic(path)?;
    let versions = app.versions(&subject, &topic).await?;
    if versions.is_empty() {
        return Err(no_lesson(&subject, &topic));
    }
    let made = |(version, at)| Made { version, created_at: isoformat(at) };
    Ok(Json(Versions { subject, topic, versions: versions.into_iter().map(made).collect() }))
}

/// The header that names what wrote a lesson; a model's name that no header can hold is left out.
pub(super) fn generator(lesson: &Lesson) -> HeaderMap {
    let value = HeaderValue::from_bytes(lesson.generator.as_bytes());
    value.into_iter().map(|value| (LESSON_GENERATOR, value)).collect()
}

/// The two names of a path, each of which may hold any character once it is decoded.
fn topic(path: TopicPath) -> Result<(String, String), Error> {
    // Bytes that are no text name no lesson, and neither does a NUL, which some databases take in no text.
    let named = path.ok().map(|Path(names)| names);
    let named = named.filter(|(subject, topic)| !subject.contains('\0') && !topic.contains('\0'));
    named.ok_or_else(|| error::no_lesson("No lesson found of that name"))
}

fn no_lesson(subject: &str, topic: &str) -> Error {
    error::no_lesson(format!("No lesson found for {subject}/{topic}"))
}

fn bad_version() -> Error {
    Error::bad_request("version must be like 1.3")
}
