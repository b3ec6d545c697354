//! What the targets share: one runtime, and the API over a store in memory, asked without a socket.

use std::cell::RefCell;
use std::sync::OnceLock;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use longhaul::{Longhaul, MemoryStore};
use longhaul_http::{HttpConfig, UnknownKinds};
use tower::ServiceExt;

/// Runs a future to its end. All tasks are on this thread, so that an input's run is the same each time.
pub fn block_on<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    });
    runtime.block_on(future)
}

/// Sends a request to an API over a store in memory, and fails where the answer is a fault of the server or no JSON.
pub fn ask(request: Request<Body>) -> StatusCode {
    block_on(async {
        let Ok(answer) = api().oneshot(request).await;
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        assert!(!status.is_server_error(), "{status}: {}", String::from_utf8_lossy(&body));
        assert!(body.is_empty() || serde_json::from_slice::<serde_json::Value>(&body).is_ok(), "{body:?}");
        status
    })
}

/// The inputs that share a store: to make an API of its own for each would take longer than all else, and many jobs of
/// earlier inputs would make an input's run another one when it is run alone.
const SHARING: u32 = 200;

fn api() -> Router {
    thread_local! {
        static API: RefCell<(u32, Router)> = RefCell::new((0, new_api()));
    }
    API.with_borrow_mut(|(asked, api)| {
        *asked += 1;
        if *asked % SHARING == 0 {
            *api = new_api();
        }
        api.clone()
    })
}

fn new_api() -> Router {
    let config = HttpConfig { unknown_kinds: UnknownKinds::Accept, ..HttpConfig::default() };
    longhaul_http::router(Longhaul::new(MemoryStore::new()), config)
}
