//! The `Idempotency-Key` header on the services' `POST` routes: a repeated request gets the first one's answer.
//!
//! A route that creates rows gives its answer to [`Once::commit`], which keeps it in the same commit: there is no moment
//! at which a crash could leave the one without the other. What other routes answer is kept right after it.

mod kept;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use longhaul::{Clock, NewJob};
use serde::Serialize;
use sha2::{Digest, Sha256};

use self::kept::Kept;
pub(crate) use self::kept::{TABLE, USER_COLUMN};
use crate::auth::Auth;
use crate::db::{Commit, Db, DbError, Write};
use crate::error::{ErrorShape, ServiceError};
use crate::form::Form;

/// The largest JSON body that is compared with an earlier one, and the largest answer that is kept. No route takes a
/// larger one.
const MAX_BYTES: usize = 1024 * 1024 + 64 * 1024;
/// The largest form that is read to be compared with an earlier one.
const MAX_FORM_BYTES: usize = 64 * 1024 * 1024;
const LONGEST_KEY: usize = 255;
const KEY: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-replayed";

/// The answers to requests with a key, kept for a day. Cheap to clone.
#[derive(Clone)]
pub struct Repeats(Arc<Inner>);

struct Inner {
    db: Db,
    auth: Auth,
    clock: Clock,
    /// The requests that this process is answering. Those of two processes are told apart by the commit.
    in_flight: Mutex<HashSet<String>>,
}

/// A request's key, for the route that answers it: an extractor, which holds nothing where the request has none.
#[derive(Clone, Debug, Default)]
pub struct Once(Option<Arc<Held>>);

/// Held until the last of the request's work is done.
struct Held {
    repeats: Repeats,
    /// A digest of the caller, the route and the key: of one size, whatever these are.
    id: String,
    /// The user who asks, where a token says so.
    user: Option<String>,
    state: Mutex<Progress>,
}

struct Progress {
    /// Absent until a form has been read.
    fingerprint: Option<String>,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Open,
    /// The answer is kept.
    Kept,
    /// Another process has kept an answer first; nothing was done here.
    Lost,
}

/// The digest of an uploaded file, as it comes.
#[derive(Clone, Debug)]
pub struct FileDigest(Option<Sha256>);

impl Repeats {
    pub(crate) fn new(db: Db, auth: Auth, clock: Clock) -> Self {
        Self(Arc::new(Inner { db, auth, clock, in_flight: Mutex::default() }))
    }

    /// Adds the header to the `POST` routes of a service whose errors have the form `S`.
    pub fn around<S: ErrorShape>(&self, routes: Router) -> Router {
        routes.layer(from_fn_with_state(self.clone(), answer::<S>))
    }

    /// Forgets answers that are a day old, and the oldest of too many. For a start and every minute after it.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn forget_old(&self) -> Result<(), DbError> {
        kept::forget_old(&self.0.db, self.0.clock.now()).await
    }

    /// The user who asks. Routes that need one refuse a request without; on the others nobody is told from anybody.
    async fn user(&self, headers: &HeaderMap) -> Option<String> {
        self.0.auth.authenticate(headers).await.ok().map(|user| user.sub)
    }

    /// Takes a key for as long as the answer lives; `None` where another request has it.
    fn hold(&self, id: String, user: Option<String>, fingerprint: Option<String>) -> Option<Once> {
        let taken = self.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        let state = Mutex::new(Progress { fingerprint, outcome: Outcome::Open });
        taken.then(|| Once(Some(Arc::new(Held { repeats: self.clone(), id, user, state }))))
    }
}

async fn answer<S: ErrorShape>(
    State(repeats): State<Repeats>,
    request: Request,
    next: Next,
) -> Result<Response, ServiceError<S>> {
    // Boxed out of sight of `S`, so that it is compiled once for all services.
    shapeless(repeats, request, next).await.map_err(ServiceError::shaped)
}

fn shapeless(
    repeats: Repeats,
    request: Request,
    next: Next,
) -> BoxFuture<'static, Result<Response, ServiceError<()>>> {
    Box::pin(answer_once(repeats, request, next))
}

