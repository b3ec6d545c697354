//! The dashboard, at `/admin`. It is built from the folder `dashboard` at the root and embedded, so that no build of the
//! binary needs Node.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;

use super::arrival::BasePath;

/// The files that `npm run build` in `dashboard` writes.
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

async fn asset(Path(file): Path<String>, request: HeaderMap) -> Response {
    let Some(Asset { plain, compressed }) = ASSETS.get(&file) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = match file.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    };
    // Its name holds a digest of its content.
    let headers: [(HeaderName, &str); 4] = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (VARY, "accept-encoding"),
    ];
    if takes_gzip(&request) {
        (headers, [(CONTENT_ENCODING, "gzip")], compressed.clone()).into_response()
    } else {
        (headers, plain.clone()).into_response()
    }
}

/// A file of the dashboard, plain and compressed with gzip.
struct Asset {
    plain: Bytes,
    compressed: Bytes,
}

/// All files, compressed at the first request. Compressed files in the repository would depend on the zlib of the
/// machine that built them, so that the check could not compare them.
static ASSETS: LazyLock<BTreeMap<String, Asset>> = LazyLock::new(|| {
    let names = Built::iter().filter_map(|path| path.strip_prefix("assets/").map(str::to_owned));
    let assets = names.filter_map(|name| {
        let plain = Bytes::from(Built::get(&format!("assets/{name}"))?.data.into_owned());
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let written = gzip.write_all(&plain).and_then(|()| gzip.finish());
        Some((name, Asset { compressed: Bytes::from(written.ok()?), plain }))
    });
    assets.collect()
});

fn takes_gzip(request: &HeaderMap) -> bool {
    let accepted = request.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|coding| {
        let (name, weight) = coding.trim().split_once(';').unwrap_or((coding.trim(), ""));
        name == "gzip" && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}
