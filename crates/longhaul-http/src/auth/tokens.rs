//! The tokens with scopes that a server knows: those of the store, read at most once a second and only where one is shown.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use longhaul::access::{Token, Tokens};
use longhaul::{Result, Store, Timestamp};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::quota::Quota;
use super::scope::Scopes;
use crate::canonical::hex;
use crate::config::Secret;

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

/// Makes the tokens of a server.
///
/// A store keeps the digest of a token alone, so that nobody who reads its files or a backup can use one. The answer to a request with
/// an idempotency key, which holds the token, is therefore not kept either: such a token is derived from the server's secret, the
/// caller's key and the token's id, and made again when the request is repeated. The store has the id alone. Servers on one store share
/// the secret, as they must for read tokens; without one, or after it was changed, the request cannot be answered again.
pub(crate) struct TokenMaker([u8; 32]);

impl TokenMaker {
    pub(super) fn new(secret: Option<&Secret>) -> Self {
        let random: [u8; 32] = rand::random();
        let secret = secret.map_or(&random[..], |secret| &secret.0);
        // A key of its own, so that nothing else that the secret signs tells of tokens.
        Self(Sha256::new().chain_update(b"longhaul token\0").chain_update(secret).finalize().into())
    }

    /// The token of this id: the same for the same id and key, and another one each time without a key.
    pub(crate) fn make(&self, id: &str, key: Option<&str>) -> String {
        let Some(key) = key else { return generate() };
        let seed = Sha256::new().chain_update(self.0).chain_update(id).chain_update(b"\n").chain_update(key);
        let seed = seed.finalize();
        let blocks =
            (0_u8..).map(|block| Sha256::new().chain_update(self.0).chain_update(seed).chain_update([block]));
        // A byte beyond the last multiple of 62 would make the first characters likelier than the others.
        let even = 256 - 256 % ALPHABET.len();
        let bytes = blocks.flat_map(|block| block.finalize()).map(usize::from).filter(|byte| *byte < even);
        let characters = bytes.map(|byte| char::from(ALPHABET[byte % ALPHABET.len()]));
        format!("{PREFIX}{}", characters.take(CHARACTERS).collect::<String>())
    }
}

impl std::fmt::Debug for TokenMaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenMaker(..)")
    }
}

/// A new random token.
fn generate() -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_again_of_its_id_its_key_and_the_servers_secret_and_of_nothing_less() {
        let maker = |secret: &str| TokenMaker::new(Some(&Secret(secret.into())));
        let token = maker("s").make("tok_1", Some("admin\nk"));
        assert_eq!(token, maker("s").make("tok_1", Some("admin\nk")));
        assert_eq!((token.len(), &token[..4]), (PREFIX.len() + CHARACTERS, PREFIX));
        assert!(token[4..].bytes().all(|byte| ALPHABET.contains(&byte)), "{token}");
        let others = [
            maker("s").make("tok_2", Some("admin\nk")),
            maker("s").make("tok_1", Some("admin\nl")),
            maker("t").make("tok_1", Some("admin\nk")),
            TokenMaker::new(None).make("tok_1", Some("admin\nk")),
            maker("s").make("tok_1", None),
            maker("s").make("tok_1", None),
        ];
        let all: std::collections::BTreeSet<&String> = others.iter().chain([&token]).collect();
        assert_eq!(all.len(), others.len() + 1, "{all:?}");
    }
}
