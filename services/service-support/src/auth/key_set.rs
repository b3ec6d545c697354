use std::time::Duration;

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use longhaul::{Clock, Timestamp};
use tokio::sync::Mutex;

use crate::provider::{Provider, ProviderError};

/// An issuer's public keys, fetched when they are first needed and again when they may have changed.
#[derive(Debug)]
pub(super) struct KeySet {
    provider: Provider,
    url: String,
    clock: Clock,
    /// Held while the keys are fetched, so that a thousand waiting requests fetch them once.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Vec<Jwk>,
    /// The time at which they were last asked for, whether or not they came.
    asked_at: Option<Timestamp>,
}

/// The time for which keys are trusted: a key that is withdrawn must stop to count.
const FRESH_FOR: Duration = Duration::from_secs(600);
/// The least time between two fetches: tokens with made-up key ids must not make us flood the issuer.
const PAUSE: Duration = Duration::from_secs(10);
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
    pub(super) fn new(url: &str, clock: Clock) -> Result<Self, ProviderError> {
        let provider = Provider::new("key set", TIMEOUT, MAX_REPLY_BYTES, Duration::ZERO, clock.clone())?;
        Ok(Self { provider, url: url.to_owned(), clock, known: Mutex::default() })
    }

    /// The key that a token with this header must be signed with; `None` where the issuer has none like it.
    pub(super) async fn key(&self, header: &Header) -> Option<DecodingKey> {
        if !ALGORITHMS.contains(&header.alg) {
            return None;
        }
        let mut known = self.known.lock().await;
        let age = known.asked_at.map(|at| self.clock.now().since(at));
        if age.is_none_or(|age| age >= FRESH_FOR) {
            self.fetch(&mut known).await;
        }
        if find(&known.keys, header).is_none() && age.is_none_or(|age| age >= PAUSE) {
            // The issuer may have begun to sign with a new key.
            self.fetch(&mut known).await;
        }
        find(&known.keys, header).and_then(|key| DecodingKey::from_jwk(key).ok())
    }

    /// Keeps the keys that it has where no others can be had: an issuer that is down should not lock everybody out.
    async fn fetch(&self, known: &mut Known) {
        known.asked_at = Some(self.clock.now());
        let reply = self.provider.send(self.provider.client().get(&self.url)).await;
        let keys = reply.and_then(|reply| {
            serde_json::from_slice::<JwkSet>(&reply.body)
                .map_err(|e| self.provider.bad_reply(format!("the reply is not a key set: {e}")))
        });
        match keys {
            Ok(set) => known.keys = set.keys,
            Err(error) => tracing::warn!("failed to fetch the keys of tokens: {error}"),
        }
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
