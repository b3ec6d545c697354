use fakes::Fault;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::fixture::{Fixture, PATIENCE};

/// The messages of a WebSocket until it is closed, and the closing code.
async fn listen(f: &Fixture, path: &str) -> (Vec<Value>, u16) {
    let url = format!("{}{path}", f.url.replace("http://", "ws://"));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let mut told = Vec::new();
    let all = tokio::time::timeout(PATIENCE, async {
        while let Some(message) = socket.next().await {
            match message.unwrap() {
                Message::Text(text) => told.push(serde_json::from_str(&text).unwrap()),
                Message::Close(frame) => return frame.unwrap().code.into(),
                _ => {}
            }
        }
        panic!("closed without a word")
    });
    let code = all.await.expect("the socket is closed in time");
    (told, code)
}

#[tokio::test]
async fn a_socket_tells_each_change_and_closes_after_the_end() {
    let f = Fixture::new().await;
    let task = f.started("octocat").await;
    for path in [format!("/task/{task}"), format!("/api/v1/github/task/{task}/ws")] {
        let (told, code) = if path.starts_with("/task") {
            let listening = listen(&f, &path);
            let (heard, _worker) = tokio::join!(listening, async { f.work() });
            heard
        } else {
            listen(&f, &path).await
        };
        assert_eq!(code, 1000);
        let (last, before) = told.split_last().unwrap();
        assert_eq!(*last, f.task(&task).await.json());
        assert_eq!(last["status"], "completed");
        assert!(
            before.iter().all(|told| told["status"] == "processing" && told["task_id"] == task),
            "{before:?}"
        );
        if path.starts_with("/task") {
            assert_eq!(before[0]["message"], "Analyzing GitHub profile...");
        } else {
            assert!(before.is_empty(), "the task had ended before");
        }
    }
    // A plain request of the same address is shown the task once.
    assert_eq!(f.get(&format!("/task/{task}")).await.json(), f.task(&task).await.json());
    let plain = f.get(&format!("/api/v1/github/task/{task}/ws")).await;
    assert_eq!(plain.error(), (426, "This address is a WebSocket's".into()));
}

#[tokio::test]
async fn a_socket_tells_of_a_failure_too() {
    let f = Fixture::new().await;
    let task = f.started("ghost").await;
    let path = format!("/task/{task}");
    let (heard, _worker) = tokio::join!(listen(&f, &path), async { f.work() });
    let last = heard.0.last().unwrap();
    assert_eq!(
        (&last["status"], &last["message"]),
        (&json!("failed"), &json!("GitHub user 'ghost' not found"))
    );
}

#[tokio::test]
async fn a_socket_of_no_task_is_refused() {
    let f = Fixture::new().await;
    let url = format!("{}/task/nothing", f.url.replace("http://", "ws://"));
    let tungstenite::Error::Http(response) = tokio_tungstenite::connect_async(url).await.unwrap_err() else {
        panic!("refused otherwise than by HTTP")
    };
    assert_eq!(response.status(), 404);
}

/// The events of a stream that has ended: name and data.
fn events(text: &str) -> Vec<(String, Value)> {
    let event = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        Some((field("event:")?.to_owned(), serde_json::from_str(field("data:")?).unwrap()))
    };
    text.split("\n\n").filter_map(event).collect()
}

#[tokio::test]
async fn a_stream_begins_an_analysis_and_tells_of_it() {
    let f = Fixture::new().await;
    f.double.fail("/github/users/octocat/repos", Fault::Status(500));
    let _worker = f.work();
    let body = json!({ "username": "octocat" });
    let streaming = f.post("/api/v1/github/analyze/stream", &body);
    let moving = async {
        f.reaches("github_profile_octocat_1767225600", |job| job.attempt == 1 && !job.errors.is_empty())
            .await;
        f.clock.advance(std::time::Duration::from_secs(5));
    };
    // The task is there once the stream has begun.
    let begun = async {
        f.double.wait_for("/github/users/octocat/repos", 1).await;
        moving.await;
    };
    let (reply, ()) = tokio::join!(streaming, begun);
    assert_eq!(reply.headers["content-type"], "text/event-stream");
    let events = events(&reply.text);
    let (last, before) = events.split_last().unwrap();
    assert_eq!(last.0, "completed");
    assert_eq!(last.1, f.task("github_profile_octocat_1767225600").await.json());
    assert!(
        before.iter().all(|(name, task)| name == "processing" && task["status"] == "processing"),
        "{before:?}"
    );
    assert!(!before.is_empty());

    // A fresh result is the only event.
    let again = f.post("/api/v1/github/analyze/stream", &json!({ "username": "octocat" })).await;
    assert_eq!(self::events(&again.text), std::slice::from_ref(last));
    let missing = f.post("/api/v1/github/analyze/stream", &json!({ "username": "ghost" })).await;
    assert_eq!(self::events(&missing.text).last().unwrap().0, "failed");
}

#[tokio::test]
async fn a_socket_of_a_batch_counts_along() {
    let f = Fixture::new().await;
    let body = json!({ "usernames": ["a", "b", "ghost"] });
    let batch = f.post("/api/v1/github/analyze/batch", &body).await.json();
    let path = format!("/task/{}", batch["task_id"].as_str().unwrap());
    let (heard, _worker) = tokio::join!(listen(&f, &path), async { f.work() });
    let (last, before) = heard.0.split_last().unwrap();
    assert_eq!(last["progress"], json!({ "total": 3, "completed": 2, "failed": 1 }));
    assert_eq!(before[0]["progress"], json!({ "total": 3, "completed": 0, "failed": 0 }));
}
