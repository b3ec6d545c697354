//! The cookie of the dashboard: who has signed in with a token is known by it, until it ends, its bearer signs out or the
//! tokens' secrets change.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use longhaul::{JobId, Store, Timestamp};
use serde::{Deserialize, Serialize};

use super::ended::EndedSessions;
use super::read_token::expiry;
use super::roles::Role;
use super::signed::Signer;
use crate::arrival::Scheme;
use crate::config::{Identity, Secret};

/// The longest lifetime of a session.
const LASTS: Duration = Duration::from_secs(12 * 3_600);

/// The cookie's name.
pub(crate) const NAME: &str = "longhaul_session";
const AUDIENCE: &str = "longhaul:session";

/// Makes, checks and ends sessions.
pub(crate) struct Sessions {
    signer: Signer,
    ended: EndedSessions,
}

/// A session: a name, and the role that it has signed in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Names it, so that it can be ended; those of the release before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The caller, as the token that was shown would have it.
    pub(crate) sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) role: Role,
    /// The id of the token with scopes that it was opened with: it ends with that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
}

impl Sessions {
    /// The administrator's token is part of the key, so that a change of it ends the sessions that it has opened.
    pub(crate) fn new(secret: &Secret, admin: &[u8; 32], store: Arc<dyn Store>) -> Self {
        let signer = Signer::new(AUDIENCE, &[b"longhaul session\0", admin, &secret.0]);
        Self { signer, ended: EndedSessions::new(store) }
    }

    /// A new session's token and its end, which is no later than that of the token that was shown.
    pub(crate) fn open(
        &self,
        identity: &Identity,
        token: Option<String>,
        now: Timestamp,
    ) -> jsonwebtoken::errors::Result<(String, Duration)> {
        let longest = expiry(now, LASTS);
        let end = identity.expires_at.map_or(longest, |end| end.min(longest));
        let Identity { subject, name, role, .. } = identity.clone();
        let id = Some(JobId::random().to_string());
        let token: String = self.signer.sign(Session { id, sub: subject, name, role, token }, end)?;
        Ok((token, Duration::from_millis(u64::try_from(end.0 - now.0).unwrap_or(0))))
    }

    pub(crate) async fn verify(&self, token: &str, now: Timestamp) -> Option<Session> {
        let session: Session = self.signer.verify(token, now)?;
        let has_ended = match &session.id {
            Some(id) => self.ended.has(id, now).await,
            None => false,
        };
        (!has_ended).then_some(session)
    }

    /// Ends the session of a token for every server on the store.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn end(&self, token: &str, now: Timestamp) -> longhaul::Result<()> {
        let session: Option<Session> = self.signer.verify(token, now);
        match session.and_then(|session| session.id) {
            Some(id) => self.ended.end(&id, LASTS, now).await,
            None => Ok(()),
        }
    }
}

/// The session's token among the cookies of a request.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == NAME).map(|(_, value)| value).find(|value| !value.is_empty())
}

/// The header that gives a browser the cookie, or takes it away where it is to last for no time.
pub(crate) fn set_cookie(token: &str, lasts: Duration, path: &str, scheme: Scheme) -> String {
    let secure = match scheme {
        Scheme::Https => "; Secure",
        Scheme::Http => "",
    };
    let path = if path.is_empty() { "/" } else { path };
    format!("{NAME}={token}; Path={path}; Max-Age={}; HttpOnly; SameSite=Strict{secure}", lasts.as_secs())
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions(..)")
    }
}
