//! Readers of a job's events, by SSE and by WebSocket, through everything that happens to pages and servers.

use futures::StreamExt;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::server::{PATIENCE, Place, Server, client};

/// A worker of another process, as far as the server can tell: it outlives servers, and says what the test wants.
struct Worker {
    lease: Value,
}

async fn post(server: &Server, path: &str, body: Value) -> Value {
    let answer = client().post(server.at(path)).json(&body).send().await.expect("the server answers");
    assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap_or_default());
    answer.json().await.expect("JSON")
}

impl Worker {
    async fn claim(server: &Server) -> Self {
        let body = json!({
            "worker": { "id": "teller" }, "queues": [{ "queue": "default", "slots": 1 }], "kinds": [{ "kind": "story" }],
            "lease_for": 600, "wait": 20,
        });
        let claimed = post(server, "/api/worker/claim", body).await;
        Self { lease: claimed["claimed"][0]["lease"].clone() }
    }

    async fn emit(&self, server: &Server, chunk: &str) {
        let entries = json!([{ "chunk": { "data": chunk } }]);
        let body = json!({ "records": [{ "lease": self.lease, "entries": entries }] });
        assert_eq!(post(server, "/api/worker/record", body).await, json!({ "statuses": ["held"] }));
    }

    async fn finish(self, server: &Server, outcome: Value) {
        let body = json!({ "finishes": [{ "lease": self.lease, "outcome": outcome }] });
        assert_eq!(post(server, "/api/worker/finish", body).await, json!({ "statuses": ["held"] }));
    }
}

/// A page that follows the job, and comes back with the last event that it has seen.
struct Page {
    by: By,
    last: u64,
    seen: Vec<(String, Value)>,
}

#[derive(Clone, Copy, Debug)]
enum By {
    Sse,
    WebSocket,
}

enum Open {
    Sse(Box<dyn futures::Stream<Item = reqwest::Result<Vec<u8>>> + Unpin + Send>, String),
    WebSocket(Box<WebSocketStream<TcpStream>>),
}

impl Open {
    /// The next event; none at the end, however it comes.
    async fn next(&mut self) -> Option<(u64, String, Value)> {
        match self {
            Open::Sse(pieces, text) => loop {
                if let Some((block, rest)) = text.split_once("\n\n") {
                    let (block, rest) = (block.to_owned(), rest.to_owned());
                    *text = rest;
                    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
                    let Some(data) = field("data: ") else { continue };
                    let id = field("id: ").and_then(|id| id.parse().ok()).expect("a number");
                    let event = field("event: ").expect("a name").to_owned();
                    return Some((id, event, serde_json::from_str(data).expect("JSON")));
                }
                let piece = timeout(PATIENCE, pieces.next()).await.expect("it goes on or ends")?.ok()?;
                text.push_str(&String::from_utf8(piece).expect("ASCII"));
            },
            Open::WebSocket(socket) => loop {
                match timeout(PATIENCE, socket.next()).await.expect("it goes on or ends")? {
                    Ok(Message::Text(text)) => {
                        let message: Value = serde_json::from_str(&text).expect("JSON");
                        let event = message["event"].as_str().expect("a name").to_owned();
                        return Some((
                            message["id"].as_u64().expect("a number"),
                            event,
                            message["data"].clone(),
                        ));
                    }
                    Ok(Message::Close(_)) | Err(_) => return None,
                    Ok(_) => {}
                }
            },
        }
    }
}

impl Page {
    fn new(by: By) -> Self {
        Self { by, last: 0, seen: Vec::new() }
    }

    async fn open(&self, server: &Server) -> Open {
        match self.by {
            By::Sse => {
                let request =
                    client().get(server.at("/api/jobs/tale/events")).header("last-event-id", self.last);
                let answer = request.send().await.expect("the server answers");
                assert_eq!(answer.status(), StatusCode::OK);
                let pieces = answer.bytes_stream().map(|piece| piece.map(|piece| piece.to_vec()));
                Open::Sse(Box::new(pieces), String::new())
            }
            By::WebSocket => {
                let address = server.url.strip_prefix("http://").expect("an address");
                let stream = TcpStream::connect(address).await.expect("it listens");
                let url = format!("ws://{address}/api/jobs/tale/ws?after={}", self.last);
                let (socket, _) = client_async(url, stream).await.expect("a WebSocket");
                Open::WebSocket(Box::new(socket))
            }
        }
    }

    /// Reads until it has seen this chunk or state.
    async fn read_until(&mut self, open: &mut Open, wanted: &str) {
        while let Some((id, event, data)) = open.next().await {
            assert!(id > self.last, "{:?}: {id} after {}", self.by, self.last);
            self.last = id;
            let is_wanted = data["data"] == wanted || data["state"] == wanted;
            self.seen.push((event, data));
            if is_wanted {
                return;
            }
        }
        panic!("{:?} ended before {wanted}: {:?}", self.by, self.seen);
    }

