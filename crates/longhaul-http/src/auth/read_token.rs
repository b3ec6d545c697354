//! Tokens whose bearer may read one job until a given time.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use longhaul::{JobRecord, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::Secret;

/// Makes and checks read tokens: JWTs signed with HS256.
pub(crate) struct ReadTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: String,
    job: String,
    /// The job's creation, in milliseconds since 1970: another job may get the id of one that is gone.
    created: i64,
    /// Seconds since 1970.
    exp: i64,
}

/// The one job that a token reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Readable {
    pub(crate) id: String,
    pub(crate) created_at: Timestamp,
}

const AUDIENCE: &str = "longhaul:job";

impl ReadTokens {
    pub(crate) fn new(secret: &Secret) -> Self {
        // A key of its own, so that a token of another sort that was signed with the same secret is not taken
        // for a read token, nor a read token for one of those.
        let key = Sha256::new().chain_update(b"longhaul read token\0").chain_update(&secret.0).finalize();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        // The time is compared here, on the configured clock.
        validation.validate_exp = false;
        Self {
            encoding: EncodingKey::from_secret(&key),
            decoding: DecodingKey::from_secret(&key),
            validation,
        }
    }

    /// Signs a token that reads `job` until `expires_at`, which is an [`expiry`].
    pub(crate) fn sign(
        &self,
        job: &JobRecord,
        expires_at: Timestamp,
    ) -> jsonwebtoken::errors::Result<String> {
        let claims = Claims {
            aud: AUDIENCE.into(),
            job: job.id.as_str().into(),
            created: job.created_at.0,
            exp: expires_at.0.div_euclid(1_000),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
    }

    /// The job that a token reads, where the token is good now.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Option<Readable> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        (now.0 < claims.exp.saturating_mul(1_000))
            .then_some(Readable { id: claims.job, created_at: Timestamp(claims.created) })
    }
}

/// The end of a token that is good for so long, to the second that its claims can tell.
pub(crate) fn expiry(now: Timestamp, expires_in: Duration) -> Timestamp {
    Timestamp(now.plus(expires_in).0.div_euclid(1_000) * 1_000)
}

impl std::fmt::Debug for ReadTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReadTokens(..)")
    }
}
