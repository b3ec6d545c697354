use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use longhaul::{Clock, Timestamp};
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::provider::{Cause, Provider, ProviderError};

/// An issuer's public keys. They are fetched beside requests: one whose key is known never waits, however slow or dead the
/// issuer is.
#[derive(Clone, Debug)]
pub struct KeySet(Arc<Shared>);

/// The place of an issuer's keys, a JWKS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// An address. It is asked directly, and a redirection is not followed.
    Url(String),
    /// A file.
    File(PathBuf),
}

#[derive(Debug)]
struct Shared {
    provider: Provider,
    client: reqwest::Client,
    source: KeySource,
    clock: Clock,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Vec<Jwk>,
    /// The time at which they were last asked for, whether or not they came.
    asked_at: Option<Timestamp>,
    /// Closed when the fetch that is under way has ended.
    fetching: Option<watch::Receiver<()>>,
}

/// A set as it is published. A key of a kind that we do not know spoils none of the others.
#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

/// The age at which keys are asked for anew: a key that is withdrawn must stop to count. While the issuer is away, those
/// that are known go on to count, for it should not lock everybody out.
const FRESH_FOR: Duration = Duration::from_secs(600);
/// The least time between two fetches: tokens with made-up key ids must not make us flood the issuer.
const PAUSE: Duration = Duration::from_secs(10);
/// The longest that a request waits for a fetch that may bring its key.
const PATIENCE: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_REPLY_BYTES: usize = 256 * 1024;

/// The algorithms that an issuer may sign with. Never HS256: its secret would be what everybody can read in the key
/// set.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

impl KeySet {
    /// The keys of an issuer. They are read again after ten minutes, and where a token names one that is not known, at most once in
    /// ten seconds; those that are known go on to count while they cannot be read.
    ///
    /// # Errors
    /// Fails if the machine's TLS set-up cannot be used.
    pub fn new(source: KeySource, clock: Clock) -> Result<Self, ProviderError> {
        let provider = Provider::new("key set", TIMEOUT, MAX_REPLY_BYTES, Duration::ZERO, clock.clone())?;
        // Keys are trusted because of where they are: another address is not taken on the issuer's word.
        let builder = || reqwest::Client::builder().timeout(TIMEOUT).no_proxy().redirect(Policy::none());
        let client = longhaul_http::https_client(builder)
            .map_err(|e| ProviderError::new("key set", Cause::Setup, e.to_string()))?;
        Ok(Self(Arc::new(Shared { provider, client, source, clock, known: Mutex::default() })))
    }

    /// Begins to fetch the keys.
    pub fn look_up(&self) {
        let mut known = self.lock();
        if known.fetching.is_none() {
            self.fetch(&mut known);
        }
    }

    /// The key that a token with this header must be signed with; `None` where the issuer has none like it.
    pub async fn key(&self, header: &Header) -> Option<DecodingKey> {
        if !ALGORITHMS.contains(&header.alg) {
            return None;
        }
        let fetching = {
            let mut known = self.lock();
            let found = find(&known.keys, header).map(DecodingKey::from_jwk);
            let age = known.asked_at.map(|at| self.0.clock.now().since(at));
            let least = if found.is_some() { FRESH_FOR } else { PAUSE };
            if known.fetching.is_none() && age.is_none_or(|age| age >= least) {
                self.fetch(&mut known);
            }
            if let Some(key) = found {
                return key.ok();
            }
            known.fetching.clone()
        };
        // The issuer may have begun to sign with a new key. The channel ends with the fetch, so that is an error.
        let _ = tokio::time::timeout(PATIENCE, fetching?.changed()).await;
        find(&self.lock().keys, header).and_then(|key| DecodingKey::from_jwk(key).ok())
    }

    fn fetch(&self, known: &mut Known) {
        known.asked_at = Some(self.0.clock.now());
        let (ended, fetching) = watch::channel(());
        known.fetching = Some(fetching);
        let this = self.clone();
        tokio::spawn(async move {
            let keys = this.ask().await;
            let mut known = this.lock();
            known.fetching = None;
            match keys {
                Ok(keys) => known.keys = keys,
                Err(error) => tracing::warn!("failed to fetch the keys of tokens: {error}"),
            }
            drop(known);
            drop(ended);
        });
    }

    async fn ask(&self) -> Result<Vec<Jwk>, ProviderError> {
        let Shared { provider, client, source, .. } = &*self.0;
        let bytes = match source {
            KeySource::Url(url) => provider.send(client.get(url)).await?.body,
            KeySource::File(path) => {
                let read = tokio::fs::read(path).await;
                let failed = |e| provider.bad_reply(format!("failed to read {}: {e}", path.display()));
                read.map_err(failed)?.into()
            }
        };
        let set = serde_json::from_slice::<Published>(&bytes)
            .map_err(|e| provider.bad_reply(format!("what was read is not a key set: {e}")))?;
        Ok(set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By the key's id, or the only key where the token names none.
fn find<'a>(keys: &'a [Jwk], header: &Header) -> Option<&'a Jwk> {
    let fits = |key: &&Jwk| {
        let signs = key.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
        signs && key.common.key_algorithm.is_none_or(|algorithm| algorithm == header.alg.into())
    };
    match &header.kid {
        Some(kid) => keys.iter().filter(fits).find(|key| key.common.key_id.as_ref() == Some(kid)),
        None if keys.len() == 1 => keys.first().filter(fits),
        None => None,
    }
}
