use std::time::Duration;

use axum::http::HeaderName;
use clap::Args;
use longhaul::Clock;
use service_support::{KeySet, KeySource, TrustedProxies};

use super::id_token::{IdTokens, Issuer};
use super::roles::Roles;
use super::{Headers, SignOn};
use crate::Result;
use crate::run::seconds;

/// Single sign-on for the dashboard and the admin API, by a proxy in front of the server.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Single sign-on")]
pub(crate) struct SignOnArgs {
    /// The header in which a proxy of TRUSTED_PROXIES names who it has signed in: X-Forwarded-User, say
    #[arg(long, env = "LONGHAUL_SSO_USER_HEADER", value_name = "NAME")]
    sso_user_header: Option<HeaderName>,
    /// The header in which it names their groups, apart by commas
    #[arg(
        long,
        env = "LONGHAUL_SSO_GROUPS_HEADER",
        value_name = "NAME",
        default_value = "x-forwarded-groups"
    )]
    sso_groups_header: HeaderName,
    /// The roles of groups: ops=operator,admins=admin; * is everybody who is signed in
    #[arg(long, env = "LONGHAUL_SSO_ROLES", value_name = "GROUP=ROLE,…", default_value = "")]
    sso_roles: Roles,
    /// The public keys of the issuer of id tokens, a JWKS by its URL or in a file: tokens that it has signed with RS256 or ES256 are
    /// taken as bearer tokens
    #[arg(long, env = "LONGHAUL_SSO_JWKS", value_name = "URL|FILE", requires_all = ["sso_issuer", "sso_audience"])]
    sso_jwks: Option<String>,
    /// The issuer that id tokens must name (iss)
    #[arg(long, env = "LONGHAUL_SSO_ISSUER", value_name = "URL")]
    sso_issuer: Option<String>,
    /// The audiences of which id tokens must name one (aud), apart by commas: the client's id at the issuer
    #[arg(long, env = "LONGHAUL_SSO_AUDIENCE", value_name = "ID,…", value_delimiter = ',')]
    sso_audience: Vec<String>,
    /// The claim of id tokens that names groups
    #[arg(long, env = "LONGHAUL_SSO_GROUPS_CLAIM", value_name = "NAME", default_value = "groups")]
    sso_groups_claim: String,
    /// By how much the issuer's clock may differ from this one's
    #[arg(long, env = "LONGHAUL_SSO_CLOCK_SKEW", value_name = "TIME", default_value = "60s", value_parser = seconds)]
    sso_clock_skew: f64,
}

/// The largest difference of clocks that is allowed: with a larger one tokens would be good long after their end.
const LARGEST_SKEW: f64 = 600.0;

impl SignOnArgs {
    /// The configured sign-on; `None` without one.
    ///
    /// # Errors
    /// A part is missing, so that the server would admit nobody, or anybody.
    pub(crate) fn open(&self, proxies: &TrustedProxies, clock: Clock) -> Result<Option<SignOn>> {
        if self.sso_user_header.is_none() && self.sso_jwks.is_none() {
            return Ok(None);
        }
        if self.sso_roles.is_empty() {
            return Err("--sso-roles is empty, so nobody who signs in would have a role: give ops=operator, or *=viewer".into());
        }
        let headers = match &self.sso_user_header {
            Some(_) if proxies.networks.is_empty() => {
                return Err(
                    "--sso-user-header needs TRUSTED_PROXIES: from any other address the header is anybody's"
                        .into(),
                );
            }
            Some(user) => {
                let groups = self.sso_groups_header.clone();
                Some(Headers { proxies: proxies.clone(), user: user.clone(), groups })
            }
            None => None,
        };
        if !(0.0..=LARGEST_SKEW).contains(&self.sso_clock_skew) {
            return Err(format!("--sso-clock-skew must be 0 s to {LARGEST_SKEW} s").into());
        }
        let id_tokens = match (&self.sso_jwks, &self.sso_issuer) {
            (Some(place), Some(issuer)) => {
                let issuer = Issuer {
                    name: issuer.clone(),
                    audiences: self.sso_audience.clone(),
                    groups_claim: self.sso_groups_claim.clone(),
                    skew: Duration::from_secs_f64(self.sso_clock_skew),
                };
                let keys = KeySet::new(key_source(place)?, clock.clone());
                let keys = keys.map_err(|error| format!("failed to prepare requests for keys: {error}"))?;
                Some(IdTokens::new(issuer, keys, clock))
            }
            _ => None,
        };
        Ok(Some(SignOn { headers, id_tokens, roles: self.sso_roles.clone() }))
    }
}

pub(super) fn key_source(text: &str) -> Result<KeySource> {
    if !text.contains("://") {
        return Ok(KeySource::File(text.into()));
    }
    let url = reqwest::Url::parse(text).map_err(|error| format!("--sso-jwks {text}: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(KeySource::Url(url.into())),
        _ => Err(format!("--sso-jwks {text} must begin with http:// or https://, or name a file").into()),
    }
}
