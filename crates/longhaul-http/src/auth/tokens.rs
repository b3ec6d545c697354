//! The tokens with scopes that a server knows: those of the store, read at most once a second and only where one is shown.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use longhaul::access::{Token, Tokens};
use longhaul::{Result, Store, Timestamp};
use tokio::sync::Mutex;

use super::quota::Quota;
use super::scope::Scopes;
use crate::canonical::hex;

/// The prefix of all scoped tokens, so that no other token costs a look-up.
const PREFIX: &str = "lht_";
/// The random characters of a token: 40 of 62 are 238 bits.
const CHARACTERS: usize = 40;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// The time after which every server refuses a deleted token.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The shortest time between two look-ups of unknown tokens, which another server may have created a moment ago.
const LOOK_FOR_NEW_EVERY: Duration = Duration::from_millis(100);

/// A valid token of a request.
#[derive(Debug)]
pub(crate) struct Bearer {
    pub(crate) token: Token,
    pub(crate) scopes: Scopes,
    /// `None` if the number of its requests is unlimited.
    pub(crate) quota: Option<Quota>,
}

/// The tokens of a store, as cached in this process.
pub(crate) struct KnownTokens {
    store: Arc<dyn Store>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    looked_at: Option<Timestamp>,
    by_digest: HashMap<String, Arc<Bearer>>,
}

/// A new random token.
pub(crate) fn generate() -> String {
    let character = |_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]);
    let characters: String = (0..CHARACTERS).map(character).collect();
    format!("{PREFIX}{characters}")
}

/// The digest of a token, as stores keep it.
pub(crate) fn digest(token: &str) -> String {
    hex(&super::digest(token))
}

impl KnownTokens {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, known: Mutex::default() }
    }

    /// The bearer of a token, where it is one of the store's and has not expired.
    ///
    /// # Errors
    /// The store's, where it had to be asked: whether a token was deleted is not known then.
    pub(crate) async fn find(&self, token: &str, now: Timestamp) -> Result<Option<Arc<Bearer>>> {
        if !token.starts_with(PREFIX) {
            return Ok(None);
        }
        let digest = digest(token);
        // Held while the store is asked, so that of many requests at once one asks.
        let mut known = self.known.lock().await;
        let age = if known.by_digest.contains_key(&digest) { LOOK_EVERY } else { LOOK_FOR_NEW_EVERY };
        self.look(&mut known, age, now).await?;
        let bearer = known.by_digest.get(&digest);
        Ok(bearer.filter(|bearer| !bearer.token.has_expired(now)).cloned())
    }

    /// The token of this id, where it is there and has not expired.
    ///
    /// # Errors
    /// As for [`find`](Self::find).
    pub(super) async fn named(&self, id: &str, now: Timestamp) -> Result<Option<Arc<Bearer>>> {
        let mut known = self.known.lock().await;
        self.look(&mut known, LOOK_EVERY, now).await?;
        let bearer = known.by_digest.values().find(|bearer| bearer.token.id == id);
        Ok(bearer.filter(|bearer| !bearer.token.has_expired(now)).cloned())
    }

    /// Forgets what was read: a token was made or deleted here.
    pub(crate) async fn forget(&self) {
        self.known.lock().await.looked_at = None;
    }

    async fn look(&self, known: &mut Known, age: Duration, now: Timestamp) -> Result<()> {
        if known.looked_at.is_some_and(|at| at <= now && now.since(at) < age) {
            return Ok(());
        }
        let tokens = Tokens::of(self.store.as_ref()).list().await?;
        let bearer = |token: Token| {
            let digest = token.digest.clone();
            // One that is known goes on counting.
            let bearer = known.by_digest.get(&digest).filter(|known| known.token == token).cloned();
            (digest, bearer.unwrap_or_else(|| Arc::new(Bearer::new(token))))
        };
        known.by_digest = tokens.into_iter().map(bearer).collect();
        known.looked_at = Some(now);
        Ok(())
    }
}

impl Bearer {
    fn new(token: Token) -> Self {
        Self { scopes: Scopes::of(&token.scopes), quota: token.rate.map(Quota::new), token }
    }
}

impl std::fmt::Debug for KnownTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KnownTokens(..)")
    }
}
