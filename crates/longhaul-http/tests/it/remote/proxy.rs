//! A network that loses answers, and breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Stands between a remote store and its server.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) url: String,
    network: Arc<Network>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Network {
    server: String,
    /// The number of answers that still get lost, with their connections.
    lose: AtomicUsize,
    state: watch::Sender<State>,
    /// Connections that were made, or tried while it was down.
    connections: watch::Sender<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    Down,
}

impl Proxy {
    /// A network in front of the server at `url`.
    pub(super) async fn before(url: &str) -> Self {
        let network = Arc::new(Network {
            server: url.trim_start_matches("http://").to_owned(),
            lose: AtomicUsize::new(0),
            state: watch::Sender::new(State::Up),
            connections: watch::Sender::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(Arc::clone(&network).serve(listener));
        Self { url, network, serving }
    }

    /// Loses the next `count` answers: the server has done what it was asked, and nobody hears of it.
    pub(super) fn lose(&self, count: usize) {
        self.network.lose.store(count, Ordering::SeqCst);
    }

    pub(super) fn lost_all(&self) -> bool {
        self.network.lose.load(Ordering::SeqCst) == 0
    }

    /// Cuts every connection, and refuses new ones.
    pub(super) fn cut(&self) {
        self.network.state.send_replace(State::Down);
    }

    pub(super) fn mend(&self) {
        self.network.state.send_replace(State::Up);
    }

    pub(super) fn connections(&self) -> usize {
        *self.network.connections.borrow()
    }

    /// Waits until so many connections have been tried.
    pub(super) async fn tried(&self, count: usize) {
        let mut connections = self.network.connections.subscribe();
        let reached = connections.wait_for(|tried| *tried >= count);
        tokio::time::timeout(std::time::Duration::from_secs(60), reached).await.expect("it tries").unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Network {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            self.connections.send_modify(|count| *count += 1);
            if *self.state.borrow() == State::Up {
                tokio::spawn(Arc::clone(&self).carry(client));
            }
        }
    }

    async fn carry(self: Arc<Self>, mut client: TcpStream) {
        let mut state = self.state.subscribe();
        let Ok(mut server) = TcpStream::connect(&self.server).await else { return };
        let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let Ok(read @ 1..) = read else { return };
                    if server.write_all(&asked[..read]).await.is_err() { return }
                }
                read = server.read(&mut answered) => {
                    let Ok(read @ 1..) = read else { return };
                    let lose = self.lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
                    if lose.is_ok() || client.write_all(&answered[..read]).await.is_err() { return }
                }
                () = async { drop(state.wait_for(|state| *state == State::Down).await) } => return,
            }
        }
    }
}
