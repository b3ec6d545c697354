//! A path that is not there, for a browser: the page says what the problem says to programs.

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::Deserialize;

use super::{page, wants_html};

/// The part of a problem that the page shows.
#[derive(Deserialize)]
struct Problem {
    code: String,
    #[serde(default)]
    nearest: Vec<Near>,
}

#[derive(Deserialize)]
struct Near {
    methods: Vec<String>,
    path: String,
}

/// The longest problem; it names three paths at most.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;

/// Turns the problem document of an unknown path into a page, for clients that accept HTML.
pub(crate) fn around(routes: Router, base_path: String) -> Router {
    routes.layer(from_fn(move |request: Request, next: Next| {
        let base_path = base_path.clone();
        let is_asked =
            matches!(*request.method(), Method::GET | Method::HEAD) && wants_html(request.headers());
        let path = request.uri().path().to_owned();
        async move {
            let response = next.run(request).await;
            let is_problem =
                response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
            if is_asked && is_problem && response.status() == StatusCode::NOT_FOUND {
                return told(response, &base_path, &path).await;
            }
            response
        }
    }))
}

async fn told(response: Response, base_path: &str, path: &str) -> Response {
    let (head, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MAX_PROBLEM_BYTES).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) if problem.code == "no_such_route" => missing(base_path, path, &problem.nearest),
        _ => Response::from_parts(head, body.into()),
    }
}

fn missing(base_path: &str, path: &str, nearest: &[Near]) -> Response {
    let main = html! {
        header { h1 { "Nothing is here" } }
        main {
            p { "Nothing is served under " code { (path) } "." }
            @if !nearest.is_empty() {
                h2 { "Did you mean" }
                ul {
                    @for near in nearest {
                        li {
                            // A page leads to what can be looked at; what changes something is named only.
                            @if near.methods.iter().any(|method| method == "GET") && !near.path.contains('{') {
                                a href=(near.path) { code { (near.path) } }
                            } @else {
                                code { (near.path) }
                            }
                            " " span.dim { (near.methods.join(", ")) }
                        }
                    }
                }
            }
            p { a href=(format!("{base_path}/")) { "What runs here" } ", or the " a href=(format!("{base_path}/api/reference")) { "API reference" } }
        }
    };
    page(StatusCode::NOT_FOUND, "Nothing is here", &main)
}
