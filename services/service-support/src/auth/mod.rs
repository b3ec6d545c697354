//! Bearer tokens, checked and signed.

mod key_set;
mod secret;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use futures::future::BoxFuture;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use longhaul::{Clock, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::config::AuthConfig;
use crate::env::ConfigError;
pub use key_set::{KeySet, KeySource};
use secret::kept_secret;

/// Checks bearer tokens (JWT): those signed with our own secret (HS256) and, where a key set is configured, those of
/// its issuer. Signs tokens of our own. Cheap to clone.
#[derive(Clone)]
pub struct Auth(Arc<Keys>);

struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    /// The claims that every token must have, whoever signed it.
    validation: Validation,
    issuer: Option<KeySet>,
    audience: Option<String>,
    clock: Clock,
}

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's id: the token's `sub`, never empty.
    pub sub: String,
    /// The address, where the token has one.
    pub email: Option<String>,
    /// The name to show to people, where the token has one.
    pub name: Option<String>,
    /// The rights of the user beside using the services.
    pub role: Role,
}

/// The rights of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Uses the services.
    #[default]
    User,
    /// Reads in the admin API, too.
    Viewer,
    /// Enqueues, steers and deletes jobs there.
    Operator,
    /// Does everything there.
    Admin,
}

/// The claims of a token. Tokens of other issuers have more; the rest is ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id.
    pub sub: String,
    /// The user's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The user's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The end of the token, in seconds since 1970.
    #[serde(deserialize_with = "moment")]
    pub exp: i64,
    /// The beginning of the token, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_moment")]
    pub nbf: Option<i64>,
    /// Whom it is for. Checked as it arrives, so only the form that is written matters here.
    #[serde(default, skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub aud: Option<String>,
    /// Under a name of our own: other issuers use `role` for their own ends.
    #[serde(default, rename = "longhaul_role")]
    pub role: Role,
}

/// The reason why a caller is not known. Each service renders it in its own form, always as a 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    /// No bearer token came with the request.
    #[error("Missing authentication token")]
    Missing,
    /// It is not signed by us, of another algorithm, for somebody else, or out of date.
    #[error("Invalid or expired authentication token")]
    Invalid,
}

/// HS256 is as strong as its key: a shorter one can be found from a single token (RFC 7518, 3.2).
const SHORTEST_SECRET: usize = 32;
/// The most that the issuer's clock may be ahead of ours, or behind it.
const LEEWAY_SECONDS: i64 = 60;

