//! One way to call an outside system: a time limit, a bound on the reply, and a decision about every failure.

mod error;
mod redact;
mod told;
mod untold;
pub(crate) mod wait;

pub use error::{Cause, ProviderError, Waiting};
pub(crate) use told::Told;
pub use wait::{retry_after, sent_at};

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use longhaul::Clock;
use reqwest::header::HeaderMap;
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use untold::Untold;

/// An outside system, as the code that speaks its protocol sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Provider {
    name: Arc<str>,
    client: Client,
    timeout: Duration,
    max_bytes: usize,
    max_wait: Duration,
    clock: Clock,
    /// Words that no message may hold.
    hidden: Arc<[String]>,
    untold: Arc<Untold>,
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
/// A stream has no limit in all but that of a day, which ends what nobody reads any more.
const MAX_STREAM: Duration = Duration::from_secs(24 * 3600);
/// `false` where a server knows that asking again is in vain.
pub const SHOULD_RETRY: &str = "x-should-retry";

impl Provider {
    /// A system called `name` in messages. `timeout` is for a whole call with its reply (of a stream: for
    /// each wait), `max_bytes` bounds the
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
        let builder = || {
            Client::builder()
                .timeout(timeout)
                .connect_timeout(timeout.min(Duration::from_secs(10)))
                .no_proxy()
                .redirect(Policy::custom(same_host))
                .user_agent(concat!("longhaul/", env!("CARGO_PKG_VERSION")))
        };
        let client = longhaul_http::https_client(builder);
        let client = client.map_err(|e| ProviderError::new(name, Cause::Setup, chain(&e)))?;
        let (hidden, untold) = (Arc::default(), Arc::default());
        Ok(Self { name: name.into(), client, timeout, max_bytes, max_wait, clock, hidden, untold })
    }

    /// The same with a secret that no message and no line of the log may hold.
    #[must_use]
    pub fn hiding(mut self, secret: Option<&str>) -> Self {
        self.hidden = self.hidden.iter().cloned().chain(secret.map(str::to_owned)).collect();
        self
    }

    /// The same for the host of an address, which is nobody's business but the operator's.
    #[must_use]
    pub fn hiding_address(self, url: &str) -> Self {
        let url = Url::parse(url).ok();
        let host = url.as_ref().and_then(Url::host_str).map(|host| match url.as_ref().and_then(Url::port) {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        });
        self.hiding(host.as_deref())
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
    pub fn send(&self, request: RequestBuilder) -> BoxFuture<'_, Result<Reply, ProviderError>> {
        Box::pin(async move {
            let response = request.send().await.map_err(|e| self.transport(&e))?;
            if !response.status().is_success() {
                return Err(self.refusal(response).await);
            }
            let reply = self.read_whole(response).await?;
            self.untold.over();
            Ok(reply)
        })
    }

    /// Sends a request and reads the whole reply, whatever its status: for protocols that say in a refusal's headers
    /// what they want. What is a failure in the end is made one by [`refused`](Self::refused).
    ///
    /// # Errors
    /// Fails if there is no reply, or its body passes the bound.
    pub fn ask(&self, request: RequestBuilder) -> BoxFuture<'_, Result<Reply, ProviderError>> {
        Box::pin(async move {
            let response = request.send().await.map_err(|e| self.transport(&e))?;
            self.read_whole(response).await
        })
    }

    /// The error that [`send`](Self::send) would have made of a reply.
    #[must_use]
    pub fn refused(&self, reply: &Reply) -> ProviderError {
        let body = &reply.body[..reply.body.len().min(MAX_REASON_BYTES)];
        self.refusal_of(reply.status, &reply.headers, &Told::read(body))
    }

    /// The error of a reply with a good status that holds an error in place of an answer.
    pub(crate) fn failed_within(&self, told: &Told) -> ProviderError {
        match told.status.and_then(|status| StatusCode::from_u16(status).ok()) {
            Some(status) => self.refusal_of(status, &HeaderMap::new(), told),
            None if told.is_spent() => self.error(Cause::Spent, &told.message),
            None => self.bad_reply(&told.message),
        }
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

    /// Sends a request and returns once the reply has begun: for streams, whose time is not limited in all.
    ///
    /// # Errors
    /// Anything but a 2xx.
    pub async fn open(&self, request: RequestBuilder) -> Result<Response, ProviderError> {
        let answer = self.clock.timeout(self.timeout, request.timeout(MAX_STREAM).send()).await;
        let response =
            answer.map_err(|_| self.timed_out("no answer came"))?.map_err(|e| self.transport(&e))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        self.untold.over();
        Ok(response)
    }

    /// The body piece by piece, for a stream: the time limit is that from one piece to the next. A comment is a piece, too:
    /// servers send it to say that they are at work.
    pub fn pieces_alive(
        &self,
        response: Response,
    ) -> impl Stream<Item = Result<Bytes, ProviderError>> + Send + use<> {
        let pieces = Box::pin(self.pieces(response));
        futures::stream::unfold(Some((self.clone(), pieces)), |state| async move {
            let (provider, mut pieces) = state?;
            match provider.clock.timeout(provider.timeout, pieces.next()).await {
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some((provider, pieces)))),
                Ok(Some(Err(error))) => Some((Err(error), None)),
                Ok(None) => None,
                Err(_) => Some((Err(provider.timed_out("the reply stood still")), None)),
            }
        })
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
        self.error(Cause::BadReply, &reason.to_string())
    }

    /// The error of a reply that is not what it was to be: the system's own words, where it holds an error in place of an answer.
    #[must_use]
    pub fn unreadable(&self, body: &[u8], what: &str, fault: &serde_json::Error) -> ProviderError {
        let reply: Option<Value> = serde_json::from_slice(body).ok();
        match reply.and_then(|reply| Told::in_reply(&reply)) {
            Some(told) => self.failed_within(&told),
            None => self.bad_reply(format!("{what}: {fault}")),
        }
    }

    /// An error of this system, in words that people may see.
    pub(crate) fn error(&self, cause: Cause, message: &str) -> ProviderError {
        ProviderError::new(&self.name, cause, redact::for_people(message, &self.hidden))
    }

    pub(crate) fn cut_off(&self) -> ProviderError {
        self.error(Cause::Connection, "the reply ended before it was complete")
    }

    pub(crate) fn timed_out(&self, what: &str) -> ProviderError {
        self.error(Cause::Timeout, &format!("{what} for {} s", self.timeout.as_secs_f64()))
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    fn too_large(&self) -> ProviderError {
        self.error(Cause::TooLarge, &format!("the reply exceeds {} bytes", self.max_bytes))
    }

    fn transport(&self, error: &reqwest::Error) -> ProviderError {
        let cause = if error.is_timeout() {
            Cause::Timeout
        } else if error.is_builder() {
            Cause::Setup
        } else {
            Cause::Connection
        };
        let chain = chain(error);
        tracing::debug!("{} cannot be used: {}", self.name, redact::for_log(&chain, &self.hidden));
        self.error(cause, &chain)
    }

    async fn refusal(&self, response: Response) -> ProviderError {
        let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
        let told = Told::read(&read_reason(response).await);
        let reason = redact::for_log(&format!("{url} answered {status}: {}", told.message), &self.hidden);
        tracing::debug!("{} refused: {reason}", self.name);
        self.refusal_of(status, &headers, &told)
    }

    fn refusal_of(&self, status: StatusCode, headers: &HeaderMap, told: &Told) -> ProviderError {
        let is_limit = status == StatusCode::TOO_MANY_REQUESTS;
        let mut wait = wait::told(status, headers, &told.message, self.clock.now());
        // What is over at once, or by a date that has passed, tells nothing: whoever believed it would ask without end, or use up
        // all attempts before anything could change.
        wait = wait.filter(|wait| !wait.is_zero());
        let is_spent =
            status == StatusCode::PAYMENT_REQUIRED || is_limit && wait.is_none() && told.is_spent();
        if is_limit && wait.is_none() && !is_spent {
            // A limit of which nothing else is known costs no attempt either, but does not last for ever.
            wait = Some(self.untold.next(&self.clock));
        }
        let reason = &told.message;
        let message = if reason.is_empty() { status.to_string() } else { format!("{status}: {reason}") };
        let waiting = match wait {
            Some(wait) if wait > self.max_wait => Waiting::TooLong(wait),
            Some(wait) => Waiting::For(wait),
            None => Waiting::NotTold,
        };
        let cause = match headers.get(SHOULD_RETRY) {
            _ if is_spent => Cause::Spent,
            Some(told) if told == "false" && wait.is_none() => Cause::Refused,
            _ => Cause::Status(status.as_u16()),
        };
        ProviderError { waiting, ..self.error(cause, &message) }
    }
}

/// A redirection is followed on the same host alone: neither a key nor a document goes to a system that nobody configured.
/// One that is not followed is the reply, and so is the last of too many.
fn same_host(attempt: Attempt<'_>) -> Action {
    let is_same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if is_same && attempt.previous().len() <= MAX_REDIRECTIONS { attempt.follow() } else { attempt.stop() }
}

async fn read_reason(response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        body.extend_from_slice(&piece);
        if body.len() >= MAX_REASON_BYTES {
            body.truncate(MAX_REASON_BYTES);
            break;
        }
    }
    body
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
