//! Decides which callers are let in, and what they may do. An extractor decides, so a handler that takes a [`Caller`] cannot
//! run for a stranger, nor for whoever has too small a role; a test walks the OpenAPI document and holds that every handler
//! takes one.
//!
//! | file | what |
//! |---|---|
//! | `roles` | the table of what each route asks for |
//! | `scope` | the words of tokens' scopes, and what these admit |
//! | `tokens` | the tokens with scopes that a server knows |
//! | `caller` | what the bearer of one may do with jobs |
//! | `quota` | the requests that it may make |
//! | `doorman` | what happens around every request: tokens are recognised and counted, actions noted |
//! | `audited` | the actions that are noted |
//! | `refusals` | actions that were refused, as the log tells them: few entries, however many attempts |
//! | `session` | the cookie of the dashboard |
//! | `ended` | sessions that somebody has signed out of |
//! | `stay` | the end of the time for which a caller was let in, and with it of streams |
//! | `read_token` | tokens that read one job |
//! | `signal_token` | tokens that give one job one signal |
//! | `signed` | the JWTs that these are made of |

mod audited;
mod caller;
mod doorman;
mod ended;
mod quota;
mod read_token;
mod refusals;
mod roles;
mod scope;
mod session;
mod signal_token;
mod signed;
mod stay;
mod tokens;

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, UPGRADE};
use axum::http::request::Parts;
use longhaul::{Clock, JobId, JobRecord, Store, Timestamp};
use sha2::{Digest, Sha256};

pub(crate) use self::audited::Done;
pub(crate) use self::doorman::Doorman;
use self::doorman::Visitor;
use self::read_token::Readable;
pub(crate) use self::read_token::{ReadTokens, expiry};
pub use self::roles::Role;
pub(crate) use self::roles::{Need, WORKER, need, route_of};
pub(crate) use self::scope::Scope;
use self::session::Session;
pub(crate) use self::session::{NAME as SESSION_COOKIE, Sessions, cookie, set_cookie};
pub(crate) use self::signal_token::LONGEST as LONGEST_SIGNAL_TOKEN;
pub use self::signal_token::SignalTokens;
pub(crate) use self::stay::Stay;
pub(crate) use self::tokens::digest as digest_of_token;
use self::tokens::{Bearer, KnownTokens, TokenMaker};
use crate::arrival::Sender;
use crate::config::{Access, HttpConfig, Identity, SignedIn, Verifier};
use crate::path::JobPath;
use crate::problem::{Code, Problem};
use crate::query;

/// Checks tokens: the part of the state that extractors of callers need.
#[derive(Debug)]
pub(crate) struct Auth {
    gate: Gate,
    /// Absent where the server gives out no read tokens.
    pub(crate) read_tokens: Option<ReadTokens>,
    /// Absent where the server gives out no tokens.
    pub(crate) signal_tokens: Option<SignalTokens>,
    /// Absent where nobody need sign in, or where nothing is there to sign sessions with.
    pub(crate) sessions: Option<Sessions>,
    pub(crate) tokens: KnownTokens,
    pub(crate) token_maker: TokenMaker,
    clock: Clock,
}

/// The configured access, with what can be computed once.
#[derive(Debug)]
enum Gate {
    Open,
    Bearer { digest: [u8; 32], worker: Option<[u8; 32]>, verifier: Option<Verifier> },
}

/// A caller that was let in.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Says how it got in, so that no two ways share one: it keeps the keys of their requests apart.
    pub(crate) key: Cow<'static, str>,
    /// Absent for the bearer of a token whose scopes name none.
    pub(crate) role: Option<Role>,
    /// The name to show to people.
    pub(crate) name: Option<String>,
    /// The token with scopes that was shown.
    pub(crate) bearer: Option<Arc<Bearer>>,
    /// Absent for whoever is let in for as long as the server runs.
    pub(crate) stay: Option<Stay>,
}

/// The credentials that a request shows.
#[derive(Clone, Copy, Debug)]
enum Shown<'a> {
    Nothing,
    Bearer(&'a str),
    Cookie(&'a str),
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<Auth>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Arc::<Auth>::from_ref(state).admit(parts, roles::need_of(parts)).await
    }
}

