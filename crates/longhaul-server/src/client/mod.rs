//! The commands' way to jobs: the HTTP contract, spoken to a server over the network or to the store itself.
//!
//! With `--store` the contract's own routes are called within this process, over the opened store, so each command is
//! written once, answers the same in both places and prints the JSON that the API has.

mod events;
mod job;
mod json;
mod place;
mod refusal;

pub(crate) use events::{Event, Flow, Said};
pub(crate) use job::{
    Cost, Job, JobPage, Keep, Queue, QueuePage, Rate, State, UniqueKey, Worker, WorkerPage,
};
pub(crate) use json::{indented, one_line};
pub(crate) use place::Place;
pub(crate) use refusal::Refusal;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use longhaul::{Json, Longhaul};
use longhaul_http::{HttpConfig, UnknownKinds};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt;

use crate::output::tell;
use crate::{Coded, Result, USAGE};

/// The longest that a server may take to answer, beyond what it was asked to hold the answer for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest that a command which has done its work waits for its statistics to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest that a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of an answer: a page of jobs with all their args and outputs.
const MOST_BYTES: usize = 512 * 1024 * 1024;

/// Speaks the contract to one place. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    transport: Transport,
    /// The address, for people; without passwords.
    pub(crate) described: String,
}

#[derive(Clone)]
enum Transport {
    /// The routes over a store that this process has opened.
    Store(Router, Longhaul),
    Server {
        http: reqwest::Client,
        /// Without a slash at its end.
        base: String,
        token: Option<String>,
    },
}

/// A request as it is sent.
struct Sent<'a> {
    method: Method,
    path: &'a str,
    body: Option<String>,
    last_event: Option<u64>,
    key: Option<&'a str>,
}

/// The pauses before a request is sent again: a connection breaks by itself, and a server that was started anew takes a moment.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(2)];

/// True for a request that a server recognises by its `Idempotency-Key` when it comes again.
fn is_repeatable(method: &Method, path: &str) -> bool {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let is_kept = matches!(
        parts.as_slice(),
        ["jobs" | "tokens" | "webhook-secrets"]
            | ["jobs", "batch"]
            | ["jobs", _, "fork"]
            | ["jobs", _, "signals", _]
            | ["signals", _]
            | ["schedules", _, "run"]
            | ["deliveries", _, "redeliver"]
    );
    *method == Method::POST && is_kept
}

/// True where a request may have been done though it was not answered.
fn may_be_done(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let is_lost = error.downcast_ref::<refusal::Unreachable>().is_some_and(|error| error.is_lost);
    is_lost || error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.code == "idempotency_key_in_use")
}

/// An answer's bytes, as they come.
pub(crate) type Chunks = BoxStream<'static, Result<Bytes>>;

impl Client {
    /// Speaks to a store.
    pub(crate) fn over(longhaul: Longhaul, described: String) -> Self {
        // The kinds are those of the store's workers, which this process does not know.
        let unknown_kinds = UnknownKinds::Accept;
        // The store hides by itself; here it is known too, so that what is shown does not come back as a value.
        let redaction = crate::stores::redaction().unwrap_or_default();
        let local = Some(local_user());
        let config = HttpConfig { unknown_kinds, redaction, local, ..HttpConfig::default() };
        let routes = Router::new().nest("/api", longhaul_http::router(longhaul.clone(), config));
        Self { transport: Transport::Store(routes, longhaul), described }
    }

