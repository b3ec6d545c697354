use axum::Json;
use axum::extract::{RawQuery, State};
use longhaul::access::{Audit, AuditEntry};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::faults::Faults;
use crate::problem::{Code, Problem};
use crate::query;
use crate::state::Api;
use crate::time::Rfc3339;

/// The route of the audit log.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(list))
}

/// One thing that somebody has changed, or was refused to change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct EntryBody {
    /// Tells it from others.
    id: String,
    /// When it was done, or first tried.
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
    /// Who did it: the name of a person or of a token; `the administrator's token`, `anybody` on an open server, and of a command over
    /// the store the user's name on that machine; `unknown` for whoever was refused without a valid token.
    who: String,
    /// The role that they had.
    #[schema(required)]
    role: Option<String>,
    /// The id of the token, where it was one of `POST /tokens`.
    #[schema(required)]
    token: Option<String>,
    /// What was done.
    #[schema(example = "queue.pause")]
    action: String,
    /// What it was done to: a name or an id; of `jobs.cancel`, `jobs.retry`, `jobs.delete` and `jobs.set_priority` the filter.
    object: String,
    /// How many jobs were changed, where it was done to many. Of what was refused, how often it was tried, at least.
    #[schema(required)]
    count: Option<u64>,
    /// `refused` where the caller had no right to it.
    outcome: Outcome,
    /// The code of the problem that it was refused with.
    #[schema(required, example = "forbidden")]
    reason: Option<String>,
    /// The id of the request, as in the server's log.
    request_id: String,
}

/// What became of an action.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditOutcome)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It was done.
    Done,
    /// It was refused, for want of rights.
    Refused,
}

/// Part of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub(crate) struct AuditBody {
    /// The entries, newest first.
    entries: Vec<EntryBody>,
    /// The cursor of the next page; null after the last.
    #[schema(required)]
    next: Option<String>,
}

impl From<AuditEntry> for EntryBody {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, who, role, token, action, object, count, refused: reason, request_id } =
            entry;
        let outcome = if reason.is_some() { Outcome::Refused } else { Outcome::Done };
        Self { id, at: Rfc3339(at), who, role, token, action, object, count, outcome, reason, request_id }
    }
}

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// Tells who has changed what, and when
///
/// Newest first. What was done by the API, by the dashboard and by commands over the store is noted once it has succeeded: jobs
/// cancelled, retried, forked, deleted and given signals, queues, limit keys and schedules set, paused and resumed, tokens and
/// secrets made and deleted. Jobs that are enqueued are not: they tell by whom. Such an action, and an enqueue, is noted as `refused`
/// where it was answered 401 or 403: equal attempts of ten minutes are one entry, and of more than 20 such entries on a server the rest
/// is one. An entry is kept for 90 days.
#[utoipa::path(
    get,
    path = "/audit",
    operation_id = "listAudit",
    tag = "access",
    params(
        ("cursor" = Option<String>, Query, description = "Where the last page ended"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "The most entries of a page, 50 unless given"),
    ),
    responses((status = 200, description = "A page of the log", body = AuditBody)),
)]
pub(crate) async fn list(
    State(api): State<Api>,
    _: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<AuditBody>, Problem> {
    let mut faults = Faults::default();
    let (mut cursor, mut limit) = (None, DEFAULT_LIMIT);
    for (name, value) in query::pairs(query.as_deref()) {
        match &*name {
            "cursor" => cursor = Some(value.into_owned()),
            "limit" => match query::number(&value, 1..=MAX_LIMIT) {
                Ok(number) => limit = number,
                Err(message) => faults.add(Code::Invalid, "limit", message),
            },
            other => faults.add(Code::Invalid, other, "is not a parameter; use cursor or limit"),
        }
    }
    faults.into_result()?;
    let page = Audit::of(api.whole.store().as_ref()).page(cursor.as_deref(), limit).await?;
    Ok(Json(AuditBody { entries: page.entries.into_iter().map(EntryBody::from).collect(), next: page.next }))
}