/// A remote worker that was let in, or anybody who may do more.
#[derive(Clone, Debug)]
pub(crate) struct WorkerCaller {
    /// Keeps the keys of their requests apart.
    pub(crate) key: Cow<'static, str>,
    /// True for whoever may do more than workers.
    is_admin: bool,
    /// The token of a worker of some queues.
    confined: Option<Arc<Bearer>>,
}

#[cfg(test)]
impl WorkerCaller {
    pub(crate) fn named(key: &'static str) -> Self {
        Self { key: key.into(), is_admin: false, confined: None }
    }
}

impl<S> FromRequestParts<S> for WorkerCaller
where
    S: Send + Sync,
    Arc<Auth>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let auth = Arc::<Auth>::from_ref(state);
        if auth.is_worker(bearer(&parts.headers)) {
            return Ok(Self { key: "worker".into(), is_admin: false, confined: None });
        }
        let Caller { key, role, bearer, .. } = auth.admit(parts, roles::need_of(parts)).await?;
        let is_admin = role >= Some(Role::Admin);
        Ok(Self { key, is_admin, confined: bearer.filter(|_| !is_admin) })
    }
}

/// A caller that may read the job which the path names: any [`Caller`], or the bearer of that job's read token.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) id: JobId,
    /// The creation of the job that its token was made for; absent for callers who may read others.
    created_at: Option<Timestamp>,
    /// Absent for the bearer of a read token.
    caller: Option<Caller>,
}

impl Reader {
    /// Refuses a token whose job is gone, and whose id another one has now; and a job that was not enqueued with the token, where that
    /// reads its own alone.
    ///
    /// # Errors
    /// 403 for the former, 404 for the latter.
    pub(crate) fn check(&self, job: &JobRecord) -> Result<(), Problem> {
        self.caller.as_ref().map_or(Ok(()), |caller| caller.check_read(job))?;
        if self.created_at.is_none_or(|created_at| created_at == job.created_at) {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden, "the token is for an earlier job of this id"))
    }

    /// What ends the time for which it was let in.
    pub(crate) fn stay(&self) -> Option<Stay> {
        self.caller.as_ref()?.stay.clone()
    }

    /// True where the bearer's token must be [checked](Self::check) against the job.
    pub(crate) fn is_bound(&self) -> bool {
        self.created_at.is_some() || self.caller.as_ref().is_some_and(|caller| !caller.reads_all())
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
        let refusal = match auth.admit(parts, Need::ReadJob).await {
            Ok(caller) => return id.map(|id| Reader { id, created_at: None, caller: Some(caller) }),
            Err(refusal) => refusal,
        };
        // A browser's EventSource cannot send headers, hence the token in the query.
        let in_query = query::value(parts.uri.query(), "token");
        let Some(job) = auth.token_job(bearer(&parts.headers).or(in_query.as_deref())) else {
            return Err(refusal);
        };
        let id = id?;
        if job.job != id.as_str() {
            return Err(Problem::new(Code::Forbidden, "the token is for another job"));
        }
        Ok(Reader { id, created_at: Some(Timestamp(job.created)), caller: None })
    }
}

/// No page, one of this server, or one of another site that is allowed. Browsers ask nobody before they open a WebSocket, so the
/// server has to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnPage;

impl<S> FromRequestParts<S> for OwnPage
where
    S: Send + Sync,
    Arc<HttpConfig>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let config = Arc::<HttpConfig>::from_ref(state);
        let Sender::Foreign(origin) = Sender::of(parts) else { return Ok(Self) };
        let is_open = matches!(config.access, Access::Open);
        let is_allowed = origin.is_some_and(|origin| {
            config.origins.iter().any(|known| known == origin || (known == "*" && !is_open))
        });
        if is_allowed {
            return Ok(Self);
        }
        let detail = "the page belongs to another site; name its origin in CORS_ORIGINS to let it in";
        Err(Problem::new(Code::CrossSite, detail))
    }
}