async fn answer_once(repeats: Repeats, request: Request, next: Next) -> Result<Response, ServiceError<()>> {
    if request.method() != Method::POST || !request.headers().contains_key(KEY) {
        return Ok(next.run(request).await);
    }
    let key = key(request.headers()).map_err(ServiceError::bad_request)?.to_owned();
    let user = repeats.user(request.headers()).await;
    let caller = user.as_ref().map_or_else(|| "anybody".to_owned(), |user| format!("user:{user}"));
    let route = request.uri().path().to_owned();
    let id = digest(&[&caller, &route, &key]);
    let (mut request, fingerprint) = fingerprinted(request, &route).await;
    let Some(once) = repeats.hold(id.clone(), user, fingerprint.clone()) else {
        let message = "A request with this Idempotency-Key is still being answered";
        return Err(ServiceError::new(StatusCode::CONFLICT, message).retry_after(Duration::from_secs(1)));
    };
    if let Some(kept) = kept::find(&repeats.0.db, &id, repeats.0.clock.now()).await? {
        let fingerprint = match fingerprint {
            Some(fingerprint) => Some(fingerprint),
            None => file_of(request).await,
        };
        return replay(kept, fingerprint.as_deref());
    }
    request.extensions_mut().insert(once.clone());
    let response = next.run(request).await;
    match once.outcome() {
        Outcome::Kept => Ok(response),
        Outcome::Lost => match kept::find(&repeats.0.db, &id, repeats.0.clock.now()).await? {
            Some(kept) => replay(kept, once.fingerprint().as_deref()),
            None => Err(ServiceError::unavailable(Duration::from_secs(1))),
        },
        Outcome::Open => Ok(once.keep(response).await),
    }
}

