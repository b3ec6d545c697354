use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::app::App;

/// The owner of the limit of tasks that a request counts against: the token's user if there is a token that holds, else
/// the address that it came from, behind the proxies that are trusted.
pub(crate) struct Caller(pub(crate) String);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        if parts.headers.contains_key(AUTHORIZATION)
            && let Ok(user) = app.auth.authenticate(&parts.headers).await
        {
            return Ok(Self(format!("user:{}", user.sub)));
        }
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let client = peer.map(|peer| app.proxies.client(peer.0.ip(), &parts.headers));
        Ok(Self(client.map_or_else(|| "address:unknown".to_owned(), address)))
    }
}

/// The owner of one address of IPv6 has a whole network of them, so the network counts.
fn address(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => format!("address:{ip}"),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("address:{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_an_address_or_its_network() {
        let of = |text: &str| address(text.parse().unwrap());
        assert_eq!(of("192.0.2.7"), "address:192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "address:192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::9"));
        assert_ne!(of("2001:db8:1:2::9"), of("2001:db8:1:3::9"));
    }
}
