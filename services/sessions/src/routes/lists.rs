use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Serialize;
use service_support::{DbError, Row, Value};
use utoipa::{IntoParams, ToSchema};

use super::Caller;
use crate::app::App;
use crate::error::{self, Error};
use crate::model::{STATUSES, Session};

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SessionPage)]
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
    sort: Sort,
    order: &'static str,
}

/// The field that a list is in the order of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    CreatedAt,
    Date,
    Title,
}

/// The parameters that all lists take, as the document describes them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes")]
struct ListParams {
    /// From 1.
    page: Option<u32>,
    /// The most sessions of a page, 10 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `upcoming`, `ongoing`, `completed` or `cancelled`.
    status: Option<String>,
    skill_category: Option<String>,
    is_teaching: Option<bool>,
    /// `createdAt` (unless given), `date` or `title`.
    sort: Option<String>,
    /// `desc` (unless given) or `asc`.
    order: Option<String>,
}

type Params = Result<Query<HashMap<String, String>>, QueryRejection>;

const DEFAULT_LIMIT: u64 = 10;
const MAX_LIMIT: u64 = 100;
/// Far beyond what anybody turns to.
const MAX_PAGE: u64 = 1_000_000;
/// Words that a search looks for at most; the rest of a long query is not looked for.
const MAX_WORDS: usize = 8;
/// The longest query, in characters: databases look for no text of any length, and SQLite for none over 50,000 bytes.
const MAX_QUERY_CHARS: usize = 2_000;

/// Lists the caller's sessions
///
/// Those that they host or have joined, newest first.
#[utoipa::path(
    get,
    path = "/sessions",
    operation_id = "listSessions",
    params(ListParams),
    responses((status = 200, description = "A page of sessions", body = Listed)),
)]
pub(crate) async fn mine(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    params: Params,
) -> Result<Json<Listed>, Error> {
    let params = read(params)?;
    let wanted = Wanted::read(&params)?;
    // A range of the members' index by user, which is in the order of the list where none is asked for.
    let from = "FROM session_members m JOIN sessions s ON s.id = m.session_id WHERE m.user_id = $1";
    let selected = Selected { from: from.to_owned(), values: vec![user.sub.into()] }.filtered(&params)?;
    Ok(Json(app.list(selected, wanted, "m.session_created_at").await?))
}

/// Lists public sessions
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/sessions/public",
    operation_id = "listPublicSessions",
    params(ListParams),
    responses((status = 200, description = "A page of sessions", body = Listed)),
)]
pub(crate) async fn public(
    State(app): State<Arc<App>>,
    _: Caller,
    params: Params,
) -> Result<Json<Listed>, Error> {
    let params = read(params)?;
    let wanted = Wanted::read(&params)?;
    // The index of public sessions, which is in the order of the list where none is asked for.
    let from = "FROM sessions s WHERE s.is_public = 1".to_owned();
    let selected = Selected { from, values: vec![] }.filtered(&params)?;
    Ok(Json(app.list(selected, wanted, "s.created_at").await?))
}

/// Searches sessions
///
/// Among the public ones and the caller's own. Every word of `q` must stand somewhere in the title, the description, the
/// category or the keywords.
#[utoipa::path(
    get,
    path = "/sessions/search",
    operation_id = "searchSessions",
    params(("q" = Option<String>, Query, description = "The words, at most 2,000 characters"), ListParams),
    responses((status = 200, description = "A page of sessions", body = Listed)),
)]
pub(crate) async fn search(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    params: Params,
) -> Result<Json<Listed>, Error> {
    let params = read(params)?;
    let wanted = Wanted::read(&params)?;
    if params.get("q").is_some_and(|q| q.chars().count() > MAX_QUERY_CHARS) {
        let fault = format!("q must be shorter than or equal to {MAX_QUERY_CHARS} characters");
        return Err(error::invalid(vec![fault]));
    }
    let from = "FROM sessions s WHERE (s.is_public = 1 OR s.id IN \
         (SELECT m.session_id FROM session_members m WHERE m.user_id = $1))";
    let selected = Selected { from: from.to_owned(), values: vec![user.sub.into()] };
    let mut selected = selected.filtered(&params)?;
    let query = params.get("q").map(|q| q.to_lowercase().replace('\0', " ")).unwrap_or_default();
    for word in query.split_whitespace().take(MAX_WORDS) {
        selected.and("s.words LIKE ? ESCAPE '\\'", format!("%{}%", escaped(word)));
    }
    Ok(Json(app.list(selected, wanted, "s.created_at").await?))
}

/// The sessions of a list: the rest of a statement from its `FROM`, and its values.
struct Selected {
    from: String,
    values: Vec<Value>,
}

impl Selected {
    /// Those of them that the query's `status`, `skillCategory` and `isTeaching` leave.
    fn filtered(mut self, params: &HashMap<String, String>) -> Result<Self, Error> {
        if let Some(status) = one_of(params, "status", &STATUSES)? {
            self.and("s.status = ?", status);
        }
        if let Some(is_teaching) = one_of(params, "isTeaching", &["true", "false"])? {
            self.and("s.is_teaching = ?", i64::from(is_teaching == "true"));
        }
        if let Some(category) = params.get("skillCategory").filter(|category| !category.is_empty()) {
            self.and("s.skill_category = ?", category.replace('\0', ""));
        }
        Ok(self)
    }

    /// Adds a condition, whose value stands for its `?`.
    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        let condition = condition.replacen('?', &format!("${}", self.values.len()), 1);
        self.from.push_str(" AND ");
        self.from.push_str(&condition);
    }
}

/// The value of a parameter that is one of some words; `None` where it is not given.
fn one_of<'a>(
    params: &'a HashMap<String, String>,
    name: &str,
    words: &[&str],
) -> Result<Option<&'a str>, Error> {
    let Some(value) = params.get(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    if words.contains(&value.as_str()) {
        return Ok(Some(value));
    }
    Err(error::invalid(vec![format!("{name} must be one of the following values: {}", words.join(", "))]))
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
        let (page, limit) = (number("page", 1, MAX_PAGE), number("limit", DEFAULT_LIMIT, MAX_LIMIT));
        if !faults.is_empty() {
            return Err(error::invalid(faults));
        }
        let sort = match one_of(params, "sort", &["createdAt", "date", "title"])? {
            Some("date") => Sort::Date,
            Some("title") => Sort::Title,
            _ => Sort::CreatedAt,
        };
        let order = if one_of(params, "order", &["asc", "desc"])? == Some("asc") { "ASC" } else { "DESC" };
        Ok(Self { page, limit, sort, order })
    }
}

impl App {
    /// One page of the selected sessions; `created` is the column that the selection has the time of their creation in.
    async fn list(&self, selected: Selected, wanted: Wanted, created: &str) -> Result<Listed, Error> {
        let Selected { from, values } = selected;
        let by = match wanted.sort {
            Sort::CreatedAt => vec![created],
            Sort::Date => vec!["s.date", "s.start_time"],
            Sort::Title => vec!["lower(s.title)"],
        };
        let by = by.into_iter().chain([if created.starts_with("m.") { "m.session_id" } else { "s.id" }]);
        let order = by.map(|column| format!("{column} {}", wanted.order)).collect::<Vec<_>>().join(", ");
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
