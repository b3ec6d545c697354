//! Tokens whose bearer may give one job one signal until a given time.

use longhaul::{JobId, JobRecord, Timestamp};
use serde::{Deserialize, Serialize};

use super::signed::Signer;
use crate::config::Secret;

/// Makes and checks tokens of signals.
pub(crate) struct SignalTokens(Signer);

/// The one signal that a token gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signalling {
    pub(crate) job: String,
    /// The job's creation, in milliseconds since 1970: another job may get the id of one that is gone.
    created: i64,
    pub(crate) name: String,
}

const AUDIENCE: &str = "longhaul:signal";

impl SignalTokens {
    pub(crate) fn new(secret: &Secret) -> Self {
        Self(Signer::new(AUDIENCE, &[b"longhaul signal token\0", &secret.0]))
    }

    /// Signs a token that gives `job` the signal of this name until `expires_at`, which is an [`expiry`](super::expiry).
    pub(crate) fn sign(
        &self,
        job: &JobRecord,
        name: &str,
        expires_at: Timestamp,
    ) -> jsonwebtoken::errors::Result<String> {
        let (job, created) = (job.id.as_str().into(), job.created_at.0);
        self.0.sign(Signalling { job, created, name: name.into() }, expires_at)
    }

    /// The signal that a token gives, where the token is good now.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Option<Signalling> {
        self.0.verify(token, now)
    }
}

impl Signalling {
    /// The id of the job.
    pub(crate) fn id(&self) -> JobId {
        JobId::from_store(self.job.clone())
    }

    /// True where this is the job that the token was made for.
    pub(crate) fn is_for(&self, job: &JobRecord) -> bool {
        job.id.as_str() == self.job && job.created_at.0 == self.created
    }
}

impl std::fmt::Debug for SignalTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignalTokens(..)")
    }
}
