//! POST /api/jobs over loopback, with a client that leaves the cores to the server.

use std::net::SocketAddr;
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
use tokio_util::sync::CancellationToken;

use crate::client::{Connection, Content};
use crate::limit::Log;
use crate::load;
use crate::probe::Email;
use crate::report::Run;
use crate::sizes::Bound;
use crate::{Result, Serve};

/// Requests in flight, each on a connection of its own.
const CONNECTIONS: usize = 64;

/// Measures the routes that `longhaul serve` mounts.
pub(crate) async fn measure_router(longhaul: &Longhaul, bound: Bound, serve: Serve) -> Result<Run> {
    longhaul.declare::<Email>();
    let api = longhaul_http::router(longhaul.clone(), HttpConfig::default());
    measure(Router::new().nest("/api", api), bound, serve).await
}

/// Measures a handler that appends the request's body to the bare log and does nothing else.
pub(crate) async fn measure_log(log: &Log, bound: Bound, serve: Serve) -> Result<Run> {
    async fn append(State(log): State<Log>, body: Bytes) -> impl IntoResponse {
        match log.append(vec![body.to_vec()]).await {
            Ok(()) => (StatusCode::ACCEPTED, [(header::LOCATION, "/api/jobs/1")], body),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::LOCATION, "")], Bytes::new()),
        }
    }
    measure(Router::new().route("/api/jobs", post(append)).with_state(log.clone()), bound, serve).await
}

async fn measure(routes: Router, bound: Bound, serve: Serve) -> Result<Run> {
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let address = serve(routes, stop).await?;
    let (answer, answered) = oneshot::channel();
    // One thread of its own for the client: the server has this runtime for itself, as it would in life.
    thread::Builder::new().name("bench-client".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let run = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(post_jobs(address, bound)));
        // The receiver is gone only if the whole bench is.
        let _ = answer.send(run);
    })?;
    answered.await.map_err(|_| "failed to measure http: the client's thread panicked")?
}

async fn post_jobs(address: SocketAddr, bound: Bound) -> Result<Run> {
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        idle.push(Connection::open(address).await?);
    }
    // Connections are opened before the clock runs; each caller then takes one and gives it back.
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
pub(crate) mod tests {
    use std::net::Ipv4Addr;

    use futures::future::BoxFuture;
    use tokio::net::TcpListener;

    use super::*;

    pub(crate) fn serve(routes: Router, stop: CancellationToken) -> BoxFuture<'static, Result<SocketAddr>> {
        Box::pin(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?;
            let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
            tokio::spawn(async move { served.await });
            Ok(address)
        })
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_that_is_not_an_acknowledgement_fails_the_run() {
        let routes = Router::new().route("/api/jobs", post(|| async { StatusCode::SERVICE_UNAVAILABLE }));
        let bound = Bound { jobs: 10, time: std::time::Duration::from_secs(60) };
        let error = measure(routes, bound, serve).await.unwrap_err();
        assert_eq!(error.to_string(), "failed to post a job: status 503");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_bare_log_acknowledges_is_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(&folder.path().join("log")).unwrap();
        let bound = Bound { jobs: 200, time: std::time::Duration::from_secs(60) };
        let run = measure_log(&log, bound, serve).await.unwrap();
        assert_eq!(run.jobs, 200);
        let written = std::fs::read(folder.path().join("log")).unwrap();
        let kind = Email::KIND.as_bytes();
        assert_eq!(written.windows(kind.len()).filter(|bytes| *bytes == kind).count(), 200);
    }
}
