use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::error::Error;
use crate::model::{Lesson, Version, isoformat};

#[derive(Serialize, ToSchema)]
#[schema(as = LessonsFound)]
pub(super) struct Found {
    status: &'static str,
    count: usize,
    results: Vec<Hit>,
}

/// The newest lesson of a topic that fits.
#[derive(Serialize, ToSchema)]
#[schema(as = LessonHit)]
struct Hit {
    subject: String,
    topic: String,
    version: Version,
    title: String,
    excerpt: String,
    created_at: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// The words, at most 500 characters.
    #[param(value_type = String)]
    query: Option<String>,
    /// The most lessons, 10 unless given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 50)]
    limit: Option<String>,
}

/// Results, unless another number is asked for.
const DEFAULT_LIMIT: u32 = 10;
const MAX_LIMIT: u32 = 50;
const MAX_QUERY_CHARS: usize = 500;
const EXCERPT_CHARS: usize = 200;

/// Searches lessons
///
/// The newest lessons that hold every word of the query, those whose topic has it first.
#[utoipa::path(
    get,
    path = "/search_lessons",
    operation_id = "searchLessons",
    params(Wanted),
    responses((status = 200, description = "What was found", body = Found)),
)]
pub(super) async fn search(
    State(app): State<Arc<App>>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Found>, Error> {
    let Query(Wanted { query, limit }) =
        query.map_err(|_| Error::bad_request("query and limit must be given once each"))?;
    let query = query.unwrap_or_default();
    if query.trim().is_empty() {
        return Err(Error::bad_request("Query is required"));
    }
    if query.chars().count() > MAX_QUERY_CHARS {
        return Err(Error::bad_request(format!("query must be at most {MAX_QUERY_CHARS} characters")));
    }
    let limit = match limit.map(|limit| limit.parse::<u32>()) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit @ 1..=MAX_LIMIT)) => limit,
        Some(_) => return Err(Error::bad_request(format!("limit must be between 1 and {MAX_LIMIT}"))),
    };
    let results: Vec<Hit> =
        app.search(&query.replace('\0', " "), limit).await?.into_iter().map(hit).collect();
    Ok(Json(Found { status: "success", count: results.len(), results }))
}

fn hit(lesson: Lesson) -> Hit {
    let content = lesson.data.content;
    let line = content.explanation.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut excerpt: String = line.chars().take(EXCERPT_CHARS).collect();
    if excerpt.len() < line.len() {
        excerpt.push('…');
    }
    Hit {
        subject: lesson.subject,
        topic: lesson.topic,
        version: lesson.version,
        title: content.title,
        excerpt,
        created_at: isoformat(lesson.created_at),
    }
}
