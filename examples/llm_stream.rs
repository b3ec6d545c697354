//! The answer of a language model, streamed to a browser. It goes on where a reader left off, after a reload as well.
//!
//!     LLM_BASE_URL=http://127.0.0.1:11434/v1 LLM_MODEL=llama3.2 cargo run -p examples --bin llm_stream

use axum::response::Html;
use axum::routing::get;
use axum::{Json, Router, extract::State, http::StatusCode};
use eventsource_stream::Eventsource;
use futures::StreamExt;
use longhaul::{Context, Job, JobError, JobResult, Longhaul};
use longhaul_http::HttpConfig;
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Serialize, Deserialize)]
struct Ask {
    question: String,
}

#[derive(Clone)]
struct Model {
    client: reqwest::Client,
    url: String,
    name: String,
}

impl Job for Ask {
    const KIND: &'static str = "ask";
    type State = Model;
    type Output = String;

    async fn run(self, cx: Context<Model>) -> JobResult<String> {
        let Model { client, url, name } = cx.state();
        let messages = json!([{ "role": "user", "content": self.question }]);
        let body = json!({ "model": name, "stream": true, "messages": messages });
        let reply = client.post(format!("{url}/chat/completions")).json(&body).send().await?;
        let mut events = reply.error_for_status()?.bytes_stream().eventsource();
        let mut answer = String::new();
        while let Some(event) = events.next().await {
            let data = event.map_err(|e| JobError::retry(format!("the stream broke: {e}")))?.data;
            let Ok(piece) = serde_json::from_str::<Value>(&data) else { break };
            if let Some(text) = piece["choices"][0]["delta"]["content"].as_str() {
                answer.push_str(text);
                cx.emit(text).await?;
            }
        }
        Ok(answer)
    }
}

async fn ask(State(longhaul): State<Longhaul>, Json(ask): Json<Ask>) -> Result<Json<Value>, StatusCode> {
    let enqueued = longhaul.enqueue(ask).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(Json(json!({ "id": enqueued.id.as_str() })))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let variable = |name, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    let model = Model {
        client: reqwest::Client::new(),
        url: variable("LLM_BASE_URL", "http://127.0.0.1:11434/v1"),
        name: variable("LLM_MODEL", "llama3.2"),
    };
    let longhaul = Longhaul::new(SqliteStore::open("llm.db").await?);
    let _worker = longhaul.worker().register::<Ask>(model).queue("default", 16).start();
    let api = longhaul_http::router(longhaul.clone(), HttpConfig::default());
    let page = get(async || Html(include_str!("llm_stream.html"))).post(ask);
    let app = Router::new().route("/", page).with_state(longhaul).nest("/api", api);
    let listener = tokio::net::TcpListener::bind(variable("LISTEN", "127.0.0.1:3000")).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
