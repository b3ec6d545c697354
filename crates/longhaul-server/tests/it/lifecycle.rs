//! Start, restart, drain, access.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{PATIENCE, Place, Server, client, refused, stderr};

#[tokio::test]
async fn a_server_is_live_and_ready_and_says_what_is_on() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    assert_eq!(get(&server, "/health").await["status"], "ok");
    server.ready().await;
    assert_eq!(get(&server, "/api/openapi.json").await["openapi"].as_str().map(|v| &v[..3]), Some("3.1"));
    for said in ["the admin API is open to every program on this machine", "outline", "longhaul.db"] {
        assert!(server.log().contains(said), "start-up says {said:?}:\n{}", server.log());
    }
}

#[tokio::test]
async fn a_server_starts_on_a_machine_without_certificate_authorities_and_says_whom_it_trusts() {
    let place = Place::new();
    let empty = tempfile::tempdir().expect("a folder");
    let folder = empty.path().to_str().expect("its name");
    let nothing = [("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", folder)];
    let collector = [("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:9")];
    let server = place.serve_with(&[], &[&nothing[..], &collector].concat()).await;
    assert_eq!(get(&server, "/health").await["status"], "ok");
    let said = "https trusts the certificate authorities of this binary";
    assert_eq!(server.log().matches(said).count(), 1, "{}", server.log());
    // A command that asks the server needs none either.
    let mut queues = place.command(&["queues", "--url", &server.url]);
    let queues = crate::server::output(queues.envs(nothing)).await;
    assert!(queues.status.success(), "{}", stderr(&queues));
}

#[tokio::test]
async fn an_acknowledged_job_survives_a_kill() {
    let place = Place::new();
    let server = place.serve(&["--accept-unknown-kinds"]).await;
    let job = post_job(&server, &json!({"kind": "paint", "args": {"colour": "red"}})).await;
    server.kill().await;

    let server = place.serve(&[]).await;
    let path = format!("/api/jobs/{}", job["id"].as_str().expect("an id"));
    let found = get(&server, &path).await;
    assert_eq!((&found["args"], &found["state"]), (&json!({"colour": "red"}), &json!("available")));
}

#[tokio::test]
async fn kinds_that_nobody_runs_are_refused_unless_accepted() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    let answer =
        client().post(server.at("/api/jobs")).json(&json!({"kind": "paint", "args": {}})).send().await;
    assert_eq!(answer.expect("an answer").status(), 422);
}

#[tokio::test]
async fn sigterm_answers_what_has_begun_and_refuses_what_has_not() {
    let place = Place::new();
    let mut server = place.serve(&["--accept-unknown-kinds"]).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let body = r#"{"kind": "paint", "args": {}}"#;
    let mut connection = begin_post(&address, body.len()).await;

    server.terminate().await;
    refused(&address).await;
    connection.write_all(body.as_bytes()).await.expect("the body is sent");
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, connection.read_to_string(&mut answer)).await;
    read.expect("in time").expect("the answer is read");
    assert!(answer.starts_with("HTTP/1.1 202 "), "the request in flight has its answer: {answer}");
    assert!(server.ended().await.success(), "{}", server.log());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let place = Place::new();
    let mut server = place.serve(&["--grace", "3600"]).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    // A request without its body holds the drain up for the whole of the grace.
    let _connection = begin_post(&address, 100).await;

    server.terminate().await;
    refused(&address).await;
    server.terminate().await;
    assert_eq!(server.ended().await.code(), Some(128 + 15));
}

#[tokio::test]
async fn a_job_runs_once_on_two_servers_of_one_folder() {
    let place = Place::new();
    let first = place.serve(&["--accept-unknown-kinds"]).await;
    let second = place.serve(&["--accept-unknown-kinds"]).await;
    let job = post_job(&first, &json!({"kind": "paint", "args": {}})).await;
    let path = format!("/api/jobs/{}", job["id"].as_str().expect("an id"));
    assert_eq!(get(&second, &path).await["id"], job["id"], "both serve the same jobs");
}

