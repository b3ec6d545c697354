//! `/docs`: the guide, where `make docs` has built it.
//!
//! The built pages are files beside the binary and not part of it: so no build of the binary needs mdBook, and the pages
//! can be replaced without one.

use std::path::PathBuf;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use maud::html;
use tower_http::services::ServeDir;

use super::page;

/// mdBook's pages choose their theme by a script of their own within the page. What they are made of is ours.
const POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The folder of the built guide: that which is named, else `book` beside the binary or beside its folder, where `make docs`
/// puts it; `None` where it was not built.
pub(crate) fn find(named: Option<PathBuf>) -> Option<PathBuf> {
    let places = match named {
        Some(named) => vec![named],
        None => {
            let binary = std::env::current_exe().ok();
            let above = binary.iter().flat_map(|binary| binary.ancestors().skip(1).take(2));
            above.map(|folder| folder.join("book")).collect()
        }
    };
    places.into_iter().find(|folder| folder.join("index.html").is_file())
}

/// The guide, or a page that says how to build it.
pub(crate) fn routes(folder: Option<PathBuf>, base_path: String) -> Router {
    let Some(folder) = folder else {
        return Router::new()
            .route("/docs", get(missing))
            .route("/docs/{*page}", get(missing))
            .route("/docs/", get(missing));
    };
    let pages = Router::new().nest_service("/docs/", ServeDir::new(folder)).layer(from_fn(with_headers));
    // Its links are relative to the folder.
    pages.route("/docs", get(move || async move { Redirect::permanent(&format!("{base_path}/docs/")) }))
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn missing() -> Response {
    let main = html! {
        header { h1 { "The guide was not built" } }
        main {
            p { "The guide is built apart from the server, because that needs mdBook. In a checkout of Longhaul:" }
            pre { "make docs" }
            p { "It is written to " code { "target/book" } ", and found there; or start the server with " code { "--docs FOLDER" } "." }
            p { "The same pages can be read in the folder " code { "docs" } " of the checkout." }
        }
    };
    page(StatusCode::NOT_FOUND, "The guide was not built", &main).into_response()
}
