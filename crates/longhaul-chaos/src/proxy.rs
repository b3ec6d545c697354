//! A way to the store's server that can be cut, and that can fall silent.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Listens on a port of its own and passes everything on. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    way: Arc<Way>,
}

/// The state that its connections share.
#[derive(Debug)]
struct Way {
    cuts: watch::Sender<u64>,
    state: watch::Sender<WayState>,
    connections: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WayState {
    Open,
    Held,
}

impl Proxy {
    /// Begins to pass connections on to `to`.
    ///
    /// # Errors
    /// No port is free.
    pub(crate) async fn start(to: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let way = Arc::new(Way {
            cuts: watch::Sender::new(0),
            state: watch::Sender::new(WayState::Open),
            connections: AtomicU64::new(0),
        });
        let ours = Arc::clone(&way);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                way.connections.fetch_add(1, Ordering::Relaxed);
                let (mut cut, state) = (way.cuts.subscribe(), way.state.subscribe());
                tokio::spawn(async move {
                    // Dropping both ends in mid-reply is what a broken network looks like.
                    tokio::select! {
                        () = pass_while_open(client, to, state) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Ok(Self { address, way: ours })
    }

    /// Its port.
    #[must_use]
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Breaks every connection that is open; new ones are passed on.
    pub(crate) fn cut(&self) {
        self.way.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Stops passing data on. Connections stay open, new ones too, without an answer.
    pub(crate) fn hold(&self) {
        self.way.state.send_replace(WayState::Held);
    }

    /// Passes on again, also what was sent meanwhile on connections that are open still.
    pub(crate) fn let_go(&self) {
        self.way.state.send_replace(WayState::Open);
    }

    /// Connections that it was asked for so far.
    pub(crate) fn connections(&self) -> u64 {
        self.way.connections.load(Ordering::Relaxed)
    }
}

/// A future that is not polled moves no byte, so the bytes of a held way wait with the system.
async fn pass_while_open(client: TcpStream, to: SocketAddr, mut state: watch::Receiver<WayState>) {
    let mut passed = pin!(pass(client, to));
    loop {
        if state.wait_for(|state| *state == WayState::Open).await.is_err() {
            return;
        }
        tokio::select! {
            _ = &mut passed => return,
            held = state.wait_for(|state| *state == WayState::Held) => if held.is_err() { return },
        }
    }
}

async fn pass(mut client: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
