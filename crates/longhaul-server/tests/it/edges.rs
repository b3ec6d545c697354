//! The edges of the server, from outside: who may connect, how much, and how slowly.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{PATIENCE, Place, Server, stderr};

fn address(server: &Server) -> &str {
    server.url.trim_start_matches("http://")
}

/// The answer to bytes that are a request.
async fn raw(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(address(server)).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("it takes a request");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("it answers and closes").expect("whole");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer to a request with these lines of headers.
async fn status(server: &Server, method: &str, path: &str, lines: &[&str]) -> u16 {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let answer = raw(server, &format!("{method} {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n")).await;
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

const ROUTES: [(&str, &str); 8] = [
    ("GET", "/api/jobs?limit=1"),
    ("GET", "/health"),
    ("GET", "/metrics"),
    ("GET", "/lessons/tasks"),
    ("GET", "/api/v3/workflow"),
    ("GET", "/api/v1/github/health"),
    ("GET", "/courses"),
    ("POST", "/api/v1/llm/query"),
];

#[tokio::test]
async fn a_loopback_server_answers_on_every_route_only_to_its_own_names() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    for (method, path) in ROUTES {
        assert_eq!(status(&server, method, path, &["Host: evil.example"]).await, 421, "{path}");
        let two = ["Host: 127.0.0.1", "Host: evil.example"];
        assert_eq!(status(&server, method, path, &two).await, 421, "{path}");
        let origin = ["Host: localhost", "Origin: https://evil.example"];
        assert_eq!(status(&server, method, path, &origin).await, 403, "{path}");
        let proxied = ["Host: localhost", "X-Forwarded-For: 192.0.2.1"];
        assert_eq!(status(&server, method, path, &proxied).await, 403, "{path}");
        let own = status(&server, method, path, &["Host: localhost"]).await;
        assert!([200, 400, 401].contains(&own), "{path}: {own}");
    }
    let absolute = status(&server, "GET", "http://evil.example/health", &["Host: localhost"]).await;
    assert_eq!(absolute, 421);
}

#[tokio::test]
async fn a_refusal_of_a_loopback_server_is_a_problem_with_the_id_of_its_request() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    let http = crate::server::client();
    for path in ["/api/jobs", "/health", "/lessons/tasks", "/admin"] {
        for (name, value, status, code) in [
            ("host", "evil.example", 421, "not_local"),
            ("origin", "https://evil.example", 403, "cross_site"),
            ("x-forwarded-for", "192.0.2.1", 403, "proxied"),
        ] {
            let asked = http.get(server.at(path)).header(name, value).header("x-request-id", "mine");
            let answer = asked.send().await.expect("an answer");
            let of =
                |name: &str| answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
            assert_eq!(of("content-type").as_deref(), Some("application/problem+json"), "{path}");
            assert_eq!(
                (answer.status().as_u16(), of("x-request-id").as_deref()),
                (status, Some("mine")),
                "{path}"
            );
            let problem: Value = answer.json().await.expect("a problem");
            assert_eq!((&problem["code"], &problem["request_id"]), (&json!(code), &json!("mine")), "{path}");
            assert_eq!(
                (&problem["status"], &problem["type"]),
                (&json!(status), &json!("about:blank")),
                "{path}"
            );
            assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        }
    }
    let unnamed =
        http.get(server.at("/api/jobs")).header("host", "evil.example").send().await.expect("an answer");
    let id = unnamed.headers().get("x-request-id").map(|id| id.to_str().expect("text").to_owned());
    let problem: Value = unnamed.json().await.expect("a problem");
    assert!(id.as_ref().is_some_and(|id| !id.is_empty()) && problem["request_id"] == json!(id), "{problem}");
}

