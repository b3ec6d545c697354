use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use longhaul::{Context, Job, JobError, JobResult, Json, check_json};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::answered::{again, in_words, retry_after, target, unanswered};
use crate::outbound::{Answer, Outbound, Request};

/// The queue of requests.
pub(crate) const QUEUE: &str = "http";
/// The most bytes of an answer that are kept: as JSON text they may be six times as many, and an output has 1 MiB.
const MAX_ANSWER: usize = 128 * 1024;
const DEFAULT_TIMEOUT: f64 = 30.0;
const LONGEST_TIMEOUT: f64 = 300.0;
/// Headers that the connection makes, and that a caller could only get wrong.
const OWN: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "te", "upgrade"];

/// An HTTP request as a job: it is tried again while the answer is one that may change, and its output is the answer.
///
/// Receivers may get it more than once. A `POST` or `PATCH` carries the job's id as its `Idempotency-Key`, unless it brings its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRequest {
    /// `GET`, unless given.
    #[serde(default = "get")]
    pub method: String,
    /// An `http` or `https` URL without a user or password.
    pub url: String,
    /// Its headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A text is sent as it is, anything else as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
    /// The statuses that complete the job; those of 200 to 299 unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<u16>,
    /// The longest that an attempt may take in seconds, 300 at most; 30 unless given.
    #[serde(default = "default_timeout")]
    pub timeout: f64,
}

fn get() -> String {
    "GET".into()
}

fn default_timeout() -> f64 {
    DEFAULT_TIMEOUT
}

/// An answer, as the output of its job.
#[derive(Clone, Debug, Serialize)]
pub struct HttpAnswer {
    status: u16,
    headers: BTreeMap<String, String>,
    /// JSON as such, a text as a text, else null.
    body: Option<Json>,
    /// A body that is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// True where the body was longer than what is kept of it.
    body_cut: bool,
}

impl Job for HttpRequest {
    const KIND: &'static str = "http.request";
    const QUEUE: &'static str = QUEUE;
    const MAX_ATTEMPTS: u32 = 5;
    type State = Outbound;
    type Output = HttpAnswer;

    async fn run(self, cx: Context<Outbound>) -> JobResult<HttpAnswer> {
        let request = self.request(&cx)?;
        let answer = cx.state().call(request).await.map_err(unanswered)?;
        if self.is_expected(answer.status) {
            return Ok(HttpAnswer::of(&answer));
        }
        let words = in_words(answer.status, &answer.body);
        Err(match answer.status {
            408 | 425 | 429 | 500..=599 => {
                again(retry_after(&answer.headers), format!("the server answered {words}"))
            }
            300..=399 => {
                let target = target(&answer.headers);
                JobError::fatal(format!(
                    "the server answered {words}, a redirection to {target}, which is not followed: give the final URL, or \
                     expect the status"
                ))
            }
            _ => JobError::fatal(format!("the server answered {words}, which `expect` does not have")),
        })
    }
}

impl HttpRequest {
    fn is_expected(&self, status: u16) -> bool {
        if self.expect.is_empty() { (200..300).contains(&status) } else { self.expect.contains(&status) }
    }

    fn request(&self, cx: &Context<Outbound>) -> JobResult<Request<'_>> {
        let method = Method::from_bytes(self.method.to_ascii_uppercase().as_bytes())
            .map_err(|_| JobError::fatal(format!("method: '{}' is none", self.method)))?;
        if method == Method::CONNECT {
            return Err(JobError::fatal("method: CONNECT is for proxies"));
        }
        if !(self.timeout > 0.0 && self.timeout <= LONGEST_TIMEOUT) {
            let message = format!("timeout: must be more than 0 and at most {LONGEST_TIMEOUT} seconds");
            return Err(JobError::fatal(message));
        }
        let mut headers = self.headers()?;
        if matches!(method, Method::POST | Method::PATCH)
            && let Ok(id) = HeaderValue::from_str(cx.id().as_str())
        {
            headers.entry("idempotency-key").or_insert(id);
        }
        if let Some(Ok(place)) = cx.traceparent().map(|place| HeaderValue::try_from(place.to_string())) {
            headers.entry("traceparent").or_insert(place);
        }
        let body = self.body.as_ref().map(|body| match body.to::<String>() {
            Ok(text) => Bytes::from(text),
            Err(_) => {
                headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                Bytes::from(body.as_str().to_owned())
            }
        });
        let timeout = Duration::from_secs_f64(self.timeout);
        Ok(Request { method, url: &self.url, headers, body, timeout, max_answer: MAX_ANSWER })
    }

    fn headers(&self) -> JobResult<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let known = HeaderName::try_from(name)
                .map_err(|_| JobError::fatal(format!("headers: '{name}' is no name of a header")))?;
            if OWN.contains(&known.as_str()) {
                return Err(JobError::fatal(format!(
                    "headers: {known} is made by the connection; leave it out"
                )));
            }
            let value = HeaderValue::try_from(value).map_err(|_| {
                JobError::fatal(format!("headers: the value of {known} has characters that none may have"))
            })?;
            headers.insert(known, value);
        }
        Ok(headers)
    }
}

impl HttpAnswer {
    fn of(answer: &Answer) -> Self {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &answer.headers {
            let value = text(value);
            headers
                .entry(name.as_str().to_owned())
                .and_modify(|values| {
                    values.push_str(", ");
                    values.push_str(&value);
                })
                .or_insert(value);
        }
        let (status, body_cut) = (answer.status, answer.is_cut);
        let is_json = headers.get("content-type").is_some_and(|kind| kind.contains("json")) && !body_cut;
        let (body, body_base64) = match std::str::from_utf8(&answer.body) {
            Ok("") => (None, None),
            Ok(text) if is_json && check_json(text).is_ok() => (Json::parse(text.to_owned()).ok(), None),
            Ok(text) if !text.contains('\0') => (Json::new(&text).ok(), None),
            // A character that the end of what is kept cuts through is no reason to take a text for bytes.
            Err(error) if error.error_len().is_none() && body_cut => {
                let text = String::from_utf8_lossy(&answer.body[..error.valid_up_to()]).into_owned();
                (Json::new(&text).ok(), None)
            }
            _ => (None, Some(STANDARD.encode(&answer.body))),
        };
        Self { status, headers, body, body_base64, body_cut }
    }
}
