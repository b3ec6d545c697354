use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Serialize;
use service_support::{DbError, Row, Value};

use super::Caller;
use crate::app::App;
use crate::error::{self, Error};
use crate::model::{STATUSES, Session};

/// One page of a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listed {
    data: Vec<Session>,
    total: u64,
    page: u64,
    limit: u64,
    total_pages: u64,
}

/// The page of a list that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    /// From 1.
    page: u64,
    limit: u64,
}

type Params = Result<Query<HashMap<String, String>>, QueryRejection>;

const DEFAULT_LIMIT: u64 = 10;
const MAX_LIMIT: u64 = 100;
/// Far beyond what anybody turns to.
const MAX_PAGE: u64 = 1_000_000;
/// Words that a search looks for at most; the rest of a long query is not looked for.
const MAX_WORDS: usize = 8;

/// `GET /sessions`: those that the caller hosts or has joined, newest first.
pub(crate) async fn mine(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    params: Params,
) -> Result<Json<Listed>, Error> {
    let wanted = Wanted::read(&read(params)?)?;
    // A range of the members' index by user, which is in the order of the list.
    let from = "FROM session_members m JOIN sessions s ON s.id = m.session_id WHERE m.user_id = $1";
    let order = "m.session_created_at DESC, m.session_id DESC";
    Ok(Json(app.list(from, order, vec![user.sub.into()], wanted).await?))
}

/// `GET /sessions/public`: all public ones, newest first.
pub(crate) async fn public(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    params: Params,
) -> Result<Json<Listed>, Error> {
    let wanted = Wanted::read(&read(params)?)?;
    // The index of public sessions, which is in the order of the list.
    let from = "FROM sessions s WHERE s.is_public = 1";
    Ok(Json(app.list(from, "s.created_at DESC, s.id DESC", vec![], wanted).await?))
}

/// `GET /sessions/search?q=&status=`: among the public ones and the caller's own, newest first. Every word of `q`
/// must stand somewhere in the title, the description, the category or the keywords.
pub(crate) async fn search(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    params: Params,
) -> Result<Json<Listed>, Error> {
    let params = read(params)?;
    let wanted = Wanted::read(&params)?;
    let mut from = String::from(
        "FROM sessions s WHERE (s.is_public = 1 OR s.id IN \
         (SELECT m.session_id FROM session_members m WHERE m.user_id = $1))",
    );
    let mut values: Vec<Value> = vec![user.sub.into()];
    if let Some(status) = params.get("status").filter(|status| !status.is_empty()) {
        if !STATUSES.contains(&status.as_str()) {
            let told = format!("status must be one of the following values: {}", STATUSES.join(", "));
            return Err(error::invalid(vec![told]));
        }
        values.push(status.as_str().into());
        from.push_str(&format!(" AND s.status = ${}", values.len()));
    }
    let query = params.get("q").map(|q| q.to_lowercase().replace('\0', " ")).unwrap_or_default();
    for word in query.split_whitespace().take(MAX_WORDS) {
        values.push(format!("%{}%", escaped(word)).into());
        from.push_str(&format!(" AND s.words LIKE ${} ESCAPE '\\'", values.len()));
    }
    Ok(Json(app.list(&from, "s.created_at DESC, s.id DESC", values, wanted).await?))
}

/// A word for `LIKE`, in which its own signs mean themselves.
fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn read(params: Params) -> Result<HashMap<String, String>, Error> {
    let Query(params) = params.map_err(|_| Error::bad_request("the query cannot be read"))?;
    Ok(params)
}

impl Wanted {
    fn read(params: &HashMap<String, String>) -> Result<Self, Error> {
        let mut faults = Vec::new();
        let mut number = |name: &str, default: u64, most: u64| {
            let Some(text) = params.get(name).filter(|text| !text.is_empty()) else { return default };
            match text.trim().parse::<i64>() {
                Err(_) => faults.push(format!("{name} must be an integer number")),
                Ok(number) if number < 1 => faults.push(format!("{name} must not be less than 1")),
                Ok(number) if number as u64 > most => {
                    faults.push(format!("{name} must not be greater than {most}"));
                }
                Ok(number) => return number as u64,
            }
            default
        };
        let wanted =
            Self { page: number("page", 1, MAX_PAGE), limit: number("limit", DEFAULT_LIMIT, MAX_LIMIT) };
        if faults.is_empty() { Ok(wanted) } else { Err(error::invalid(faults)) }
    }
}

impl App {
    /// One page of the sessions that `from` selects.
    async fn list(
        &self,
        from: &str,
        order: &str,
        values: Vec<Value>,
        wanted: Wanted,
    ) -> Result<Listed, Error> {
        let counted = self.db.read(format!("SELECT count(*) AS total {from}"), values.clone()).await?;
        let total: u64 = counted.first().map_or(Ok(0), |row: &Row| row.get("total"))?;
        let sql = format!(
            "SELECT {} {from} ORDER BY {order} LIMIT ${} OFFSET ${}",
            Session::COLUMNS,
            values.len() + 1,
            values.len() + 2
        );
        let mut params = values;
        params.extend([wanted.limit.into(), ((wanted.page - 1) * wanted.limit).into()]);
        let rows = self.db.read(sql, params).await?;
        let sessions = rows.iter().map(Session::from_row).collect::<Result<Vec<_>, DbError>>()?;
        Ok(Listed {
            data: self.with_participants(sessions).await?,
            total,
            page: wanted.page,
            limit: wanted.limit,
            total_pages: total.div_ceil(wanted.limit),
        })
    }
}
