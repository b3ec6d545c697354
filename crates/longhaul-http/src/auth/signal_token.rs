//! Tokens whose bearer may give one job one signal until a given time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longhaul::{Clock, JobId, JobRecord, Timestamp, WaitTokens};
use serde::{Deserialize, Serialize};

use super::read_token::expiry;
use super::signed::Signer;
use crate::config::Secret;

/// Makes and checks the tokens that `POST /signals/{token}` takes. A [`router`](crate::router) with a secret makes
/// those of its own process; a process that only works, and does not serve, gives its handle the same secret
/// ([`Longhaul::sign_wait_tokens`](longhaul::Longhaul::sign_wait_tokens)).
#[derive(Clone)]
pub struct SignalTokens {
    signer: Arc<Signer>,
    clock: Clock,
}

/// The one signal that a token gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signalling {
    job: String,
    /// The job's creation, in milliseconds since 1970: another job may get the id of one that is gone.
    created: i64,
    pub(crate) name: String,
}

const AUDIENCE: &str = "longhaul:signal";
/// The longest that a token is good.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 86_400);

impl SignalTokens {
    /// Tokens that are signed with a key which is derived from this secret.
    #[must_use]
    pub fn new(secret: &Secret, clock: Clock) -> Self {
        let signer = Arc::new(Signer::new(AUDIENCE, &[b"longhaul signal token\0", &secret.0]));
        Self { signer, clock }
    }

    /// A token that gives a job the signal of this name for so long, and the end of its validity.
    ///
    /// # Errors
    /// A fault of the server, where it cannot be signed.
    pub(crate) fn sign(
        &self,
        (job, created_at): (&JobId, Timestamp),
        name: &str,
        expires_in: Duration,
    ) -> longhaul::Result<(String, Timestamp)> {
        let expires_at = expiry(self.clock.now(), expires_in);
        let (job, created) = (job.as_str().into(), created_at.0);
        let token = self.signer.sign(Signalling { job, created, name: name.into() }, expires_at);
        let failed = |error: jsonwebtoken::errors::Error| longhaul::Error::Store {
            store: "http",
            operation: "sign a signal's token",
            source: error.into(),
        };
        Ok((token.map_err(failed)?, expires_at))
    }

    /// The signal that a token gives, where the token is good now.
    pub(crate) fn verify(&self, token: &str) -> Option<Signalling> {
        self.signer.verify(token, self.clock.now())
    }
}

#[async_trait]
impl WaitTokens for SignalTokens {
    async fn token(&self, job: &JobId, created_at: Timestamp, name: &str) -> longhaul::Result<String> {
        self.sign((job, created_at), name, LONGEST).map(|(token, _)| token)
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
