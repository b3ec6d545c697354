use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_TYPE, DATE, ETAG, IF_NONE_MATCH, LINK, RETRY_AFTER, USER_AGENT,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::said;
use crate::Desk;

/// The double's clock stands still at 2026-01-01T00:00:00Z, which its replies' `Date` says too.
const NOW: u64 = 1_767_225_600;
const DATE_NOW: HeaderValue = HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT");
/// Calls an hour with a token, and without one.
const LIMIT: u32 = 5_000;
const LIMIT_WITHOUT_TOKEN: u32 = 60;

/// An answer before its headers.
pub(crate) enum Answer {
    /// An object, or a list that has no pages.
    One(Value),
    /// A page of a list.
    Page { items: Vec<Value>, link: Option<String> },
    /// No.
    Refusal { status: u16, message: &'static str, documentation: &'static str },
}

/// A secondary limit that the next call meets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secondary {
    pub(crate) retry_after: Option<u64>,
}

/// The primary limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    /// Calls left; `None` is never exhausted, for use by hand.
    remaining: Option<u32>,
    reset_in: u64,
    /// Calls that were counted.
    pub(crate) used: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self { remaining: None, reset_in: 3_600, used: 0 }
    }
}

impl Quota {
    pub(crate) fn left(remaining: u32, reset_in: u64) -> Self {
        Self { remaining: Some(remaining), reset_in, used: 0 }
    }

    /// Counts a call, and says whether there was one left.
    fn take(&mut self) -> bool {
        match &mut self.remaining {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        self.used += 1;
        true
    }

    fn give_back(&mut self) {
        self.used = self.used.saturating_sub(1);
        if let Some(left) = &mut self.remaining {
            *left += 1;
        }
    }

    fn shown(&self, limit: u32) -> u32 {
        // Without a limit it still goes down, and begins anew at its end.
        self.remaining.unwrap_or(limit - u32::try_from(self.used % u64::from(limit)).unwrap_or(0))
    }

    pub(crate) fn body(&self) -> Value {
        json!({ "limit": LIMIT, "remaining": self.shown(LIMIT), "used": self.used, "reset": NOW + self.reset_in })
    }

    fn write(&self, headers: &mut HeaderMap, limit: u32) {
        headers.insert("x-ratelimit-limit", limit.into());
        headers.insert("x-ratelimit-remaining", self.shown(limit).into());
        headers.insert("x-ratelimit-reset", (NOW + self.reset_in).into());
        headers.insert("x-ratelimit-used", self.used.into());
        headers.insert("x-ratelimit-resource", HeaderValue::from_static("core"));
    }
}

impl Answer {
    pub(crate) fn missing(documentation: &'static str) -> Self {
        Answer::Refusal { status: 404, message: "Not Found", documentation }
    }
}

/// Surrounds every answer: the caller, the limits, the ETag.
pub(crate) async fn around(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    if !headers.contains_key(USER_AGENT) {
        let text = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let limit = if token.is_some() { LIMIT } else { LIMIT_WITHOUT_TOKEN };
    let is_search = request.uri().path().contains("/search/");
    let is_free = is_search || request.uri().path().ends_with("/rate_limit");
    let refused = if token.is_some_and(|token| token.contains("bad")) {
        Some(refusal(401, "Bad credentials", "https://docs.github.com/rest"))
    } else if let Some(secondary) = desk.github.secondary.lock().pop_front() {
        Some(secondary_limit(secondary))
    } else if !is_free && !desk.github.quota.lock().take() {
        Some(refusal(
            403,
            "API rate limit exceeded for 127.0.0.1. (But here's the good news: Authenticated requests get a higher \
             rate limit. Check out the documentation for more details.)",
            "https://docs.github.com/rest/overview/resources-in-the-rest-api#rate-limiting",
        ))
    } else {
        None
    };
    let is_get = request.method() == Method::GET;
    let mut response = match refused {
        Some(refused) => refused,
        None => {
            let said = said::find(&desk.github.said.lock(), request.uri());
            let response = match said {
                Some(said) => said.response(),
                None => next.run(request).await,
            };
            let response = tagged(response, &headers, is_get).await;
            if response.status() == StatusCode::NOT_MODIFIED && !is_free {
                desk.github.quota.lock().give_back();
            }
            response
        }
    };
    let out = response.headers_mut();
    out.insert(DATE, DATE_NOW);
    out.insert("x-github-media-type", HeaderValue::from_static("github.v3; format=json"));
    out.insert("x-github-api-version-selected", HeaderValue::from_static("2022-11-28"));
    out.insert("x-github-request-id", HeaderValue::from_static("D0:0B1E:0"));
    // What a test says of the limit stands.
    if is_search {
        out.entry("x-ratelimit-resource").or_insert(HeaderValue::from_static("search"));
    } else if !out.contains_key("x-ratelimit-remaining") {
        desk.github.quota.lock().write(out, limit);
    }
    response
}

/// Gives a good answer its ETag, and takes its body away where the caller has it.
async fn tagged(response: Response, asked: &HeaderMap, is_get: bool) -> Response {
    if !is_get || response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let hash = body.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let etag = format!("W/\"{hash:016x}\"");
    let is_known = asked.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        parts.headers.insert(ETAG, etag);
    }
    if is_known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(CONTENT_TYPE);
        parts.headers.remove("content-length");
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(body))
}

pub(crate) fn render(answer: Answer) -> Response {
    match answer {
        Answer::One(value) => Json(value).into_response(),
        Answer::Page { items, link } => {
            let mut response = Json(items).into_response();
            if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
                response.headers_mut().insert(LINK, link);
            }
            response
        }
        Answer::Refusal { status, message, documentation } => refusal(status, message, documentation),
    }
}

pub(crate) fn not_found(documentation: &str) -> Response {
    refusal(404, "Not Found", documentation)
}

fn secondary_limit(secondary: Secondary) -> Response {
    let mut response = refusal(
        403,
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits",
    );
    if let Some(seconds) = secondary.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn refusal(status: u16, message: &str, documentation: &str) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body =
        json!({ "message": message, "documentation_url": documentation, "status": status.to_string() });
    (code, Json(body)).into_response()
}
