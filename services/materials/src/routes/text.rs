use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use service_support::{DbError, Row};
use utoipa::ToSchema;

use super::Caller;
use crate::app::App;
use crate::error::Error;
use crate::extract::{Warning, WarningCode};

/// The query of [`get`].
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    page: Option<String>,
}

/// A page of a material, as it was read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MaterialText)]
pub(crate) struct TextResponse {
    /// Pages, slides, or for a kind without pages parts of some length; 0 where nothing has been read.
    pages: u32,
    page: u32,
    text: String,
    /// Of the whole document.
    warnings: Vec<Warning>,
}

/// The most characters of a page that are shown: all but a few pages have less, and those are for search.
const MAX_CHARACTERS: u32 = 1_000_000;
/// The most warnings that are shown.
const MAX_WARNINGS: usize = 1_000;

/// Reads the text of a material
///
/// One page at a time, as it was read.
#[utoipa::path(
    get,
    path = "/materials/{material}/text",
    operation_id = "getMaterialText",
    params(("page" = Option<u32>, Query, description = "The page, the first unless given", minimum = 1)),
    responses((status = 200, description = "The page", body = TextResponse)),
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Path(id): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<TextResponse>, Error> {
    let Query(asked) = asked.map_err(|_| Error::bad_request("Query parameters are not valid"))?;
    let page = match asked.page.as_deref() {
        None => 1,
        Some(page) => {
            let page = page.parse::<u32>().ok().filter(|page| *page > 0);
            page.ok_or_else(|| Error::bad_request("Page must be a number from 1"))?
        }
    };
    let material = app.owned(&user, &id).await?;
    let run = material.indexed_run.unwrap_or(material.run);
    let pages = app.page_count(&id, run).await?;
    if pages == 0 {
        let is_older = material.indexed_run.is_some() && app.page_text(&id, run, 0).await?.is_none();
        let message =
            "the material was read by an earlier version, which kept no pages; reprocess it to see its text";
        let older = Warning { page: None, code: WarningCode::PagesMissing, message: message.into() };
        let warnings = if is_older { vec![older] } else { app.warnings(&id, run).await? };
        return Ok(Json(TextResponse { pages, page, text: String::new(), warnings }));
    }
    let text = app.page_text(&id, run, page).await?;
    let text = text.ok_or_else(|| Error::new(StatusCode::NOT_FOUND, "Page not found"))?;
    Ok(Json(TextResponse { pages, page, text, warnings: app.warnings(&id, run).await? }))
}

impl App {
    async fn page_count(&self, material_id: &str, run: u32) -> Result<u32, DbError> {
        let sql = "SELECT coalesce(max(number), 0) AS pages FROM material_pages WHERE material_id = $1 AND run = $2";
        let rows = self.db.read(sql, vec![material_id.into(), run.into()]).await?;
        rows.first().map_or(Ok(0), |row| row.get("pages"))
    }

    async fn page_text(&self, material_id: &str, run: u32, page: u32) -> Result<Option<String>, DbError> {
        let sql = format!(
            "SELECT substr(text, 1, {MAX_CHARACTERS}) AS text FROM material_pages \
             WHERE material_id = $1 AND run = $2 AND number = $3"
        );
        let params = vec![material_id.into(), run.into(), page.into()];
        self.db.read(sql, params).await?.first().map(|row| row.get("text")).transpose()
    }

    /// The warnings about a run, page after page.
    async fn warnings(&self, material_id: &str, run: u32) -> Result<Vec<Warning>, Error> {
        let sql = "SELECT number, warnings FROM material_pages \
                   WHERE material_id = $1 AND run = $2 AND warnings <> '[]' ORDER BY number LIMIT $3";
        let rows = self.db.read(sql, vec![material_id.into(), run.into(), MAX_WARNINGS.into()]).await?;
        let mut warnings = Vec::new();
        for row in &rows {
            warnings.extend(of_page(row)?);
        }
        warnings.truncate(MAX_WARNINGS);
        Ok(warnings)
    }
}

fn of_page(row: &Row) -> Result<Vec<Warning>, Error> {
    let (number, list): (u32, String) = (row.get("number")?, row.get("warnings")?);
    let warnings: Vec<Warning> = serde_json::from_str(&list).map_err(|error| Error::fault(&error))?;
    Ok(warnings.into_iter().map(|warning| if number == 0 { warning } else { warning.on(number) }).collect())
}
