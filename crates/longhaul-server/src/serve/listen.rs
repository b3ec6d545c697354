//! The listener: HTTP/1.1 connections, and their orderly end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::Result;

/// The longest that a client may take over a request's head, and that a connection may idle between requests: one
/// that sends nothing must not hold a file descriptor for ever.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The time for which the listener is left alone when the process has run out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound address.
pub(crate) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
}

/// Binds `address`.
pub(crate) async fn bind(address: SocketAddr) -> Result<Listener> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::AddrInUse => {
            format!("failed to listen on {address}: something else does; choose another with --listen")
        }
        _ => format!("failed to listen on {address}: {e}"),
    };
    let tcp = TcpListener::bind(address).await.map_err(failed)?;
    let address = tcp.local_addr().map_err(failed)?;
    Ok(Listener { tcp, address })
}

/// Serves `app` on a free port of the loopback address until `stop`, for `longhaul bench`.
pub(crate) fn on_loopback(app: Router, stop: CancellationToken) -> BoxFuture<'static, Result<SocketAddr>> {
    Box::pin(async move {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
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
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        let connections = TaskTracker::new();
        while let Some(accepted) = stop.run_until_cancelled(self.tcp.accept()).await {
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            if let Some(stream) = prepared(stream) {
                connections.spawn(connection(&http, stream, app.clone(), stop.clone()));
            }
        }
        // Dropped before the wait, so that new clients are refused at once and can go elsewhere.
        drop(self.tcp);
        connections.close();
        connections.wait().await;
    }
}

/// Serves one connection until its client closes it or, after `stop`, until the request it carries is answered.
fn connection(
    http: &http1::Builder,
    stream: TcpStream,
    app: Router,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    // Services limit callers who do not say who they are by where they call from.
    let peer = stream.peer_addr().ok().map(ConnectInfo);
    let app = app.map_request(move |mut request: Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        request
    });
    let connection =
        http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).with_upgrades();
    async move {
        let mut connection = pin!(connection);
        if stop.run_until_cancelled(connection.as_mut()).await.is_none() {
            connection.as_mut().graceful_shutdown();
            // A client that breaks off is its own affair; what it asked for was or was not done by then.
            let _ = connection.await;
        }
    }
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
