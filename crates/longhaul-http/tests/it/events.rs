use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Method, StatusCode};
use futures::StreamExt;
use insta::assert_snapshot;
use longhaul::{Longhaul, MemoryStore};
use longhaul_http::HttpConfig;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::app::{App, request};
use crate::described::{events_of, hold_event};
use crate::kinds;

/// A reader of a stream of server-sent events.
struct Stream {
    body: BodyDataStream,
    text: String,
}

/// One event as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    id: u64,
    event: String,
    data: serde_json::Value,
}

impl Stream {
    async fn open(app: &App, path: &str, last_event_id: Option<u64>) -> Self {
        let mut request = request(Method::GET, path);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        Self::over(app, request).await
    }

    async fn over(app: &App, request: axum::http::request::Builder) -> Self {
        let answer = app.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { body: answer.into_body().into_data_stream(), text: String::new() }
    }

    /// The next block of lines; none at the stream's end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let piece = tokio::time::timeout(Duration::from_secs(60), self.body.next());
            match piece.await.expect("the stream goes on or ends") {
                Some(piece) => self.text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap()),
                None => {
                    assert_eq!(self.text, "", "a stream ends after an event");
                    return None;
                }
            }
        }
    }

    async fn next(&mut self) -> Option<Seen> {
        let block = self.block().await?;
        let mut seen = Seen { id: 0, event: String::new(), data: serde_json::Value::Null };
        let mut fields = serde_json::Map::new();
        for line in block.lines() {
            let (field, text) = line.split_once(": ").expect("a line has a field");
            match field {
                "id" => seen.id = text.parse().unwrap(),
                "event" => text.clone_into(&mut seen.event),
                "data" => seen.data = serde_json::from_str(text).unwrap(),
                field => panic!("{field} in {block}"),
            }
            fields.insert(field.into(), text.into());
        }
        hold_event("/api/jobs/{id}/events", &fields.into());
        Some(seen)
    }

    async fn rest(mut self) -> Vec<Seen> {
        let mut all = Vec::new();
        while let Some(seen) = self.next().await {
            all.push(seen);
        }
        all
    }
}