    /// Writes this process' counts and publishes its changes, which would be lost with a command that ends.
    pub(crate) async fn flush(&self) {
        let Transport::Store(_, longhaul) = &self.transport else { return };
        // The command has done what it was for, and its exit code says so.
        match tokio::time::timeout(FLUSH_TIMEOUT, longhaul.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tell(format_args!("longhaul: the statistics lack what was just done: {error}"));
            }
            Err(_) => tell("longhaul: the statistics lack what was just done: the store did not answer"),
        }
    }

    /// Speaks to a server. `url` is its address, with its base path where it has one.
    pub(crate) fn at(url: &str, token: Option<String>) -> Result<Self> {
        check_url(url).map_err(|message| Coded(USAGE, message))?;
        let base = url.trim_end_matches('/');
        let base = base.strip_suffix("/api").unwrap_or(base).to_owned();
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .user_agent(concat!("longhaul/", env!("CARGO_PKG_VERSION")))
        };
        let http = longhaul_http::https_client(builder)
            .map_err(|error| format!("failed to prepare requests: {error}"))?;
        Ok(Self { described: base.clone(), transport: Transport::Server { http, base, token } })
    }

    /// True where a server answers, which knows the kinds of jobs that it runs.
    pub(crate) fn is_server(&self) -> bool {
        matches!(self.transport, Transport::Server { .. })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.read(&self.text(Method::GET, path, None).await?)
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        self.read(&self.text(Method::POST, path, Some(body)).await?)
    }

    /// The body of an answer, as it was sent: numbers keep all their digits.
    ///
    /// A request whose answer was lost is sent again where the server recognises it by its `Idempotency-Key`.
    pub(crate) async fn text(&self, method: Method, path: &str, body: Option<&Value>) -> Result<String> {
        self.answer(method, path, body.map(Value::to_string)).await
    }

    /// The same for a body that is sent to the letter: what people give as JSON keeps its digits, too, and a key that stands
    /// twice is refused and not dropped.
    pub(crate) async fn give(&self, method: Method, path: &str, body: &Json) -> Result<String> {
        self.answer(method, path, Some(body.as_str().to_owned())).await
    }

    async fn answer(&self, method: Method, path: &str, body: Option<String>) -> Result<String> {
        let key = is_repeatable(&method, path).then(|| longhaul::JobId::random().to_string());
        let mut pauses = PAUSES.iter();
        loop {
            let (method, body) = (method.clone(), body.clone());
            let request = Sent { method, path, body, last_event: None, key: key.as_deref() };
            match (self.text_of(request).await, pauses.next()) {
                (Err(error), Some(pause)) if key.is_some() && may_be_done(&*error) => {
                    tokio::time::sleep(*pause).await;
                }
                (answer, _) => return answer,
            }
        }
    }

    async fn text_of(&self, request: Sent<'_>) -> Result<String> {
        let answer = async {
            let chunks = self.send(request).await?.1;
            let add = async |mut all: Vec<u8>, chunk: Bytes| {
                if all.len() + chunk.len() > MOST_BYTES {
                    return Err("the answer is longer than any that this asks for".into());
                }
                all.extend_from_slice(&chunk);
                Ok(all)
            };
            chunks.try_fold(Vec::new(), add).await
        };
        let bytes = match &self.transport {
            Transport::Store(..) => answer.await?,
            Transport::Server { base, .. } => {
                let silent = || format!("{base} did not answer within {} s", ANSWER_TIMEOUT.as_secs());
                tokio::time::timeout(ANSWER_TIMEOUT, answer).await.map_err(|_| silent())??
            }
        };
        String::from_utf8(bytes).map_err(|_| self.strange("it is not UTF-8").into())
    }

    /// Sends a request, and answers once the head of a good answer is there; any other is an error.
    async fn send(&self, request: Sent<'_>) -> Result<(StatusCode, Chunks)> {
        let Sent { method, path, body, last_event, key } = request;
        let mut names = path.split('?').next().unwrap_or_default().split('/').skip(1);
        if names.any(|name| matches!(name, "" | "." | "..")) {
            // It would be the path of something else.
            return Err(
                Coded(USAGE, "an id or a name is empty, or . or .., which name nothing".into()).into()
            );
        }
        let last_event = last_event.map(|seq| seq.to_string());
        let (status, chunks): (StatusCode, Chunks) = match &self.transport {
            Transport::Store(routes, _) => {
                let mut request = Request::builder().method(method).uri(format!("/api{path}"));
                if let Some(seq) = &last_event {
                    request = request.header("last-event-id", seq);
                }
                if body.is_some() {
                    request = request.header(CONTENT_TYPE, "application/json");
                }
                let request = request.body(body.map_or_else(Body::empty, Body::from))?;
                let response = routes.clone().oneshot(request).await?;
                let status = response.status();
                (status, response.into_body().into_data_stream().map_err(Into::into).boxed())
            }
            Transport::Server { http, base, token } => {
                let mut request = http.request(method, format!("{base}/api{path}"));
                if let Some(token) = token {
                    request = request.header(AUTHORIZATION, format!("Bearer {token}"));
                }
                if let Some(seq) = &last_event {
                    request = request.header("last-event-id", seq);
                }
                if let Some(key) = key {
                    request = request.header("idempotency-key", key);
                }
                if let Some(body) = body {
                    request = request.header(CONTENT_TYPE, "application/json").body(body);
                }
                let response = request.send().await.map_err(|error| refusal::unreachable(base, &error))?;
                let address = base.clone();
                let broken = move |error| refusal::unreachable(&address, &error).into();
                (response.status(), response.bytes_stream().map_err(broken).boxed())
            }
        };
        if status.is_success() {
            return Ok((status, chunks));
        }
        let body: Vec<Bytes> = chunks.try_collect().await.unwrap_or_default();
        Err(Refusal::new(status, &body.concat(), &self.described).into())
    }

    fn read<T: DeserializeOwned>(&self, text: &str) -> Result<T> {
        serde_json::from_str(text).map_err(|error| self.strange(&error.to_string()).into())
    }

    fn strange(&self, reason: &str) -> String {
        format!("{} answered what is not understood: {reason}; is it a Longhaul server?", self.described)
    }
}

