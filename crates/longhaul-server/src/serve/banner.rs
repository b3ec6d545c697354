//! The addresses of a server, printed at its start if standard error is a terminal.

use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The facts of a banner.
pub(super) struct Banner<'a> {
    pub(super) address: SocketAddr,
    /// The names of the services that are on, separated by commas.
    pub(super) services: &'a str,
    /// The databases of the jobs and the tables.
    pub(super) stores: &'a str,
    pub(super) data: &'a std::path::Path,
    /// The seconds that running jobs get after Ctrl-C.
    pub(super) grace: u64,
}

impl Banner<'_> {
    /// Shows it on a terminal, whatever the form of the log. Into a file or a pipe goes the log alone.
    pub(super) fn show(&self) {
        let mut err = io::stderr().lock();
        if err.is_terminal() {
            // A closed standard error does not keep the server from serving.
            let _ = err.write_all(self.text().as_bytes());
        }
    }

    fn text(&self) -> String {
        let base = format!("http://{}", reachable(self.address));
        let services: Vec<String> = self
            .services
            .split(", ")
            .filter_map(|name| Some(format!("{name:<11} {base}{}", entry(name)?)))
            .collect();
        let services = services.join("\n               ");
        let Self { stores, data, grace, .. } = self;
        let data = data.display();
        format!(
            "
  Longhaul {} is at {base}/

  dashboard    {base}/admin
  guide        {base}/docs
  API          {base}/api/openapi.json
  services     {services}
  data         {data} ({stores})
  doctor       longhaul doctor --url {base}
  stop         Ctrl-C: running jobs get {grace} s to finish, the rest goes on at the next start

",
            env!("CARGO_PKG_VERSION"),
        )
    }
}

/// The address that a browser on this machine can open, where the server listens on all of them.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

/// The first path of a service.
fn entry(service: &str) -> Option<&'static str> {
    Some(match service {
        "sessions" => "/sessions",
        "github" => "/api/v1/github/analyze",
        "lessons" => "/lessons",
        "curriculum" => "/api/v3/workflow",
        "materials" => "/courses",
        _ => return None,
    })
}
