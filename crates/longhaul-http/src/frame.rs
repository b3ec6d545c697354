//! The frame of every answer: the request's id, problems written out, panics caught.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{FromRequestParts, NestedPath, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use crate::auth::Doorman;
use crate::nearest::Known;
use crate::problem::{Code, PROBLEM_JSON, Problem, ProblemBody};

/// Puts the frame around a router, with the doorman within it where there is one, and makes its missing routes and methods problems
/// too.
pub(crate) fn around(router: Router, known: Known, doorman: Option<Doorman>) -> Router {
    let known = Arc::new(known);
    let doorman = doorman.map(Arc::new);
    let answered = |answer: fn(&Known, &Method, &str, &str) -> Problem| {
        let known = Arc::clone(&known);
        async move |request: Request| {
            let (mut head, _) = request.into_parts();
            let mount = NestedPath::from_request_parts(&mut head, &()).await;
            let mount = mount.as_ref().map_or("", NestedPath::as_str);
            answer(&known, &head.method, mount, head.uri.path())
        }
    };
    router
        .fallback(answered(no_route))
        .method_not_allowed_fallback(answered(no_method))
        .layer(middleware::from_fn(move |request: Request, next: Next| frame(doorman.clone(), request, next)))
}

/// Makes the missing methods of pages problems, and leaves all else of them as it is.
pub(crate) fn methods_around(routes: Router, known: Known) -> Router {
    let known = Arc::new(known);
    routes.method_not_allowed_fallback(async move |request: Request| {
        let request_id = request_id(request.headers());
        let problem = no_method(&known, request.method(), "", request.uri().path());
        let mut response = problem.into_response();
        if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
            problem.render(request_id.to_str().unwrap_or_default(), &mut response);
        }
        response.headers_mut().insert(REQUEST_ID, request_id);
        response
    })
}

/// The answer to a request that an application refuses before it comes to the contract's routes, in the form of their problems
/// and with the request's id, as theirs: `headers` are the request's, `code` is a stable name for programs, and `detail` says
/// what is wrong and what to do.
pub fn refusal(headers: &HeaderMap, status: StatusCode, code: &str, detail: &str) -> Response {
    let request_id = request_id(headers);
    let body = ProblemBody::new(status, code, detail, request_id.to_str().unwrap_or_default()).to_vec();
    let content_type = HeaderValue::from_static(PROBLEM_JSON);
    (status, [(CONTENT_TYPE, content_type), (REQUEST_ID, request_id)], body).into_response()
}

fn no_route(known: &Known, method: &Method, mount: &str, path: &str) -> Problem {
    let nearest = known.near_under(mount, method, path);
    let detail = match nearest.first() {
        Some(near) => format!("nothing is served under this path; did you mean {near}?"),
        None => "nothing is served under this path".to_owned(),
    };
    Problem { nearest, ..Problem::new(Code::NoSuchRoute, detail) }
}

fn no_method(known: &Known, method: &Method, mount: &str, path: &str) -> Problem {
    let taken = match known.methods(mount, path) {
        // Of a page that is one of many.
        [] => "GET".to_owned(),
        methods => methods.join(" and "),
    };
    Problem::new(Code::MethodNotAllowed, format!("the path does not take {method}; it takes {taken}"))
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id of a caller's that is taken over.
const LONGEST_REQUEST_ID: usize = 64;

async fn frame(doorman: Option<Arc<Doorman>>, request: Request, next: Next) -> Response {
    let request_id = request_id(request.headers());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let answer = async {
        match &doorman {
            Some(doorman) => doorman.pass(request, &request_id, next).await,
            None => next.run(request).await,
        }
    };
    let answer = AssertUnwindSafe(answer).catch_unwind().await;
    let mut response =
        answer.unwrap_or_else(|panic| Problem::internal(panic_message(&*panic)).into_response());
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        let id = request_id.to_str().unwrap_or_default();
        if let Some(cause) = &problem.cause {
            // The path alone: a query may hold a read token.
            let path = without_token(uri.path());
            tracing::error!(request_id = id, %method, path, "failed to answer: {cause}");
        }
        problem.render(id, &mut response);
    }
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

/// A path without the token of a signal, which is as good as the signal itself.
fn without_token(path: &str) -> &str {
    match path.rsplit_once("/signals/") {
        Some((before, _)) if !before.contains("/jobs/") => &path[..before.len() + "/signals/".len()],
        _ => path,
    }
}

/// The caller's own id where it is harmless to print, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|id| {
        (1..=LONGEST_REQUEST_ID).contains(&id.len())
            && id.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    });
    given.cloned().unwrap_or_else(new_request_id)
}

/// An id that no other request has: the process's random part, and a count. Cheaper than a random number for
/// each request, which would be a system call.
fn new_request_id() -> HeaderValue {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let process = longhaul::process_id();
    let process = process.rsplit('-').next().unwrap_or(process);
    let id = format!("{process}-{:x}", COUNT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a handler panicked: {}", text.unwrap_or_else(|| "no message".into()))
}