/// The answer of before, or the refusal of another request under its key.
fn replay(kept: Kept, fingerprint: Option<&str>) -> Result<Response, ServiceError<()>> {
    if fingerprint != Some(kept.fingerprint.as_str()) {
        let message = "This Idempotency-Key was used for another request within the last 24 hours";
        return Err(ServiceError::new(StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    let headers = [(CONTENT_TYPE.as_str(), "application/json"), (REPLAYED, "true")];
    Ok((kept.status, headers, kept.body).into_response())
}

impl Once {
    /// Commits rows and jobs with the answer to their request, so that a repeated one is answered the same. Without a
    /// key it is [`Db::commit`]. Refused where another request with the key was first; what the route answers then is
    /// not sent.
    ///
    /// # Errors
    /// Those of [`Db::commit`].
    pub async fn commit(
        &self,
        db: &Db,
        (status, answer): (StatusCode, &impl Serialize),
        writes: Vec<Write>,
        jobs: Vec<NewJob>,
    ) -> Result<Commit, DbError> {
        match &self.0 {
            None => db.commit(writes, jobs).await,
            Some(held) => held.commit(db, (status, longhaul::Json::new(answer)?), writes, jobs).await,
        }
    }

    /// Begins to read an uploaded file, which tells the request from others: its boundary is another one each time.
    #[must_use]
    pub fn file(&self, name: &str) -> FileDigest {
        FileDigest(self.0.is_some().then(|| begun(name)))
    }

    /// The file is whole.
    pub fn file_read(&self, digest: FileDigest) {
        if let (Some(held), Some(digest)) = (&self.0, digest.0) {
            held.lock().fingerprint = Some(hex(digest));
        }
    }

    fn fingerprint(&self) -> Option<String> {
        self.0.as_ref()?.lock().fingerprint.clone()
    }

    fn outcome(&self) -> Outcome {
        self.0.as_ref().map_or(Outcome::Open, |held| held.lock().outcome)
    }

    /// Keeps the answer of a route that does not keep it by itself. An error is no answer to keep: it may go well next
    /// time. Nor is a stream.
    async fn keep(&self, response: Response) -> Response {
        let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
        let (Some(held), Some(fingerprint)) = (&self.0, self.fingerprint()) else { return response };
        if !response.status().is_success() || !is_json {
            return response;
        }
        let (parts, body) = response.into_parts();
        let (read, rest) = up_to(MAX_BYTES, body).await;
        let (None, Ok(text)) = (&rest, String::from_utf8(read.to_vec())) else {
            return Response::from_parts(parts, joined(read, rest));
        };
        let kept = Kept { status: parts.status, fingerprint, body: text, user: held.user.clone() };
        let write = kept.write(&held.id, held.repeats.0.clock.now());
        if let Err(error) = held.repeats.0.db.commit(vec![write], Vec::new()).await {
            tracing::warn!("failed to keep the answer to a request with an idempotency key: {error}");
        }
        Response::from_parts(parts, Body::from(read))
    }
}

impl<S: Sync> FromRequestParts<S> for Once {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Once>().cloned().unwrap_or_default())
    }
}

impl Held {
    fn commit<'a>(
        &'a self,
        db: &'a Db,
        (status, answer): (StatusCode, longhaul::Json),
        mut writes: Vec<Write>,
        jobs: Vec<NewJob>,
    ) -> BoxFuture<'a, Result<Commit, DbError>> {
        Box::pin(async move {
            let Some(fingerprint) = self.lock().fingerprint.clone() else {
                return db.commit(writes, jobs).await;
            };
            let (body, user) = (answer.as_str().to_owned(), self.user.clone());
            let kept = Kept { status, fingerprint, body, user };
            let place = writes.len();
            writes.push(kept.write(&self.id, self.repeats.0.clock.now()));
            let committed = match db.commit(writes, jobs).await? {
                Commit::Refused { write } => {
                    if write == place {
                        self.set(Outcome::Lost);
                    }
                    Commit::Refused { write }
                }
                Commit::Done(mut done) => {
                    self.set(Outcome::Kept);
                    done.changed.pop();
                    Commit::Done(done)
                }
            };
            Ok(committed)
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, outcome: Outcome) {
        self.lock().outcome = outcome;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.repeats.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl FileDigest {
    /// The next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(digest) = &mut self.0 {
            digest.update(bytes);
        }
    }
}

fn begun(name: &str) -> Sha256 {
    Sha256::new().chain_update(b"file ").chain_update(name.len().to_be_bytes()).chain_update(name)
}

/// The draft standard writes the key as a quoted string; most clients do not. Both mean the same key.
fn key(headers: &HeaderMap) -> Result<&str, String> {
    let mut values = headers.get_all(KEY).iter();
    let value = values.next().map(HeaderValue::to_str);
    let key = value.and_then(Result::ok).unwrap_or_default().trim().trim_matches('"');
    let is_key = (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|b| (b' '..=b'~').contains(&b));
    if is_key && values.next().is_none() {
        return Ok(key);
    }
    Err(format!("Idempotency-Key must be one value of 1 to {LONGEST_KEY} printable ASCII characters"))
}

/// The request with its fingerprint; none yet for a form, and for a body that no route takes.
async fn fingerprinted(request: Request, route: &str) -> (Request, Option<String>) {
    if is_form(request.headers()) {
        return (request, None);
    }
    let (parts, body) = request.into_parts();
    let (read, rest) = up_to(MAX_BYTES, body).await;
    let fingerprint = rest.is_none().then(|| {
        let json = longhaul_http::fingerprint(route, &read);
        json.unwrap_or_else(|_| hex(Sha256::new().chain_update(b"bytes ").chain_update(&read)))
    });
    (Request::from_parts(parts, joined(read, rest)), fingerprint)
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"))
}

/// The digest of the file of a form, read to its end and not kept.
async fn file_of(request: Request) -> Option<String> {
    let mut form = Form::open(request).await.ok()?;
    while let Some(mut field) = form.next_field().await.ok()? {
        if field.name() != Some("file") {
            continue;
        }
        let mut digest = begun(&field.file_name().unwrap_or_default());
        let mut length = 0;
        while let Some(bytes) = field.chunk().await.ok()? {
            length += bytes.len();
            if length > MAX_FORM_BYTES {
                return None;
            }
            digest.update(&bytes);
        }
        return Some(hex(digest));
    }
    None
}

/// The first bytes of a body, and what follows where there is more than `limit`, or a fault.
async fn up_to(limit: usize, body: Body) -> (Bytes, Option<Body>) {
    let mut read = Vec::new();
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(bytes) if read.len() + bytes.len() <= limit => read.extend_from_slice(&bytes),
            other => {
                let rest = stream::once(async move { other }).chain(pieces);
                return (read.into(), Some(Body::from_stream(rest)));
            }
        }
    }
    (read.into(), None)
}

fn joined(read: Bytes, rest: Option<Body>) -> Body {
    match rest {
        None => Body::from(read),
        Some(rest) => Body::from_stream(stream::once(async { Ok(read) }).chain(rest.into_data_stream())),
    }
}

fn digest(parts: &[&str]) -> String {
    let parts = parts
        .iter()
        .fold(Sha256::new(), |digest, part| digest.chain_update(part.len().to_be_bytes()).chain_update(part));
    hex(parts)
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Repeats")
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("id", &self.id).finish_non_exhaustive()
    }
}
