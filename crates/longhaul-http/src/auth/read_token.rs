//! Tokens whose bearer may read one job until a given time.

use std::time::Duration;

use longhaul::{JobRecord, Timestamp};
use serde::{Deserialize, Serialize};

use super::signed::Signer;
use crate::config::Secret;

/// Makes and checks read tokens.
pub(crate) struct ReadTokens(Signer);

/// The one job that a token reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Readable {
    pub(crate) job: String,
    /// The job's creation, in milliseconds since 1970: another job may get the id of one that is gone.
    pub(crate) created: i64,
}

const AUDIENCE: &str = "longhaul:job";

impl ReadTokens {
    pub(crate) fn new(secret: &Secret) -> Self {
        Self(Signer::new(AUDIENCE, &[b"longhaul read token\0", &secret.0]))
    }

    /// Signs a token that reads `job` until `expires_at`, which is an [`expiry`].
    pub(crate) fn sign(
        &self,
        job: &JobRecord,
        expires_at: Timestamp,
    ) -> jsonwebtoken::errors::Result<String> {
        self.0.sign(Readable { job: job.id.as_str().into(), created: job.created_at.0 }, expires_at)
    }

    /// The job that a token reads, where the token is good now.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Option<Readable> {
        self.0.verify(token, now)
    }
}

/// The expiry of a token that is valid for this time, in whole seconds, as in its claims.
pub(crate) fn expiry(now: Timestamp, expires_in: Duration) -> Timestamp {
    Timestamp(now.plus(expires_in).0.div_euclid(1_000) * 1_000)
}

impl std::fmt::Debug for ReadTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReadTokens(..)")
    }
}
