//! Tokens that this server signs and checks itself: JWTs signed with HS256, each sort with a key of its own.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use longhaul::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// Signs and checks tokens of one sort.
pub(super) struct Signer {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    audience: &'static str,
}

/// The claims of every sort around its own.
#[derive(Serialize, serde::Deserialize)]
struct Signed<T> {
    aud: String,
    /// Seconds since 1970.
    exp: i64,
    #[serde(flatten)]
    claims: T,
}

impl Signer {
    /// The key is derived from all of `parts`, so that a token of another sort that was signed with the same secret is not
    /// taken for one of this, and none of this for one of those.
    pub(super) fn new(audience: &'static str, parts: &[&[u8]]) -> Self {
        let mut key = Sha256::new();
        parts.iter().for_each(|part| key.update(part));
        let key = key.finalize();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[audience]);
        // The time is compared here, on the configured clock.
        validation.validate_exp = false;
        let (encoding, decoding) = (EncodingKey::from_secret(&key), DecodingKey::from_secret(&key));
        Self { encoding, decoding, validation, audience }
    }

    /// Signs `claims` until `expires_at`, which is a whole second.
    pub(super) fn sign<T: Serialize>(
        &self,
        claims: T,
        expires_at: Timestamp,
    ) -> jsonwebtoken::errors::Result<String> {
        let signed = Signed { aud: self.audience.into(), exp: expires_at.0.div_euclid(1_000), claims };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &signed, &self.encoding)
    }

    /// The claims of a token, where it is good now.
    pub(super) fn verify<T: DeserializeOwned + Clone>(&self, token: &str, now: Timestamp) -> Option<T> {
        let signed = jsonwebtoken::decode::<Signed<T>>(token, &self.decoding, &self.validation).ok()?.claims;
        (now.0 < signed.exp.saturating_mul(1_000)).then_some(signed.claims)
    }
}
