//! A server on a port of its own.

use std::sync::Arc;

use axum::Router;
use longhaul::{Clock, Longhaul, Store};
use longhaul_conformance::Fixture;
use longhaul_http::{HttpConfig, RemoteStore, router};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Serves until it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: String,
    serving: JoinHandle<()>,
}

impl Server {
    pub(super) async fn over(store: Arc<dyn Store>, config: HttpConfig) -> Self {
        let api = router(Longhaul::over(store), config);
        Self::of(Router::new().nest("/api", api), TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn of(router: Router, listener: TcpListener) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, serving }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A remote store in front of `store`, whose clock is `clock`.
pub(super) async fn in_front_of(
    store: Arc<dyn Store>,
    clock: Clock,
    keep: impl std::any::Any + Send + Sync,
) -> Fixture {
    let config = HttpConfig { clock: clock.clone(), ..HttpConfig::default() };
    let server = Server::over(store, config).await;
    let remote = RemoteStore::connect(&server.url, None).await.unwrap();
    Fixture { keep: Arc::new((server, keep)), ..Fixture::new(remote, clock) }
}
