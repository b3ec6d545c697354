//! The web pages of other sites that may use this server, by `CORS_ORIGINS`.

use std::time::Duration;

use axum::Router;
use axum::http::uri::Uri;
use axum::http::{HeaderName, HeaderValue, Method};
use service_support::{ConfigError, Env, refused};
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

const VARIABLE: &str = "CORS_ORIGINS";

/// The origins that are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origins {
    /// Every one: `*`.
    Any,
    /// These; none by default.
    These(Vec<String>),
}

/// The answer headers that a page's scripts may read, beside the ones that are always readable.
const EXPOSED: [&str; 13] = [
    "content-disposition",
    "etag",
    "idempotency-replayed",
    "lesson-generator",
    "link",
    "location",
    "preference-applied",
    "retry-after",
    "search-mode",
    "warning",
    "www-authenticate",
    "x-request-id",
    "content-length",
];
/// The time for which a browser need not ask again.
const MAX_AGE: Duration = Duration::from_secs(3_600);

impl Origins {
    /// Reads `CORS_ORIGINS`.
    ///
    /// # Errors
    /// Fails where something in it is no origin.
    pub(super) fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Self::read(&env.text(VARIABLE).unwrap_or_default())
    }

    pub(super) fn read(text: &str) -> Result<Self, ConfigError> {
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let words: Vec<&str> = words.collect();
        if words == ["*"] {
            return Ok(Self::Any);
        }
        words.into_iter().map(origin).collect::<Result<_, _>>().map(Self::These)
    }

    /// The same as words.
    pub(super) fn words(&self) -> Vec<String> {
        match self {
            Self::Any => vec!["*".into()],
            Self::These(these) => these.clone(),
        }
    }

    /// True if pages of `origin` may use the services.
    pub(super) fn allow(&self, origin: &str) -> bool {
        *self == Self::Any || self.name(origin)
    }

    /// True if `origin` is named.
    pub(super) fn name(&self, origin: &str) -> bool {
        match self {
            Self::Any => false,
            Self::These(these) => these.iter().any(|known| known == origin),
        }
    }

    /// Adds to answers what lets the pages read them, and answers the questions that browsers ask before.
    pub(super) fn around(&self, routes: Router) -> Router {
        let allowed = match self {
            Self::Any => AllowOrigin::from(Any),
            Self::These(these) if these.is_empty() => return routes,
            Self::These(these) => {
                AllowOrigin::list(these.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
            }
        };
        routes.layer(
            CorsLayer::new()
                .allow_origin(allowed)
                .allow_methods([
                    Method::GET,
                    Method::HEAD,
                    Method::POST,
                    Method::PUT,
                    Method::PATCH,
                    Method::DELETE,
                ])
                .allow_headers(AllowHeaders::mirror_request())
                .expose_headers(EXPOSED.map(HeaderName::from_static))
                .max_age(MAX_AGE),
        )
    }
}

/// A scheme, a name and a port, as browsers write them; a slash at the end is forgiven.
fn origin(word: &str) -> Result<String, ConfigError> {
    let text = word.trim_end_matches('/').to_ascii_lowercase();
    let uri = text.parse::<Uri>().ok().filter(|uri| {
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        is_web
            && uri
                .authority()
                .is_some_and(|name| text.ends_with(name.as_str()) && !name.as_str().contains('@'))
    });
    let reason = || format!("must be * alone, or origins like https://app.example, and has '{word}'");
    uri.map(|_| text).ok_or_else(|| refused(VARIABLE, reason()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them_and_all_else_is_refused() {
        let these = Origins::read("https://App.example/, http://localhost:3000").expect("two origins");
        assert!(these.name("https://app.example") && these.allow("http://localhost:3000"));
        assert!(!these.allow("https://app.example.evil.example") && !these.allow("http://app.example"));
        assert_eq!(Origins::read("*").expect("any"), Origins::Any);
        assert_eq!(Origins::read(" ").expect("none"), Origins::These(Vec::new()));
        for text in
            ["app.example", "https://app.example/path", "*, https://a.example", "ftp://a", "https://", "null"]
        {
            assert!(Origins::read(text).is_err(), "{text}");
        }
    }
}