#[tokio::test]
async fn the_admin_api_is_closed_by_a_token() {
    let place = Place::new();
    let token = "an admin token of the test";
    let server = place.serve_with(&[], &[("LONGHAUL_ADMIN_TOKEN", token)]).await;
    let admin = place.printed(&["token", "--sub", "root", "--admin"]).await;
    let user = place.token("ada").await;
    for (bearer, status) in [
        (None, 401),
        (Some("guess"), 401),
        (Some(&*user), 401),
        (Some(token), 200),
        (Some(admin.trim()), 200),
    ] {
        let mut request = client().get(server.at("/api/jobs"));
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        assert_eq!(request.send().await.expect("an answer").status(), status, "with {bearer:?}");
    }
    assert_eq!(client().get(server.at("/health")).send().await.expect("an answer").status(), 200);
    assert!(!server.log().contains(token), "a secret is not logged");
}

#[tokio::test]
async fn an_open_admin_api_answers_to_names_of_this_machine_only() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    for (host, status) in [("localhost", 200), ("rebound.example.com", 421)] {
        let request = client().get(server.at("/api/jobs")).header("host", host);
        assert_eq!(request.send().await.expect("an answer").status(), status, "{host}");
    }
}

#[tokio::test]
async fn a_token_is_good_for_the_server_of_its_folder_only() {
    let (place, other) = (Place::new(), Place::new());
    let server = place.serve(&[]).await;
    for (token, status) in [(place.token("ada").await, 200), (other.token("ada").await, 401)] {
        let answer = client().get(server.at("/courses")).bearer_auth(token).send().await.expect("an answer");
        assert_eq!(answer.status(), status);
    }
}

#[tokio::test]
async fn a_port_in_use_is_said_so() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let output = Place::new().run(&["serve", "--listen", &address]).await;
    assert!(
        stderr(&output).contains("something else does; choose another with --listen"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn jobs_are_looked_after_from_the_command_line_beside_a_server() {
    let place = Place::new();
    let server = place.serve(&["--accept-unknown-kinds"]).await;
    let job = post_job(&server, &json!({"kind": "paint", "args": {}, "labels": {"room": "7"}})).await;
    let id = job["id"].as_str().expect("an id");

    let list = place.printed(&["jobs", "list", "--label", "room=7", "--json"]).await;
    let listed: Value = serde_json::from_str(list.trim()).expect("one JSON object");
    assert_eq!(listed["id"], id);
    assert_eq!(listed["created_at"], get(&server, &format!("/api/jobs/{id}")).await["created_at"]);
    assert_eq!(place.printed(&["jobs", "list", "--label", "room=8", "--json"]).await, "");
    assert!(place.printed(&["jobs", "show", id]).await.contains("state      available"));
    let retry = place.run(&["jobs", "retry", id]).await;
    assert!(stderr(&retry).contains("the job is available; this is for finished jobs"), "{}", stderr(&retry));
    place.printed(&["jobs", "cancel", id]).await;
    assert_eq!(get(&server, &format!("/api/jobs/{id}")).await["state"], "cancelled");
    place.printed(&["jobs", "retry", "--state", "cancelled"]).await;
    assert_eq!(get(&server, &format!("/api/jobs/{id}")).await["state"], "available");
}

#[tokio::test]
async fn an_idle_server_is_small() {
    let place = Place::new();
    // The allocator has an arena for each thread that meets another one in it, and each keeps pages: how many there are
    // depends on how busy the machine is.
    let server = place.serve_with(&[], &[("MALLOC_ARENA_MAX", "2")]).await;
    server.ready().await;
    // The memory that it has allocated. The pages of its program are more in a debug build than in a release, and the
    // system's to take back.
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("its memory");
    let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    // What docs/operations.md tells, and a fifth more: the allocator keeps pages that start-up has freed, and how many those
    // are depends on which threads the machine ran.
    assert!(kilobytes < 36 * 1024, "{line}");
}

/// Sends a request without its body, and waits until the server asks for that: from then on it is in flight.
async fn begin_post(address: &str, length: usize) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.expect("the server listens");
    let head = format!(
        "POST /api/jobs HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\nexpect: 100-continue\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.expect("the head is sent");
    let mut answer = [0; 25];
    let read = tokio::time::timeout(PATIENCE, connection.read_exact(&mut answer)).await;
    read.expect("in time").expect("the server asks for the body");
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection
}

async fn get(server: &Server, path: &str) -> Value {
    let answer = client().get(server.at(path)).send().await.expect("an answer");
    assert!(answer.status().is_success(), "GET {path}: {}", answer.status());
    answer.json().await.expect("JSON")
}

async fn post_job(server: &Server, job: &Value) -> Value {
    let answer = client().post(server.at("/api/jobs")).json(job).send().await.expect("an answer");
    assert_eq!(answer.status(), 202);
    answer.json().await.expect("JSON")
}