async fn tell(app: &App, lines: u32) {
    let body = format!(r#"{{"kind":"tell","args":{{"lines":{lines}}},"id":"t"}}"#);
    assert_eq!(app.post("/api/jobs", &body).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_finished_job_replays_its_log_and_ends() {
    let app = App::new();
    let worker = app.work();
    app.run("s", "stumble", "{}").await;
    assert_snapshot!(app.get("/api/jobs/s/events").await.text());
    drop(worker);
}

/// Each event that a test reads is held against the document; here are all that the document has.
#[tokio::test]
async fn each_event_of_the_document_is_streamed_as_it_says() {
    let app = App::new();
    let worker = app.work();
    app.run("s", "stumble", "{}").await;
    // More than the bytes that are kept of a log, so that its first reader is told of a gap.
    app.run("l", "shout", r#"{"chunks":290,"bytes":60000}"#).await;
    let mut names = BTreeSet::new();
    for id in ["s", "l"] {
        let seen = Stream::open(&app, &format!("/api/jobs/{id}/events"), None).await.rest().await;
        names.extend(seen.into_iter().map(|seen| seen.event));
    }
    assert_eq!(names, events_of("/api/jobs/{id}/events"));
    drop(worker);
}

#[tokio::test]
async fn a_reader_hears_of_each_event_as_it_comes() {
    let app = App::new();
    tell(&app, 2).await;
    let mut stream = Stream::open(&app, "/api/jobs/t/events", None).await;
    let state = async |stream: &mut Stream, expected: &str| {
        let seen = stream.next().await.unwrap();
        assert_eq!((seen.event.as_str(), &seen.data["state"]), ("state", &expected.into()));
    };
    state(&mut stream, "available").await;
    let worker = app.work();
    state(&mut stream, "running").await;
    for line in ["line 1", "line 2"] {
        app.gate.add_permits(1);
        let seen = stream.next().await.unwrap();
        assert_eq!((seen.event.as_str(), &seen.data["data"]), ("chunk", &line.into()));
        assert_eq!(seen.data["attempt"], 1);
    }
    let output = stream.next().await.unwrap();
    assert_eq!((output.event.as_str(), &output.data["output"]), ("output", &2.into()));
    state(&mut stream, "completed").await;
    assert_eq!(stream.next().await, None);
    drop(worker);
}

#[tokio::test]
async fn a_reader_that_reconnects_after_every_event_loses_and_doubles_nothing() {
    let app = App::new();
    let worker = app.work();
    tell(&app, 250).await;
    let (mut last, mut chunks, mut connections) = (0, Vec::new(), 0);
    loop {
        // The job goes on while the reader is away.
        app.gate.add_permits(7);
        let mut stream = match connections % 2 {
            0 => Stream::open(&app, "/api/jobs/t/events", Some(last)).await,
            _ => Stream::open(&app, &format!("/api/jobs/t/events?after={last}"), None).await,
        };
        connections += 1;
        let Some(seen) = stream.next().await else { panic!("the stream ended without saying so") };
        assert!(seen.id > last, "{seen:?} after {last}");
        last = seen.id;
        match seen.event.as_str() {
            "chunk" => chunks.push(seen.data["data"].as_str().unwrap().to_owned()),
            "state" if seen.data["state"] == "completed" => break,
            _ => {}
        }
    }
    let expected: Vec<String> = (1..=250).map(|line| format!("line {line}")).collect();
    assert_eq!(chunks, expected);
    assert!(connections > 250);
    drop(worker);
}

#[tokio::test]
async fn a_log_longer_than_a_page_is_told_whole() {
    let app = App::new();
    let worker = app.work();
    tell(&app, 350).await;
    app.gate.add_permits(350);
    app.get_with("/api/jobs/t", &[("prefer", "wait=60")]).await;
    let all = Stream::open(&app, "/api/jobs/t/events", None).await.rest().await;
    let chunks: Vec<_> =
        all.iter().filter(|seen| seen.event == "chunk").map(|seen| &seen.data["data"]).collect();
    assert_eq!(chunks.len(), 350);
    assert_eq!((chunks[0], chunks[349]), (&"line 1".into(), &"line 350".into()));
    let middle = all[170].id;
    assert_eq!(Stream::open(&app, "/api/jobs/t/events", Some(middle)).await.rest().await, all[171..]);
    drop(worker);
}

#[tokio::test]
async fn a_reader_that_has_seen_the_end_is_told_to_stop() {
    let app = App::new();
    let worker = app.work();
    app.run("g", "greet", r#"{"name":"x"}"#).await;
    let last = Stream::open(&app, "/api/jobs/g/events", None).await.rest().await.pop().unwrap();
    let answer = app.get(&format!("/api/jobs/g/events?after={}", last.id)).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::NO_CONTENT, 0));
    drop(worker);
}

#[tokio::test]
async fn the_header_goes_before_the_query() {
    let app = App::new();
    let worker = app.work();
    app.run("g", "greet", r#"{"name":"x"}"#).await;
    let all = Stream::open(&app, "/api/jobs/g/events", None).await.rest().await;
    let again = Stream::open(&app, "/api/jobs/g/events?after=1000", Some(all[0].id)).await;
    assert_eq!(again.rest().await, all[1..]);
    assert_eq!(app.get("/api/jobs/g/events?after=-1").await.code(), "invalid");
    drop(worker);
}

#[tokio::test]
async fn b4_an_id_that_no_event_has_had_is_answered_with_reset_and_the_whole_log() {
    let app = App::new();
    let worker = app.work();
    app.run("g", "greet", r#"{"name":"x"}"#).await;
    let all = Stream::open(&app, "/api/jobs/g/events", None).await.rest().await;
    for path in ["/api/jobs/g/events", "/api/jobs/g/events?after=7"] {
        for id in ["abc", "-1", "99999999999999999999", "4000000000"] {
            let request = request(Method::GET, path).header("last-event-id", id);
            let mut seen = Stream::over(&app, request).await.rest().await;
            assert_eq!((seen[0].event.as_str(), seen[0].id), ("reset", 0), "{id}");
            assert_eq!(seen.split_off(1), all, "{id}");
        }
    }
    let empty = request(Method::GET, "/api/jobs/g/events").header("last-event-id", "");
    assert_eq!(Stream::over(&app, empty).await.rest().await, all);
    drop(worker);
}

#[tokio::test]
async fn b4_a_reader_who_comes_from_the_future_of_a_running_job_misses_nothing() {
    let app = App::new();
    tell(&app, 1).await;
    let mut stream = Stream::open(&app, "/api/jobs/t/events", Some(1_000_000)).await;
    assert_eq!(stream.next().await.unwrap().event, "reset");
    let worker = app.work();
    app.gate.add_permits(1);
    let seen: Vec<String> = stream.rest().await.into_iter().map(|seen| seen.event).collect();
    assert!(seen.contains(&"chunk".to_owned()) && seen.last() == Some(&"state".to_owned()), "{seen:?}");
    drop(worker);
}

#[tokio::test]
async fn b4_a_log_that_is_cut_at_any_place_is_resumed_without_loss_or_double() {
    let app = App::new();
    let worker = app.work();
    tell(&app, 300).await;
    app.gate.add_permits(300);
    app.get_with("/api/jobs/t", &[("prefer", "wait=60")]).await;
    let all = Stream::open(&app, "/api/jobs/t/events", None).await.rest().await;
    for (cut, last) in all.iter().enumerate().step_by(7) {
        if cut + 1 == all.len() {
            continue;
        }
        let rest = Stream::open(&app, "/api/jobs/t/events", Some(last.id)).await.rest().await;
        assert_eq!(rest, all[cut + 1..], "after {cut}");
    }
    drop(worker);
}

#[tokio::test]
async fn large_events_are_all_told_though_few_are_held_at_once() {
    let app = App::new();
    let worker = app.work();
    app.run("l", "shout", r#"{"chunks":40,"bytes":60000}"#).await;
    let seen = Stream::open(&app, "/api/jobs/l/events", None).await.rest().await;
    let chunks: Vec<&str> = seen
        .iter()
        .filter(|seen| seen.event == "chunk")
        .map(|seen| seen.data["data"].as_str().unwrap())
        .collect();
    assert_eq!(chunks.len(), 40);
    assert!(chunks.iter().enumerate().all(|(n, chunk)| chunk.starts_with(&format!("{n} "))), "in order");
    drop(worker);
}

#[tokio::test]
async fn b5_a_stream_tells_proxies_neither_to_hold_it_back_nor_to_change_it() {
    let app = App::new();
    tell(&app, 1).await;
    let answer =
        app.router.clone().oneshot(request(Method::GET, "/api/jobs/t/events").body(Body::empty()).unwrap());
    let answer = answer.await.unwrap();
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    assert_eq!(answer.headers()["cache-control"], "no-store, no-transform");
}

#[tokio::test]
async fn there_are_no_events_of_what_is_not_there() {
    let app = App::new();
    let worker = app.work();
    assert_eq!(app.get("/api/jobs/x/events").await.code(), "no_such_job");
    app.run("g", "greet", r#"{"name":"x"}"#).await;
    app.delete("/api/jobs/g").await;
    assert_eq!(app.get("/api/jobs/g/events").await.code(), "job_gone");
    drop(worker);
}

#[tokio::test]
async fn a_job_that_is_deleted_ends_its_streams() {
    let app = App::new();
    tell(&app, 1).await;
    let mut stream = Stream::open(&app, "/api/jobs/t/events", None).await;
    stream.next().await.unwrap();
    app.post("/api/jobs/t/cancel", "").await;
    app.delete("/api/jobs/t").await;
    assert_eq!(stream.rest().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_says_that_it_is_still_there() {
    // On the machine's clock, which this test's runtime moves on by itself whenever everybody waits.
    let longhaul = Longhaul::new(MemoryStore::new());
    kinds::declare(&longhaul);
    let app = App::over(longhaul, HttpConfig::default());
    tell(&app, 1).await;
    let mut stream = Stream::open(&app, "/api/jobs/t/events", None).await;
    stream.next().await.unwrap();
    let opened = tokio::time::timeout(Duration::from_millis(14_900), stream.block()).await;
    assert!(opened.is_err(), "{opened:?}");
    for _ in 0..4 {
        let heartbeat = tokio::time::timeout(Duration::from_millis(15_100), stream.block()).await;
        assert_eq!(heartbeat.unwrap().as_deref(), Some(": heartbeat"));
    }
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams() {
    let stopping = CancellationToken::new();
    let app = App::with(HttpConfig { stopping: stopping.clone(), ..HttpConfig::default() });
    tell(&app, 1).await;
    let mut stream = Stream::open(&app, "/api/jobs/t/events", None).await;
    stream.next().await.unwrap();
    stopping.cancel();
    assert_told_when_to_come_back(&mut stream).await;
}

#[tokio::test]
async fn a_store_that_goes_away_ends_its_streams() {
    let (longhaul, switch) = crate::fault::switched(longhaul::Clock::manual());
    let app = App::over(longhaul, HttpConfig::default());
    app.post("/api/jobs", r#"{"kind":"greet","args":{"name":"x"},"id":"g"}"#).await;
    let mut stream = Stream::open(&app, "/api/jobs/g/events", None).await;
    assert_eq!(stream.next().await.unwrap().event, "state");
    switch.set(Some(crate::fault::Fault::Unavailable));
    // Wakes whoever waits for the job, as the answer that it waits for would.
    switch.wake(&longhaul::JobId::new("g").unwrap()).await;
    assert_told_when_to_come_back(&mut stream).await;
}

/// The stream ends with no event but a time, in milliseconds, at which the reader is to be back.
async fn assert_told_when_to_come_back(stream: &mut Stream) {
    let farewell = stream.block().await.expect("a farewell");
    let lines: Vec<&str> = farewell.lines().collect();
    let after: u64 = lines.iter().find_map(|line| line.strip_prefix("retry: ")).unwrap().parse().unwrap();
    assert!((1_000..=5_000).contains(&after), "{farewell}");
    assert!(lines.iter().all(|line| line.starts_with("retry: ") || line.starts_with(':')), "{farewell}");
    assert_eq!(stream.block().await, None);
}

#[tokio::test]
async fn a_reader_hears_that_the_job_is_asked_to_stop() {
    let app = App::new();
    app.post("/api/jobs", r#"{"kind": "greet", "args": {"name": "Ada"}, "id": "a"}"#).await;
    let claim = longhaul_conformance::jobs::claim();
    let queues = vec![longhaul_conformance::jobs::slots("default", 1)];
    let kinds = vec![longhaul_conformance::jobs::kind("greet", 1)];
    app.longhaul.store().claim(longhaul::Claim { queues, kinds, ..claim }).await.unwrap();
    let mut stream = Stream::open(&app, "/api/jobs/a/events", None).await;
    let runs = stream.next().await.unwrap();
    assert_eq!((&runs.data["state"], runs.data.get("cancel_requested")), (&"running".into(), None));
    app.post("/api/jobs/a/cancel", "").await;
    let asked = stream.next().await.unwrap();
    let told = ["state", "cancel_requested", "cancel_reason"].map(|field| asked.data[field].clone());
    assert_eq!(told, [serde_json::json!("running"), serde_json::json!(true), serde_json::json!("asked")]);
    assert!(asked.id > runs.id);
}
