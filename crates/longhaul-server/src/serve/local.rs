//! Keeps web pages away from an admin API that is open to this machine.
//!
//! A page in this machine's browser cannot read answers of another site, but its owner can let the name of the
//! page's own site resolve to 127.0.0.1 (DNS rebinding), and a proxy can pass a stranger's request on. Both send
//! the name that they asked for.

use std::net::IpAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{StatusCode, uri::Authority};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Refuses requests that were not addressed to this machine as such.
pub(super) fn local_only(routes: Router) -> Router {
    routes.layer(from_fn(async |request: Request, next: Next| {
        let host = request.headers().get(HOST).map_or(Some(""), |host| host.to_str().ok());
        if host.is_some_and(is_local) { next.run(request).await } else { refusal() }
    }))
}

/// True if a `Host` header names this machine; a request without one (HTTP/1.0) does not come from a browser.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return host.is_empty() };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

fn refusal() -> Response {
    let body = json!({
        "type": "about:blank",
        "title": "Misdirected Request",
        "status": 421,
        "detail": "the admin API is open to this machine only, and this request was sent to another name; \
                   set LONGHAUL_ADMIN_TOKEN to serve it under that",
        "code": "not_local",
    });
    let kind = [(CONTENT_TYPE, "application/problem+json")];
    (StatusCode::MISDIRECTED_REQUEST, kind, body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in
            ["127.0.0.1:8000", "127.1.2.3", "localhost", "LOCALHOST:1", "a.localhost", "[::1]:8000", ""]
        {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["example.com", "127.0.0.1.example.com", "localhost.example.com:8000", "10.0.0.1", "[::2]", "?"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
