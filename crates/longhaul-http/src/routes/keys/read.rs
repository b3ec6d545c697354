use axum::Json;
use axum::extract::{RawQuery, State};
use longhaul::{KeyFilter, KeyInfo, MAX_KEYS};

use super::body::{KeyBody, KeysBody};
use crate::auth::Caller;
use crate::faults::Faults;
use crate::path::KeyPath;
use crate::problem::{Code, Problem};
use crate::query;
use crate::state::Api;

/// Keys of a page that does not say how many it wants.
const PAGE: usize = 100;

/// Lists limit keys
///
/// Those that have limits of their own, are paused, or of which jobs wait or run.
#[utoipa::path(
    get,
    path = "/keys",
    operation_id = "listKeys",
    tag = "queues",
    params(
        ("prefix" = Option<String>, Query, description = "Those whose names begin so"),
        ("queue" = Option<String>, Query, description = "Those of which jobs wait in this queue"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "The most keys of a page; 100 unless given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "The keys", body = KeysBody)),
)]
pub(crate) async fn list(
    State(api): State<Api>,
    _: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<KeysBody>, Problem> {
    let mut faults = Faults::default();
    let mut filter = KeyFilter { limit: PAGE, ..KeyFilter::default() };
    for (name, value) in query::pairs(query.as_deref()) {
        match &*name {
            "prefix" => filter.prefix = value.into_owned(),
            "queue" => filter.queue = Some(value.into_owned()),
            "cursor" => filter.after = Some(value.into_owned()),
            "limit" => match query::number(&value, 1..=MAX_KEYS) {
                Ok(limit) => filter.limit = limit,
                Err(message) => faults.add(Code::Invalid, "limit", message),
            },
            other => faults.add(Code::Invalid, other, "is not a parameter; use prefix, queue, limit, cursor"),
        }
    }
    faults.check(longhaul::admit::key_filter(&filter).map_err(of_query));
    faults.into_result()?;
    let keys = api.longhaul.store().keys(&filter).await?;
    let next = keys.last().filter(|_| keys.len() == filter.limit).map(|key| key.key.clone());
    Ok(Json(KeysBody { keys: keys.into_iter().map(KeyBody::from).collect(), next }))
}

/// The error with the field under its name in the query.
fn of_query(error: longhaul::Error) -> longhaul::Error {
    match error {
        longhaul::Error::Invalid { field, reason } if field == "after" => {
            longhaul::Error::Invalid { field: "cursor".into(), reason }
        }
        other => other,
    }
}

/// Looks a limit key up
///
/// A key that nothing is known of is answered with the limits that its first job would meet.
#[utoipa::path(
    get,
    path = "/keys/{key}",
    operation_id = "getKey",
    tag = "queues",
    params(("key" = String, Path, description = "The key's name, or a prefix with its `*`")),
    responses((status = 200, description = "The key", body = KeyBody)),
)]
pub(crate) async fn read(
    State(api): State<Api>,
    _: Caller,
    KeyPath(key): KeyPath,
) -> Result<Json<KeyBody>, Problem> {
    Ok(Json(find(&api, key).await?.into()))
}

/// The limit key of this name.
pub(super) async fn find(api: &Api, key: String) -> Result<KeyInfo, Problem> {
    longhaul::admit::key(&key, None)?;
    let filter = KeyFilter { names: vec![key], limit: 1, ..KeyFilter::default() };
    let found = api.longhaul.store().keys(&filter).await?.into_iter().next();
    found.ok_or_else(|| Problem::new(Code::Internal, "failed to look the key up"))
}