/// The user of this machine: the name in the audit log for a command that works on the store itself.
pub(crate) fn local_user() -> String {
    let named = ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let named = named.map(|name| name.trim().to_owned()).find(|name| !name.is_empty());
    let user = named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    format!("{user} (longhaul command)")
}

/// Notes an address that is none, in words that say what one is.
fn check_url(url: &str) -> Result<(), String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        let rest = if rest.is_empty() { "127.0.0.1:8000" } else { rest };
        return Err(format!("--url {url} must begin with http:// or https://, as in http://{rest}"));
    }
    let parsed = reqwest::Url::parse(url).map_err(|error| format!("--url {url}: {error}"))?;
    parsed.host_str().map(|_| ()).ok_or_else(|| format!("--url {url}: use http://HOST:PORT or https://HOST"))
}

/// A piece of a path or the value of a parameter, with whatever may stand in it.
pub(crate) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_told_with_one() {
        let told = check_url("127.0.0.1:21801").unwrap_err();
        assert_eq!(
            told,
            "--url 127.0.0.1:21801 must begin with http:// or https://, as in http://127.0.0.1:21801"
        );
        assert!(check_url("ftp://h/x").unwrap_err().ends_with("as in http://h/x"));
        assert!(check_url("http://").is_err() && check_url("localhost:8000").is_err());
        assert!(check_url("http://[::1]:8000/base").is_ok() && check_url("HTTPS://h").is_ok());
    }

    /// A server that hears each request, with its key, and answers the last of them alone.
    async fn deaf(tries: usize) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let heard = tokio::spawn(async move {
            let mut keys = Vec::new();
            for n in 1..=tries {
                let (mut caller, _) = listener.accept().await.expect("a caller");
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(caller.read_u8().await.expect("a head"));
                }
                let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                let key = head.lines().find_map(|line| line.strip_prefix("idempotency-key: "));
                keys.push(key.unwrap_or_default().to_owned());
                if n == tries {
                    let answer = "HTTP/1.1 201 Created\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                    caller.write_all(answer.as_bytes()).await.expect("it is sent");
                }
            }
            keys
        });
        (url, heard)
    }

    #[tokio::test]
    async fn a_request_whose_answer_is_lost_is_sent_again_under_its_key() {
        let (url, heard) = deaf(2).await;
        let client = Client::at(&url, None).expect("a client");
        let answer = client.text(Method::POST, "/tokens", None).await.expect("an answer");
        assert_eq!(answer, "{}");
        let keys = heard.await.expect("it was heard");
        assert!(keys[0] == keys[1] && !keys[0].is_empty(), "{keys:?}");
    }

    #[tokio::test]
    async fn a_request_that_the_server_would_not_recognise_is_sent_once() {
        let (url, heard) = deaf(2).await;
        let client = Client::at(&url, None).expect("a client");
        let told = client.text(Method::POST, "/jobs/a/retry", None).await.expect_err("no answer").to_string();
        assert!(told.starts_with(&format!("failed to reach {url}")), "{told}");
        let answer = client.text(Method::POST, "/jobs/a/retry", None).await.expect("the second one's");
        assert_eq!((answer.as_str(), heard.await.expect("both").concat()), ("{}", String::new()));
    }
}
