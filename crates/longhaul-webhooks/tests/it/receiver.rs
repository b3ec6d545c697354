use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A receiver that answers as it is told to, and keeps what it was sent.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: JoinHandle<()>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// A receiver's reaction to a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// The lines of the head behind `HTTP/1.1 `, and the body.
    Answer(String, String),
    /// Closes the connection without an answer.
    Reset,
    /// Never answers, until the sender hangs up.
    Hang,
    /// Begins a body and never ends it.
    HangInBody,
    /// Never ends a body, and sends more of it all the time.
    Flood,
}

impl Reply {
    pub(crate) fn status(status: &str) -> Self {
        Self::Answer(status.into(), String::new())
    }
}

impl Receiver {
    /// Starts one on 127.0.0.1 that answers by `reply`.
    pub(crate) async fn start(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on("127.0.0.1", reply).await
    }

    pub(crate) async fn start_on(host: &str, reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (reply, kept) = (Arc::new(reply), Arc::clone(&seen));
        let serving = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (reply, kept) = (Arc::clone(&reply), Arc::clone(&kept));
                tokio::spawn(serve(stream, reply, kept));
            }
        });
        Self { address, seen, serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    reply: Arc<impl Fn(&Seen) -> Reply + Send + Sync + 'static>,
    kept: Arc<Mutex<Vec<Seen>>>,
) {
    let mut buffer = Vec::new();
    while let Some(seen) = read(&mut stream, &mut buffer).await {
        kept.lock().unwrap().push(seen.clone());
        let written = match reply(&seen) {
            Reply::Answer(head, body) => {
                let length = body.len();
                stream
                    .write_all(
                        format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes(),
                    )
                    .await
            }
            Reply::Reset => {
                // Closing with a linger of zero is a reset and no orderly end.
                let _ = stream.set_zero_linger();
                return;
            }
            Reply::Hang => return until_closed(stream).await,
            Reply::HangInBody => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nslow").await;
                return until_closed(stream).await;
            }
            Reply::Flood => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                while stream.write_all(&[b'x'; 16 * 1024]).await.is_ok() {}
                return;
            }
        };
        if written.is_err() {
            return;
        }
    }
}

/// Says nothing until the sender gives the connection up, which thousands of senders do: a process may have so many files open.
async fn until_closed(mut stream: TcpStream) {
    while more(&mut stream, &mut Vec::new()).await.is_some() {}
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        more(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer[..end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let header =
        |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    let length: usize = headers.get("content-length").map_or(Some(0), |length| length.parse().ok())?;
    while buffer.len() < end + 4 + length {
        more(stream, buffer).await?;
    }
    let body = String::from_utf8(buffer[end + 4..end + 4 + length].to_vec()).ok()?;
    buffer.drain(..end + 4 + length);
    Some(Seen { method, path, headers, body })
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 8192];
    let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0)?;
    buffer.extend_from_slice(&piece[..read]);
    Some(())
}
