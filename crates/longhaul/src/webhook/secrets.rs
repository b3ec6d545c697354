use std::fmt;

use serde::{Deserialize, Serialize};

use crate::access::Answered;
use crate::clock::Timestamp;
use crate::collection::{Added, Collection, FOR_EVER};
use crate::model::{Json, Sample};
use crate::store::{Result, Store};

/// The most secrets that are valid at once: the one in use, and the one that takes its place.
pub const MAX_SECRETS: usize = 2;

/// The series of samples that secrets are kept in, by their ids as sources.
pub(crate) const SERIES: &str = "longhaul.webhook-secrets";

/// A secret that messages are signed with. A message carries a signature by each valid secret; a receiver needs one of
/// them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name.
    pub id: String,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// The secret: `whsec_` and its bytes in base64.
    pub secret: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// The characters of a new secret. Each is six random bits, so that they are the base64 of 24 random bytes.
const CHARACTERS: usize = 32;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Secret {
    /// A new random secret.
    #[must_use]
    pub fn generate(created_at: Timestamp) -> Self {
        let character = |_| char::from(BASE64[rand::random_range(0..BASE64.len())]);
        let characters: String = (0..CHARACTERS).map(character).collect();
        let id = uuid::Uuid::now_v7().simple().to_string();
        Self { id: format!("whs_{id}"), created_at, secret: format!("whsec_{characters}") }
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    secret: String,
}

/// The secrets of a store: all of its servers sign with the same ones.
#[derive(Clone, Copy, Debug)]
pub struct Secrets<'s>(Collection<'s>);

impl<'s> Secrets<'s> {
    /// Those of `store`.
    #[must_use]
    pub fn of(store: &'s dyn Store) -> Self {
        Self(Collection { store, series: SERIES, most: MAX_SECRETS })
    }

    /// All of them, oldest first.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn list(&self) -> Result<Vec<Secret>> {
        Ok(self.0.list().await?.into_iter().filter_map(read).collect())
    }

    /// Keeps one, unless there are [`MAX_SECRETS`] already.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn add(&self, secret: &Secret) -> Result<Added> {
        self.add_for(secret, None).await
    }

    /// [Adds](Self::add) a secret, and in the same commit keeps the answer to the request that makes it.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn add_for(&self, secret: &Secret, answered: Option<&Answered>) -> Result<Added> {
        let body = Json::new(&Kept { secret: secret.secret.clone() })?;
        let (at, source) = (secret.created_at, secret.id.clone());
        let sample = Sample { series: SERIES.into(), at, source, keep_for: FOR_EVER, body };
        self.0.add(sample, answered).await
    }

    /// Forgets one: nothing is signed with it any more. Answers the one that it was.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn delete(&self, id: &str) -> Result<Option<Secret>> {
        Ok(self.0.delete(id).await?.and_then(read))
    }
}

fn read(Sample { source, at, body, .. }: Sample) -> Option<Secret> {
    let Kept { secret } = body.to().ok()?;
    Some(Secret { id: source, created_at: at, secret })
}