#[tokio::test]
async fn pages_of_listed_origins_may_ask_and_read() {
    let place = Place::new();
    let server = place.serve_with(&[], &[("CORS_ORIGINS", "https://app.example")]).await;
    let asked = |origin: &str| {
        let preflight = format!(
            "OPTIONS /lessons HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
             Access-Control-Request-Headers: content-type,idempotency-key\r\nConnection: close\r\n\r\n"
        );
        let server = &server;
        async move { raw(server, &preflight).await.to_lowercase() }
    };
    let answer = asked("https://app.example").await;
    assert!(answer.contains("access-control-allow-origin: https://app.example\r\n"), "{answer}");
    assert!(answer.contains("access-control-allow-headers: content-type,idempotency-key"), "{answer}");
    let other = asked("https://evil.example").await;
    assert!(other.starts_with("http/1.1 403") && !other.contains("access-control-allow-origin"), "{other}");
    let request =
        "GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\nConnection: close\r\n\r\n";
    let answer = raw(&server, request).await.to_lowercase();
    assert!(answer.contains("access-control-expose-headers: "), "{answer}");
}

#[tokio::test]
async fn settings_that_cannot_be_meant_are_refused_at_the_start() {
    let place = Place::new();
    for (name, value, says) in [
        ("JWT_SECRET", "x", "must be at least 32 bytes"),
        ("CORS_ORIGINS", "app.example", "must be * alone, or origins"),
        ("LONGHAUL_MAX_CRASHES", "many", "must be a whole number"),
        ("LONGHAUL_MAX_CONNECTIONS", "0", "invalid value"),
    ] {
        let mut command = place.command(&["serve"]);
        let output = crate::server::output(command.env(name, value)).await;
        assert!(!output.status.success(), "{name}");
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[tokio::test]
async fn connections_that_only_wait_make_room_for_others() {
    let place = Place::new();
    let server = place.serve(&["--max-connections", "16"]).await;
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(address(&server)).await.expect("it listens");
        let begun = b"POST /lessons HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{";
        stream.write_all(begun).await.expect("it takes a request");
        held.push(stream);
        assert_eq!(status(&server, "GET", "/health", &["Host: localhost"]).await, 200);
    }
    let mut end = Vec::new();
    let cut =
        tokio::time::timeout(PATIENCE, held[0].read_to_end(&mut end)).await.expect("the oldest was cut off");
    assert!(cut.is_err() || end.is_empty(), "without an answer: {end:?}");
}

#[tokio::test]
async fn part_headers_and_preambles_without_end_are_cut_off() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    let token = place.token("ada").await;
    let client = crate::server::client();
    let course =
        client.post(format!("{}/courses", server.url)).bearer_auth(&token).json(&json!({ "name": "c" }));
    let course: Value = course.send().await.expect("an answer").json().await.expect("a course");
    let path = format!("/courses/{}/materials", course["id"].as_str().expect("an id"));
    for start in [
        "",
        "--B\r\nContent-Disposition: form-data; name=\"x\"\r\nX-A: ",
        "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"",
        "--B\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(address(&server)).await.expect("it listens");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: \
             multipart/form-data; boundary=B\r\nContent-Length: 40000000\r\n\r\n{start}"
        );
        stream.write_all(head.as_bytes()).await.expect("it takes a request");
        let (mut read, mut write) = stream.into_split();
        let flood = tokio::spawn(async move {
            let mut sent = 0;
            while sent < 40_000_000 && write.write_all(&[b'a'; 65_536]).await.is_ok() {
                sent += 65_536;
            }
        });
        // It is refused, or its connection closed under what it still sends, and not read to its end.
        let mut answer = [0; 64];
        let read =
            tokio::time::timeout(PATIENCE, read.read(&mut answer)).await.expect("it is not waited for");
        let answer = String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{start:?}: {answer}");
        flood.abort();
    }
}

#[tokio::test]
async fn a_second_start_closes_a_folder_and_a_secret_that_were_open() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.token("ada").await;
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    let secret = place.data().join("jwt-secret");
    mode(&place.data(), 0o755);
    mode(&secret, 0o644);
    let server = place.serve(&[]).await;
    let of =
        |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((of(&place.data()), of(&secret)), (0o700, 0o600));
    assert!(server.log().contains("was open to others") && server.log().contains("could be read by others"));
}
