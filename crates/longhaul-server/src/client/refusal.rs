//! Answers that are not what was asked for, in words that say what to try.

use std::error::Error;
use std::fmt;

use axum::http::StatusCode;
use serde::Deserialize;

/// A request that was answered with a problem.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// The contract's stable name of the problem; empty where something else than the contract answered.
    pub(crate) code: String,
    /// The problem, for people.
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
    errors: Vec<FieldError>,
}

#[derive(Debug, Deserialize)]
struct FieldError {
    field: String,
    message: String,
}

impl Refusal {
    /// True if the request itself was wrong, so that any server would refuse it.
    pub(crate) fn is_for_the_words(&self) -> bool {
        matches!(
            self.code.as_str(),
            "invalid" | "too_deep" | "invalid_path" | "body_too_large" | "malformed_json"
        )
    }

    pub(super) fn new(status: StatusCode, body: &[u8], place: &str) -> Self {
        let Problem { code, detail, errors } = serde_json::from_slice(body).unwrap_or_default();
        let said = match errors.as_slice() {
            [] if detail.is_empty() => format!("{place} answered {status}"),
            [] => detail,
            errors => {
                let fields = errors.iter().map(|error| format!("{} {}", error.field, error.message));
                fields.collect::<Vec<_>>().join("; ")
            }
        };
        let hint = match (status, code.as_str()) {
            (StatusCode::UNAUTHORIZED, _) => {
                ". Set LONGHAUL_TOKEN: the server's LONGHAUL_ADMIN_TOKEN, or what `longhaul token` prints beside it"
            }
            // A server's own says what is missing: a role, a scope, a page of this site.
            (StatusCode::FORBIDDEN, "") => {
                ". It does not say why, as a Longhaul server does: a proxy before it may have refused this"
            }
            (
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED,
                "" | "no_such_route" | "method_not_allowed",
            ) => ". Is --url the address of a Longhaul server, and the server of this version?",
            (_, "duplicate") => {
                ". `longhaul jobs show` tells of it; --on-clash says what else may become of a second one"
            }
            (_, "queue_full") => {
                ". Try again once some have run, or raise the bound: `longhaul queues set` or `longhaul keys set`, --max-waiting"
            }
            (_, "job_gone") => ". It was deleted, or pruned by its age",
            (StatusCode::SERVICE_UNAVAILABLE, _) => ". `longhaul doctor` looks closer",
            _ => "",
        };
        let said = match hint {
            "" => said,
            _ if said.ends_with('?') => {
                return Self { status, code, message: format!("{said}{}", &hint[1..]) };
            }
            _ => said.trim_end_matches('.').to_owned(),
        };
        Self { status, code, message: format!("{said}{hint}") }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Refusal {}

/// A server that did not answer.
#[derive(Debug)]
pub(crate) struct Unreachable {
    message: String,
    /// True where the request may have been heard: the connection was there.
    pub(super) is_lost: bool,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Unreachable {}

pub(super) fn unreachable(base: &str, error: &reqwest::Error) -> Unreachable {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let hint = if error.is_connect() {
        "; is `longhaul serve` running there? Without --url the commands look at the store itself"
    } else {
        ""
    };
    let message = format!("failed to reach {base}: {cause}{hint}");
    Unreachable { message, is_lost: !error.is_connect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: StatusCode, body: &str) -> String {
        Refusal::new(status, body.as_bytes(), "http://h").to_string()
    }

    #[test]
    fn a_problem_is_told_with_a_way_out() {
        let unauthorized =
            said(StatusCode::UNAUTHORIZED, r#"{"code":"unauthorized","detail":"a bearer token is needed"}"#);
        assert!(unauthorized.starts_with("a bearer token is needed. Set LONGHAUL_TOKEN"), "{unauthorized}");
        for (code, detail) in [
            ("forbidden", "this needs the role admin, and the token's is viewer"),
            ("forbidden", "the token is for another job"),
            ("cross_site", "the request was sent by a page of another site"),
        ] {
            let body = serde_json::json!({ "code": code, "detail": detail }).to_string();
            assert_eq!(said(StatusCode::FORBIDDEN, &body), detail);
        }
        let proxy = said(StatusCode::FORBIDDEN, "<html>");
        assert!(proxy.starts_with("http://h answered 403 Forbidden. It does not say why"), "{proxy}");
        let fields = r#"{"code":"invalid","detail":"kind: x","errors":[{"field":"kind","message":"is not known here"}]}"#;
        assert_eq!(said(StatusCode::UNPROCESSABLE_ENTITY, fields), "kind is not known here");
        let strange = said(StatusCode::NOT_FOUND, "<html>");
        assert!(strange.starts_with("http://h answered 404 Not Found. Is --url the address"), "{strange}");
    }
}
