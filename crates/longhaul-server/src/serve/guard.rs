//! Keeps web pages, and other people behind a proxy, away from a server that listens for this machine only.
//!
//! A page in this machine's browser cannot read the answers of another site, but it can send requests to it; and its
//! owner can let the name of the page's own site resolve to 127.0.0.1 (DNS rebinding), after which it is the same site.
//! A proxy passes a stranger's request on. Browsers tell of all this, in `Host`, `Origin` and `Sec-Fetch-Site`, and so do
//! proxies.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::{FORWARDED, HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode, uri::Authority};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use longhaul_http::Arrival;
use service_support::TrustedProxies;

use super::cors::Origins;

/// The rules of a server on a loopback address.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) proxies: TrustedProxies,
    pub(super) origins: Origins,
}

/// The routes that a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Anybody's.
    Services,
    /// The admin API is open to every client that can connect.
    OpenAdmin,
}

/// The reason why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    NotLocal,
    CrossSite,
    Proxied,
}

/// The names of this server in a request, beside `Host`.
#[derive(Clone, Copy, Debug, Default)]
struct Names<'a> {
    /// In the request's own line.
    absolute: Option<&'a Authority>,
    /// The one that the proxy's client asked for.
    told: Option<&'a str>,
}

impl Guard {
    /// Puts the rules in front of routes.
    pub(super) fn around(&self, routes: Router, reach: Reach) -> Router {
        let guard = self.clone();
        routes.layer(from_fn(move |request: Request, next: Next| {
            let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
            // Only of a proxy that is trusted.
            let told = request.extensions().get::<Arrival>().and_then(|arrival| arrival.host.as_deref());
            let names = Names { absolute: request.uri().authority(), told };
            let checked = guard.check(request.method(), names, request.headers(), peer, reach);
            async move {
                match checked {
                    Ok(()) => next.run(request).await,
                    Err(refusal) => refusal.answer(request.headers()),
                }
            }
        }))
    }

