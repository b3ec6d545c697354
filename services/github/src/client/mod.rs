//! GitHub's REST API: ETags, pages, and rate limits in headers.

mod budget;
mod error;
mod etags;
pub(crate) mod lenient;
mod limit;
mod link;
pub(crate) mod objects;

pub(crate) use error::CallError;
pub(crate) use limit::Quota;
#[cfg(feature = "fuzzing")]
pub(crate) use link::next as next_link;

use std::time::Duration;

use longhaul::{Clock, Timestamp};
use parking_lot::Mutex;
use reqwest::StatusCode;
use reqwest::header::LINK;
use serde::Serialize;
use serde::de::DeserializeOwned;
use service_support::{Cause, Db, Provider, ProviderError, Reply, Waiting};
use sha2::{Digest, Sha256};

use crate::config::GithubConfig;

use budget::Charge;
use etags::Kept;

/// A client of GitHub's REST API.
#[derive(Debug)]
pub(crate) struct Client {
    provider: Provider,
    config: GithubConfig,
    db: Db,
    clock: Clock,
    /// The newest reply's figures of the primary limit, and its time.
    quota: Mutex<Option<(Quota, Timestamp)>>,
    /// The end of the newest limit that a call has met.
    barred_until: Mutex<Option<Timestamp>>,
    /// A mark of the token, for what is kept of replies.
    caller: String,
}

/// A reply, or one page of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page<T> {
    pub(crate) body: T,
    /// The address of the next page.
    pub(crate) next: Option<String>,
}

/// The answer of GitHub to a wish.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer<T> {
    Page(Page<T>),
    /// There is such a thing, and nothing in it: no body, a repository without a commit, a figure that is still being made.
    Nothing,
    /// There is no such thing.
    Missing,
}

/// The choice to keep replies for the next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// In the service's table, and calls are counted against the budget there.
    Kept,
    /// Nowhere: the database is away.
    Dropped,
}

/// For a whole call: GitHub itself gives up after 10 s.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A hundred repositories with all their fields are half a megabyte.
const MAX_REPLY_BYTES: usize = 8 * 1024 * 1024;
/// The version of the API that is spoken.
const API_VERSION: &str = "2022-11-28";

impl Client {
    /// Prepares a client; nothing is contacted yet.
    pub(crate) fn new(
        config: GithubConfig,
        max_wait: Duration,
        db: Db,
        clock: Clock,
    ) -> Result<Self, ProviderError> {
        let provider = Provider::new("GitHub", TIMEOUT, MAX_REPLY_BYTES, max_wait, clock.clone())?;
        let caller = config.token.as_deref().map(mark).unwrap_or_default();
        Ok(Self {
            provider,
            config,
            db,
            clock,
            quota: Mutex::new(None),
            barred_until: Mutex::new(None),
            caller,
        })
    }

    /// True if calls are made with a token: without one GitHub allows 60 an hour.
    pub(crate) fn has_token(&self) -> bool {
        self.config.token.is_some()
    }

    /// The newest reply's figures of the primary limit, unless it has been reset since.
    pub(crate) fn quota(&self) -> Option<Quota> {
        let (quota, at) = (*self.quota.lock())?;
        let resets_in =
            quota.resets_in.checked_sub(self.clock.now().since(at)).filter(|left| !left.is_zero());
        resets_in.map(|resets_in| Quota { resets_in, ..quota })
    }

    /// Reads what is at `path` (`/users/octocat`), or at the address of a next page.
    pub(crate) async fn get<T>(&self, path: &str, keeping: Keeping) -> Result<Answer<T>, CallError>
    where
        T: Serialize + DeserializeOwned,
    {
        let url = self.url(path)?;
        self.check_limits()?;
        let key = self.key(&url);
        let kept = if keeping == Keeping::Kept {
            self.charge().await?;
            self.find::<T>(&key).await
        } else {
            None
        };
        let etag = kept.as_ref().map(|kept| kept.etag.as_str());
        let mut reply = self.provider.ask(self.request(&url, etag)).await?;
        self.note_quota(&reply);
        if reply.status == StatusCode::NOT_MODIFIED {
            if let Some(kept) = kept {
                self.refund(keeping).await;
                // A list may have grown another page, which changes nothing on this one.
                let next = if reply.headers.contains_key(LINK) { next(&reply) } else { kept.next };
                return Ok(Answer::Page(Page { body: kept.body, next }));
            }
            // A cache between GitHub and us has answered; the header bypasses it.
            reply = self.provider.ask(self.request(&url, None).header("cache-control", "no-cache")).await?;
            self.note_quota(&reply);
        }
        match reply.status.as_u16() {
            // 202: GitHub is still counting.
            202 | 204 | 205 => Ok(Answer::Nothing),
            200..=299 => self.read(path, &key, &reply, keeping).await,
            // A repository without a commit.
            409 => Ok(Answer::Nothing),
            404 | 410 => Ok(Answer::Missing),
            status => Err(self.refused(status, &reply)),
        }
    }

