use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use serde::Serialize;
use utoipa::ToSchema;

use super::Caller;
use crate::app::App;
use crate::error::Error;
use crate::search::{Mode, Passage, Query as Asked, Wanted};

/// A material that answers a query.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct SearchResult {
    material_id: String,
    name: String,
    excerpt: String,
    similarity_score: f64,
    file_type: String,
    /// The page that the excerpt stands on, in a document of pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<u32>,
}

/// The number of answers if the caller does not say.
const DEFAULT_LIMIT: usize = 3;
/// The longest query, in characters.
const MAX_QUERY_CHARS: usize = 2_000;

/// Searches a course
///
/// The best passage of each material that answers the query, the best first.
#[utoipa::path(
    get,
    path = "/courses/{course}/materials/search",
    operation_id = "searchMaterials",
    params(
        ("query" = String, Query, description = "The words to look for, at most 2,000 characters"),
        ("limit" = Option<u32>, Query, description = "The most materials, 3 unless given", minimum = 1, maximum = 10),
    ),
    responses((status = 200, description = "What was found", body = Vec<SearchResult>, headers(
        ("Search-Mode" = String, description = "`lexical` (by words) or `hybrid` (by words and meaning)"),
    ))),
)]
pub(crate) async fn search(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Path(course_id): Path<String>,
    params: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Result<(HeaderMap, Json<Vec<SearchResult>>), Error> {
    app.check_course(&user, &course_id).await?;
    let Query(params) = params.map_err(|_| Error::bad_request("Query parameters cannot be read"))?;
    let query = params.get("query").map(|query| query.trim()).unwrap_or_default();
    if query.is_empty() {
        return Err(Error::bad_request("Query parameter cannot be empty"));
    }
    if query.chars().count() > MAX_QUERY_CHARS {
        return Err(Error::bad_request("Query parameter too long"));
    }
    let limit = match params.get("limit") {
        None => Some(DEFAULT_LIMIT),
        Some(limit) => limit.parse().ok().filter(|limit| (1..=10).contains(limit)),
    };
    let limit = limit.ok_or_else(|| Error::bad_request("Limit must be between 1 and 10"))?;
    let found =
        app.search(&course_id, &[], Asked { text: query, before: "" }, Wanted::Materials(limit)).await?;
    let mode = match found.mode {
        Mode::Lexical => HeaderValue::from_static("lexical"),
        Mode::Hybrid => HeaderValue::from_static("hybrid"),
    };
    let mut headers = HeaderMap::new();
    headers.insert("search-mode", mode);
    Ok((headers, Json(found.passages.into_iter().map(SearchResult::from).collect())))
}

impl From<Passage> for SearchResult {
    fn from(passage: Passage) -> Self {
        Self {
            material_id: passage.material_id,
            name: passage.name,
            excerpt: passage.excerpt,
            similarity_score: passage.score,
            file_type: passage.file_type,
            page: passage.page,
        }
    }
}
