use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use ipnet::IpNet;

use crate::env::{ConfigError, Env, refused};

/// The reverse proxies in front of a server whose word about their clients is believed, by `TRUSTED_PROXIES`. Without any,
/// `Forwarded` and `X-Forwarded-For` are ignored, because every client can write them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Their addresses.
    pub networks: Vec<IpNet>,
}

impl TrustedProxies {
    /// Reads `TRUSTED_PROXIES`: addresses and networks (`10.0.0.0/8`), apart by commas or spaces.
    ///
    /// # Errors
    /// Fails if one of them is neither.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        const VARIABLE: &str = "TRUSTED_PROXIES";
        let text = env.text(VARIABLE).unwrap_or_default();
        let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
        let network = |part: &str| {
            let address = || part.parse().map(|ip: IpAddr| IpNet::from(ip.to_canonical()));
            part.parse::<IpNet>().or_else(|_| address()).map_err(|_| {
                refused(VARIABLE, format!("must be addresses or networks like 10.0.0.0/8, and has '{part}'"))
            })
        };
        Ok(Self { networks: parts.map(network).collect::<Result<_, _>>()? })
    }

    /// The client of a request that came from `peer`: where `peer` is a trusted proxy, the last address in the headers
    /// that is none, because all that stands before it may be the client's invention.
    ///
    /// An address that a proxy does not tell (`unknown`, or not readable) ends the search at that proxy. Where both headers
    /// are there and disagree, one of them was not written by the proxy, and `peer` counts.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let by = |hops: &[Option<IpAddr>]| self.last_untrusted(peer, hops);
        match (forwarded(headers), x_forwarded_for(headers)) {
            (None, None) => peer,
            (Some(hops), None) | (None, Some(hops)) => by(&hops),
            (Some(a), Some(b)) => Some(by(&a)).filter(|client| *client == by(&b)).unwrap_or(peer),
        }
    }

    fn last_untrusted(&self, peer: IpAddr, hops: &[Option<IpAddr>]) -> IpAddr {
        let mut client = peer;
        for hop in hops.iter().rev() {
            let Some(hop) = hop else { break };
            client = *hop;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    /// True if `ip` is one of the proxies.
    #[must_use]
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks: Vec<String> = self.networks.iter().map(ToString::to_string).collect();
        f.write_str(&networks.join(", "))
    }
}

/// The `for` of each element of `Forwarded` (RFC 7239), first to last.
fn forwarded(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let lines = headers.get_all(header::FORWARDED);
    let hops = |line: &axum::http::HeaderValue| {
        // A client may open a quotation that swallows what the proxy appends; such a line says nothing.
        let Some(elements) = line.to_str().ok().and_then(|line| split(line, ',')) else { return vec![None] };
        let elements = elements.into_iter().filter(|element| !element.trim().is_empty());
        elements.map(|element| node(&for_parameter(element)?)).collect()
    };
    let found: Vec<_> = lines.iter().flat_map(hops).collect();
    (!found.is_empty()).then_some(found)
}

fn for_parameter(element: &str) -> Option<String> {
    let parameters = split(element, ';')?;
    let value = parameters.into_iter().find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
    })?;
    Some(value.trim_matches('"').replace('\\', ""))
}

/// Parts a line at a separator outside of quotations; `None` where a quotation does not end.
fn split(line: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, c) in line.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if c == separator && !is_quoted => {
                parts.push(line.get(start..at)?);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(line.get(start..)?);
    (!is_quoted).then_some(parts)
}

fn x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let lines = headers.get_all("x-forwarded-for");
    let hops = |line: &axum::http::HeaderValue| match line.to_str() {
        Ok(line) => line.split(',').map(|hop| node(hop.trim().trim_matches('"'))).collect(),
        Err(_) => vec![None],
    };
    let found: Vec<_> = lines.iter().flat_map(hops).collect();
    (!found.is_empty()).then_some(found)
}