impl Auth {
    /// The configured access; `store` keeps the sessions that have ended.
    pub(crate) fn new(config: &HttpConfig, store: &Arc<dyn Store>) -> Self {
        let gate = match &config.access {
            Access::Open => Gate::Open,
            Access::Bearer { token, verifier } => Gate::Bearer {
                digest: digest(&token.0),
                worker: config.worker_token.as_ref().map(|token| digest(&token.0)),
                verifier: verifier.clone(),
            },
        };
        let secret = config.read_token_secret.as_ref();
        let sessions = match &gate {
            Gate::Open => None,
            Gate::Bearer { digest, .. } => {
                secret.map(|secret| Sessions::new(secret, digest, Arc::clone(store)))
            }
        };
        Self {
            gate,
            read_tokens: secret.map(ReadTokens::new),
            signal_tokens: secret.map(|secret| SignalTokens::new(secret, config.clock.clone())),
            sessions,
            tokens: KnownTokens::new(Arc::clone(store)),
            token_maker: TokenMaker::new(secret),
            clock: config.clock.clone(),
        }
    }
}

const WHICH_TOKEN: &str = "LONGHAUL_ADMIN_TOKEN, one of 'longhaul token --role viewer|operator|admin', or one of 'longhaul tokens create'";

impl Auth {
    /// The bearer of a token, where it is one that opens something here for as long as it is good.
    ///
    /// # Errors
    /// 401.
    pub(crate) fn identify(&self, token: &str) -> Result<Identity, Problem> {
        let admin = Identity { subject: String::new(), name: None, role: Role::Admin, expires_at: None };
        let Gate::Bearer { digest: known, verifier, .. } = &self.gate else { return Ok(admin) };
        // Comparing digests takes a time that tells nothing of the token.
        if digest(token) == *known {
            return Ok(admin);
        }
        verifier.as_ref().and_then(|verifier| verifier.verify(token)).ok_or_else(|| {
            let detail = format!("the token is not valid here, or no longer; use {WHICH_TOKEN}");
            Problem::new(Code::InvalidToken, detail)
        })
    }

    /// The same where it may also be a token with scopes, of which one must be a role; and that one.
    ///
    /// # Errors
    /// 401, and 403 for a token without a role.
    pub(crate) async fn identify_for_session(
        &self,
        token: &str,
    ) -> Result<(Identity, Option<Arc<Bearer>>), Problem> {
        let Some(bearer) = self.tokens.find(token, self.clock.now()).await? else {
            return self.identify(token).map(|identity| (identity, None));
        };
        let Some(role) = bearer.scopes.role() else { return Err(Problem::too_little(Role::Viewer, None)) };
        let token = &bearer.token;
        let subject = format!("token:{}", token.id);
        let identity =
            Identity { subject, name: Some(token.name.clone()), role, expires_at: token.expires_at };
        Ok((identity, Some(bearer)))
    }

    fn is_worker(&self, token: Option<&str>) -> bool {
        let Gate::Bearer { worker: Some(worker), .. } = &self.gate else { return false };
        token.is_some_and(|token| digest(token) == *worker)
    }

    async fn admit(&self, parts: &Parts, need: Need) -> Result<Caller, Problem> {
        let caller = self.known(parts).await?;
        if let Some(Visitor(visitor)) = parts.extensions.get() {
            // A second extractor finds the same caller.
            let _ = visitor.set(caller.clone());
        }
        let needed = need.role();
        let is_opened = || caller.bearer.as_ref().is_some_and(|bearer| bearer.scopes.open(need));
        if caller.role < Some(needed) && !is_opened() {
            return Err(Problem::too_little(needed, caller.role));
        }
        Ok(caller)
    }

