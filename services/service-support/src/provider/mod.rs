//! One way to call an outside system: a time limit, a bound on the reply, and a decision about every failure.

mod error;
mod retry_after;

pub use error::{Cause, ProviderError, Waiting};

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use longhaul::Clock;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, RequestBuilder, Response, StatusCode};

/// An outside system, as the code that speaks its protocol sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Provider {
    name: Arc<str>,
    client: Client,
    max_bytes: usize,
    max_wait: Duration,
    clock: Clock,
}

/// A whole reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// 200–299, unless it came by [`Provider::ask`].
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, within the provider's bound.
    pub body: Bytes,
}

/// Redirections that one call follows.
const MAX_REDIRECTIONS: usize = 5;

/// The bytes of a refusal's body that are read for its reason.
const MAX_REASON_BYTES: usize = 16 * 1024;

impl Provider {
    /// A system called `name` in messages. `timeout` is for a whole call with its reply, `max_bytes` bounds the
    /// reply, and `max_wait` is the longest wait that it may ask a job to make.
    ///
    /// # Errors
    /// Fails if the machine's TLS set-up cannot be used.
    pub fn new(
        name: &str,
        timeout: Duration,
        max_bytes: usize,
        max_wait: Duration,
        clock: Clock,
    ) -> Result<Self, ProviderError> {
        // Only the first call in a process installs it; that another has done so is no fault.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .no_proxy()
            .redirect(Policy::custom(same_host))
            .user_agent(concat!("longhaul/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| ProviderError::new(name, Cause::Setup, chain(&e)))?;
        Ok(Self { name: name.into(), client, max_bytes, max_wait, clock })
    }

    /// For building requests.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The system's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a request and reads the whole reply.
    ///
    /// # Errors
    /// Anything but a 2xx with a body within bounds.
    pub async fn send(&self, request: RequestBuilder) -> Result<Reply, ProviderError> {
        let response = self.open(request).await?;
        self.read_whole(response).await
    }

    /// Sends a request and reads the whole reply, whatever its status: for protocols that say in a refusal's headers
    /// what they want. What is a failure in the end is made one by [`refused`](Self::refused).
    ///
    /// # Errors
    /// Fails if there is no reply, or its body passes the bound.
    pub async fn ask(&self, request: RequestBuilder) -> Result<Reply, ProviderError> {
        let response = request.send().await.map_err(|e| self.transport(&e))?;
        self.read_whole(response).await
    }

    /// The error that [`send`](Self::send) would have made of a reply.
    #[must_use]
    pub fn refused(&self, reply: &Reply) -> ProviderError {
        let body = &reply.body[..reply.body.len().min(MAX_REASON_BYTES)];
        self.refusal_of(reply.status, &reply.headers, &reason(body))
    }

    /// The longest wait that the system may ask a job to make.
    #[must_use]
    pub fn max_wait(&self) -> Duration {
        self.max_wait
    }

    async fn read_whole(&self, response: Response) -> Result<Reply, ProviderError> {
        let (status, headers) = (response.status(), response.headers().clone());
        if response.content_length().is_some_and(|length| length > self.max_bytes as u64) {
            return Err(self.too_large());
        }
        let mut body = BytesMut::new();
        let mut pieces = std::pin::pin!(self.pieces(response));
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece?);
        }
        Ok(Reply { status, headers, body: body.freeze() })
    }

    /// Sends a request and returns once the reply has begun: for streams.
    ///
    /// # Errors
    /// Anything but a 2xx.
    pub async fn open(&self, request: RequestBuilder) -> Result<Response, ProviderError> {
        let response = request.send().await.map_err(|e| self.transport(&e))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    /// The body piece by piece, cut off with an error where it passes the bound.
    pub fn pieces(
        &self,
        response: Response,
    ) -> impl Stream<Item = Result<Bytes, ProviderError>> + Send + use<> {
        let provider = self.clone();
        let mut read = 0_usize;
        response.bytes_stream().map(move |piece| {
            let piece = piece.map_err(|e| provider.transport(&e))?;
            read = read.saturating_add(piece.len());
            if read > provider.max_bytes { Err(provider.too_large()) } else { Ok(piece) }
        })
    }

    /// A reply that came whole and makes no sense. Tried again: servers under load send half-made replies.
    #[must_use]
    pub fn bad_reply(&self, reason: impl std::fmt::Display) -> ProviderError {
        ProviderError::new(&self.name, Cause::BadReply, reason.to_string())
    }

    fn too_large(&self) -> ProviderError {
        ProviderError::new(&self.name, Cause::TooLarge, format!("the reply exceeds {} bytes", self.max_bytes))
    }

    fn transport(&self, error: &reqwest::Error) -> ProviderError {
        let cause = if error.is_timeout() {
            Cause::Timeout
        } else if error.is_builder() {
            Cause::Setup
        } else {
            Cause::Connection
        };
        ProviderError::new(&self.name, cause, chain(error))
    }

    async fn refusal(&self, response: Response) -> ProviderError {
        let (status, headers) = (response.status(), response.headers().clone());
        self.refusal_of(status, &headers, &read_reason(response).await)
    }

    fn refusal_of(&self, status: StatusCode, headers: &HeaderMap, reason: &str) -> ProviderError {
        let told = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = told.and_then(|text| retry_after::parse(text, self.clock.now()));
        let message = if reason.is_empty() { status.to_string() } else { format!("{status}: {reason}") };
        let waiting = match wait {
            Some(wait) if wait > self.max_wait => Waiting::TooLong(wait),
            Some(wait) => Waiting::For(wait),
            None => Waiting::NotTold,
        };
        ProviderError { waiting, ..ProviderError::new(&self.name, Cause::Status(status.as_u16()), message) }
    }
}

/// A redirection is followed on the same host alone: neither a key nor a document goes to a system that nobody configured.
/// One that is not followed is the reply, and so is the last of too many.
fn same_host(attempt: Attempt<'_>) -> Action {
    let is_same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if is_same && attempt.previous().len() <= MAX_REDIRECTIONS { attempt.follow() } else { attempt.stop() }
}

async fn read_reason(response: Response) -> String {
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        body.extend_from_slice(&piece);
        if body.len() >= MAX_REASON_BYTES {
            body.truncate(MAX_REASON_BYTES);
            break;
        }
    }
    reason(&body)
}

/// The reason in a refusal: the message in OpenAI's, FastAPI's or GitHub's form, or the body's beginning.
fn reason(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let told = ["/error/message", "/error", "/detail", "/message"];
    let told = told.iter().find_map(|pointer| json.pointer(pointer)?.as_str());
    told.unwrap_or(&text).trim().chars().take(300).collect()
}

/// An error with its causes, each once: reqwest's own text says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
