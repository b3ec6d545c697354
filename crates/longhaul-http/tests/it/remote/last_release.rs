//! A worker of this release on a server that knows what that of the last release knew: its routes, and the fields of its claims.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use longhaul::{Context, Job, JobResult, Json, Longhaul, MemoryStore, State, Store};
use longhaul_http::{HttpConfig, RemoteStore, router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;

use super::server::Server;

/// The routes for workers that the release of 2026-11-25 had.
const ROUTES: [&str; 15] = [
    "claim",
    "turn",
    "abandon",
    "heartbeat",
    "record",
    "finish",
    "enqueue",
    "get",
    "list",
    "events",
    "act",
    "sweep",
    "queues",
    "set-queue",
    "workers",
];
/// The fields of a claimed job that it told.
const FIELDS: [&str; 13] = [
    "lease",
    "kind",
    "version",
    "queue",
    "args",
    "attempt",
    "max_attempts",
    "timeout",
    "retry_in",
    "backoff",
    "created_at",
    "labels",
    "steps",
];

#[derive(Debug, Deserialize, Serialize)]
struct Paint {
    colour: String,
}

impl Job for Paint {
    const KIND: &'static str = "paint";
    type State = ();
    type Output = String;

    async fn run(self, cx: Context<()>) -> JobResult<String> {
        let sketch: u32 = cx.step("sketch", || async { Ok(12) }).await?;
        cx.progress(50, "half of the canvas");
        cx.emit("a stroke").await?;
        Ok(format!("{} of {sketch} lines", self.colour))
    }
}

/// Answers as a server of the last release does.
async fn as_it_was(request: Request, next: Next) -> Response {
    let route = request.uri().path().strip_prefix("/api/worker/").map(str::to_owned);
    let Some(route) = route else { return next.run(request).await };
    if !ROUTES.contains(&route.as_str()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let answer = next.run(request).await;
    if !["claim", "turn"].contains(&route.as_str()) {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let mut body: Value = serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap();
    for claimed in body["claimed"].as_array_mut().into_iter().flatten() {
        let claimed = claimed.as_object_mut().unwrap();
        claimed.retain(|field, _| FIELDS.contains(&field.as_str()));
    }
    parts.headers.remove("content-length");
    Response::from_parts(parts, Body::from(body.to_string()))
}

#[tokio::test]
async fn a_worker_works_on_a_server_of_the_last_release_and_says_what_that_lacks() {
    let jobs = Longhaul::new(MemoryStore::new());
    let api = router(Longhaul::over(Arc::clone(jobs.store())), HttpConfig::default());
    let api = Router::new().nest("/api", api).layer(from_fn(as_it_was));
    let server = Server::of(api, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let store = RemoteStore::connect(&server.url, None).await.unwrap();
    let remote = Longhaul::new(store.clone());
    let worker = remote.worker().register::<Paint>(()).queue("default", 2).start();
    let id = remote.enqueue(Paint { colour: "red".into() }).await.unwrap().id;
    let done = jobs.wait(&id, Duration::from_secs(60)).await.unwrap().found().unwrap();
    assert_eq!((done.state, done.attempt), (State::Completed, 1), "{done:?}");
    assert_eq!(done.output.unwrap().to_value(), "red of 12 lines");
    worker.shutdown(Duration::from_secs(60)).await;

    let lacks = store.signal(&id, "approve", &Json::null()).await.unwrap_err();
    assert!(!lacks.is_outage(), "nobody waits for what will not come");
    let told = lacks.to_string();
    assert!(told.starts_with("failed to signal in the "), "{told}");
    assert!(told.contains("404") && told.contains("the server of this version?"), "{told}");
}
