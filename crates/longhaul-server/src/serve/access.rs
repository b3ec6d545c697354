//! The guard of the admin API.

use std::net::SocketAddr;

use crate::Result;
use crate::stores::WORKER_TOKEN;

/// The variable that holds the admin token. It is no flag: everyone on the machine can read flags.
const TOKEN: &str = "LONGHAUL_ADMIN_TOKEN";

/// A token that could be guessed is worse than none, because it looks like one.
const SHORTEST_TOKEN: usize = 16;

/// The key of the admin API.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admin {
    /// None: only this machine can connect.
    Open,
    /// This token, or a user's token with the admin claim.
    Token(String),
}

/// Decides from the address and the environment.
///
/// # Errors
/// Fails if anybody could connect and no token is set.
pub(super) fn admin(listen: SocketAddr) -> Result<Admin> {
    decide(listen, std::env::var(TOKEN).ok())
}

fn decide(listen: SocketAddr, token: Option<String>) -> Result<Admin> {
    match token {
        Some(token) if token.trim().len() < SHORTEST_TOKEN => Err(format!(
            "{TOKEN} is shorter than {SHORTEST_TOKEN} characters; make one with: openssl rand -hex 32"
        )
        .into()),
        Some(token) => Ok(Admin::Token(token.trim().to_owned())),
        None if listen.ip().to_canonical().is_loopback() => Ok(Admin::Open),
        None => Err(format!(
            "{listen} can be reached from other machines, and the admin API (/api/jobs and its like) would be \
             open to all of them. Set {TOKEN} (make one with: openssl rand -hex 32), or listen on 127.0.0.1"
        )
        .into()),
    }
}

/// The token of remote workers, where one is set.
///
/// # Errors
/// Fails if it is short enough to be guessed.
pub(super) fn worker_token() -> Result<Option<String>> {
    match std::env::var(WORKER_TOKEN).ok().map(|token| token.trim().to_owned()) {
        Some(token) if token.len() < SHORTEST_TOKEN => Err(format!(
            "{WORKER_TOKEN} is shorter than {SHORTEST_TOKEN} characters; make one with: openssl rand -hex 32"
        )
        .into()),
        token => Ok(token),
    }
}

impl Admin {
    /// Logs at start-up what is open to whom.
    pub(super) fn announce(&self) {
        match self {
            Admin::Open => tracing::warn!(
                "the admin API is open to every program on this machine; set {TOKEN} to close it"
            ),
            Admin::Token(_) => tracing::info!("the admin API is open to bearers of {TOKEN}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide_for(listen: &str, token: Option<&str>) -> Result<Admin, String> {
        decide(listen.parse().expect("an address"), token.map(String::from)).map_err(|e| e.to_string())
    }

    #[test]
    fn loopback_is_open_unless_a_token_is_set() {
        assert_eq!(decide_for("127.0.0.1:8000", None), Ok(Admin::Open));
        assert_eq!(decide_for("[::1]:8000", None), Ok(Admin::Open));
        assert_eq!(decide_for("[::ffff:127.0.0.1]:8000", None), Ok(Admin::Open));
        let token = "0123456789abcdef";
        assert_eq!(decide_for("127.0.0.1:8000", Some(token)), Ok(Admin::Token(token.into())));
    }

    #[test]
    fn any_other_address_needs_a_token() {
        for listen in ["0.0.0.0:8000", "[::]:8000", "192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
            let error = decide_for(listen, None).expect_err("refused");
            assert!(error.contains("LONGHAUL_ADMIN_TOKEN"), "{error}");
            assert!(decide_for(listen, Some("0123456789abcdef")).is_ok());
        }
    }

    #[test]
    fn a_token_that_can_be_guessed_is_refused() {
        for token in ["", "   ", "secret", "0123456789abcde"] {
            let error = decide_for("127.0.0.1:8000", Some(token)).expect_err("refused");
            assert!(error.contains("shorter than 16"), "{error}");
        }
    }
}
