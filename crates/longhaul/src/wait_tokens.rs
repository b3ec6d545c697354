use std::fmt::Debug;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::model::JobId;
use crate::store::Result;

/// Makes the tokens of [`Context::wait_token`](crate::Context::wait_token). `longhaul-http` has some: its router's, and those that a
/// remote store asks its server for.
#[async_trait]
pub trait WaitTokens: Debug + Send + Sync + 'static {
    /// A token whose bearer may give this job the signal of this name, once, and do nothing else. The job's creation belongs to
    /// it, because another job may get the id of one that is gone.
    ///
    /// # Errors
    /// Whatever keeps it from being made.
    async fn token(&self, job: &JobId, created_at: Timestamp, name: &str) -> Result<String>;
}
