//! A way to the store's server that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Listens on a port of its own and passes everything on. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    cuts: Arc<watch::Sender<u64>>,
}

impl Proxy {
    /// Begins to pass connections on to `to`.
    ///
    /// # Errors
    /// Where no port can be had.
    pub(crate) async fn start(to: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let cuts = Arc::new(watch::Sender::new(0));
        let cut = Arc::clone(&cuts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut cut = cut.subscribe();
                tokio::spawn(async move {
                    let passed = pass(client, to);
                    // Dropping both ends in mid-reply is what a broken network looks like.
                    tokio::select! {
                        _ = passed => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Ok(Self { address, cuts })
    }

    /// Where it listens.
    #[must_use]
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Breaks every connection that is open; new ones are passed on.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass(mut client: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
