//! Who may call. An extractor decides, so a handler that takes a [`Caller`] cannot run for a stranger; a test
//! walks the OpenAPI document and holds that every handler takes one.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use longhaul::JobId;
use sha2::{Digest, Sha256};

use crate::api::Api;
use crate::config::{HttpConfig, Secret};
use crate::extract::JobPath;
use crate::problem::{Code, Problem};
use crate::query;

/// Who is let in.
#[derive(Clone, Debug, Default)]
pub enum Access {
    /// Whoever reaches the listener: for loopback listeners only.
    #[default]
    Open,
    /// Whoever brings a bearer token.
    Bearer {
        /// The administrator's token.
        token: Secret,
        /// Decides on every other token.
        verifier: Option<Verifier>,
    },
}

/// Decides on bearer tokens that are not the administrator's own: an admin's JWT, say.
#[derive(Clone)]
pub struct Verifier(Arc<Verify>);

type Verify = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Verifier {
    /// Takes a function that answers with the caller's name where the token is good, which keeps the callers'
    /// idempotency keys apart. It runs on the request's thread, so it must not block.
    pub fn new(verify: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(verify))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

/// Somebody who was let in. The name says how, so that no two ways of getting in share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller(pub(crate) Cow<'static, str>);

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let token = bearer(&parts.headers);
        let admitted = admit(&api.access, token);
        if admitted.is_err() && api.access.is_worker(token) {
            return Err(Problem::new(Code::Forbidden, "the token is a worker's, which opens /worker only"));
        }
        admitted
    }
}

/// A remote worker that was let in, or anybody who may do more. The name keeps the keys of their requests apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerCaller(pub(crate) Cow<'static, str>);

impl FromRequestParts<Arc<Api>> for WorkerCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let token = bearer(&parts.headers);
        if api.access.is_worker(token) {
            return Ok(Self("worker".into()));
        }
        admit(&api.access, token).map(|Caller(name)| Self(name))
    }
}

/// Somebody who may read the job that the path names: a caller, or the bearer of that job's read token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reader(pub(crate) JobId);

impl FromRequestParts<Arc<Api>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let id = JobPath::from_request_parts(parts, api).await.map(|JobPath(id)| id);
        let token = bearer(&parts.headers);
        let Err(refusal) = admit(&api.access, token) else { return id.map(Reader) };
        // A browser's EventSource cannot send headers, hence the token in the query.
        let in_query = query::value(parts.uri.query(), "token");
        let Some(job) = token_job(api, token.or(in_query.as_deref())) else { return Err(refusal) };
        let id = id?;
        if job != id.as_str() {
            return Err(Problem::new(Code::Forbidden, "the token is for another job"));
        }
        Ok(Reader(id))
    }
}

/// The configured access, with what can be computed once.
#[derive(Debug)]
pub(crate) enum Gate {
    Open,
    Bearer { digest: [u8; 32], worker: Option<[u8; 32]>, verifier: Option<Verifier> },
}

impl From<&HttpConfig> for Gate {
    fn from(config: &HttpConfig) -> Self {
        match &config.access {
            Access::Open => Gate::Open,
            Access::Bearer { token, verifier } => Gate::Bearer {
                digest: Sha256::digest(&token.0).into(),
                worker: config.worker_token.as_ref().map(|token| Sha256::digest(&token.0).into()),
                verifier: verifier.clone(),
            },
        }
    }
}

impl Gate {
    fn is_worker(&self, token: Option<&str>) -> bool {
        let Gate::Bearer { worker: Some(worker), .. } = self else { return false };
        token.is_some_and(|token| <[u8; 32]>::from(Sha256::digest(token)) == *worker)
    }
}

fn admit(gate: &Gate, token: Option<&str>) -> Result<Caller, Problem> {
    let Gate::Bearer { digest, verifier, .. } = gate else { return Ok(Caller("open".into())) };
    let Some(token) = token else {
        return Err(Problem::new(Code::Unauthorized, "a bearer token is needed"));
    };
    // Comparing digests takes a time that tells nothing of the token.
    if <[u8; 32]>::from(Sha256::digest(token)) == *digest {
        return Ok(Caller("token".into()));
    }
    match verifier.as_ref().and_then(|verifier| (verifier.0)(token)) {
        Some(name) => Ok(Caller(format!("user:{name}").into())),
        None => Err(Problem::new(Code::InvalidToken, "the bearer token is not valid here")),
    }
}

fn token_job(api: &Api, token: Option<&str>) -> Option<String> {
    api.read_tokens.as_ref()?.verify(token?, api.config.clock.now())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
