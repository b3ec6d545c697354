//! Extractors of what a request's path says; they need no state.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, NestedPath, Path};
use axum::http::request::Parts;
use longhaul::JobId;

use crate::config::HttpConfig;
use crate::problem::{Code, Problem};

/// The id of the job that the path names.
#[derive(Clone, Debug)]
pub(crate) struct JobPath(pub(crate) JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Path(id) = Path::<String>::from_request_parts(parts, &())
            .await
            .map_err(|rejection| Problem::new(Code::InvalidPath, rejection.body_text().to_lowercase()))?;
        // An id that breaks the pattern was never given to any job, so there is nothing to explain about it.
        JobId::new(id).map(Self).map_err(|_| no_such_job())
    }
}

/// The job and the signal that the path names.
#[derive(Clone, Debug)]
pub(crate) struct SignalPath {
    pub(crate) id: JobId,
    pub(crate) name: String,
}

impl<S: Send + Sync> FromRequestParts<S> for SignalPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Path((id, name)) = Path::<(String, String)>::from_request_parts(parts, &())
            .await
            .map_err(|rejection| Problem::new(Code::InvalidPath, rejection.body_text().to_lowercase()))?;
        JobId::new(id).map(|id| Self { id, name }).map_err(|_| no_such_job())
    }
}

/// The token that the path holds.
#[derive(Clone)]
pub(crate) struct TokenPath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for TokenPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        QueuePath::from_request_parts(parts, state).await.map(|QueuePath(token)| Self(token))
    }
}

/// The name of the queue that the path names.
#[derive(Clone, Debug)]
pub(crate) struct QueuePath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for QueuePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let name = Path::<String>::from_request_parts(parts, &()).await;
        name.map(|Path(name)| Self(name))
            .map_err(|rejection| Problem::new(Code::InvalidPath, rejection.body_text().to_lowercase()))
    }
}

/// The name of the limit key that the path names.
#[derive(Clone, Debug)]
pub(crate) struct KeyPath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for KeyPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        QueuePath::from_request_parts(parts, state).await.map(|QueuePath(name)| Self(name))
    }
}

/// The name of the schedule that the path names.
#[derive(Clone, Debug)]
pub(crate) struct SchedulePath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for SchedulePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        QueuePath::from_request_parts(parts, state).await.map(|QueuePath(name)| Self(name))
    }
}

/// The path under which this router is reached (`/api`, say, or `/longhaul/api` behind a proxy), for the links in its answers.
#[derive(Clone, Debug)]
pub(crate) struct Mount(String);

impl Mount {
    /// The path in front of `/jobs` and the other routes; empty at the root.
    pub(crate) fn base(&self) -> &str {
        &self.0
    }
}

impl<S> FromRequestParts<S> for Mount
where
    S: Send + Sync,
    Arc<HttpConfig>: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let nest = parts.extensions.get::<NestedPath>().map_or("", NestedPath::as_str);
        Ok(Self(format!("{}{nest}", Arc::<HttpConfig>::from_ref(state).base_path)))
    }
}

pub(crate) fn no_such_job() -> Problem {
    Problem::new(Code::NoSuchJob, "no job of this id is known")
}
