use std::collections::BTreeMap;
use std::fmt;

use longhaul::Clock;
use tokio_util::sync::CancellationToken;

use crate::access::Access;

/// How the HTTP side behaves. Every field has a default, so that a caller names only what differs.
#[derive(Clone, Debug, Default)]
pub struct HttpConfig {
    /// Who is let in.
    pub access: Access,
    /// What remote workers bring as their bearer token, where access is not open: it opens `/worker/*` and nothing else.
    /// Whoever has it can do with jobs all that a store can. The administrator's token opens `/worker/*` too.
    pub worker_token: Option<Secret>,
    /// What becomes of a job whose kind this process does not know.
    pub unknown_kinds: UnknownKinds,
    /// Signs the tokens that let a browser follow one job; without it none are given out or accepted. The key
    /// in use is derived from it, so a secret that signs other tokens too may be given.
    pub read_token_secret: Option<Secret>,
    /// What `/health` says beside `"status": "ok"`: which composer is in use, say.
    pub health: BTreeMap<String, String>,
    /// Fired when the server begins to stop: answers that are held open end at once, so that none of them
    /// outlasts the grace of a shutdown.
    pub stopping: CancellationToken,
    /// The time in answers that are given before the store is read, in estimates and in read tokens.
    pub clock: Clock,
}

/// What becomes of a job whose kind was neither declared in this process nor claimed by a remote worker within the last
/// day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownKinds {
    /// It is refused with 422: a typing error must not become a job that nobody ever runs.
    #[default]
    Refuse,
    /// It is enqueued in the queue `default`, for workers elsewhere.
    Accept,
}

/// Bytes that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
