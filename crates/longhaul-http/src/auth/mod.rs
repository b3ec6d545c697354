//! Decides which callers are let in. An extractor decides, so a handler that takes a [`Caller`] cannot run for a
//! stranger; a test walks the OpenAPI document and holds that every handler takes one.

mod read_token;

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use longhaul::{Clock, JobId, JobRecord, Timestamp};
use sha2::{Digest, Sha256};

use self::read_token::Readable;
pub(crate) use self::read_token::{ReadTokens, expiry};
use crate::config::{Access, HttpConfig, Verifier};
use crate::path::JobPath;
use crate::problem::{Code, Problem};
use crate::query;

/// Checks tokens: the part of the state that extractors of callers need.
#[derive(Debug)]
pub(crate) struct Auth {
    gate: Gate,
    /// Absent where the server gives out no read tokens.
    pub(crate) read_tokens: Option<ReadTokens>,
    clock: Clock,
}

/// The configured access, with what can be computed once.
#[derive(Debug)]
enum Gate {
    Open,
    Bearer { digest: [u8; 32], worker: Option<[u8; 32]>, verifier: Option<Verifier> },
}

/// A caller that was let in. The name says how, so that no two ways of getting in share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller(pub(crate) Cow<'static, str>);

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<Auth>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let auth = Arc::<Auth>::from_ref(state);
        let token = bearer(&parts.headers);
        let admitted = auth.admit(token);
        if admitted.is_err() && auth.is_worker(token) {
            return Err(Problem::new(Code::Forbidden, "the token is a worker's, which opens /worker only"));
        }
        admitted
    }
}

/// A remote worker that was let in, or anybody who may do more. The name keeps the keys of their requests apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerCaller(pub(crate) Cow<'static, str>);

impl<S> FromRequestParts<S> for WorkerCaller
where
    S: Send + Sync,
    Arc<Auth>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let auth = Arc::<Auth>::from_ref(state);
        let token = bearer(&parts.headers);
        if auth.is_worker(token) {
            return Ok(Self("worker".into()));
        }
        auth.admit(token).map(|Caller(name)| Self(name))
    }
}

/// A caller that may read the job which the path names: any [`Caller`], or the bearer of that job's read token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reader {
    pub(crate) id: JobId,
    /// The creation of the job that its token was made for; absent for callers who may read any.
    created_at: Option<Timestamp>,
}

impl Reader {
    /// Refuses a token whose job is gone, and whose id another one has now.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check(&self, job: &JobRecord) -> Result<(), Problem> {
        if self.created_at.is_none_or(|created_at| created_at == job.created_at) {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden, "the token is for an earlier job of this id"))
    }

    /// True where the bearer's token must be [checked](Self::check) against the job.
    pub(crate) fn has_token(&self) -> bool {
        self.created_at.is_some()
    }
}

impl<S> FromRequestParts<S> for Reader
where
    S: Send + Sync,
    Arc<Auth>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let auth = Arc::<Auth>::from_ref(state);
        let id = JobPath::from_request_parts(parts, state).await.map(|JobPath(id)| id);
        let token = bearer(&parts.headers);
        let Err(refusal) = auth.admit(token) else {
            return id.map(|id| Reader { id, created_at: None });
        };
        // A browser's EventSource cannot send headers, hence the token in the query.
        let in_query = query::value(parts.uri.query(), "token");
        let Some(job) = auth.token_job(token.or(in_query.as_deref())) else { return Err(refusal) };
        let id = id?;
        if job.id != id.as_str() {
            return Err(Problem::new(Code::Forbidden, "the token is for another job"));
        }
        Ok(Reader { id, created_at: Some(job.created_at) })
    }
}

impl From<&HttpConfig> for Auth {
    fn from(config: &HttpConfig) -> Self {
        let gate = match &config.access {
            Access::Open => Gate::Open,
            Access::Bearer { token, verifier } => Gate::Bearer {
                digest: digest(&token.0),
                worker: config.worker_token.as_ref().map(|token| digest(&token.0)),
                verifier: verifier.clone(),
            },
        };
        let read_tokens = config.read_token_secret.as_ref().map(ReadTokens::new);
        Self { gate, read_tokens, clock: config.clock.clone() }
    }
}

impl Auth {
    fn is_worker(&self, token: Option<&str>) -> bool {
        let Gate::Bearer { worker: Some(worker), .. } = &self.gate else { return false };
        token.is_some_and(|token| digest(token) == *worker)
    }

    fn admit(&self, token: Option<&str>) -> Result<Caller, Problem> {
        let Gate::Bearer { digest: admin, verifier, .. } = &self.gate else {
            return Ok(Caller("open".into()));
        };
        let Some(token) = token else {
            return Err(Problem::new(Code::Unauthorized, "a bearer token is needed"));
        };
        // Comparing digests takes a time that tells nothing of the token.
        if digest(token) == *admin {
            return Ok(Caller("token".into()));
        }
        match verifier.as_ref().and_then(|verifier| verifier.verify(token)) {
            Some(name) => Ok(Caller(format!("user:{name}").into())),
            None => Err(Problem::new(Code::InvalidToken, "the bearer token is not valid here")),
        }
    }

    fn token_job(&self, token: Option<&str>) -> Option<Readable> {
        self.read_tokens.as_ref()?.verify(token?, self.clock.now())
    }
}

fn digest(token: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
