//! Single sign-on for the dashboard and the admin API: who a proxy has signed in, by its headers or by the id token that it passes on.
//!
//! | file | what |
//! |---|---|
//! | `args` | the flags |
//! | `roles` | the roles that groups have |
//! | `id_token` | id tokens: their signature, issuer, audience and time |

mod args;
mod id_token;
mod roles;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::{self, Next};
use longhaul_http::{SignedIn, bearer};
use service_support::TrustedProxies;

pub(crate) use self::args::SignOnArgs;
use self::id_token::IdTokens;
use self::roles::Roles;

/// Recognises users of an external sign-on.
pub(crate) struct SignOn {
    headers: Option<Headers>,
    id_tokens: Option<IdTokens>,
    roles: Roles,
}

/// The headers of the proxies that are trusted.
struct Headers {
    proxies: TrustedProxies,
    user: HeaderName,
    groups: HeaderName,
}

/// The longest name that is believed, in bytes.
const LONGEST_NAME: usize = 256;

impl SignOn {
    /// Puts the signed-in user into the extensions of each request.
    pub(super) fn around(self, routes: Router) -> Router {
        let sign_on = Arc::new(self);
        routes.layer(middleware::from_fn(move |request: Request, next: Next| {
            let sign_on = Arc::clone(&sign_on);
            async move {
                let (mut head, body) = request.into_parts();
                // No other code may have put a user there.
                head.extensions.remove::<SignedIn>();
                if let Some(signed_in) = sign_on.signed_in(&head).await {
                    head.extensions.insert(signed_in);
                }
                next.run(Request::from_parts(head, body)).await
            }
        }))
    }

    async fn signed_in(&self, head: &Parts) -> Option<SignedIn> {
        // A bearer token says more than a header, and one that is not good is not made up for by a header.
        if head.headers.contains_key(AUTHORIZATION) {
            let token = bearer(&head.headers)?;
            let person = self.id_tokens.as_ref()?.verify(token).await?;
            return Some(SignedIn { role: self.roles.of(&person.groups), name: person.name });
        }
        let headers = self.headers.as_ref()?;
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>()?.0;
        if !headers.proxies.trusts(peer.ip().to_canonical()) {
            return None;
        }
        let name = only(&head.headers, &headers.user)?;
        let groups: Vec<String> = match head.headers.contains_key(&headers.groups) {
            true => only(&head.headers, &headers.groups)?
                .split(',')
                .map(|group| group.trim().to_owned())
                .collect(),
            false => Vec::new(),
        };
        Some(SignedIn { role: self.roles.of(&groups), name: name.to_owned() })
    }
}

/// The value of a header that occurs once. Of two values, one is not by the proxy.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?.trim();
    let is_only = values.next().is_none();
    (is_only && !value.is_empty() && value.len() <= LONGEST_NAME).then_some(value)
}
