//! The one table that says what each route asks of its caller.

use std::fmt;
use std::str::FromStr;

use axum::extract::{MatchedPath, NestedPath};
use axum::http::request::Parts;
use axum::http::{Extensions, Method};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The rights of a caller. Each has those of the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads everything, and changes nothing.
    Viewer,
    /// Also enqueues, signals, cancels, retries, forks and deletes jobs, pauses queues and limit keys, and pauses and runs schedules.
    Operator,
    /// Also configures queues, limit keys and schedules, and does what remote workers do.
    Admin,
}

/// The callers that a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Anybody.
    Nothing,
    /// Everybody who was let in.
    Known,
    /// Viewers, the bearer of a token that reads the job of the path, and who has enqueued it and reads its own.
    ReadJob,
    /// Viewers, and those who read their own jobs.
    ReadJobs,
    /// Operators, and who has enqueued the job of the path and reads its own.
    ShareJob,
    /// Operators, and those who enqueue jobs of some kinds.
    Enqueue,
    /// This role.
    Role(Role),
    /// Remote workers, those of some queues included, and admins.
    Lease,
    /// Remote workers of all queues, and admins.
    Worker,
}

const VIEWER: Need = Need::Role(Role::Viewer);
const OPERATOR: Need = Need::Role(Role::Operator);
const ADMIN: Need = Need::Role(Role::Admin);

/// The right that each operation asks for: its method, its path in the OpenAPI document, its callers. A test holds that it names every
/// documented operation, and walks all of them with every role. Those of `/worker` are all alike and stand below as one.
#[rustfmt::skip]
pub(crate) const TABLE: &[(&str, &str, Need)] = &[
    ("GET",    "/openapi.json",           Need::Nothing),
    ("GET",    "/me",                     Need::Known),
    ("GET",    "/jobs",                   Need::ReadJobs),
    ("POST",   "/jobs",                   Need::Enqueue),
    ("POST",   "/jobs/batch",             Need::Enqueue),
    ("POST",   "/jobs/actions",           OPERATOR),
    ("GET",    "/jobs/{id}",              Need::ReadJob),
    ("DELETE", "/jobs/{id}",              OPERATOR),
    ("POST",   "/jobs/{id}/cancel",       OPERATOR),
    ("POST",   "/jobs/{id}/retry",        OPERATOR),
    ("POST",   "/jobs/{id}/fork",         OPERATOR),
    ("POST",   "/jobs/{id}/signals/{name}",       OPERATOR),
    ("POST",   "/jobs/{id}/signals/{name}/token", OPERATOR),
    // The token in the path is the right to do it.
    ("POST",   "/signals/{token}",        Need::Nothing),
    // It shows other jobs, so no token that reads one job opens it.
    ("GET",    "/jobs/{id}/graph",        VIEWER),
    ("GET",    "/jobs/{id}/events",       Need::ReadJob),
    ("GET",    "/jobs/{id}/ws",           Need::ReadJob),
    ("GET",    "/jobs/{id}/steps",        Need::ReadJob),
    ("GET",    "/jobs/{id}/why",          Need::ReadJob),
    // It shows where others are told.
    ("GET",    "/jobs/{id}/deliveries",   VIEWER),
    ("POST",   "/deliveries/{id}/redeliver", OPERATOR),
    ("GET",    "/webhook-secrets",        VIEWER),
    ("POST",   "/webhook-secrets",        ADMIN),
    ("DELETE", "/webhook-secrets/{id}",   ADMIN),
    // It gives away no more than whoever enqueues jobs for others can read, and they are who needs it.
    ("POST",   "/jobs/{id}/token",        Need::ShareJob),
    ("GET",    "/tokens",                 VIEWER),
    ("POST",   "/tokens",                 ADMIN),
    ("DELETE", "/tokens/{id}",            ADMIN),
    ("GET",    "/audit",                  VIEWER),
    ("GET",    "/stats",                  VIEWER),
    ("GET",    "/errors",                 VIEWER),
    ("GET",    "/events",                 VIEWER),
    ("GET",    "/keys",                   VIEWER),
    ("GET",    "/keys/{key}",             VIEWER),
    ("PUT",    "/keys/{key}",             ADMIN),
    ("DELETE", "/keys/{key}",             ADMIN),
    ("POST",   "/keys/{key}/pause",       OPERATOR),
    ("POST",   "/keys/{key}/resume",      OPERATOR),
    ("GET",    "/kinds",                  VIEWER),
    ("GET",    "/workers",                VIEWER),
    ("GET",    "/queues",                 VIEWER),
    ("GET",    "/queues/{queue}",         VIEWER),
    ("PATCH",  "/queues/{queue}",         ADMIN),
    ("POST",   "/queues/{queue}/pause",   OPERATOR),
    ("POST",   "/queues/{queue}/resume",  OPERATOR),
    ("GET",    "/schedules",              VIEWER),
    ("GET",    "/schedules/{name}",       VIEWER),
    ("PUT",    "/schedules/{name}",       ADMIN),
    ("DELETE", "/schedules/{name}",       ADMIN),
    ("POST",   "/schedules/{name}/pause",  OPERATOR),
    ("POST",   "/schedules/{name}/resume", OPERATOR),
    ("POST",   "/schedules/{name}/run",    OPERATOR),
];

/// The routes of remote workers.
pub(crate) const WORKER: &str = "/worker/";
/// Those of them that say by queues and leases what they are about, so that the workers of some queues may use them.
const LEASE: &[&str] = &["claim", "turn", "abandon", "heartbeat", "record", "finish"];

/// The right that an operation asks for. A route that the table does not name is for admins, so that one that was forgotten is closed.
pub(crate) fn need(method: &str, path: &str) -> Need {
    let method = if method == Method::HEAD.as_str() { "GET" } else { method };
    let row = TABLE.iter().find(|(m, p, _)| *m == method && *p == path);
    match row {
        Some((_, _, need)) => *need,
        None if path.strip_prefix(WORKER).is_some_and(|route| LEASE.contains(&route)) => Need::Lease,
        None if path.starts_with(WORKER) => Need::Worker,
        None => ADMIN,
    }
}

/// The right that the route of a request asks for.
pub(super) fn need_of(parts: &Parts) -> Need {
    need(parts.method.as_str(), route_of(&parts.extensions))
}

/// The path of the request's route, as the OpenAPI document has it: without the prefix that the routes are nested under.
pub(crate) fn route_of(extensions: &Extensions) -> &str {
    let matched = extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let nest = extensions.get::<NestedPath>().map_or("", NestedPath::as_str);
    matched.strip_prefix(nest).unwrap_or(matched)
}

impl Need {
    /// The role that opens it in any case.
    pub(crate) fn role(self) -> Role {
        match self {
            Need::Nothing | Need::Known | Need::ReadJob | Need::ReadJobs => Role::Viewer,
            Need::Enqueue | Need::ShareJob => Role::Operator,
            Need::Role(role) => role,
            Need::Lease | Need::Worker => Role::Admin,
        }
    }
}

impl Role {
    /// The name in tokens, answers and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let all = [Role::Viewer, Role::Operator, Role::Admin];
        let role = all.into_iter().find(|role| role.as_str() == word);
        role.ok_or_else(|| "must be viewer, operator or admin".to_owned())
    }
}
