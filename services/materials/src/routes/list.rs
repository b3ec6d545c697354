use axum::Json;
use axum::http::HeaderValue;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use service_support::{DbError, Row, Value};
use utoipa::IntoParams;

use crate::error::Error;

/// The part of a list that is asked for: `?limit=&after=`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// The most entries, 1 to 1,000.
    limit: Option<u32>,
    /// The end of the part before: see the header `Link`.
    after: Option<String>,
}

/// The place of a row in a list: its time and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    created_at: i64,
    id: String,
}

/// A part of a list in the service's form, with a `Link` to the next part where there is one.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    rows: Vec<T>,
    next: Option<String>,
}

/// The most rows that one answer has, and as many as it has where the request does not say.
const MOST: u32 = 1_000;

impl Part {
    /// The condition for rows of `table` that come after the cursor, newest first, by the parameters 2 and 3.
    pub(crate) fn after(table: &str) -> String {
        format!("({table}.created_at, {table}.id) < ($2, $3)")
    }

    /// The parameters of the query: the owner of the rows, the cursor, and how many rows.
    pub(crate) fn params(&self, owner: Value) -> Result<Vec<Value>, Error> {
        let after = match &self.after {
            None => Cursor { created_at: i64::MAX, id: String::new() },
            Some(after) => Cursor::parse(after).ok_or_else(|| Error::bad_request("Cursor is not valid"))?,
        };
        let limit = self.limit()?;
        Ok(vec![owner, after.created_at.into(), after.id.into(), limit.into()])
    }

    /// The answer with these rows, which end at `last`.
    pub(crate) fn listed<T>(&self, path: &str, rows: Vec<T>, last: Option<Cursor>) -> Listed<T> {
        let limit = self.limit.unwrap_or(MOST);
        let is_full = u32::try_from(rows.len()).is_ok_and(|count| count >= limit);
        let next = last.filter(|_| is_full);
        let next = next.map(|last| format!("<{path}?limit={limit}&after={}>; rel=\"next\"", last.text()));
        Listed { rows, next }
    }

    fn limit(&self) -> Result<u32, Error> {
        let limit = self.limit.unwrap_or(MOST);
        let within = (1..=MOST).contains(&limit);
        within.then_some(limit).ok_or_else(|| Error::bad_request("Limit must be between 1 and 1000"))
    }
}

impl Cursor {
    pub(crate) fn of(row: &Row) -> Result<Self, DbError> {
        Ok(Self { created_at: row.get("created_at")?, id: row.get("id")? })
    }

    fn parse(text: &str) -> Option<Self> {
        let (created_at, id) = text.split_once('.')?;
        let is_id = id.bytes().all(|byte| byte.is_ascii_graphic());
        Some(Self { created_at: created_at.parse().ok()?, id: id.to_owned() }).filter(|_| is_id)
    }

    fn text(&self) -> String {
        format!("{}.{}", self.created_at, self.id)
    }
}

impl<T: Serialize> IntoResponse for Listed<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.rows).into_response();
        if let Some(next) = self.next.and_then(|next| HeaderValue::from_str(&next).ok()) {
            response.headers_mut().insert(LINK, next);
        }
        response
    }
}
