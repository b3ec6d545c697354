//! GitHub's REST API: ETags, pages, and limits told in headers.

mod budget;
mod error;
mod etags;
mod limit;
mod link;
pub(crate) mod objects;

pub(crate) use error::CallError;
pub(crate) use limit::Quota;

use std::time::Duration;

use longhaul::{Clock, Timestamp};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use service_support::{Db, Provider, ProviderError, Reply};

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
}

/// A reply, or one page of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page<T> {
    pub(crate) body: T,
    /// The address of the next page.
    pub(crate) next: Option<String>,
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
        Ok(Self { provider, config, db, clock, quota: Mutex::new(None) })
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

    /// Reads what is at `path` (`/users/octocat`), or at the address of a next page. `None` where there is nothing:
    /// no such thing, a repository without a commit, or one that is blocked.
    pub(crate) async fn get<T>(&self, path: &str, keeping: Keeping) -> Result<Option<Page<T>>, CallError>
    where
        T: Serialize + DeserializeOwned,
    {
        let url = self.url(path)?;
        self.check_quota()?;
        let kept = if keeping == Keeping::Kept {
            self.charge().await?;
            self.find::<T>(&url).await
        } else {
            None
        };
        let reply =
            self.provider.ask(self.request(&url, kept.as_ref().map(|kept| kept.etag.as_str()))).await?;
        self.note_quota(&reply);
        match (reply.status.as_u16(), kept) {
            (304, Some(kept)) => {
                self.refund(keeping).await;
                Ok(Some(Page { body: kept.body, next: kept.next }))
            }
            (200..=299, _) => {
                let body: T = serde_json::from_slice(&reply.body).map_err(|e| {
                    self.provider.bad_reply(format!("the reply to {path} makes no sense: {e}"))
                })?;
                let next = header(&reply, "link").and_then(link::next).map(str::to_owned);
                if keeping == Keeping::Kept
                    && let Some(etag) = header(&reply, "etag")
                {
                    let kept = Kept { etag: etag.to_owned(), body: &body, next: next.clone() };
                    if let Err(error) = etags::keep(&self.db, &url, &kept, self.clock.now()).await {
                        tracing::warn!("failed to keep a reply of GitHub's: {error}");
                    }
                }
                Ok(Some(Page { body, next }))
            }
            (404 | 409 | 410 | 451, _) => Ok(None),
            (status, _) => self.refused(status, &reply),
        }
    }

    fn refused<T>(&self, status: u16, reply: &Reply) -> Result<Option<T>, CallError> {
        let error = self.provider.refused(reply);
        if let Some(wait) = limit::wait(status, &reply.headers, &error.message, self.clock.now()) {
            return Err(CallError::limited(wait, self.provider.max_wait()));
        }
        if status == 403 && error.message.contains("access blocked") {
            return Ok(None);
        }
        Err(error.into())
    }

    /// Addresses of next pages come from GitHub; no other system is sent our token.
    fn url(&self, path: &str) -> Result<String, CallError> {
        let base = &self.config.api_url;
        match path.strip_prefix(base.as_str()) {
            Some(rest) if rest.starts_with('/') => Ok(path.to_owned()),
            None if path.starts_with('/') => Ok(format!("{base}{path}")),
            _ => Err(self.provider.bad_reply(format!("the next page is elsewhere: {path}")).into()),
        }
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

    /// A call that would be refused is not made: GitHub bars who goes on asking.
    fn check_quota(&self) -> Result<(), CallError> {
        match self.quota() {
            Some(quota) if quota.remaining == 0 => {
                Err(CallError::limited(quota.resets_in + Duration::from_secs(1), self.provider.max_wait()))
            }
            _ => Ok(()),
        }
    }

    fn note_quota(&self, reply: &Reply) {
        let now = self.clock.now();
        // Code search and the like have limits of their own.
        let is_core = header(reply, "x-ratelimit-resource").is_none_or(|resource| resource == "core");
        if is_core && let Some(quota) = Quota::read(&reply.headers, now) {
            *self.quota.lock() = Some((quota, now));
        }
    }

    async fn charge(&self) -> Result<(), CallError> {
        let Some(limit) = self.config.rate_limit else { return Ok(()) };
        match budget::charge(&self.db, limit, self.clock.now()).await {
            Ok(Charge::Made) => Ok(()),
            Ok(Charge::Spent(wait)) => Err(CallError::limited(wait, self.provider.max_wait())),
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

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.get(name)?.to_str().ok()
}
