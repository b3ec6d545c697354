use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use longhaul::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;

use crate::auth::Role;
use crate::nearest::Known;
use crate::redaction::Redaction;

/// The configuration of the HTTP side. Every field has a default, so that a caller names only what differs.
#[derive(Clone, Debug, Default)]
pub struct HttpConfig {
    /// The callers that are let in.
    pub access: Access,
    /// The bearer token of remote workers, where access is not open: it opens `/worker/*` and nothing else.
    /// Its bearer can do with jobs all that a store can. The administrator's token opens `/worker/*` too.
    pub worker_token: Option<Secret>,
    /// Decides on jobs whose kind this process does not know.
    pub unknown_kinds: UnknownKinds,
    /// Signs the tokens that let a browser follow one job, and the sessions of the dashboard; without it none are given out
    /// or accepted. The keys in use are derived from it, so a secret that signs other tokens too may be given.
    pub read_token_secret: Option<Secret>,
    /// Members of the answer of `/health` beside `"status": "ok"`: which composer is in use, say.
    pub health: BTreeMap<String, String>,
    /// The document that `/openapi.json` answers, and that paths which are not there are compared with: all that the application serves
    /// ([`document`](crate::document)). Without it these are the routes of the router alone.
    pub document: Option<Described>,
    /// The application's pages, which no document describes (`/docs`): what paths that are not there are compared with, too.
    pub pages: Vec<&'static str>,
    /// The path under which a proxy serves the application (`/longhaul`), in front of the links in answers and as the cookie's
    /// path; empty without one.
    pub base_path: String,
    /// The origins of web pages on other sites that may follow jobs by WebSocket, which browsers let every page open; `*` is
    /// every one, where access is not open.
    pub origins: Vec<String>,
    /// Values of jobs that are hidden in answers. Workers get them all the same.
    pub redaction: Redaction,
    /// The name that the audit log has for callers who need no token, where access is open.
    pub local: Option<String>,
    /// Fired when the server begins to stop: answers that are held open end at once, so that none of them
    /// outlasts the grace of a shutdown.
    pub stopping: CancellationToken,
    /// The time in answers that are given before the store is read, in estimates and in read tokens.
    pub clock: Clock,
}

impl HttpConfig {
    /// The paths with which unknown paths are compared: the routes of the document, or `own` without one, and the
    /// pages.
    pub(crate) fn known(&self, own: impl FnOnce() -> Known) -> Known {
        let document = self.document.as_ref();
        document.map_or_else(own, |whole| whole.routes.clone()).with_pages(&self.pages)
    }
}

/// The callers that are let in.
#[derive(Clone, Debug, Default)]
pub enum Access {
    /// Anyone who reaches the listener: for loopback listeners only.
    #[default]
    Open,
    /// The bearers of a token.
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

type Verify = dyn Fn(&str) -> Option<Identity> + Send + Sync;

impl Verifier {
    /// Takes a function that answers who the bearer is where the token is good. It runs on the request's thread, so it must
    /// not block.
    pub fn new(verify: impl Fn(&str) -> Option<Identity> + Send + Sync + 'static) -> Self {
        Self(Arc::new(verify))
    }

    pub(crate) fn verify(&self, token: &str) -> Option<Identity> {
        (self.0)(token)
    }
}

/// The bearer of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The bearer's id, which keeps callers' idempotency keys apart. Empty for the administrator's own token.
    pub subject: String,
    /// The name to show to people, where it is another one.
    pub name: Option<String>,
    /// The bearer's rights.
    pub role: Role,
    /// The expiry of the token: a session that was opened with it ends then.
    pub expires_at: Option<Timestamp>,
}

/// A user of an external sign-on, whom the application has authenticated by a proxy's header or an id token. An
/// application puts it into the request's extensions; it takes precedence over the dashboard's cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The name to show to people, and in the audit log.
    pub name: String,
    /// The role; without one nothing is opened.
    pub role: Option<Role>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

/// The treatment of a job whose kind was neither declared in this process nor claimed by a remote worker within the last
/// day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownKinds {
    /// It is refused with 422, so that a typing error does not become a job that never runs.
    #[default]
    Refuse,
    /// It is enqueued in the queue `default`, for workers elsewhere.
    Accept,
}

/// An OpenAPI document of all that an application serves. The document as a tree takes megabytes, so that its JSON and its
/// routes are kept instead.
#[derive(Clone)]
pub struct Described {
    /// The document as JSON.
    pub json: Arc<str>,
    /// The routes that it describes.
    pub routes: Known,
}

impl Described {
    /// The parts of a document that are kept.
    #[must_use]
    pub fn of(document: &OpenApi) -> Self {
        // A document that is served as JSON has a JSON form.
        let json = serde_json::to_string(document).unwrap_or_default();
        Self { json: json.into(), routes: Known::of(document) }
    }
}

impl fmt::Debug for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Described(..)")
    }
}

/// Bytes that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
