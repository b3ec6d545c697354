use std::error::Error as StdError;
use std::time::Duration;

use longhaul::{Backoff, Error, Result};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::https::https_client;
use crate::wire::LONGEST_HOLD;

pub(super) const STORE: &str = "remote";

/// The number of retries of a request whose answer was lost, or that was not delivered.
const AGAIN: u32 = 3;
/// The waits before the retries: 1 s in all, so that a server that is being replaced is often back, and the caller can
/// still report that the store is unreachable. The jitter keeps workers from coming back at the same time.
const AGAIN_AFTER: Backoff =
    Backoff { base: Duration::from_millis(50), factor: 4.0, max: Duration::from_secs(1), jitter: 0.5 };
/// The longest that a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that an answer may take that is not held open.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends requests to one server.
pub(super) struct Caller {
    base: Url,
    client: Client,
    /// A client of its own for heartbeats. A connection is driven by the runtime that made it, and heartbeats have one
    /// of their own, which must not depend on a runtime that a job may block.
    heartbeats: Client,
}

/// The request of an operation.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// The last part of its path.
    pub(super) route: &'static str,
    /// The operation, in the words of an error.
    pub(super) operation: &'static str,
    /// Keeps it from being done twice when it is sent again.
    pub(super) key: Option<String>,
    /// The time for which the server was asked to hold the answer.
    pub(super) wait: Duration,
}

/// The result of sending a request once.
enum Sent<T> {
    Answered(T),
    /// It was refused, or failed for good.
    Failed(Error),
    /// It has no answer.
    Lost(Reached, Box<dyn StdError + Send + Sync>),
}

/// Whether the server may have received a request that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// It was never sent.
    No,
    /// It may have been.
    Maybe,
}

/// A call that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) reached: Reached,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

impl Caller {
    pub(super) fn new(url: &str, token: Option<&str>) -> Result<Self> {
        let invalid = |reason: String| Error::Invalid { field: "url".into(), reason };
        let mut base = Url::parse(url).map_err(|error| invalid(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(invalid("must be http://HOST or https://HOST".into()));
        }
        if base.path() == "/" {
            base.set_path("/api");
        }
        base.set_query(None);
        base.set_fragment(None);
        let client = || build(token);
        Ok(Self { client: client()?, heartbeats: client()?, base })
    }

    pub(super) fn base(&self) -> &str {
        self.base.as_str()
    }

    /// Sends a request until it is answered, or has been sent often enough.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        wire: &Wire,
        body: &impl Serialize,
    ) -> Result<T, Failed> {
        let mut reached = Reached::No;
        let body = serde_json::to_vec(body)
            .map_err(|error| Failed { error: self.fault(wire, error.to_string()), reached })?;
        let body = axum::body::Bytes::from(body);
        let mut sent_again = 0;
        loop {
            match self.send(wire, body.clone()).await {
                Sent::Answered(answer) => return Ok(answer),
                Sent::Failed(error) => {
                    if error.is_outage() {
                        reached = Reached::Maybe;
                    }
                    return Err(Failed { error, reached });
                }
                Sent::Lost(maybe, source) => {
                    if maybe == Reached::Maybe {
                        reached = maybe;
                    }
                    if sent_again >= AGAIN {
                        return Err(Failed { error: Error::Unavailable { store: STORE, source }, reached });
                    }
                    sent_again += 1;
                    let pause = AGAIN_AFTER.delay(sent_again);
                    tracing::debug!("failed to {}: {source}; sending it again in {pause:?}", wire.operation);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn send<T: DeserializeOwned>(&self, wire: &Wire, body: axum::body::Bytes) -> Sent<T> {
        let client = if wire.route == "heartbeat" { &self.heartbeats } else { &self.client };
        let url = format!("{}/worker/{}", self.base.as_str().trim_end_matches('/'), wire.route);
        let mut request = client
            .post(url)
            .timeout(ANSWER_TIMEOUT + wire.wait.min(LONGEST_HOLD))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        if let Some(key) = &wire.key {
            request = request.header("idempotency-key", key);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                let reached = if error.is_connect() { Reached::No } else { Reached::Maybe };
                return Sent::Lost(reached, whole(&error));
            }
        };
        let status = response.status();
        // An answer that breaks off in the middle was not received.
        let bytes = match response.bytes().await {
            Ok(bytes) => bytes,
            Err(error) => return Sent::Lost(Reached::Maybe, whole(&error)),
        };
        if status.is_success() {
            return match serde_json::from_slice(&bytes) {
                Ok(answer) => Sent::Answered(answer),
                Err(error) => {
                    Sent::Failed(self.fault(wire, format!("answered what is not understood: {error}")))
                }
            };
        }
        Sent::Failed(self.refusal(wire, status, &bytes))
    }

    fn refusal(&self, wire: &Wire, status: StatusCode, body: &[u8]) -> Error {
        let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
        match (status, problem.errors.into_iter().next()) {
            (StatusCode::UNPROCESSABLE_ENTITY, Some(error)) => {
                Error::Invalid { field: error.field, reason: error.message }
            }
            // The server's store is unreachable, or a proxy has no server. The caller waits and tries again.
            (
                StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS,
                _,
            ) => {
                let (store, source) = (STORE, self.said(status, &problem.detail).into());
                match problem.code.as_str() {
                    "store_full" => Error::Full { store, source },
                    "store_broken" => Error::Broken { store, source },
                    _ => Error::Unavailable { store, source },
                }
            }
            _ => self.fault(wire, self.said(status, &problem.detail)),
        }
    }

    fn said(&self, status: StatusCode, detail: &str) -> String {
        let hint = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; is the token the server's worker token?",
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                "; is this the address of a server's API, and the server of this version?"
            }
            _ => "",
        };
        let detail = if detail.is_empty() { "no detail" } else { detail };
        format!("{} answered {status}: {detail}{hint}", self.base)
    }

    fn fault(&self, wire: &Wire, source: String) -> Error {
        Error::Store { store: STORE, operation: wire.operation, source: source.into() }
    }
}

fn build(token: Option<&str>) -> Result<Client> {
    let failed =
        |source: Box<dyn StdError + Send + Sync>| Error::Store { store: STORE, operation: "open", source };
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Error::Invalid {
            field: "token".into(),
            reason: "must be of printable ASCII characters".into(),
        })?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    let builder = || {
        Client::builder()
            .default_headers(headers.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            // Shorter than servers and proxies keep an idle connection, so that few requests meet one that is being closed.
            .pool_idle_timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("longhaul/", env!("CARGO_PKG_VERSION")))
    };
    https_client(builder).map_err(|error| failed(whole(&error)))
}

/// An error with its causes: the outermost says little.
fn whole(error: &reqwest::Error) -> Box<dyn StdError + Send + Sync> {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text.into()
}

/// The parts of a refusal that are read.
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<FieldError>,
}

#[derive(Deserialize)]
struct FieldError {
    field: String,
    message: String,
}
