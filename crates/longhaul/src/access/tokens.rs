use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Answered;
use crate::clock::Timestamp;
use crate::collection::{Added, Collection, FOR_EVER};
use crate::model::{Json, Sample};
use crate::store::{Result, Store};

/// The most tokens that a store keeps at a time: each server has all of them in memory.
pub const MAX_TOKENS: usize = 1_000;

/// The series of samples that tokens are kept in, by their ids as sources.
pub const SERIES: &str = "longhaul.tokens";

/// An API token of an application and its rights. The store keeps its digest only; the bearer alone knows the token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name in lists, in jobs' `created_by` and in the audit log.
    pub id: String,
    /// The name that people gave it.
    pub name: String,
    /// Its rights. The engine stores them and does not interpret them; the HTTP layer that checks tokens does.
    pub scopes: Vec<String>,
    /// The limit on its requests; `None` is no limit.
    pub rate: Option<TokenRate>,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// The time from which it is refused; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// The SHA-256 digest of the token, in hexadecimal.
    pub digest: String,
}

/// A rate limit: a number of requests within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRate {
    /// The requests.
    pub n: u32,
    /// The time.
    pub per: Duration,
}

impl Token {
    /// True from [`expires_at`](Self::expires_at) on.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

// The digest is left out: it identifies nothing in a log that the id does not.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("rate", &self.rate)
            .field("created_at", &self.created_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The stored JSON of a token, without its id and its creation time, which its sample has.
#[derive(Serialize, Deserialize)]
struct Kept {
    name: String,
    scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<TokenRate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    digest: String,
}

/// The tokens of a store: all of its servers take the same ones.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'s>(Collection<'s>);

impl<'s> Tokens<'s> {
    /// Those of `store`.
    #[must_use]
    pub fn of(store: &'s dyn Store) -> Self {
        Self(Collection { store, series: SERIES, most: MAX_TOKENS })
    }

    /// All of them, oldest first; among them those that have expired, until the store has forgotten them.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn list(&self) -> Result<Vec<Token>> {
        Ok(self.0.list().await?.into_iter().filter_map(read).collect())
    }

    /// Keeps one, until it expires or is deleted, unless there are [`MAX_TOKENS`] already.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn add(&self, token: &Token) -> Result<Added> {
        self.add_for(token, None).await
    }

    /// [Adds](Self::add) a token, and in the same commit keeps the answer to the request that makes it.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn add_for(&self, token: &Token, answered: Option<&Answered>) -> Result<Added> {
        let keep_for = token.expires_at.map_or(FOR_EVER, |end| end.since(token.created_at));
        let Token { id, name, scopes, rate, created_at, expires_at, digest } = token.clone();
        let body = Json::new(&Kept { name, scopes, rate, expires_at, digest })?;
        let sample = Sample { series: SERIES.into(), at: created_at, source: id, keep_for, body };
        self.0.add(sample, answered).await
    }

    /// Deletes a token, which is refused from then on, and returns it.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn delete(&self, id: &str) -> Result<Option<Token>> {
        Ok(self.0.delete(id).await?.and_then(read))
    }
}

fn read(Sample { source, at, body, .. }: Sample) -> Option<Token> {
    let Kept { name, scopes, rate, expires_at, digest } = body.to().ok()?;
    Some(Token { id: source, name, scopes, rate, created_at: at, expires_at, digest })
}
