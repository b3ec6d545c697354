//! The application under test, and answers in a form that a snapshot can hold.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use longhaul::stats::Metered;
use longhaul::{Clock, Longhaul, MemoryStore, Worker, WorkerBuilder};
use longhaul_http::{HttpConfig, health_router, login_router, router};
use serde_json::Value;
use tower::ServiceExt;

use crate::kinds::{self, Gate};

/// The contract under `/api` over a store in memory whose clock stands still.
pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) longhaul: Longhaul,
    pub(crate) clock: Clock,
    pub(crate) gate: Gate,
}

impl App {
    pub(crate) fn new() -> Self {
        Self::with(HttpConfig::default())
    }

    /// All of `config` but the clock, which is the store's.
    pub(crate) fn with(config: HttpConfig) -> Self {
        let clock = Clock::manual();
        let longhaul = Longhaul::new(Metered::over(Arc::new(MemoryStore::with_clock(clock.clone()))));
        kinds::declare(&longhaul);
        Self::over(longhaul, HttpConfig { clock, ..config })
    }

    pub(crate) fn over(longhaul: Longhaul, config: HttpConfig) -> Self {
        let clock = config.clock.clone();
        let router = Router::new()
            .nest("/api", router(longhaul.clone(), config.clone()))
            .nest("/admin", login_router(&longhaul, config.clone()))
            .merge(health_router(longhaul.clone(), config));
        Self { router, longhaul, clock, gate: kinds::gate() }
    }

    /// Starts a worker with two slots of the default queue.
    pub(crate) fn work(&self) -> Worker {
        self.worker().start()
    }

    /// Starts a worker that hears of a cancel soon, because it sends a heartbeat every three seconds. Its lease is long
    /// enough that a busy machine does not cost it the job.
    pub(crate) fn work_attentively(&self) -> Worker {
        self.worker().lease(Duration::from_secs(30)).start()
    }

    fn worker(&self) -> WorkerBuilder {
        kinds::register(self.longhaul.worker(), &self.clock, &self.gate).queue("default", 2)
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let is_feed = request.uri().path() == "/api/events";
        let response = self.router.clone().oneshot(request).await.expect("the router has no errors");
        // The feed of all jobs does not end, so only its head is looked at.
        if is_feed && response.status() == StatusCode::OK {
            let (head, _) = response.into_parts();
            return Answer { status: head.status, headers: head.headers, body: Bytes::new() };
        }
        Answer::of(response).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(request(Method::DELETE, path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.post_with(path, body, &[]).await
    }

    pub(crate) async fn post_with(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(json(Method::POST, path, body, headers)).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request =
            headers.iter().fold(request(Method::GET, path), |r, (name, value)| r.header(*name, *value));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Enqueues a job with this id and waits until it has ended.
    pub(crate) async fn run(&self, id: &str, kind: &str, args: &str) -> Answer {
        let body = format!(r#"{{"kind":"{kind}","args":{args},"id":"{id}"}}"#);
        let answer = self.post_with("/api/jobs", &body, &[("prefer", "wait=60")]).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer
    }
}

/// A request whose id is known, so that it can stand in a snapshot.
pub(crate) fn request(method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("x-request-id", "test")
}

pub(crate) fn json(method: Method, path: &str, body: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = request(method, path).header("content-type", "application/json");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::from(body.to_owned())).unwrap()
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    async fn of(response: axum::response::Response) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("the body is whole").to_bytes();
        Self { status: head.status, headers: head.headers, body }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The stable name of the problem that this is.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{problem}");
        problem["code"].as_str().expect("a problem has a code").to_owned()
    }

    /// Status, headers by name, and the body one member a line in the order in which it was sent; ids that
    /// differ from run to run are left out.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.status);
        let mut names: Vec<&str> = self.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let value = match name {
                "etag" => "[etag]",
                // Each caller is told another time.
                "retry-after" if self.status == StatusCode::SERVICE_UNAVAILABLE => "[2–6]",
                name => self.header(name),
            };
            writeln!(text, "{name}: {value}").unwrap();
        }
        let body = std::str::from_utf8(&self.body).unwrap();
        without_ids(&format!(
            "{text}\n{}",
            if self.header("content-type").contains("json") { spread(body) } else { body.to_owned() }
        ))
    }
}

/// JSON with a line for each member and item, in its own order.
fn spread(json: &str) -> String {
    let (mut text, mut depth, mut in_string, mut escaped) = (String::new(), 0_usize, false, false);
    let mut chars = json.chars().peekable();
    while let Some(char) = chars.next() {
        let is_structure = !in_string;
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        match char {
            '{' | '[' if is_structure && !chars.peek().is_some_and(|next| matches!(next, '}' | ']')) => {
                depth += 1;
                write!(text, "{char}\n{}", "  ".repeat(depth)).unwrap();
            }
            '}' | ']' if is_structure && !text.ends_with(['{', '[']) => {
                depth -= 1;
                write!(text, "\n{}{char}", "  ".repeat(depth)).unwrap();
            }
            ',' if is_structure => write!(text, ",\n{}", "  ".repeat(depth)).unwrap(),
            ':' if is_structure => text.push_str(": "),
            other => text.push(other),
        }
    }
    text
}

/// Puts placeholders for jobs' ids, which are UUIDs, and workers', which are 16 digits.
fn without_ids(text: &str) -> String {
    let is_worker = |part: &str| {
        let digits = part.strip_prefix('"').and_then(|part| part.strip_suffix('"'));
        digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let is_uuid = |part: &str| {
        part.len() == 36
            && part.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
    };
    let mut left = text;
    let mut clean = String::new();
    while let Some(first) = left.chars().next() {
        let step = match (left.get(..36), left.get(..18)) {
            (Some(part), _) if is_uuid(part) => {
                clean.push_str("[uuid]");
                36
            }
            (_, Some(part)) if is_worker(part) => {
                clean.push_str("\"[worker]\"");
                18
            }
            _ => {
                clean.push(first);
                first.len_utf8()
            }
        };
        left = &left[step..];
    }
    clean
}
