use std::fmt;
use std::time::Duration;

use longhaul::{Error, Result};
use redis::{Client, RedisResult, TlsCertificates};

/// The address of a store's server, and the bounds of waiting for it.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// The server's URL, or for a cluster those of some of its nodes, from which the others are found.
    pub nodes: Vec<String>,
    /// One server or a cluster.
    pub topology: Topology,
    /// The prefix of the keys; stores with different ones know nothing of each other. 1 to 64 characters of
    /// `A–Z a–z 0–9 . _ : -`, by default `longhaul`. All keys of a prefix are on one node of a cluster.
    pub prefix: String,
    /// Certificates in PEM of the authorities that a server is trusted by: for `rediss://`, in place of the usual
    /// public authorities.
    pub root_certificates: Option<Vec<u8>>,
    /// The longest time for a connection to be made: 5 s by default.
    pub connect_timeout: Duration,
    /// The longest wait of a call for the server's answer before it fails as unavailable: 10 s by default.
    pub response_timeout: Duration,
    /// The interval at which waiting claims and readers look by themselves while notifications come, because one may be lost:
    /// 30 s by default, because thousands may wait, and half a second at most while none come. A connection for
    /// notifications that breaks is noticed within seconds, and then all of them look.
    pub look_every: Duration,
}

/// The kinds of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server, with or without replicas.
    Server,
    /// A Redis or Valkey Cluster.
    Cluster,
}

impl RedisOptions {
    /// Reads a URL:
    ///
    /// - `redis://[[user]:password@]host[:port][/database]`, `unix:///path/to/socket`;
    /// - `rediss://…`: the same over TLS;
    /// - `redis+cluster://[[user]:password@]host[:port],host[:port],…` and `rediss+cluster://…`: a cluster, by some of its nodes.
    ///
    /// `?prefix=NAME` sets the prefix, `?connect_timeout=SECONDS` and `?response_timeout=SECONDS` the fields of these names,
    /// and `?ssl_ca_certs=FILE` reads `root_certificates` from a file.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is none of these, or the file cannot be read.
    pub fn new(url: &str) -> Result<Self> {
        let (address, ours) = split_query(url);
        let (scheme, rest) = address.split_once("://").ok_or_else(|| invalid("must begin with redis://"))?;
        let (nodes, topology) = match scheme {
            "redis" | "rediss" | "unix" | "redis+unix" | "valkey" | "valkeys" => {
                (vec![address.clone()], Topology::Server)
            }
            "redis+cluster" => (cluster_nodes("redis", rest), Topology::Cluster),
            "rediss+cluster" => (cluster_nodes("rediss", rest), Topology::Cluster),
            _ => {
                return Err(invalid(
                    "must begin with redis://, rediss://, redis+cluster:// or rediss+cluster://",
                ));
            }
        };
        let options = Self {
            nodes,
            topology,
            prefix: ours.prefix.unwrap_or_else(|| "longhaul".into()),
            root_certificates: ours.certificates.map(read_certificates).transpose()?,
            connect_timeout: seconds("connect_timeout", ours.connect_timeout, 5)?,
            response_timeout: seconds("response_timeout", ours.response_timeout, 10)?,
            look_every: Duration::from_secs(30),
        };
        options.check()?;
        Ok(options)
    }

    /// The same with another prefix.
    #[must_use]
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
        if !(1..=64).contains(&self.prefix.len()) || !self.prefix.bytes().all(is_plain) {
            let reason = "must be 1 to 64 characters of A-Z a-z 0-9 . _ : -".into();
            return Err(Error::Invalid { field: "prefix".into(), reason });
        }
        if self.nodes.is_empty() {
            return Err(invalid("must name at least one node"));
        }
        self.clients().map_err(|error| invalid(&error.to_string()))?;
        Ok(())
    }

    /// A client for each node.
    pub(crate) fn clients(&self) -> RedisResult<Vec<Client>> {
        let open = |node: &String| match self.certificates() {
            Some(certificates) if is_secure(node) => Client::build_with_tls(node.as_str(), certificates),
            _ => Client::open(node.as_str()),
        };
        self.nodes.iter().map(open).collect()
    }

    pub(crate) fn certificates(&self) -> Option<TlsCertificates> {
        let root_cert = self.root_certificates.clone()?;
        Some(TlsCertificates { client_tls: None, root_cert: Some(root_cert) })
    }

    /// True where any node is spoken to over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.nodes.iter().any(|node| is_secure(node))
    }

    /// The root of all keys; the braces put them into one slot of a cluster.
    pub(crate) fn root(&self) -> String {
        format!("{{{}}}:", self.prefix)
    }
}

