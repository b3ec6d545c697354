use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::model::{Json, Sample};
use crate::store::{Result, Store};

/// The most secrets that are valid at once: the one in use, and the one that takes its place.
pub const MAX_SECRETS: usize = 2;

/// The series of samples that secrets are kept in, by their ids as sources.
const SERIES: &str = "longhaul.webhook-secrets";
/// Until they are deleted: a thousand years.
const FOR_EVER: Duration = Duration::from_secs(1_000 * 365 * 86_400);

/// What messages are signed with. Receivers that know one of those which are valid can verify a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name.
    pub id: String,
    /// When it was made.
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
    /// A new one that nobody can guess.
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
pub struct Secrets<'s>(&'s dyn Store);

impl<'s> Secrets<'s> {
    /// Those of `store`.
    #[must_use]
    pub fn of(store: &'s dyn Store) -> Self {
        Self(store)
    }

    /// All of them, oldest first.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn list(&self) -> Result<Vec<Secret>> {
        let samples = self.0.samples(SERIES, Timestamp(0)).await?;
        let secret = |Sample { source, at, body, .. }: Sample| {
            let Kept { secret } = body.to().ok()?;
            Some(Secret { id: source, created_at: at, secret })
        };
        Ok(samples.into_iter().filter_map(secret).collect())
    }

    /// Keeps one; `false` where there are [`MAX_SECRETS`] already.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn add(&self, secret: &Secret) -> Result<Added> {
        if self.list().await?.len() >= MAX_SECRETS {
            return Ok(Added::TooMany);
        }
        self.put(secret, FOR_EVER).await?;
        // Somebody else may have added one meanwhile: whoever is not among the oldest gives way.
        let is_kept = self.list().await?.iter().take(MAX_SECRETS).any(|kept| kept.id == secret.id);
        if is_kept {
            return Ok(Added::Yes);
        }
        self.put(secret, Duration::ZERO).await?;
        Ok(Added::TooMany)
    }

    /// Forgets one: nothing is signed with it any more. Answers the one that it was.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn delete(&self, id: &str) -> Result<Option<Secret>> {
        let Some(secret) = self.list().await?.into_iter().find(|secret| secret.id == id) else {
            return Ok(None);
        };
        self.put(&secret, Duration::ZERO).await?;
        Ok(Some(secret))
    }

    async fn put(&self, secret: &Secret, keep_for: Duration) -> Result<()> {
        let body = Json::new(&Kept { secret: secret.secret.clone() })?;
        let (at, source) = (secret.created_at, secret.id.clone());
        self.0.put_samples(&[Sample { series: SERIES.into(), at, source, keep_for, body }]).await
    }
}

/// The fate of a new secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is kept.
    Yes,
    /// There are [`MAX_SECRETS`] already.
    TooMany,
}
