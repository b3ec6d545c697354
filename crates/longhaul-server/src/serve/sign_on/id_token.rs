use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use longhaul::{Clock, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};
use service_support::KeySet;

/// Checks the id tokens of one issuer.
pub(super) struct IdTokens {
    issuer: Issuer,
    keys: KeySet,
    clock: Clock,
}

/// The claims that an issuer's tokens must have.
#[derive(Clone, Debug)]
pub(super) struct Issuer {
    pub(super) name: String,
    pub(super) audiences: Vec<String>,
    pub(super) groups_claim: String,
    /// The allowed difference of its clock.
    pub(super) skew: Duration,
}

/// The subject of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
}

/// The claims that are read. Times are seconds since 1970, which some issuers write with a fraction.
#[derive(Clone, Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// The claims that name a person, the best for people first.
const NAMES: [&str; 3] = ["email", "preferred_username", "name"];

impl IdTokens {
    pub(super) fn new(issuer: Issuer, keys: KeySet, clock: Clock) -> Self {
        Self { issuer, keys, clock }
    }

    /// The subject of a token; `None` for a token of another issuer, for another audience, or not valid now.
    pub(super) async fn verify(&self, token: &str) -> Option<Person> {
        let header = decode_header(token).ok()?;
        // Only these: `none` is no signature, and with HS256 the public key would be the secret.
        if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
            return None;
        }
        let key = self.keys.key(&header).await?;
        match self.claims(token, header.alg, &key) {
            Ok(claims) => Some(self.person(claims)),
            Err(reason) => {
                tracing::debug!("refused an id token: {reason}");
                None
            }
        }
    }

    fn claims(&self, token: &str, algorithm: Algorithm, key: &DecodingKey) -> Result<Claims, String> {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.issuer.name]);
        validation.set_audience(&self.issuer.audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The time is compared below, on our own clock.
        validation.validate_exp = false;
        let claims: Claims = decode(token, key, &validation).map_err(|error| error.to_string())?.claims;
        let Timestamp(now) = self.clock.now();
        let (now, skew) = (now as f64 / 1_000.0, self.issuer.skew.as_secs_f64());
        if claims.exp + skew <= now {
            return Err("it has expired".into());
        }
        let begins = [claims.nbf, claims.iat].into_iter().flatten();
        if begins.into_iter().any(|at| at - skew > now) {
            return Err("it is not good yet".into());
        }
        Ok(claims)
    }

    fn person(&self, Claims { sub, others, .. }: Claims) -> Person {
        let text = |name: &str| others.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let name = NAMES.into_iter().find_map(text).map_or(sub, str::to_owned);
        let groups = match others.get(&self.issuer.groups_claim) {
            Some(Value::Array(groups)) => {
                groups.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Some(Value::String(group)) => vec![group.clone()],
            _ => Vec::new(),
        };
        Person { name, groups }
    }
}