/// Passwords are left out.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<String> = self.nodes.iter().map(|node| without_password(node)).collect();
        f.debug_struct("RedisOptions")
            .field("nodes", &nodes)
            .field("topology", &self.topology)
            .field("prefix", &self.prefix)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}

fn without_password(node: &str) -> String {
    match (node.split_once("://"), node.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, address))) => format!("{scheme}://{address}"),
        _ => node.to_owned(),
    }
}

fn invalid(reason: &str) -> Error {
    Error::Invalid { field: "url".into(), reason: reason.into() }
}

/// The nodes of a cluster share its user and password.
fn cluster_nodes(scheme: &str, rest: &str) -> Vec<String> {
    let (user, hosts) = match rest.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), rest),
    };
    let hosts = hosts.split(',').map(|host| host.trim_end_matches('/'));
    hosts.filter(|host| !host.is_empty()).map(|host| format!("{scheme}://{user}{host}")).collect()
}

fn is_secure(node: &str) -> bool {
    node.starts_with("rediss") || node.starts_with("valkeys")
}

fn read_certificates(file: String) -> Result<Vec<u8>> {
    std::fs::read(&file).map_err(|error| Error::Invalid {
        field: "ssl_ca_certs".into(),
        reason: format!("must be a file that can be read, and {file} is not: {error}"),
    })
}

/// The part of a URL's query that is ours.
#[derive(Default)]
struct Ours {
    prefix: Option<String>,
    certificates: Option<String>,
    connect_timeout: Option<String>,
    response_timeout: Option<String>,
}

/// The longest timeout, in seconds.
const LONGEST: u64 = 3_600;

fn seconds(field: &str, value: Option<String>, usual: u64) -> Result<Duration> {
    let Some(value) = value else { return Ok(Duration::from_secs(usual)) };
    let seconds = value.parse().ok().filter(|seconds| (1..=LONGEST).contains(seconds));
    let reason = || format!("must be a whole number of seconds from 1 to {LONGEST}");
    seconds.map(Duration::from_secs).ok_or_else(|| Error::Invalid { field: field.into(), reason: reason() })
}

/// Takes what is ours out of a URL's query and leaves the rest to the client.
fn split_query(url: &str) -> (String, Ours) {
    let mut ours = Ours::default();
    let Some((address, query)) = url.split_once('?') else { return (url.to_owned(), ours) };
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("prefix", value)) => ours.prefix = Some(value.to_owned()),
            Some(("connect_timeout", value)) => ours.connect_timeout = Some(value.to_owned()),
            Some(("response_timeout", value)) => ours.response_timeout = Some(value.to_owned()),
            Some(("ssl_ca_certs", value)) => ours.certificates = Some(value.to_owned()),
            _ => rest.push(pair),
        }
    }
    let address = if rest.is_empty() { address.to_owned() } else { format!("{address}?{}", rest.join("&")) };
    (address, ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_or_a_cluster() {
        let one = RedisOptions::new("redis://:secret@localhost:6380/2?prefix=shop").unwrap();
        assert_eq!(one.nodes, ["redis://:secret@localhost:6380/2"]);
        assert_eq!((one.topology, one.prefix.as_str()), (Topology::Server, "shop"));
        assert_eq!(one.root(), "{shop}:");
        let patient = RedisOptions::new("redis://h?connect_timeout=2&response_timeout=30").unwrap();
        assert_eq!((patient.connect_timeout.as_secs(), patient.response_timeout.as_secs()), (2, 30));

        let many = RedisOptions::new("rediss+cluster://ada:secret@a:7000,b:7001,c").unwrap();
        let nodes = ["rediss://ada:secret@a:7000", "rediss://ada:secret@b:7001", "rediss://ada:secret@c"];
        assert_eq!((many.nodes.as_slice(), many.topology), (&nodes.map(String::from)[..], Topology::Cluster));
    }

    #[test]
    fn a_password_is_not_shown() {
        let options = RedisOptions::new("redis+cluster://ada:s3cret@a:7000,b:7001").unwrap();
        let shown = format!("{options:?}");
        assert!(shown.contains("redis://a:7000") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn what_is_no_url_or_no_prefix_is_refused() {
        for url in [
            "localhost",
            "http://localhost",
            "redis+cluster://",
            "redis://h?prefix=a{b}",
            "redis://h?prefix=",
            "redis://h?response_timeout=soon",
        ] {
            assert!(matches!(RedisOptions::new(url), Err(Error::Invalid { .. })), "{url}");
        }
    }
}