    async fn known(&self, parts: &Parts) -> Result<Caller, Problem> {
        // On an open server, too, a token says what its bearer may do: an application is tried there as it will run elsewhere.
        if let Some(bearer) = parts.extensions.get::<Arc<Bearer>>() {
            return Ok(Caller::from(Arc::clone(bearer)));
        }
        if let Some(signed_in) = parts.extensions.get::<SignedIn>() {
            // A browser adds what the proxy knows it by to whatever a page asks for.
            same_site(parts)?;
            return signed_in.clone().caller();
        }
        if matches!(self.gate, Gate::Open) {
            let (key, role) = ("open".into(), Some(Role::Admin));
            return Ok(Caller { key, role, name: None, bearer: None, stay: None });
        }
        match shown(&parts.headers) {
            Shown::Nothing => {
                let detail = format!("a bearer token is needed: {WHICH_TOKEN}");
                Err(Problem::new(Code::Unauthorized, detail))
            }
            Shown::Bearer(token) => match self.identify(token) {
                Err(_) if self.is_worker(Some(token)) => {
                    Err(Problem::new(Code::Forbidden, "the token is a worker's, which opens /worker only"))
                }
                identity => identity.map(Caller::from),
            },
            Shown::Cookie(cookie) => {
                let has_ended = || Problem::new(Code::InvalidToken, "the session has ended; sign in again");
                let (session, bearer) = self.session(cookie).await?.ok_or_else(has_ended)?;
                same_site(parts)?;
                let Session { sub: subject, name, role, .. } = session;
                let stay = Some(Stay::Session(cookie.to_owned()));
                Ok(Caller { bearer, stay, ..Identity { subject, name, role, expires_at: None }.into() })
            }
        }
    }

    /// The session of a cookie, where it has not ended, and the token with scopes that it was opened with: whoever deletes that one ends
    /// what it has opened.
    async fn session(&self, cookie: &str) -> longhaul::Result<Option<(Session, Option<Arc<Bearer>>)>> {
        let now = self.clock.now();
        let Some(sessions) = &self.sessions else { return Ok(None) };
        let Some(session) = sessions.verify(cookie, now).await else { return Ok(None) };
        let bearer = match &session.token {
            Some(id) => self.tokens.named(id, now).await?,
            None => return Ok(Some((session, None))),
        };
        Ok(bearer.map(|bearer| (session, Some(bearer))))
    }

    fn token_job(&self, token: Option<&str>) -> Option<Readable> {
        self.read_tokens.as_ref()?.verify(token?, self.clock.now())
    }
}

/// Refuses what another site's page does in the name of whoever is signed in here: a browser sends the cookie along.
fn same_site(parts: &Parts) -> Result<(), Problem> {
    // A WebSocket begins as a GET, and any page may read what it carries.
    if parts.method.is_safe() && !parts.headers.contains_key(UPGRADE) {
        return Ok(());
    }
    match Sender::of(parts) {
        Sender::NoPage | Sender::Own => Ok(()),
        Sender::Foreign(_) => Err(Problem::new(
            Code::CrossSite,
            "the request was sent by a page of another site; a page elsewhere needs a bearer token of its own. Behind a              proxy, let it pass on the Host, or name it in TRUSTED_PROXIES and let it set X-Forwarded-Host",
        )),
    }
}

impl From<Identity> for Caller {
    fn from(Identity { subject, name, role, expires_at }: Identity) -> Self {
        let stay = expires_at.map(Stay::Until);
        // The administrator's token is nobody's.
        if subject.is_empty() {
            return Self { key: "token".into(), role: Some(role), name, bearer: None, stay };
        }
        let key = format!("user:{subject}").into();
        Self { key, role: Some(role), name: Some(name.unwrap_or(subject)), bearer: None, stay }
    }
}

impl SignedIn {
    fn caller(self) -> Result<Caller, Problem> {
        let Self { name, role } = self;
        if role.is_none() {
            let detail = format!("{name} is signed in, and none of their groups has a role here");
            return Err(Problem::new(Code::Forbidden, detail));
        }
        let key = format!("signed-in:{name}").into();
        // What its sign-on lets through, that one ends.
        Ok(Caller { key, role, name: Some(name), bearer: None, stay: None })
    }
}

impl From<Arc<Bearer>> for Caller {
    fn from(bearer: Arc<Bearer>) -> Self {
        let key = format!("token:{}", bearer.token.id).into();
        let (name, stay) = (Some(bearer.token.name.clone()), Some(Stay::Token(bearer.token.id.clone())));
        Self { key, role: bearer.scopes.role(), name, bearer: Some(bearer), stay }
    }
}

fn digest(token: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn shown(headers: &HeaderMap) -> Shown<'_> {
    match (bearer(headers), session::cookie(headers)) {
        (Some(token), _) => Shown::Bearer(token),
        (None, Some(token)) => Shown::Cookie(token),
        (None, None) => Shown::Nothing,
    }
}

/// The bearer token that a request shows.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