    /// The chunks and resets, in the order in which they came.
    fn told(&self) -> Vec<&str> {
        let told = self.seen.iter().filter_map(|(event, data)| match event.as_str() {
            "chunk" => data["data"].as_str(),
            "reset" => Some("reset"),
            _ => None,
        });
        told.collect()
    }
}

#[tokio::test]
async fn a_story_is_told_whole_through_late_readers_reloads_a_kill_and_a_retry() {
    let place = Place::new();
    let serve = || place.serve(&["--accept-unknown-kinds", "--no-worker"]);
    let server = serve().await;
    post(&server, "/api/jobs", json!({ "kind": "story", "args": {}, "id": "tale" })).await;
    let worker = Worker::claim(&server).await;
    worker.emit(&server, "once").await;
    worker.emit(&server, "upon").await;

    // Late readers.
    let mut pages = [By::Sse, By::WebSocket].map(Page::new);
    let mut open = Vec::new();
    for page in &mut pages {
        let mut reading = page.open(&server).await;
        page.read_until(&mut reading, "upon").await;
        open.push(reading);
    }
    worker.emit(&server, "a").await;
    for (page, mut reading) in pages.iter_mut().zip(open) {
        page.read_until(&mut reading, "a").await;
        // The page is reloaded, and the job goes on meanwhile.
    }
    worker.emit(&server, "time").await;
    let mut open = Vec::new();
    for page in &mut pages {
        let mut reading = page.open(&server).await;
        page.read_until(&mut reading, "time").await;
        open.push(reading);
    }

    // The server is killed under them, and the worker says on to the next one what it has to say.
    server.kill().await;
    for reading in &mut open {
        assert!(reading.next().await.is_none(), "the connection breaks");
    }
    let server = serve().await;
    worker.emit(&server, "the end").await;
    worker.finish(&server, json!({ "failed": { "error": { "message": "a bad end" } } })).await;
    for page in &mut pages {
        let mut reading = page.open(&server).await;
        page.read_until(&mut reading, "failed").await;
        assert!(reading.next().await.is_none(), "the log ends with the job");
    }

    // It is told anew.
    post(&server, "/api/jobs/tale/retry", json!({})).await;
    let mut open = Vec::new();
    for page in &mut pages {
        let mut reading = page.open(&server).await;
        page.read_until(&mut reading, "available").await;
        open.push(reading);
    }
    let worker = Worker::claim(&server).await;
    worker.emit(&server, "once more").await;
    worker.finish(&server, json!({ "completed": { "output": "good" } })).await;
    for (page, mut reading) in pages.iter_mut().zip(open) {
        page.read_until(&mut reading, "completed").await;
        assert!(reading.next().await.is_none(), "the log ends with the job");
        assert_eq!(
            page.told(),
            ["once", "upon", "a", "time", "the end", "reset", "once more"],
            "{:?}",
            page.by
        );
    }
}

#[tokio::test]
async fn a_server_that_stops_closes_its_websockets_before_it_ends() {
    let place = Place::new();
    let mut server = place.serve(&["--accept-unknown-kinds", "--no-worker"]).await;
    post(&server, "/api/jobs", json!({ "kind": "story", "args": {}, "id": "tale" })).await;
    let mut page = Page::new(By::WebSocket);
    let mut reading = page.open(&server).await;
    page.read_until(&mut reading, "available").await;
    server.terminate().await;
    let Open::WebSocket(mut socket) = reading else { panic!("it is one") };
    let last = timeout(PATIENCE, socket.next()).await.expect("it ends in time");
    match last {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), 1001),
        other => panic!("{other:?}"),
    }
    assert!(server.ended().await.success(), "{}", server.log());
}

#[tokio::test]
async fn a_websocket_counts_among_the_connections() {
    let place = Place::new();
    let server = place.serve(&["--accept-unknown-kinds", "--no-worker", "--max-connections", "2"]).await;
    post(&server, "/api/jobs", json!({ "kind": "story", "args": {}, "id": "tale" })).await;
    let mut pages = [By::WebSocket, By::WebSocket].map(Page::new);
    let mut open = Vec::new();
    for page in &mut pages {
        let mut reading = page.open(&server).await;
        page.read_until(&mut reading, "available").await;
        open.push(reading);
    }
    // The third waits until one of the two has gone.
    let third = client().get(server.at("/health")).send();
    tokio::pin!(third);
    tokio::select! {
        biased;
        answer = &mut third => panic!("there was no place for it: {answer:?}"),
        () = async { drop(open.pop()) } => {}
    }
    assert_eq!(timeout(PATIENCE, third).await.expect("a place").expect("an answer").status(), StatusCode::OK);
}
