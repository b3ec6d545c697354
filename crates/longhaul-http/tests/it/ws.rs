//! A job's events over WebSocket, beside those over SSE.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use axum::serve::Listener;
use futures::{SinkExt, StreamExt};
use longhaul::testing::{Call, Intercept};
use longhaul::{Clock, JobId, Longhaul, MemoryStore};
use longhaul_http::HttpConfig;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::sync::CancellationToken;

use crate::access::guarded;
use crate::app::App;
use crate::described::hold_message;
use crate::kinds;

/// The longest that anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server whose connections are pipes in memory, of which each holds so many bytes that nobody has read.
struct Server {
    dial: mpsc::UnboundedSender<DuplexStream>,
    pipe: usize,
}

struct Pipes(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Pipes {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(pipe) => (pipe, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Server {
    fn of(app: &App) -> Self {
        let (dial, calls) = mpsc::unbounded_channel();
        let router = app.router.clone();
        tokio::spawn(async move { axum::serve(Pipes(calls), router).await });
        Self { dial, pipe: 64 * 1024 }
    }

    async fn try_open(&self, path: &str, headers: &[(&'static str, &str)]) -> Result<Socket, Box<Error>> {
        let (ours, theirs) = tokio::io::duplex(self.pipe);
        self.dial.send(theirs).unwrap();
        let mut request = format!("ws://jobs.example{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let (socket, _) = client_async(request, ours).await.map_err(Box::new)?;
        Ok(Socket(socket))
    }

    async fn open(&self, path: &str) -> Socket {
        self.try_open(path, &[]).await.expect("a WebSocket")
    }

    /// The status by which a WebSocket is refused.
    async fn refused(&self, path: &str, headers: &[(&'static str, &str)]) -> StatusCode {
        match self.try_open(path, headers).await.map(|_| ()).map_err(|error| *error) {
            Err(Error::Http(answer)) => answer.status(),
            other => panic!("{other:?}"),
        }
    }
}

/// A reader.
struct Socket(WebSocketStream<DuplexStream>);

/// A message that is read, or the code of the end.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    Event(Value),
    Ping,
    End(u16),
}

impl Socket {
    async fn next(&mut self) -> Heard {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("it goes on or ends");
            match message.expect("an end is told").expect("the connection holds") {
                Message::Text(text) => {
                    let message = serde_json::from_str(&text).unwrap();
                    hold_message("/api/jobs/{id}/ws", &message);
                    return Heard::Event(message);
                }
                Message::Ping(_) => return Heard::Ping,
                Message::Close(Some(frame)) => return Heard::End(frame.code.into()),
                _ => {}
            }
        }
    }

    async fn event(&mut self) -> Value {
        match self.next().await {
            Heard::Event(event) => event,
            other => panic!("{other:?}"),
        }
    }

    /// All that comes, and the code of the end.
    async fn rest(mut self) -> (Vec<Value>, u16) {
        let mut all = Vec::new();
        loop {
            match self.next().await {
                Heard::Event(event) => all.push(event),
                Heard::Ping => {}
                Heard::End(code) => return (all, code),
            }
        }
    }
}

/// The events as the stream of server-sent events tells them, in the form of the messages.
async fn by_sse(app: &App, path: &str) -> Vec<Value> {
    let text = String::from_utf8(app.get(path).await.body.to_vec()).unwrap();
    let blocks = text.split("\n\n").filter(|block| block.contains("data: "));
    let field = |block: &str, name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)).expect("a field").to_owned()
    };
    let message = |block: &str| {
        let (id, event, data) = (field(block, "id: "), field(block, "event: "), field(block, "data: "));
        let data: Value = serde_json::from_str(&data).unwrap();
        serde_json::json!({ "id": id.parse::<u64>().unwrap(), "event": event, "data": data })
    };
    blocks.map(message).collect()
}

async fn tell(app: &App, lines: u32) {
    let body = format!(r#"{{"kind":"tell","args":{{"lines":{lines}}},"id":"t"}}"#);
    assert_eq!(app.post("/api/jobs", &body).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn the_messages_are_the_events_of_the_stream_and_the_end_is_told() {
    let app = App::new();
    let (server, worker) = (Server::of(&app), app.work());
    app.run("s", "stumble", "{}").await;
    let expected = by_sse(&app, "/api/jobs/s/events").await;
    assert!(expected.iter().any(|event| event["event"] == "reset"), "{expected:?}");
    assert_eq!(server.open("/api/jobs/s/ws").await.rest().await, (expected.clone(), 1000));
    // Each may be the last that a reader has seen.
    for (seen, event) in expected.iter().enumerate() {
        let rest = server.open(&format!("/api/jobs/s/ws?after={}", event["id"])).await.rest().await;
        assert_eq!(rest, (expected[seen + 1..].to_vec(), 1000));
    }
    let (again, code) = server.open("/api/jobs/s/ws?after=4000000").await.rest().await;
    assert_eq!((&again[0]["event"], &again[0]["id"], code), (&"reset".into(), &0.into(), 1000));
    assert_eq!(again[1..], expected);
    drop(worker);
}

#[tokio::test]
async fn a_reader_that_is_there_hears_of_each_event_as_it_comes() {
    let app = App::new();
    let server = Server::of(&app);
    tell(&app, 2).await;
    let mut socket = server.open("/api/jobs/t/ws").await;
    assert_eq!(socket.event().await["data"]["state"], "available");
    // What a reader says is not heard.
    socket.0.send(Message::text("hello")).await.unwrap();
    let worker = app.work();
    assert_eq!(socket.event().await["data"]["state"], "running");
    for line in ["line 1", "line 2"] {
        app.gate.add_permits(1);
        let event = socket.event().await;
        assert_eq!((&event["event"], &event["data"]["data"]), (&"chunk".into(), &line.into()));
    }
    assert_eq!(socket.event().await["data"]["output"], 2);
    assert_eq!(socket.event().await["data"]["state"], "completed");
    assert_eq!(socket.next().await, Heard::End(1000));
    drop(worker);
}

#[tokio::test]
async fn what_is_not_there_is_refused_and_what_goes_away_has_a_code_of_its_own() {
    let app = App::new();
    let server = Server::of(&app);
    assert_eq!(server.refused("/api/jobs/x/ws", &[]).await, StatusCode::NOT_FOUND);
    assert_eq!(server.refused("/api/jobs/x/ws?after=-1", &[]).await, StatusCode::UNPROCESSABLE_ENTITY);
    tell(&app, 1).await;
    let answer = app.get("/api/jobs/t/ws").await;
    assert_eq!((answer.code().as_str(), answer.header("upgrade")), ("upgrade_required", "websocket"));
    let id = JobId::new("t").unwrap();
    let mut socket = server.open("/api/jobs/t/ws").await;
    socket.event().await;
    let (away, switch) = crate::fault::switched(Clock::manual());
    let shaky = App::over(away, HttpConfig::default());
    tell(&shaky, 1).await;
    let mut cut = Server::of(&shaky).open("/api/jobs/t/ws").await;
    cut.event().await;
    switch.set(Some(crate::fault::Fault::Unavailable));
    switch.wake(&id).await;
    assert_eq!(cut.next().await, Heard::End(1013));

    // Both before the reader looks again.
    app.longhaul.cancel(&id).await.unwrap();
    app.longhaul.delete(&id).await.unwrap();
    assert_eq!(socket.rest().await.1, 4410);
    assert_eq!(server.refused("/api/jobs/t/ws", &[]).await, StatusCode::GONE);
}

#[tokio::test]
async fn a_web_socket_ends_with_its_token_or_its_session() {
    let app = App::with(guarded());
    let admin = [("authorization", "Bearer s3cret")];
    let job = r#"{"kind":"tell","args":{"lines":1},"id":"t"}"#;
    assert_eq!(app.post_with("/api/jobs", job, &admin).await.status, StatusCode::ACCEPTED);
    let guest =
        crate::tokens::token(&app, &json!({"name": "guest", "scopes": ["viewer"], "expires_in": 20})).await;
    let (cookie, _) = crate::roles::sign_in(&app, guest.bearer.strip_prefix("Bearer ").unwrap()).await;
    let server = Server::of(&app);
    let mut sockets = Vec::new();
    for header in [("authorization", guest.bearer.as_str()), ("cookie", cookie.as_str())] {
        let mut socket = server.try_open("/api/jobs/t/ws", &[header]).await.expect("a WebSocket");
        socket.event().await;
        sockets.push(socket);
    }
    for socket in sockets {
        // As often as the reader looks, which it may have begun to do a moment ago.
        let ended = socket.rest();
        let mut ended = std::pin::pin!(ended);
        let (_, code) = loop {
            app.clock.advance(Duration::from_secs(10));
            tokio::select! {
                biased;
                rest = &mut ended => break rest,
                () = tokio::task::yield_now() => {}
            }
        };
        assert_eq!(code, 4401);
    }
}

#[tokio::test]
async fn a_server_that_stops_says_that_it_goes_away() {
    let stopping = CancellationToken::new();
    let app = App::with(HttpConfig { stopping: stopping.clone(), ..HttpConfig::default() });
    tell(&app, 1).await;
    let mut socket = Server::of(&app).open("/api/jobs/t/ws").await;
    socket.event().await;
    stopping.cancel();
    assert_eq!(socket.next().await, Heard::End(1001));
}

#[tokio::test(start_paused = true)]
async fn a_silent_socket_pings_and_a_reader_that_never_answers_is_let_go() {
    // On the machine's clock, which this test's runtime moves on by itself whenever everybody waits.
    let longhaul = Longhaul::new(MemoryStore::new());
    kinds::declare(&longhaul);
    let app = App::over(longhaul, HttpConfig::default());
    let server = Server::of(&app);
    tell(&app, 1).await;
    let mut socket = server.open("/api/jobs/t/ws").await;
    socket.event().await;
    let silence = tokio::time::timeout(Duration::from_millis(14_900), socket.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    for _ in 0..4 {
        let ping = tokio::time::timeout(Duration::from_millis(15_100), socket.next()).await;
        assert_eq!(ping.unwrap(), Heard::Ping);
    }
    // Neither read nor answered from here on.
    let deaf = server.open("/api/jobs/t/ws").await;
    tokio::time::sleep(Duration::from_secs(46)).await;
    let mut deaf = deaf.0.into_inner();
    let mut left = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut deaf, &mut left);
    tokio::time::timeout(Duration::from_secs(1), end).await.expect("it was let go").unwrap();
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_unless_they_are_allowed() {
    let own = [("origin", "http://jobs.example")];
    let foreign = [("origin", "https://app.example")];
    let path = "/api/jobs/t/ws";
    for (origins, allowed) in
        [(vec![], false), (vec!["https://app.example".to_owned()], true), (vec!["*".into()], false)]
    {
        let app = App::with(HttpConfig { origins, ..HttpConfig::default() });
        tell(&app, 1).await;
        let server = Server::of(&app);
        server.try_open(path, &own).await.expect("its own page");
        match allowed {
            true => drop(server.try_open(path, &foreign).await.expect("it is allowed")),
            false => assert_eq!(server.refused(path, &foreign).await, StatusCode::FORBIDDEN),
        }
        assert_eq!(server.refused(path, &[("origin", "null")]).await, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_read_token_in_the_address_follows_its_job_and_a_cookie_only_from_its_own_page() {
    let app = App::with(HttpConfig { origins: vec!["*".into()], ..guarded() });
    let server = Server::of(&app);
    let admin = [("authorization", "Bearer s3cret")];
    for id in ["t", "u"] {
        let body = format!(r#"{{"kind":"tell","args":{{"lines":1}},"id":"{id}"}}"#);
        app.post_with("/api/jobs", &body, &admin).await;
    }
    let token =
        app.post_with("/api/jobs/t/token", "", &admin).await.json()["token"].as_str().unwrap().to_owned();
    let foreign = [("origin", "https://app.example")];
    let mut socket =
        server.try_open(&format!("/api/jobs/t/ws?token={token}"), &foreign).await.expect("a reader");
    assert_eq!(socket.event().await["data"]["state"], "available");
    assert_eq!(server.refused(&format!("/api/jobs/u/ws?token={token}"), &[]).await, StatusCode::FORBIDDEN);
    assert_eq!(server.refused("/api/jobs/t/ws", &[]).await, StatusCode::UNAUTHORIZED);
    assert_eq!(server.refused("/api/jobs/t/ws?token=s3cret", &[]).await, StatusCode::UNAUTHORIZED);

    let login = app.post("/admin/login", r#"{"token":"viewer-ada"}"#).await;
    let cookie = login.header("set-cookie").split(';').next().unwrap().to_owned();
    let page = |origin| [("cookie", cookie.as_str()), ("origin", origin)];
    server.try_open("/api/jobs/t/ws", &page("https://jobs.example")).await.expect("its own page");
    assert_eq!(server.refused("/api/jobs/t/ws", &page("https://app.example")).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_slow_reader_delays_no_other_reader_and_misses_no_event() {
    let app = App::new();
    let (server, worker) = (Server { pipe: 1024, ..Server::of(&app) }, app.work());
    let body = r#"{"kind":"shout","args":{"chunks":60,"bytes":60000},"id":"l","delay":3600}"#;
    app.post("/api/jobs", body).await;
    let mut slow = server.open("/api/jobs/l/ws").await;
    slow.event().await;
    app.clock.advance(Duration::from_secs(3600));
    app.longhaul.store().sweep(10).await.unwrap();
    app.get_with("/api/jobs/l", &[("prefer", "wait=60")]).await;
    // The job has ended while the reader had room for a kilobyte; it reads the rest from the store.
    let (events, code) = slow.rest().await;
    let chunks: Vec<String> = events
        .iter()
        .filter(|event| event["event"] == "chunk")
        .map(|event| event["data"]["data"].as_str().unwrap().split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(chunks, (0..60).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(code, 1000);
    drop(worker);
}

#[tokio::test]
async fn readers_of_one_job_cost_the_store_what_one_does_and_each_gets_all_events_in_order() {
    const READERS: usize = 100;
    const LINES: usize = 50;
    let clock = Clock::manual();
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Intercept::over(Arc::new(MemoryStore::with_clock(clock.clone())), {
        let reads = Arc::clone(&reads);
        move |store, call| {
            if matches!(call, Call::Events(..)) {
                reads.fetch_add(1, Ordering::Relaxed);
            }
            async move { call.on(&*store).await }
        }
    });
    let longhaul = Longhaul::new(counted);
    kinds::declare(&longhaul);
    let app = App::over(longhaul, HttpConfig { clock, ..HttpConfig::default() });
    let server = Server::of(&app);
    tell(&app, LINES as u32).await;
    let mut sockets = Vec::new();
    for _ in 0..READERS {
        let mut socket = server.open("/api/jobs/t/ws").await;
        socket.event().await;
        sockets.push(socket);
    }
    let worker = app.work();
    for socket in &mut sockets {
        assert_eq!(socket.event().await["data"]["state"], "running");
    }
    let before = reads.load(Ordering::Relaxed);
    for line in 1..=LINES {
        app.gate.add_permits(1);
        for socket in &mut sockets {
            assert_eq!(socket.event().await["data"]["data"], format!("line {line}"));
        }
    }
    let read = reads.load(Ordering::Relaxed) - before;
    assert!(read <= LINES + READERS, "{read} reads for {LINES} events and {READERS} readers");
    for socket in sockets {
        let (last, code) = socket.rest().await;
        assert_eq!((&last[last.len() - 1]["data"]["state"], code), (&"completed".into(), 1000));
    }
    drop(worker);
}
