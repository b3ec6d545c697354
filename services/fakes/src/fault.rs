use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use serde_json::json;

use crate::hang_up::HangUp;
use crate::{Desk, Seen};

/// A way to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status and an error body in OpenAI's form.
    Status(u16),
    /// Answers 429 with this `Retry-After`.
    RateLimit(String),
    /// Sends the first half of the real answer and breaks the connection.
    Cut,
    /// Sends this many pieces of the real answer and breaks the connection. A streamed reply of the model has one
    /// that opens it, one for each word, and two that close it.
    CutAfter(usize),
    /// Sends a body that has no end.
    Endless,
    /// Takes the request and says nothing.
    Hang,
    /// Answers 200 with half a JSON document.
    Malformed,
    /// Answers as always, but in the JSON that it makes up the last field of every object is missing.
    MissingFields,
    /// Answers 200 with this body.
    Body(String),
    /// Answers with this status, these headers and this body.
    Answer(u16, Vec<(&'static str, &'static str)>, String),
}

/// Marks a request whose made-up JSON must lack fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incomplete;

/// Remembers the request, and fails it if it is to fail.
pub(crate) async fn intercept(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let path = parts.uri.path().to_owned();
    let fault = take(&desk, &path);
    desk.seen.lock().push(Seen {
        path,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.clone(),
        body: body.clone(),
    });
    desk.arrived.notify_waiters();
    let path = parts.uri.path().to_owned();
    let watch = HangUp::watch(&desk, &path);
    let request = Request::from_parts(parts, Body::from(body));
    watch.over(answer(fault, &path, request, next).await)
}

async fn answer(fault: Option<Fault>, path: &str, mut request: Request, next: Next) -> Response {
    match fault {
        None => next.run(request).await,
        Some(Fault::Status(status)) => refusal(path, status),
        Some(Fault::RateLimit(wait)) => {
            let mut response = refusal(path, 429);
            if let Ok(wait) = HeaderValue::from_str(&wait) {
                response.headers_mut().insert(RETRY_AFTER, wait);
            }
            response
        }
        Some(Fault::Cut) => cut(next.run(request).await).await,
        Some(Fault::CutAfter(pieces)) => cut_after(next.run(request).await, pieces),
        Some(Fault::MissingFields) => {
            request.extensions_mut().insert(Incomplete);
            next.run(request).await
        }
        Some(Fault::Endless) => endless(),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Malformed) => json_text("{\"choices\": [".to_owned()),
        Some(Fault::Body(text)) => json_text(text),
        Some(Fault::Answer(status, headers, body)) => {
            let mut response = (StatusCode::from_u16(status).unwrap_or_default(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            response
        }
    }
}

fn take(desk: &Desk, path: &str) -> Option<Fault> {
    let mut faults = desk.faults.lock();
    let position = faults.iter().position(|(of, _)| of == path)?;
    faults.remove(position)?.1
}

/// An error in the form of the API at the path.
fn refusal(path: &str, status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = format!("the double refuses with {status}");
    let error = match path {
        "/api/v1/llm/query" => json!({ "error": message }),
        _ if path.starts_with("/github/") => json!({
            "message": message, "documentation_url": "https://docs.github.com/rest", "status": status.as_str(),
        }),
        _ => json!({ "error": { "message": message, "type": "refused" } }),
    };
    (status, axum::Json(error)).into_response()
}

async fn cut(whole: Response) -> Response {
    let (mut parts, body) = whole.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    // The length that is promised and not kept; an event stream promises none.
    if parts.headers.get(CONTENT_TYPE).is_none_or(|kind| kind != "text/event-stream") {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let half = body.slice(..body.len() / 2);
    let broken = stream::once(async { Ok(half) }).chain(stream::once(broken()));
    Response::from_parts(parts, Body::from_stream(broken))
}

fn cut_after(whole: Response, pieces: usize) -> Response {
    let (mut parts, body) = whole.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    let sent = body.into_data_stream().map(|piece| piece.map_err(std::io::Error::other)).take(pieces);
    Response::from_parts(parts, Body::from_stream(sent.chain(stream::once(broken()))))
}

async fn broken() -> Result<Bytes, std::io::Error> {
    // The server sends what it has only once there is nothing more to be had at once.
    tokio::task::yield_now().await;
    Err(std::io::Error::other("cut on purpose"))
}

fn endless() -> Response {
    let piece = Bytes::from(vec![b' '; 64 * 1024]);
    let pieces = stream::repeat(piece).map(Ok::<_, std::convert::Infallible>);
    Response::new(Body::from_stream(pieces))
}

fn json_text(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