impl Auth {
    /// Takes the secret from the configuration or from its file, which is made, readable by its owner alone, where
    /// it does not exist.
    ///
    /// # Errors
    /// Fails if the file can be neither read nor made, or the key set's URL cannot be used.
    pub fn open(config: &AuthConfig, clock: Clock) -> Result<Self, ConfigError> {
        let secret = match &config.secret {
            Some(secret) if secret.len() < SHORTEST_SECRET => {
                return Err(ConfigError {
                    variable: "JWT_SECRET",
                    reason: format!(
                        "must be at least {SHORTEST_SECRET} bytes, for who guesses it is any user and the admin; make \
                         one with: openssl rand -hex 32"
                    ),
                });
            }
            Some(secret) => secret.clone().into_bytes(),
            None => kept_secret(&config.secret_file).map_err(|e| ConfigError {
                variable: "JWT_SECRET",
                reason: format!(
                    "is not set, and failed to keep one in {}: {e}",
                    config.secret_file.display()
                ),
            })?,
        };
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are checked below, on a clock that a test can move.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        match &config.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                validation.set_required_spec_claims(&["exp", "sub", "aud"]);
            }
            None => validation.validate_aud = false,
        }
        let issuer =
            config.jwks_url.as_ref().map(|url| KeySet::new(KeySource::Url(url.clone()), clock.clone()));
        let issuer = issuer.transpose().map_err(|e| ConfigError {
            variable: "JWT_JWKS_URL",
            reason: format!("failed to prepare: {e}"),
        })?;
        Ok(Self(Arc::new(Keys {
            issuer,
            encoding: EncodingKey::from_secret(&secret),
            decoding: DecodingKey::from_secret(&secret),
            validation,
            audience: config.audience.clone(),
            clock,
        })))
    }

    /// Asks for the issuer's keys, where there is one, so that they are there when the first token comes.
    pub fn look_up_keys(&self) {
        if let Some(issuer) = &self.0.issuer {
            issuer.look_up();
        }
    }

    /// Finds the user of a request's token. Waits, for two seconds at most, only for a key that is not known yet.
    ///
    /// # Errors
    /// [`AuthError::Missing`] without a bearer token, [`AuthError::Invalid`] with one that does not hold.
    pub fn authenticate<'a>(&'a self, headers: &'a HeaderMap) -> BoxFuture<'a, Result<User, AuthError>> {
        Box::pin(self.user_of(headers))
    }

    async fn user_of(&self, headers: &HeaderMap) -> Result<User, AuthError> {
        let value = headers.get(AUTHORIZATION).ok_or(AuthError::Missing)?;
        let value = value.to_str().map_err(|_| AuthError::Invalid)?;
        let (scheme, token) = value.trim().split_once(' ').ok_or(AuthError::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AuthError::Missing);
        }
        let token = token.trim();
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Invalid)?;
        match &self.0.issuer {
            Some(issuer) if header.alg != Algorithm::HS256 => {
                let key = issuer.key(&header).await.ok_or(AuthError::Invalid)?;
                let mut validation = self.0.validation.clone();
                validation.algorithms = vec![header.alg];
                let user = self.check(token, &key, &validation)?.into();
                // Only we make admins: what an issuer lets its users write into their tokens is not known.
                Ok(User { role: Role::User, ..user })
            }
            _ => self.verify(token),
        }
    }

    /// Finds the user of a token that is signed with our own secret.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] where it does not hold.
    pub fn verify(&self, token: &str) -> Result<User, AuthError> {
        self.claims(token).map(User::from)
    }

    /// The claims of a token that is signed with our own secret.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] where it does not hold.
    pub fn claims(&self, token: &str) -> Result<Claims, AuthError> {
        self.check(token, &self.0.decoding, &self.0.validation)
    }

    fn check(&self, token: &str, key: &DecodingKey, validation: &Validation) -> Result<Claims, AuthError> {
        let decoded = jsonwebtoken::decode::<Claims>(token, key, validation);
        let claims = decoded.map_err(|_| AuthError::Invalid)?.claims;
        let now = seconds(self.0.clock.now());
        let begun = claims.nbf.is_none_or(|nbf| nbf <= now.saturating_add(LEEWAY_SECONDS));
        let ended = claims.exp.saturating_add(LEEWAY_SECONDS) <= now;
        if ended || !begun || claims.sub.is_empty() {
            return Err(AuthError::Invalid);
        }
        Ok(claims)
    }

    /// A token for `user` that holds for `valid_for`.
    ///
    /// # Errors
    /// Fails if the claims have no JSON form, which text always has.
    pub fn sign(&self, user: &User, valid_for: Duration) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = Claims {
            sub: user.sub.clone(),
            email: user.email.clone(),
            name: user.name.clone(),
            exp: seconds(self.0.clock.now().plus(valid_for)),
            nbf: None,
            aud: self.0.audience.clone(),
            role: user.role,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.0.encoding)
    }
}

impl From<Claims> for User {
    fn from(Claims { sub, email, name, role, .. }: Claims) -> Self {
        Self { sub, email, name, role }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth")
    }
}

/// A `NumericDate`, which may have a fraction (RFC 7519, 2).
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    // A number beyond the bounds of `i64` counts as the bound.
    f64::deserialize(deserializer).map(|seconds| seconds.floor() as i64)
}

fn maybe_moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Option::<f64>::deserialize(deserializer).map(|seconds| seconds.map(|seconds| seconds.floor() as i64))
}

fn seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1_000)
}
