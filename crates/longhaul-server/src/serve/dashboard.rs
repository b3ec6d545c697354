//! The dashboard, at `/admin`. It is built from the folder `dashboard` at the root and embedded, so that no build of the
//! binary needs Node.

use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::arrival::BasePath;

/// What `npm run build` in `dashboard` writes.
#[derive(RustEmbed)]
#[folder = "dashboard"]
struct Built;

/// Nothing comes from elsewhere, and nothing that a job holds is ever executed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

/// The base in the built page.
const BASE: &str = "<base href=\"/admin/\"";

/// The pages and their files. All data comes from the API, with its access: the files themselves hold nothing secret.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/admin", get(page))
        .route("/admin/", get(page))
        .route("/admin/{*page}", get(page))
        // Beside the POST of a token.
        .route("/admin/login", get(page))
        .route("/admin/assets/{file}", get(asset))
}

/// One page stands for all: the browser reads from the address which to show.
async fn page(Extension(base_path): Extension<BasePath>) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    // All of its addresses are below the base, so that a proxy may serve it anywhere.
    let based = |page: &str| page.replacen(BASE, &format!("<base href=\"{base_path}/admin/\""), 1);
    match Built::get("index.html") {
        Some(page) => (headers, based(&String::from_utf8_lossy(&page.data))).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn asset(Path(file): Path<String>) -> Response {
    let Some(EmbeddedFile { data, .. }) = Built::get(&format!("assets/{file}")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = match file.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    };
    // Its name holds a digest of its content.
    let headers: [(HeaderName, &str); 3] = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, data).into_response()
}