    async fn read<T>(
        &self,
        path: &str,
        key: &str,
        reply: &Reply,
        keeping: Keeping,
    ) -> Result<Answer<T>, CallError>
    where
        T: Serialize + DeserializeOwned,
    {
        let text = lenient::decode(&reply.body);
        if matches!(text.trim(), "" | "null" | "\"\"") {
            return Ok(Answer::Nothing);
        }
        let body: T = match serde_json::from_str(&text) {
            Ok(body) => body,
            Err(_) if text.trim() == "{}" => return Ok(Answer::Nothing),
            Err(e) => {
                let reason = format!("the reply to {path} makes no sense: {e}");
                return Err(self.provider.bad_reply(reason).into());
            }
        };
        let next = next(reply);
        if keeping == Keeping::Kept
            && let Some(etag) = header(reply, "etag")
        {
            let kept = Kept { etag: etag.to_owned(), body: &body, next: next.clone() };
            if let Err(error) = etags::keep(&self.db, key, &kept, self.clock.now()).await {
                tracing::warn!("failed to keep a reply of GitHub's: {error}");
            }
        }
        Ok(Answer::Page(Page { body, next }))
    }

    fn refused(&self, status: u16, reply: &Reply) -> CallError {
        let error = self.provider.refused(reply);
        if status == 401 {
            let words = error.message.split_once(": ").map_or(error.message.as_str(), |(_, words)| words);
            return CallError::Token(words.to_owned());
        }
        match limit::wait(status, &reply.headers, &error.message, self.clock.now()) {
            Some(wait) if is_core(reply) => {
                self.barred_until.lock().replace(self.clock.now().plus(wait));
                return CallError::limited(wait, self.provider.max_wait());
            }
            // The limit of searches is one of their own: the other calls go on, and none of them waits for it.
            Some(_) => {
                let error = ProviderError { cause: Cause::Refused, waiting: Waiting::NotTold, ..error };
                return error.into();
            }
            None => {}
        }
        // A redirection on the same host has been followed; in a circle, or to another host, our token does not go.
        if (300..400).contains(&status) && status != 304 {
            return CallError::Astray;
        }
        error.into()
    }

    /// Addresses of next pages come from GitHub; no other system is sent our token.
    fn url(&self, path: &str) -> Result<String, CallError> {
        if path.starts_with('/') {
            return Ok(format!("{}{path}", self.config.api_url));
        }
        let origin = |url: &str| reqwest::Url::parse(url).ok().map(|url| url.origin());
        match origin(path) {
            Some(of_path) if Some(&of_path) == origin(&self.config.api_url).as_ref() => Ok(path.to_owned()),
            _ => Err(CallError::Astray),
        }
    }

    /// The name that a reply is kept under: GitHub shows different callers different things.
    fn key(&self, url: &str) -> String {
        format!("{}{url}", self.caller)
    }

    fn request(&self, url: &str, etag: Option<&str>) -> reqwest::RequestBuilder {
        let mut request = self
            .provider
            .client()
            .get(url)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", API_VERSION);
        if let Some(token) = &self.config.token {
            request = request.bearer_auth(token);
        }
        if let Some(etag) = etag {
            request = request.header("if-none-match", etag);
        }
        request
    }

    /// The time until GitHub takes calls again, if it is known to take none now.
    pub(crate) fn barred_for(&self) -> Option<Duration> {
        let quota = self.quota().filter(|quota| quota.remaining == 0);
        let primary = quota.map(|quota| quota.resets_in + Duration::from_secs(1));
        let barred = self.barred_until.lock().map(|until| until.since(self.clock.now()));
        primary.max(barred).filter(|wait| !wait.is_zero())
    }

    /// A call that would be refused is not made: GitHub bars who goes on asking.
    fn check_limits(&self) -> Result<(), CallError> {
        let quota = self.quota().filter(|quota| quota.remaining == 0);
        match quota {
            Some(quota) => {
                Err(CallError::limited(quota.resets_in + Duration::from_secs(1), self.provider.max_wait()))
            }
            None => Ok(()),
        }
    }

    fn note_quota(&self, reply: &Reply) {
        let now = self.clock.now();
        if is_core(reply)
            && let Some(quota) = Quota::read(&reply.headers, now)
        {
            *self.quota.lock() = Some((quota, now));
        }
    }

    async fn charge(&self) -> Result<(), CallError> {
        let Some(limit) = self.config.rate_limit else { return Ok(()) };
        match budget::charge(&self.db, limit, self.clock.now()).await {
            Ok(Charge::Made) => Ok(()),
            Ok(Charge::Spent(wait)) => {
                self.barred_until.lock().replace(self.clock.now().plus(wait));
                Err(CallError::limited(wait, self.provider.max_wait()))
            }
            Err(error) => Err(CallError::Database(error)),
        }
    }

    async fn refund(&self, keeping: Keeping) {
        if self.config.rate_limit.is_some()
            && keeping == Keeping::Kept
            && let Err(error) = budget::refund(&self.db, self.clock.now()).await
        {
            tracing::warn!("failed to take back a call that GitHub did not count: {error}");
        }
    }

    async fn find<T: DeserializeOwned>(&self, url: &str) -> Option<Kept<T>> {
        etags::find(&self.db, url).await.unwrap_or_else(|error| {
            tracing::warn!("failed to look for what was kept of GitHub's: {error}");
            None
        })
    }
}

/// A mark by which tokens differ, and from which none can be derived.
fn mark(token: &str) -> String {
    let hash = Sha256::digest(token);
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>() + " "
}

/// The address of the next page. A proxy may have put each link on a line of its own.
fn next(reply: &Reply) -> Option<String> {
    let mut lines = reply.headers.get_all(LINK).iter().filter_map(|line| line.to_str().ok());
    lines.find_map(link::next).map(str::to_owned)
}

/// True if a reply counts against the primary limit: searches and the like have limits of their own.
fn is_core(reply: &Reply) -> bool {
    header(reply, "x-ratelimit-resource").is_none_or(|resource| resource == "core")
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.get(name)?.to_str().ok()
}
