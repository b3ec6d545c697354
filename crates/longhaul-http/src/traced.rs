//! Requests that stand in a trace: the header `traceparent` is where the jobs of a request are enqueued at.

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::HeaderMap;
use axum::middleware::{self, Next};
use axum::response::Response;
use longhaul::TraceParent;
use longhaul::trace::{self, Tracer};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::auth::{WORKER, route_of};

/// Lets the requests of `routes` stand in the traces that their `traceparent` names. Where this process has a
/// [tracer](longhaul::trace), each request that may change something is a span.
///
/// [`router`](crate::router) does so for its own routes.
pub fn traced(routes: Router) -> Router {
    routes.layer(middleware::from_fn(around))
}

async fn around(request: Request, next: Next) -> Response {
    let parent = traceparent(request.headers());
    match (trace::tracer().filter(|_| is_traced(&request)), parent) {
        (Some(tracer), parent) => with_span(tracer, parent, request, next).await,
        // The request gets no span, and its jobs get the caller's trace context.
        (None, Some(parent)) => trace::within(parent, next.run(request)).await,
        (None, None) => next.run(request).await,
    }
}

/// True for a request that a span is made of: not for those that look, of which there are many, and not for what remote workers say.
fn is_traced(request: &Request) -> bool {
    !request.method().is_safe() && !route_of(request.extensions()).starts_with(WORKER)
}

async fn with_span(
    tracer: &'static dyn Tracer,
    parent: Option<TraceParent>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{} {route}", request.method()),
        otel.kind = "server",
        http.request.method = request.method().as_str(),
        http.route = route,
        http.response.status_code = Empty,
        otel.status_code = Empty,
    );
    tracer.begin_request(&span, parent);
    let response = next.run(request).instrument(span.clone()).await;
    note_status(&span, &response);
    response
}

fn note_status(span: &Span, response: &Response) {
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// The trace context of a header; an unreadable one counts as none, as the W3C's recommendation has it.
fn traceparent(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get("traceparent")?.to_str().ok()?.parse().ok()
}
