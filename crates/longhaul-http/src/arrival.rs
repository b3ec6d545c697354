//! The way by which a request has come, as far as an application knows more of it than the request itself says.

use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;

/// The facts of a request by the proxies in front of an application. An application that trusts some proxies puts it
/// into the request's extensions; without it the request counts as sent directly by its client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The client's way to the first proxy. Over TLS, cookies are for TLS only.
    pub scheme: Scheme,
    /// The name that the client asked for, where a proxy has replaced it.
    pub host: Option<String>,
}

/// Something that an answer keeps which outlives its request and takes the connection over, as a WebSocket does: a server that
/// counts its connections, and waits for them when it stops, puts it into the request's extensions.
#[derive(Clone)]
pub struct Held(pub Arc<dyn Any + Send + Sync>);

/// The privacy of a connection: others on the way can read what is sent, or cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// They can.
    #[default]
    Http,
    /// Over TLS they cannot.
    Https,
}

/// The site of the page that has sent a request, compared with this server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender<'a> {
    /// Not known to be by a page of a browser.
    NoPage,
    /// A page of this server.
    Own,
    /// By a page of another site; its origin, if the request has it.
    Foreign(Option<&'a str>),
}

impl<'a> Sender<'a> {
    /// Reads the headers of browsers. `Sec-Fetch-Site` is sent over TLS and on this machine, `Origin` with every unsafe
    /// method and every WebSocket.
    pub(crate) fn of(parts: &'a Parts) -> Self {
        let origin = parts.headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("null"));
        match (text(&parts.headers, "sec-fetch-site"), origin) {
            // `none`: the user's own doing, from no page.
            (Some("same-origin" | "none"), _) => Sender::Own,
            (Some(_), origin) => Sender::Foreign(origin),
            (None, Some(origin)) if is_own(origin, parts) => Sender::Own,
            (None, Some(origin)) => Sender::Foreign(Some(origin)),
            (None, None) => Sender::NoPage,
        }
    }
}

fn is_own(origin: &str, parts: &Parts) -> bool {
    let told = parts.extensions.get::<Arrival>().and_then(|arrival| arrival.host.as_deref());
    let host = told.or_else(|| text(&parts.headers, HOST.as_str()));
    let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str()));
    let name = origin.split_once("://").map(|(_, name)| name);
    name.is_some() && name == host
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held(..)")
    }
}
