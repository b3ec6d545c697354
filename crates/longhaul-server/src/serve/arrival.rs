//! The way by which requests come: under the path of a proxy or at the root, and what a proxy that is trusted says of them.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::{FORWARDED, HeaderMap};
use axum::http::uri::{PathAndQuery, Uri};
use longhaul_http::{Arrival, Scheme};
use service_support::TrustedProxies;
use tower::{ServiceExt, service_fn};

/// The path under which a proxy serves this server, in front of every link and of the cookie's path: `/longhaul`. Empty
/// without one. It is among the extensions of every request, for pages that are made with links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BasePath(pub(crate) Arc<str>);

impl FromStr for BasePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.trim_end_matches('/');
        let is_plain = |part: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain)
        };
        let is_path =
            path.is_empty() || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_plain));
        if is_path {
            Ok(Self(path.into()))
        } else {
            Err("must be a path like /longhaul, of letters, digits and - _ . ~".into())
        }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Puts the way in front of all routes. They know nothing of the base path: it is taken away where the proxy has left it.
pub(super) fn around(routes: Router, base_path: BasePath, proxies: TrustedProxies) -> Router {
    Router::new().fallback_service(service_fn(move |mut request: Request| {
        if let Some(uri) = without_base(request.uri(), &base_path.0) {
            *request.uri_mut() = uri;
        }
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
        let arrival = peer.map(|peer| arrival(peer, request.headers(), &proxies)).unwrap_or_default();
        request.extensions_mut().insert(arrival);
        request.extensions_mut().insert(base_path.clone());
        routes.clone().oneshot(request)
    }))
}

/// The rest of an address under the base path; none where it is not under it.
fn without_base(uri: &Uri, base: &str) -> Option<Uri> {
    let rest = uri
        .path()
        .strip_prefix(base)
        .filter(|rest| !base.is_empty() && (rest.is_empty() || rest.starts_with('/')))?;
    let path = if rest.is_empty() { "/" } else { rest };
    let path = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(path).ok()?);
    Uri::from_parts(parts).ok()
}

fn arrival(peer: SocketAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> Arrival {
    let client = Some(proxies.client(peer.ip(), headers));
    if !proxies.trusts(peer.ip().to_canonical()) {
        return Arrival { client, ..Arrival::default() };
    }
    let told = |name: &str, parameter: &str| first(headers, name).or_else(|| forwarded(headers, parameter));
    let is_https =
        told("x-forwarded-proto", "proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let scheme = if is_https { Scheme::Https } else { Scheme::Http };
    Arrival { client, scheme, host: told("x-forwarded-host", "host").map(str::to_owned) }
}

/// The first value of a list.
fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim).filter(|value| !value.is_empty())
}

/// A parameter of the first element of `Forwarded` (RFC 7239).
fn forwarded<'a>(headers: &'a HeaderMap, parameter: &str) -> Option<&'a str> {
    first(headers, FORWARDED.as_str())?.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case(parameter).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_a_plain_path() {
        let read = |text: &str| text.parse::<BasePath>().map(|path| path.to_string());
        for (text, path) in [("/longhaul", "/longhaul"), ("/a/b-c/", "/a/b-c"), ("/", ""), ("", "")] {
            assert_eq!(read(text).as_deref(), Ok(path));
        }
        for text in ["longhaul", "//a", "/a//b", "/a?b", "/a b", "/..", "/a/./b", "/{a}", "http://a", "/\"a"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_is_under_the_base_loses_it() {
        let rest =
            |uri: &str| without_base(&uri.parse().expect("an address"), "/a").map(|uri| uri.to_string());
        assert_eq!(rest("/a").as_deref(), Some("/"));
        assert_eq!(rest("/a/b?c=%2F").as_deref(), Some("/b?c=%2F"));
        assert_eq!(rest("http://h/a/b").as_deref(), Some("http://h/b"));
        for other in ["/ab", "/b/a", "/"] {
            assert_eq!(rest(other), None, "{other}");
        }
        assert_eq!(without_base(&"/b".parse().expect("an address"), ""), None);
    }

    #[test]
    fn a_proxy_is_believed_where_it_is_trusted() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "jobs.example"),
        ] {
            headers.insert(name, value.parse().expect("a value"));
        }
        let proxies = TrustedProxies { networks: vec!["10.0.0.0/8".parse().expect("a network")] };
        let from = |peer: &str| arrival(peer.parse().expect("an address"), &headers, &proxies);
        let told = from("10.0.0.1:1");
        assert_eq!((told.scheme, told.host.as_deref()), (Scheme::Https, Some("jobs.example")));
        assert_eq!(told.client, "192.0.2.1".parse().ok());
        let stranger = from("192.0.2.9:1");
        assert_eq!((stranger.scheme, stranger.host), (Scheme::Http, None));
        let mut forwarded = HeaderMap::new();
        let value = "for=192.0.2.1;proto=https;host=\"jobs.example\"";
        forwarded.insert(FORWARDED, value.parse().expect("a value"));
        let told = arrival("10.0.0.1:1".parse().expect("an address"), &forwarded, &proxies);
        assert_eq!((told.scheme, told.host.as_deref()), (Scheme::Https, Some("jobs.example")));
    }
}