    fn check(
        &self,
        method: &Method,
        Names { absolute, told }: Names<'_>,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        reach: Reach,
    ) -> Result<(), Refusal> {
        let is_proxied = headers.keys().any(is_of_a_proxy);
        let trusted = peer.is_some_and(|peer| self.proxies.trusts(peer));
        if is_proxied && (!trusted || reach == Reach::OpenAdmin) {
            return Err(Refusal::Proxied);
        }
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().map_or(Some(""), |host| host.to_str().ok()).ok_or(Refusal::NotLocal)?;
        let is_one = hosts.next().is_none();
        // A proxy asks under the name that its own clients used.
        let is_named = is_proxied || (is_local(host) && absolute.is_none_or(|name| is_local(name.as_str())));
        if !is_one || !is_named {
            return Err(Refusal::NotLocal);
        }
        match headers.get(ORIGIN).map(|origin| origin.to_str()) {
            Some(Ok(origin)) => {
                let is_name = |name| name == host || told == Some(name) || is_local(name);
                let is_own = origin.split_once("://").is_some_and(|(_, name)| is_name(name));
                let is_listed = match reach {
                    Reach::Services => self.origins.allow(origin),
                    Reach::OpenAdmin => self.origins.name(origin),
                };
                if is_own || is_listed { Ok(()) } else { Err(Refusal::CrossSite) }
            }
            Some(Err(_)) => Err(Refusal::CrossSite),
            // Neither images nor forms of another site name an origin always; following a link is no attack.
            None if value(headers, "sec-fetch-site") == Some("cross-site") => {
                let is_link = method == Method::GET
                    && value(headers, "sec-fetch-mode") == Some("navigate")
                    && value(headers, "sec-fetch-dest") == Some("document");
                if is_link { Ok(()) } else { Err(Refusal::CrossSite) }
            }
            None => Ok(()),
        }
    }
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_of_a_proxy(name: &HeaderName) -> bool {
    *name == FORWARDED || name.as_str().starts_with("x-forwarded-") || name.as_str() == "x-real-ip"
}

/// True if a `Host` header names this machine; a request without one (HTTP/1.0) does not come from a browser.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return host.is_empty() };
    let has_port = authority.as_str().rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    if authority.as_str().contains('@') || (has_port && authority.port_u16().is_none()) {
        return false;
    }
    let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

impl Refusal {
    /// The answer to a request with these headers.
    fn answer(self, headers: &HeaderMap) -> Response {
        let (status, code, detail) = match self {
            Refusal::NotLocal => (
                StatusCode::MISDIRECTED_REQUEST,
                "not_local",
                "this server listens for this machine only, and the request was sent to another name; start it with \
                 --listen on another address to serve it under that",
            ),
            Refusal::CrossSite => (
                StatusCode::FORBIDDEN,
                "cross_site",
                "the request was sent by a page of another site; name the site in CORS_ORIGINS if it may",
            ),
            Refusal::Proxied => (
                StatusCode::FORBIDDEN,
                "proxied",
                "the request came through a proxy, and this server listens for this machine only; name the proxy in \
                 TRUSTED_PROXIES, and set LONGHAUL_ADMIN_TOKEN to serve the admin API through it",
            ),
        };
        longhaul_http::refusal(headers, status, code, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer to a request with these headers, from `peer`.
    fn checked_from(peer: &str, guard: &Guard, reach: Reach, lines: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
        }
        guard.check(&Method::GET, Names::default(), &headers, peer.parse().ok(), reach)
    }

    fn guard(origins: &str, proxies: &str) -> Guard {
        let networks = proxies.split_whitespace().map(|net| net.parse().expect("a network")).collect();
        Guard { origins: Origins::read(origins).expect("origins"), proxies: TrustedProxies { networks } }
    }

    fn checked(lines: &[(&str, &str)]) -> Result<(), Refusal> {
        checked_from("127.0.0.1", &guard("", ""), Reach::Services, lines)
    }

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in [
            "127.0.0.1:8000",
            "127.1.2.3",
            "localhost",
            "LOCALHOST:1",
            "a.localhost",
            "[::1]:8000",
            "[::1]",
            "",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "example.com",
            "127.0.0.1.example.com",
            "localhost.example.com:8000",
            "10.0.0.1",
            "[::2]",
            "?",
            "0.0.0.0",
            "2130706433",
            "0x7f.1",
            "127.1",
            "127.0.0.1:99999",
            "[::ffff:10.0.0.1]",
            "user@127.0.0.1",
            "evil.example@127.0.0.1",
            "127.0.0.1@evil.example",
            "127.0.0.1#evil",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn a_request_has_one_host_and_it_is_this_machine() {
        assert_eq!(checked(&[("host", "127.0.0.1:8000")]), Ok(()));
        assert_eq!(checked(&[("host", "evil.example")]), Err(Refusal::NotLocal));
        assert_eq!(checked(&[("host", "127.0.0.1"), ("host", "evil.example")]), Err(Refusal::NotLocal));
        let evil = Authority::from_static("evil.example");
        let absolute = guard("", "").check(
            &Method::GET,
            Names { absolute: Some(&evil), told: None },
            &HeaderMap::new(),
            None,
            Reach::Services,
        );
        assert_eq!(absolute, Err(Refusal::NotLocal));
    }

    #[test]
    fn a_page_of_another_site_is_refused_and_one_of_this_machine_is_not() {
        for origin in ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://10.0.0.1", ""]
        {
            assert_eq!(
                checked(&[("host", "localhost"), ("origin", origin)]),
                Err(Refusal::CrossSite),
                "{origin}"
            );
        }
        for origin in ["http://localhost:3000", "http://127.0.0.1:8000", "http://[::1]:1"] {
            assert_eq!(checked(&[("host", "localhost"), ("origin", origin)]), Ok(()), "{origin}");
        }
        assert_eq!(
            checked(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]),
            Err(Refusal::CrossSite)
        );
        for site in ["same-origin", "same-site", "none"] {
            assert_eq!(checked(&[("sec-fetch-site", site)]), Ok(()), "{site}");
        }
    }

    #[test]
    fn a_link_may_be_followed_and_not_framed() {
        let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert_eq!(checked(&[link[0], link[1], ("sec-fetch-dest", "document")]), Ok(()));
        assert_eq!(checked(&[link[0], link[1], ("sec-fetch-dest", "iframe")]), Err(Refusal::CrossSite));
    }

    #[test]
    fn listed_origins_are_let_in_and_any_origin_only_to_the_services() {
        let from = |origins: &str, reach| {
            checked_from("127.0.0.1", &guard(origins, ""), reach, &[("origin", "https://app.example")])
        };
        assert_eq!(from("https://app.example", Reach::Services), Ok(()));
        assert_eq!(from("https://app.example", Reach::OpenAdmin), Ok(()));
        assert_eq!(from("*", Reach::Services), Ok(()));
        assert_eq!(from("*", Reach::OpenAdmin), Err(Refusal::CrossSite));
        assert_eq!(from("https://other.example", Reach::Services), Err(Refusal::CrossSite));
    }

    #[test]
    fn what_a_proxy_passes_on_is_refused_unless_the_proxy_is_trusted() {
        let guard = guard("", "127.0.0.0/8");
        let proxied =
            [("host", "app.example"), ("x-forwarded-for", "192.0.2.1"), ("origin", "https://app.example")];
        assert_eq!(checked(&proxied), Err(Refusal::Proxied));
        for name in ["x-forwarded-host", "x-forwarded-proto", "forwarded", "x-real-ip"] {
            assert_eq!(checked(&[("host", "localhost"), (name, "x")]), Err(Refusal::Proxied), "{name}");
        }
        assert_eq!(checked_from("127.0.0.1", &guard, Reach::Services, &proxied), Ok(()));
        assert_eq!(checked_from("10.0.0.1", &guard, Reach::Services, &proxied), Err(Refusal::Proxied));
        assert_eq!(checked_from("127.0.0.1", &guard, Reach::OpenAdmin, &proxied), Err(Refusal::Proxied));
        let direct = [("host", "app.example")];
        assert_eq!(checked_from("127.0.0.1", &guard, Reach::Services, &direct), Err(Refusal::NotLocal));
    }
}
