use std::fmt;
use std::time::Duration;

use service_support::{ConfigError, Env};

/// The address of GitHub's REST API, and how much of it is used.
#[derive(Clone)]
pub(crate) struct GithubConfig {
    /// `GITHUB_API_URL`, `https://api.github.com` by default; without a trailing slash.
    pub(crate) api_url: String,
    /// `GITHUB_TOKEN`: without it GitHub allows 60 requests an hour.
    pub(crate) token: Option<String>,
    /// `GITHUB_RATE_LIMIT`: the most requests an hour; where unset, what GitHub's headers say.
    pub(crate) rate_limit: Option<u32>,
    /// `GITHUB_CACHE_TTL` in seconds: for how long a result is fresh. By default `REDIS_DEFAULT_TTL`, which the original
    /// document has for it, or else 3600.
    pub(crate) cache_ttl: Duration,
    /// `GITHUB_TASKS_PER_USER`: the most tasks in flight per caller, 20 by default.
    pub(crate) tasks_per_user: u32,
    /// `GITHUB_STORE_TIMEOUT` in seconds, 1 by default: the time that a start may wait for the store before it counts as away.
    pub(crate) store_timeout: Duration,
}

impl GithubConfig {
    pub(crate) fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            api_url: env.url("GITHUB_API_URL")?.unwrap_or_else(|| "https://api.github.com".into()),
            token: env.text("GITHUB_TOKEN"),
            rate_limit: env.count("GITHUB_RATE_LIMIT")?,
            cache_ttl: env
                .seconds("GITHUB_CACHE_TTL", env.seconds("REDIS_DEFAULT_TTL", 3600.0)?.as_secs_f64())?,
            tasks_per_user: env.count("GITHUB_TASKS_PER_USER")?.unwrap_or(20),
            store_timeout: env.seconds("GITHUB_STORE_TIMEOUT", 1.0)?,
        })
    }
}

/// Prints all but the token: configurations end up in logs.
impl fmt::Debug for GithubConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GithubConfig")
            .field("api_url", &self.api_url)
            .field("rate_limit", &self.rate_limit)
            .field("cache_ttl", &self.cache_ttl)
            .field("tasks_per_user", &self.tasks_per_user)
            .field("store_timeout", &self.store_timeout)
            .finish_non_exhaustive()
    }
}
