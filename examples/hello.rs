//! Slow work behind an axum route, kept in one SQLite file.
//!
//!     curl -s http://127.0.0.1:3000/greet -H 'content-type: application/json' -d '{"name": "Ada"}'
//!     curl -s http://127.0.0.1:3000/api/jobs/ID -H 'prefer: wait=10'

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use longhaul::{Context, Job, JobResult, Longhaul};
use longhaul_http::HttpConfig;
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl Job for Greet {
    const KIND: &'static str = "greet";
    type State = ();
    type Output = String;

    async fn run(self, cx: Context<()>) -> JobResult<String> {
        cx.progress(50, "thinking of something kind");
        Ok(format!("Hello, {}!", self.name))
    }
}

/// Answers once the job is on the disk, and not once it has run.
async fn greet(
    State(longhaul): State<Longhaul>,
    Json(job): Json<Greet>,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let enqueued = longhaul.enqueue(job).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let poll = format!("/api/jobs/{}", enqueued.id);
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": enqueued.id.as_str(), "poll": poll }))))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let longhaul = Longhaul::new(SqliteStore::open("hello.db").await?);
    let worker = longhaul.worker().register::<Greet>(()).queue("default", 4).start();
    let app = Router::new()
        .route("/greet", post(greet))
        .with_state(longhaul.clone())
        // Every job can be looked up, waited for and followed here.
        .nest("/api", longhaul_http::router(longhaul, HttpConfig::default()));

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    // Running jobs have ten seconds to end; the rest waits on the disk for the next start.
    worker.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
