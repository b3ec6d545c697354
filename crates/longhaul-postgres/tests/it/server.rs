//! Postgres servers, with options for stores on them.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;
use std::time::Duration;

use longhaul_postgres::PostgresOptions;
use longhaul_testservers::Postgres;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Longer than a server that lives takes to answer on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running server. It is killed, as by a power cut, when this is dropped.
pub(crate) struct Server(Postgres);

impl Server {
    /// Starts a server.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self(Postgres::start(settings))
    }

    /// Options of a store with a schema of its own, for which a busy machine is no outage.
    pub(crate) fn options(&self) -> PostgresOptions {
        let options = PostgresOptions::new(&self.url_of_new_schema()).unwrap();
        PostgresOptions { connect_timeout: PATIENCE, response_timeout: PATIENCE, ..options }
    }
}

impl Deref for Server {
    type Target = Postgres;

    fn deref(&self) -> &Postgres {
        &self.0
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Postgres {
        &mut self.0
    }
}

/// The server that most tests share. What it has is of no use to anybody afterwards.
pub(crate) fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&["fsync=off", "full_page_writes=off", "shared_buffers=32MB"]))
}

/// A proxy before the server of a port; while it is held, what the server says waits.
pub(crate) async fn late_proxy(port: u16, held: watch::Receiver<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) =
                TcpStream::connect(("127.0.0.1", port)).await.unwrap().into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            let mut held = held.clone();
            tokio::spawn(async move {
                let mut said = vec![0; 65_536];
                while let Ok(count @ 1..) = from_server.read(&mut said).await {
                    let is_held = held.wait_for(|held| !held).await.is_err();
                    if is_held || to_client.write_all(&said[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