/// The address of a node: alone or with a port, one of IPv6 with or without brackets. `None` for `unknown` and for the
/// made-up names of RFC 7239.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    // A zone has its meaning on the proxy's machine alone.
    let bare = bare.split('%').next().unwrap_or(bare);
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    bare.parse::<IpAddr>().or_else(|_| with_port()).ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn proxies(text: &'static str) -> Result<TrustedProxies, ConfigError> {
        TrustedProxies::from_env(&Env::new(Path::new("/"), move |_| Some(text.to_owned())))
    }

    fn client(peer: &str, fields: &[(&'static str, &str)]) -> String {
        let proxies = proxies("10.0.0.0/8, 2001:db8:ffff::/48 127.0.0.1").unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn who_is_no_proxy_speaks_for_itself() {
        assert_eq!(
            client("192.0.2.1", &[(XFF, "203.0.113.9"), ("forwarded", "for=203.0.113.9")]),
            "192.0.2.1"
        );
        let none = TrustedProxies::default();
        let headers =
            [(XFF, "203.0.113.9")].iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        assert_eq!(none.client("127.0.0.1".parse().unwrap(), &headers).to_string(), "127.0.0.1");
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_client() {
        for (fields, expected) in [
            (vec![(XFF, "203.0.113.9")], "203.0.113.9"),
            // What the client wrote stands before what the proxies wrote.
            (vec![(XFF, "1.1.1.1, 203.0.113.9, 10.1.2.3")], "203.0.113.9"),
            (vec![(XFF, "1.1.1.1"), (XFF, "203.0.113.9")], "203.0.113.9"),
            (vec![(XFF, "203.0.113.9:4711")], "203.0.113.9"),
            (vec![(XFF, "[2001:db8::7]:80")], "2001:db8::7"),
            (vec![(XFF, "2001:db8::7")], "2001:db8::7"),
            (vec![(XFF, "fe80::1%eth0")], "fe80::1"),
            (vec![(XFF, "::ffff:203.0.113.9")], "203.0.113.9"),
            // All of them are proxies: the outermost is the client.
            (vec![(XFF, "10.9.9.9, 10.1.2.3")], "10.9.9.9"),
            (vec![("forwarded", "for=1.1.1.1, For=203.0.113.9;proto=https;by=10.0.0.1")], "203.0.113.9"),
            (vec![("forwarded", r#"for="[2001:db8::7]:1234", for=10.2.2.2"#)], "2001:db8::7"),
            (vec![("forwarded", r#"by="a,b;c";for=203.0.113.9"#)], "203.0.113.9"),
            (vec![("forwarded", "for=203.0.113.9"), (XFF, "203.0.113.9")], "203.0.113.9"),
            (vec![], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &fields), expected, "{fields:?}");
        }
        assert_eq!(client("::ffff:10.0.0.1", &[(XFF, "203.0.113.9")]), "203.0.113.9");
        assert_eq!(client("2001:db8:ffff::1", &[(XFF, "203.0.113.9")]), "203.0.113.9");
    }

    #[test]
    fn what_is_not_told_leaves_the_proxy_that_did_not_tell_it() {
        for (fields, expected) in [
            (vec![(XFF, "1.1.1.1, unknown")], "10.0.0.1"),
            (vec![(XFF, "1.1.1.1, unknown, 10.1.2.3")], "10.1.2.3"),
            (vec![(XFF, "")], "10.0.0.1"),
            (vec![(XFF, "1.1.1.1, 999.0.0.1")], "10.0.0.1"),
            (vec![(XFF, "1.1.1.1,")], "10.0.0.1"),
            (vec![("forwarded", "for=_hidden")], "10.0.0.1"),
            (vec![("forwarded", "for=1.1.1.1, proto=https")], "10.0.0.1"),
            // A quotation that the client left open.
            (vec![("forwarded", r#"for="1.1.1.1, for=203.0.113.9"#)], "10.0.0.1"),
            // One of the two is the client's.
            (vec![("forwarded", "for=1.1.1.1"), (XFF, "203.0.113.9")], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_list_names_networks_and_addresses() {
        assert_eq!(proxies("10.0.0.0/8,::1").unwrap().to_string(), "10.0.0.0/8, ::1/128");
        assert_eq!(proxies(" ").unwrap(), TrustedProxies::default());
        for text in ["*", "10.0.0.0/33", "proxy.example", "10.0.0.0/8;::1"] {
            assert_eq!(proxies(text).unwrap_err().variable, "TRUSTED_PROXIES", "{text}");
        }
    }
}
