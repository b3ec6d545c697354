//! The listener: HTTP/1.1 connections, and their orderly end.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode};
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use longhaul_http::Held;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{ServiceExt, service_fn};

use super::connections::{self, Connection, Connections};
use super::pace::{Arriving, Leaving, PAUSE, Paced};
use crate::Result;

/// The most bytes of a request's head, and of what is held of a body or an answer on its way.
const MAX_BUFFER: usize = 64 * 1024;

/// The time for which the listener is left alone when the process has run out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound address.
pub(crate) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    /// The most connections that are held at a time, unless the process's limits are lower.
    pub(crate) most_connections: Option<u32>,
}

/// Binds the address that `flag` has named.
pub(crate) async fn bind(address: SocketAddr, flag: &str) -> Result<Listener> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::AddrInUse => {
            format!("failed to listen on {address}: something else does; choose another with {flag}")
        }
        _ => format!("failed to listen on {address}: {e}"),
    };
    let tcp = TcpListener::bind(address).await.map_err(failed)?;
    let address = tcp.local_addr().map_err(failed)?;
    Ok(Listener { tcp, address, most_connections: None })
}

/// Serves `app` on a free port of the loopback address until `stop`, for `longhaul bench`.
pub(crate) fn on_loopback(app: Router, stop: CancellationToken) -> BoxFuture<'static, Result<SocketAddr>> {
    Box::pin(async move {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into(), "--listen").await?;
        let address = listener.address();
        tokio::spawn(listener.serve(app, stop));
        Ok(address)
    })
}

impl Listener {
    /// The address, with the port that the system chose.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, and then until the last request in flight has its answer.
    pub(crate) async fn serve(self, app: Router, stop: CancellationToken) {
        let mut http = http1::Builder::new();
        // A connection that sends nothing, before its first request or between two, must not be held for ever either.
        http.timer(TokioTimer::new()).header_read_timeout(PAUSE).max_buf_size(MAX_BUFFER);
        let places = Connections::new(connections::most(self.most_connections));
        let connections = TaskTracker::new();
        while let Some(accepted) = stop.run_until_cancelled(self.tcp.accept()).await {
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            let Some(place) = stop.run_until_cancelled(places.place()).await else { break };
            if let Some(stream) = prepared(stream) {
                let own = Arc::clone(&place.0);
                // A WebSocket takes it over from the connection: it is counted and waited for until it ends.
                let held = Held(Arc::new((place, connections.token())));
                connections.spawn(connection(&http, stream, own, held, app.clone(), stop.clone()));
            }
        }
        // Dropped before the wait, so that new clients are refused at once and can go elsewhere.
        drop(self.tcp);
        connections.close();
        connections.wait().await;
    }
}

/// Serves one connection until its client closes it or another one needs its place or, after `stop`, until the request
/// it carries is answered.
fn connection(
    http: &http1::Builder,
    stream: TcpStream,
    own: Arc<Connection>,
    held: Held,
    app: Router,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    // Services limit callers who do not say who they are by where they call from.
    let peer = stream.peer_addr().ok().map(ConnectInfo);
    let (connection, kept) = (Arc::clone(&own), held.clone());
    let app = service_fn(move |mut request: Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        request.extensions_mut().insert(kept.clone());
        answer(app.clone(), request, Arc::clone(&connection))
    });
    let stream = TokioIo::new(Paced::new(stream, PAUSE));
    let connection = http.serve_connection(stream, TowerToHyperService::new(app)).with_upgrades();
    async move {
        let mut connection = pin!(connection);
        let served = async {
            if stop.run_until_cancelled(connection.as_mut()).await.is_none() {
                connection.as_mut().graceful_shutdown();
                // A client that breaks off is its own affair; what it asked for was or was not done by then.
                let _ = connection.await;
            }
        };
        own.cut.run_until_cancelled(served).await;
        drop(held);
    }
}

/// Answers one request, whose body must keep the pace.
async fn answer(
    app: Router,
    request: Request<Incoming>,
    connection: Arc<Connection>,
) -> Result<Response<Body>, Infallible> {
    let too_slow = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| {
        let body = Arriving::new(body, Arc::clone(&connection), PAUSE, Arc::clone(&too_slow));
        Body::new(body)
    });
    let mut response = app.oneshot(request).await?;
    // To the reader of the body it was cut off.
    if too_slow.load(Ordering::Relaxed) && response.status() == StatusCode::BAD_REQUEST {
        *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    Ok(response.map(|body| Body::new(Leaving { body, connection })))
}

/// Answers are small and must not wait for more to send.
fn prepared(stream: TcpStream) -> Option<TcpStream> {
    stream.set_nodelay(true).is_ok().then_some(stream)
}

/// An aborted handshake is nothing; a lack of descriptors ends when connections do, and asking at once would spin.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!("failed to accept a connection: {error}");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
