use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use longhaul::Clock;
use tokio::sync::Mutex;

use crate::Result;

/// The public keys of an issuer, read when they are first needed, and again from time to time.
pub(super) struct Keys {
    source: Source,
    http: reqwest::Client,
    clock: Clock,
    known: Mutex<Known>,
}

/// Where the keys are found.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Url(reqwest::Url),
    File(PathBuf),
}

#[derive(Default)]
struct Known {
    keys: Vec<Jwk>,
    /// The monotonic time at which they were read, or could not be.
    read: Option<Duration>,
}

/// Keys are read again after this time, so that one which the issuer has taken back is not believed for much longer.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(600);
/// A key that is not known is looked for at most this often, so that made-up names cost the issuer nothing.
const LOOK_FOR_NEW_EVERY: Duration = Duration::from_secs(10);
/// The longest that reading them may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of a set of keys.
const MOST_BYTES: usize = 1024 * 1024;

impl Source {
    pub(super) fn of(text: &str) -> Result<Self> {
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let url = reqwest::Url::parse(text).map_err(|error| format!("--sso-jwks {text}: {error}"))?;
        match url.scheme() {
            "http" | "https" => Ok(Self::Url(url)),
            _ => Err(format!("--sso-jwks {text} must begin with http:// or https://, or name a file").into()),
        }
    }
}

impl Source {
    fn is_local(&self) -> bool {
        let host = match self {
            Source::Url(url) => url.host_str().unwrap_or_default(),
            Source::File(_) => return false,
        };
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl Keys {
    pub(super) fn new(source: Source, clock: Clock) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .user_agent(concat!("longhaul/", env!("CARGO_PKG_VERSION")));
        // A proxy's way to this machine is another machine.
        let http = if source.is_local() { http.no_proxy() } else { http };
        let http = http.build().map_err(|error| format!("failed to prepare requests for keys: {error}"))?;
        Ok(Self { source, http, clock, known: Mutex::default() })
    }

    /// The key of this name; where a token names none, the only one that there is.
    pub(super) async fn find(&self, name: Option<&str>) -> Option<Jwk> {
        // Held while the keys are read, so that of many requests at once one reads.
        let mut known = self.known.lock().await;
        let age = known.read.map(|read| self.clock.since(read));
        let is_due = age.is_none_or(|age| age >= READ_AGAIN_AFTER);
        let may_be_new = || age.is_none_or(|age| age >= LOOK_FOR_NEW_EVERY);
        if is_due || (known.find(name).is_none() && may_be_new()) {
            known.read = Some(self.clock.monotonic());
            match self.read().await {
                Ok(keys) => known.keys = keys.keys,
                // Those that are known go on being believed: an issuer that is away for a while signs nobody out.
                Err(error) => tracing::warn!("failed to read the keys of the issuer of id tokens: {error}"),
            }
        }
        known.find(name).cloned()
    }

    async fn read(&self) -> Result<JwkSet> {
        let bytes = match &self.source {
            Source::File(path) => {
                let read = tokio::fs::read(path).await;
                read.map_err(|error| format!("failed to read {}: {error}", path.display()))?
            }
            Source::Url(url) => {
                let mut answer = self.http.get(url.clone()).send().await?.error_for_status()?;
                let mut bytes = Vec::new();
                while let Some(chunk) = answer.chunk().await? {
                    bytes.extend_from_slice(&chunk);
                    if bytes.len() > MOST_BYTES {
                        return Err(format!("{url} answers more than {MOST_BYTES} bytes").into());
                    }
                }
                bytes
            }
        };
        serde_json::from_slice(&bytes).map_err(|error| format!("the keys are no JWKS: {error}").into())
    }
}

impl Known {
    fn find(&self, name: Option<&str>) -> Option<&Jwk> {
        match (name, self.keys.as_slice()) {
            (Some(name), keys) => keys.iter().find(|key| key.common.key_id.as_deref() == Some(name)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}
