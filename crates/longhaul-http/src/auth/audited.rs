//! What the audit log tells of a request: the operations that it is for, and their names.

use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::Method;

use super::roles::route_of;

/// An operation that is noted.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) action: &'static str,
    pub(super) object: String,
    pub(super) noted: Noted,
}

/// The ends of an operation that are noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// That it succeeded, and that it was refused for want of rights.
    Always,
    /// That it was refused: what it makes tells by whom it was made.
    WhereRefused,
}

/// What a handler adds to its answer where the request's path does not tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Nothing was changed.
    Nothing,
    /// This was made.
    Made(String),
    /// This was done to so many of the jobs that fit the filter.
    ToMany { action: &'static str, filter: String, count: u64 },
}

/// The operations that are noted: those that change what others have made or rely on. That jobs are enqueued is not: each job tells by
/// whom. A test holds that it has every documented operation that changes something, but for those.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &str)] = &[
    ("POST",   "/jobs/actions",           "jobs"),
    ("DELETE", "/jobs/{id}",              "job.delete"),
    ("POST",   "/jobs/{id}/cancel",       "job.cancel"),
    ("POST",   "/jobs/{id}/retry",        "job.retry"),
    ("POST",   "/jobs/{id}/fork",         "job.fork"),
    ("POST",   "/jobs/{id}/signals/{name}", "job.signal"),
    ("POST",   "/jobs/{id}/signals/{name}/token", "signal_token.create"),
    ("POST",   "/jobs/{id}/token",        "read_token.create"),
    ("POST",   "/deliveries/{id}/redeliver", "delivery.redeliver"),
    ("POST",   "/webhook-secrets",        "webhook_secret.create"),
    ("DELETE", "/webhook-secrets/{id}",   "webhook_secret.delete"),
    ("POST",   "/tokens",                 "token.create"),
    ("DELETE", "/tokens/{id}",            "token.delete"),
    ("PUT",    "/keys/{key}",             "key.set"),
    ("DELETE", "/keys/{key}",             "key.clear"),
    ("POST",   "/keys/{key}/pause",       "key.pause"),
    ("POST",   "/keys/{key}/resume",      "key.resume"),
    ("PATCH",  "/queues/{queue}",         "queue.set"),
    ("POST",   "/queues/{queue}/pause",   "queue.pause"),
    ("POST",   "/queues/{queue}/resume",  "queue.resume"),
    ("PUT",    "/schedules/{name}",       "schedule.set"),
    ("DELETE", "/schedules/{name}",       "schedule.delete"),
    ("POST",   "/schedules/{name}/pause",  "schedule.pause"),
    ("POST",   "/schedules/{name}/resume", "schedule.resume"),
    ("POST",   "/schedules/{name}/run",    "schedule.run"),
];

/// The operations that are noted where they are refused.
const ENQUEUES: [&str; 2] = ["/jobs", "/jobs/batch"];

impl Act {
    /// The operation that a request asks for, where it is one that is noted.
    pub(super) async fn of(request: &mut Request) -> Option<Self> {
        if request.method().is_safe() {
            return None;
        }
        let path = route_of(request.extensions());
        if request.method() == Method::POST && ENQUEUES.contains(&path) {
            return Some(Self { action: "job.enqueue", object: String::new(), noted: Noted::WhereRefused });
        }
        let row = TABLE.iter().find(|(m, p, _)| *m == request.method().as_str() && *p == path)?;
        let action = row.2;
        let (mut parts, body) = std::mem::take(request).into_parts();
        let names = RawPathParams::from_request_parts(&mut parts, &()).await;
        *request = Request::from_parts(parts, body);
        let names: Vec<String> =
            names.iter().flat_map(|names| names.iter().map(|(_, value)| value.to_owned())).collect();
        Some(Self { action, object: names.join("/"), noted: Noted::Always })
    }

    /// Of an operation that succeeded: the action, its object and the number of jobs that it was done to; nothing where nothing was done.
    pub(super) fn with(self, done: Option<Done>) -> Option<(&'static str, String, Option<u64>)> {
        match done {
            _ if self.noted == Noted::WhereRefused => None,
            Some(Done::Nothing) => None,
            Some(Done::Made(object)) => Some((self.action, object, None)),
            Some(Done::ToMany { action, filter, count }) => Some((action, filter, Some(count))),
            None => Some((self.action, self.object, None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::roles;

    #[test]
    fn every_operation_that_changes_something_is_noted_but_for_those_that_enqueue() {
        // The token of a signal is whoever gives it.
        let unnoted = [("POST", "/jobs"), ("POST", "/jobs/batch"), ("POST", "/signals/{token}")];
        let changes = roles::TABLE.iter().map(|(method, path, _)| (*method, *path));
        let mut changes: Vec<_> = changes.filter(|row| row.0 != "GET" && !unnoted.contains(row)).collect();
        let mut noted: Vec<_> = TABLE.iter().map(|(method, path, _)| (*method, *path)).collect();
        changes.sort_unstable();
        noted.sort_unstable();
        assert_eq!(noted, changes);
    }
}
