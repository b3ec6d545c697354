//! An upload that is answered at once, and read in the background with its progress.
//!
//!     curl -s http://127.0.0.1:3000/upload -F file=@book.txt
//!     curl -sN http://127.0.0.1:3000/api/jobs/ID/events

use axum::extract::{Multipart, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use longhaul::{Context, Job, JobResult, Longhaul};
use longhaul_http::HttpConfig;
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

#[derive(Serialize, Deserialize)]
struct CountWords {
    path: String,
}

impl Job for CountWords {
    const KIND: &'static str = "count_words";
    type State = ();
    type Output = usize;

    async fn run(self, cx: Context<()>) -> JobResult<usize> {
        let file = tokio::fs::File::open(&self.path).await?;
        let size = file.metadata().await?.len().max(1);
        let (mut words, mut read) = (0, 0);
        let mut lines = BufReader::new(file).lines();
        while let Some(line) = lines.next_line().await? {
            words += line.split_whitespace().count();
            read += line.len() as u64 + 1;
            cx.progress(100.0 * read as f64 / size as f64, format!("{words} words so far"));
        }
        Ok(words)
    }
}

async fn upload(
    State(longhaul): State<Longhaul>,
    mut form: Multipart,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let bad = |_| StatusCode::BAD_REQUEST;
    while let Some(mut field) = form.next_field().await.map_err(bad)? {
        if field.name() != Some("file") {
            continue;
        }
        // The file is there before the job is: a job never finds half of it.
        let id = longhaul::JobId::random();
        let (path, fault) = (format!("upload-{id}"), |_| StatusCode::INSUFFICIENT_STORAGE);
        let mut file = tokio::fs::File::create(&path).await.map_err(fault)?;
        while let Some(bytes) = field.chunk().await.map_err(bad)? {
            file.write_all(&bytes).await.map_err(fault)?;
        }
        file.sync_all().await.map_err(fault)?;
        let options = longhaul::EnqueueOptions { id: Some(id), ..Default::default() };
        let enqueued = longhaul.enqueue_with(CountWords { path }, options).await;
        let id = enqueued.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?.id;
        let events = format!("/api/jobs/{id}/events");
        return Ok((StatusCode::ACCEPTED, Json(json!({ "id": id.as_str(), "events": events }))));
    }
    Err(StatusCode::BAD_REQUEST)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let longhaul = Longhaul::new(SqliteStore::open("upload.db").await?);
    let _worker = longhaul.worker().register::<CountWords>(()).queue("default", 4).start();
    let api = longhaul_http::router(longhaul.clone(), HttpConfig::default());
    let app = Router::new().route("/upload", post(upload)).with_state(longhaul).nest("/api", api);
    let listener = TcpListener::bind(std::env::var("LISTEN").unwrap_or("127.0.0.1:3000".into())).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
