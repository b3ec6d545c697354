//! The true cause of a failure, and its status, on every route.

use std::time::Duration;

use fakes::{Fault, GithubReply};
use futures::StreamExt;
use longhaul::State;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::fixture::{Fixture, Reply};

const TOKEN_REFUSED: &str = "GitHub refuses the token of this service (GITHUB_TOKEN): Bad credentials";
const LIMIT: &str = "GitHub API rate limit exceeded";

/// Both routes that wait for a result.
async fn waiting(f: &Fixture, name: &str) -> Vec<Reply> {
    let body = json!({ "username": name, "force_refresh": true });
    let posted = f.post("/api/v1/github/analyze/sync", &body).await;
    let got = f.get(&format!("/api/v1/github/user/{name}?force_refresh=true")).await;
    vec![posted, got]
}

/// The message of a failure on every route that does not wait: the task, a stream, a batch, a WebSocket.
async fn told(f: &Fixture, name: &str) -> Vec<String> {
    let task = f.started(name).await;
    let failed = f.ended(&task).await;
    assert_eq!((&failed["status"], &failed["username"]), (&json!("failed"), &json!(name)));
    let url = format!("{}/task/{task}", f.url.replace("http://", "ws://"));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let Message::Text(text) = socket.next().await.unwrap().unwrap() else { panic!("no text") };
    let socket: Value = serde_json::from_str(&text).unwrap();
    let stream = f.post("/api/v1/github/analyze/stream", &json!({ "username": name })).await;
    assert!(stream.text.contains("event: failed"), "{}", stream.text);
    let data = stream.text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
    let stream: Value = serde_json::from_str(data).unwrap();
    let batch = f.post("/api/v1/github/analyze/batch", &json!({ "usernames": [name] })).await.json();
    let batch = f.ended(batch["task_id"].as_str().unwrap()).await;
    let messages =
        [&failed["message"], &socket["message"], &stream["message"], &batch["result"][name]["error"]];
    messages.iter().map(|message| message.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_token_that_github_refuses_is_no_missing_user() {
    let f = Fixture::with(&[("GITHUB_TOKEN", "bad")]).await;
    let _worker = f.work();
    for reply in waiting(&f, "octocat").await {
        assert_eq!(reply.error(), (502, TOKEN_REFUSED.into()));
    }
    assert_eq!(told(&f, "torvalds").await, [TOKEN_REFUSED; 4]);
    assert!(
        f.double.github_calls().keys().all(|path| path.starts_with("/users/") && !path.contains("repos"))
    );
}

#[tokio::test]
async fn only_a_user_who_does_not_exist_is_404() {
    let f = Fixture::new().await;
    let _worker = f.work();
    for reply in waiting(&f, "ghost-1").await {
        let detail = "GitHub user 'ghost-1' not found or could not be analyzed";
        assert_eq!(reply.error(), (404, detail.into()));
    }
    assert_eq!(told(&f, "ghost-2").await, ["GitHub user 'ghost-2' not found"; 4]);
    f.double.github_says("/users/forbidden", GithubReply::refusal(403, "Forbidden by an IP allow list"));
    for reply in waiting(&f, "forbidden").await {
        let detail = "GitHub failed: 403 Forbidden: Forbidden by an IP allow list";
        assert_eq!(reply.error(), (502, detail.into()));
    }
}

#[tokio::test]
async fn a_limit_is_told_with_its_reset() {
    let f = Fixture::new().await;
    let _worker = f.work();
    f.double.github_remaining(0, 3_000);
    for reply in waiting(&f, "octocat").await {
        assert_eq!(reply.error(), (503, LIMIT.into()));
        assert_eq!(reply.headers["retry-after"], "3001");
    }
    assert_eq!(told(&f, "torvalds").await, [LIMIT; 4]);
    // A secondary limit, which no header of the others tells.
    let f = Fixture::new().await;
    let _worker = f.work();
    f.double.github_secondary_limit(Some(1_800));
    let reply = f.get("/api/v1/github/user/octocat").await;
    assert_eq!(
        (reply.error(), &reply.headers["retry-after"]),
        ((503, LIMIT.into()), &"1800".parse().unwrap())
    );
}

#[tokio::test]
async fn who_waits_is_not_kept_waiting_for_a_limit_that_lasts_longer() {
    let f = Fixture::new().await;
    let _worker = f.work();
    f.double.github_remaining(0, 600);
    let reply = f.get("/api/v1/github/user/octocat").await;
    let task = "github_profile_octocat_1767225600";
    let detail = format!("{LIMIT}; GitHub user 'octocat' is analyzed after that, by task {task}");
    assert_eq!((reply.error(), &reply.headers["retry-after"]), ((503, detail), &"601".parse().unwrap()));
    f.double.github_remaining(5_000, 600);
    f.clock.advance(Duration::from_secs(601));
    assert_eq!(f.ended(task).await["status"], "completed");
    assert_eq!(f.get("/api/v1/github/user/octocat").await.status, 200);
}

/// Waits out the two pauses before the last attempt at `name`.
async fn answer(f: &Fixture, name: &str) -> Reply {
    let path = format!("/api/v1/github/user/{name}");
    let retries = async {
        let task = f.started(name).await;
        for attempt in 1..=2 {
            f.reaches(&task, |job| job.state == State::Scheduled && job.attempt == attempt).await;
            f.clock.advance(Duration::from_secs(60));
        }
    };
    tokio::join!(f.get(&path), retries).0
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_502_without_its_page() {
    let f = Fixture::new().await;
    let _worker = f.work();
    f.double.github_says("/users/proxied", GithubReply::page_of_a_proxy(502));
    assert_eq!(answer(&f, "proxied").await.error(), (502, "GitHub failed: 502 Bad Gateway".into()));
    f.double.github_says("/users/html", GithubReply::page_of_a_proxy(200));
    let (status, detail) = answer(&f, "html").await.error();
    assert_eq!(status, 502);
    assert!(detail.starts_with("GitHub's answer cannot be read: the reply to /users/html"), "{detail}");
    f.double.github_says("/users/nothing", GithubReply::no_content());
    assert_eq!(
        answer(&f, "nothing").await.error(),
        (502, "GitHub's answer cannot be read: it is empty".into())
    );
    f.double.fail("/github/users/endless", Fault::Endless);
    let reply = f.get("/api/v1/github/user/endless").await;
    assert_eq!(
        reply.error(),
        (502, "GitHub's answer cannot be read: the reply exceeds 8388608 bytes".into())
    );
}

#[tokio::test]
async fn a_github_that_is_away_is_503_and_its_address_stays_inside() {
    let f = Fixture::new().await;
    let _worker = f.work();
    for _ in 0..3 {
        f.double.fail("/github/users/octocat", Fault::Cut);
    }
    let reply = answer(&f, "octocat").await;
    assert_eq!(reply.error(), (503, "GitHub cannot be reached".into()));
    assert_eq!(reply.headers["retry-after"], "10");
}

#[tokio::test]
async fn within_a_request_the_statuses_are_the_same() {
    let degraded = async |token: &'static str| {
        let vars = [("GITHUB_TOKEN", token), ("GITHUB_STORE_TIMEOUT", "1")];
        let f = Fixture::with(&vars).await;
        let lock = crate::outage::take_away(&f);
        (f, lock)
    };
    let (f, _lock) = degraded("bad").await;
    assert_eq!(f.analyze("octocat").await.error(), (502, TOKEN_REFUSED.into()));
    let (f, _lock) = degraded("good").await;
    f.double.github_says("/users/proxied", GithubReply::page_of_a_proxy(502));
    assert_eq!(f.analyze("proxied").await.error(), (502, "GitHub failed: 502 Bad Gateway".into()));
    f.double.github_remaining(0, 3_000);
    let reply = f.analyze("octocat").await;
    assert_eq!(
        (reply.error(), &reply.headers["retry-after"]),
        ((503, LIMIT.into()), &"3001".parse().unwrap())
    );
}

#[tokio::test]
async fn a_cancelled_analysis_is_409() {
    let f = Fixture::new().await;
    // Once the analysis that the caller waits for is there: a second request could begin one of its own after the cancel.
    let cancel = async {
        let id = loop {
            match f.jobs("github.analyze").await.pop() {
                Some(job) => break job.id,
                None => tokio::task::yield_now().await,
            }
        };
        f.longhaul.cancel(&id).await.unwrap();
    };
    let (reply, ()) = tokio::join!(f.get("/api/v1/github/user/octocat"), cancel);
    assert_eq!(reply.error(), (409, "Analysis was cancelled".into()));
}
