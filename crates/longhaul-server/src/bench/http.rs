//! POST /api/jobs over loopback, with a client that leaves the cores to the server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use longhaul::{Job, Longhaul};
use longhaul_http::HttpConfig;
use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::client::{Connection, Content};
use super::limit::Log;
use super::load;
use super::probe::Email;
use super::report::Run;
use super::sizes::Bound;
use crate::Result;
use crate::serve::listen;

/// Requests in flight, each on a connection of its own.
const CONNECTIONS: usize = 64;

/// Measures the routes that `longhaul serve` mounts.
pub(super) async fn measure_router(longhaul: &Longhaul, bound: Bound) -> Result<Run> {
    longhaul.declare::<Email>();
    let api = longhaul_http::router(longhaul.clone(), HttpConfig::default());
    measure(Router::new().nest("/api", api), bound).await
}

/// Measures a handler that appends the request's body to the bare log and does nothing else.
pub(super) async fn measure_log(log: &Log, bound: Bound) -> Result<Run> {
    async fn append(State(log): State<Log>, body: Bytes) -> impl IntoResponse {
        match log.append(vec![body.to_vec()]).await {
            Ok(()) => (StatusCode::ACCEPTED, [(header::LOCATION, "/api/jobs/1")], body),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::LOCATION, "")], Bytes::new()),
        }
    }
    measure(Router::new().route("/api/jobs", post(append)).with_state(log.clone()), bound).await
}

async fn measure(routes: Router, bound: Bound) -> Result<Run> {
    let server = Server::start(routes).await?;
    let (answer, answered) = oneshot::channel();
    let address = server.address;
    // One thread of its own for the client: the server has this runtime for itself, as it would in life.
    thread::Builder::new().name("bench-client".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let run = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(post_jobs(address, bound)));
        // Whoever asked is gone only if the whole bench is.
        let _ = answer.send(run);
    })?;
    answered.await.map_err(|_| "failed to measure http: the client's thread panicked")?
}

/// Routes that are served, by the listener of `longhaul serve`, until this is dropped.
struct Server {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Server {
    async fn start(routes: Router) -> Result<Self> {
        let listener = listen::bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
        let (address, stop) = (listener.address(), CancellationToken::new());
        tokio::spawn(listener.serve(routes, stop.clone()));
        Ok(Self { address, _stop: stop.drop_guard() })
    }
}

async fn post_jobs(address: SocketAddr, bound: Bound) -> Result<Run> {
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        idle.push(Connection::open(address).await?);
    }
    // Connections are opened before the clock runs; each lane then takes one and gives it back.
    let idle = Arc::new(Mutex::new(idle));
    load::in_flight(CONNECTIONS, bound, move |id| {
        let idle = Arc::clone(&idle);
        async move {
            let mut connection = idle.lock().await.pop().ok_or("failed to find an idle connection")?;
            let status = connection.post("/api/jobs", None, Content::json(&body(id)?)).await?;
            idle.lock().await.push(connection);
            if status == 202 { Ok(()) } else { Err(format!("failed to post a job: status {status}").into()) }
        }
    })
    .await
}

fn body(id: u64) -> Result<String> {
    Ok(format!(r#"{{"kind":"{}","args":{}}}"#, Email::KIND, serde_json::to_string(&Email::new(id))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_that_is_not_an_acknowledgement_fails_the_run() {
        let routes = Router::new().route("/api/jobs", post(|| async { StatusCode::SERVICE_UNAVAILABLE }));
        let bound = Bound { jobs: 10, time: std::time::Duration::from_secs(60) };
        let error = measure(routes, bound).await.unwrap_err();
        assert_eq!(error.to_string(), "failed to post a job: status 503");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_bare_log_acknowledges_is_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(&folder.path().join("log")).unwrap();
        let bound = Bound { jobs: 200, time: std::time::Duration::from_secs(60) };
        let run = measure_log(&log, bound).await.unwrap();
        assert_eq!(run.jobs, 200);
        let written = std::fs::read(folder.path().join("log")).unwrap();
        let kind = Email::KIND.as_bytes();
        assert_eq!(written.windows(kind.len()).filter(|bytes| *bytes == kind).count(), 200);
    }
}
