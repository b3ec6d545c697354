use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The networks that may be called though they are not public; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed(Vec<IpNet>);

impl FromStr for Allowed {
    type Err = String;

    /// Networks and addresses, separated by commas: `127.0.0.1,10.0.0.0/8,fd00::/8`.
    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let network = |word: &str| {
            let network = word.parse::<IpNet>().or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
            network
                .map_err(|_| format!("'{word}' must be an address or a network, as 127.0.0.1 or 10.0.0.0/8"))
        };
        words.map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&networks.join(","))
    }
}

impl Allowed {
    /// Why an address may not be called: the sort of address that it is.
    pub(crate) fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        let canonical = address.to_canonical();
        if self.0.iter().any(|network| network.contains(&canonical) || network.contains(&address)) {
            return None;
        }
        match canonical {
            IpAddr::V4(address) => special_v4(address),
            IpAddr::V6(address) => special_v6(address, self),
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// IANA's registry of special addresses, and multicast.
const SPECIAL_V4: [(Ipv4Net, &str); 16] = [
    (v4(0, 0, 0, 0, 8), "an address of this host"),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(100, 64, 0, 0, 10), "an address of a carrier's own network"),
    (v4(127, 0, 0, 0, 8), "a loopback address"),
    (v4(169, 254, 0, 0, 16), "a link-local address, as those of cloud metadata are"),
    (v4(172, 16, 0, 0, 12), "a private address"),
    (v4(192, 0, 0, 0, 24), "an address of a protocol"),
    (v4(192, 0, 2, 0, 24), "an address of documentation"),
    (v4(192, 31, 196, 0, 24), "an address of a protocol"),
    (v4(192, 88, 99, 0, 24), "an address of a relay"),
    (v4(192, 168, 0, 0, 16), "a private address"),
    (v4(198, 18, 0, 0, 15), "an address of benchmarks"),
    (v4(198, 51, 100, 0, 24), "an address of documentation"),
    (v4(203, 0, 113, 0, 24), "an address of documentation"),
    (v4(224, 0, 0, 0, 4), "a multicast address"),
    (v4(240, 0, 0, 0, 4), "a reserved address"),
];

const SPECIAL_V6: [(Ipv6Net, &str); 12] = [
    // Those that hold an IPv4 address in the form of before, `::` and `::1` among them.
    (v6([0; 8], 96), "a loopback or unspecified address"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "an address of a local translator"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "an address that discards"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "an address of a protocol"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "an address of documentation"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "an address of a relay (6to4)"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "an address of documentation"),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "an address of segment routing"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "a private address"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "a link-local address"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "a private address"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "a multicast address"),
];

/// Addresses of a translator (NAT64): their last 32 bits are those of the IPv4 address that is called in truth.
const TRANSLATED: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    SPECIAL_V4.iter().find(|(network, _)| network.contains(&address)).map(|(_, sort)| *sort)
}

fn special_v6(address: Ipv6Addr, allowed: &Allowed) -> Option<&'static str> {
    if TRANSLATED.contains(&address) {
        let [.., a, b, c, d] = address.octets();
        return allowed.refusal(IpAddr::V4(Ipv4Addr::new(a, b, c, d)));
    }
    SPECIAL_V6.iter().find(|(network, _)| network.contains(&address)).map(|(_, sort)| *sort)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_not_public_are_refused_in_every_form() {
        let none = Allowed::default();
        let refused = "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.1 169.254.169.254 \
            172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 \
            198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 \
            ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::10.0.0.1 64:ff9b:1::1 \
            100::1 2001::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:808:808::1 3fff::1 5f00::1 fc00::1 fd12:3456::1 fe80::1 \
            fec0::1 ff02::1 ff0e::1";
        for address in refused.split_whitespace() {
            assert!(none.refusal(address.parse().unwrap()).is_some(), "{address}");
        }
        let public = "1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1 169.253.255.255 172.15.0.1 172.32.0.1 \
            192.0.1.1 192.167.0.1 198.17.0.1 198.20.0.1 223.255.255.255 2606:4700::1111 2001:4860:4860::8888 2a00::1 \
            ::ffff:8.8.8.8 64:ff9b::808:808";
        for address in public.split_whitespace() {
            assert_eq!(none.refusal(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn networks_that_are_allowed_may_be_called_and_others_may_not() {
        let allowed: Allowed = " 127.0.0.1, 10.1.0.0/16,fd00::/8 ".parse().unwrap();
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3", "64:ff9b::10.1.2.3", "fd12::1"] {
            assert_eq!(allowed.refusal(address.parse().unwrap()), None, "{address}");
        }
        for address in ["127.0.0.2", "10.2.0.1", "fc00::1", "169.254.169.254"] {
            assert!(allowed.refusal(address.parse().unwrap()).is_some(), "{address}");
        }
        assert_eq!(allowed.to_string(), "127.0.0.1/32,10.1.0.0/16,fd00::/8");
        assert!("10.0.0.0/33".parse::<Allowed>().unwrap_err().contains("10.0.0.0/33"));
        assert!("localhost".parse::<Allowed>().is_err());
        assert_eq!("".parse::<Allowed>(), Ok(Allowed::default()));
    }
}
