use std::fmt;
use std::time::Duration;

use longhaul::Timestamp;

use super::Auth;

/// The interval at which the caller of an open stream is checked.
const CHECKED_EVERY: Duration = Duration::from_secs(10);

/// What ends the time for which a caller was let in.
#[derive(Clone)]
pub(crate) enum Stay {
    /// The end of the token with scopes of this id: it is deleted, or expires.
    Token(String),
    /// The end of the session of this cookie: its bearer signs out, it expires, or the token that has opened it ends.
    Session(String),
    /// The expiry of a token that nobody can delete.
    Until(Timestamp),
}

impl Auth {
    /// Waits until a caller would not be let in again, because an open stream makes no further request that would be refused. An
    /// unreachable store ends no stream.
    pub(crate) async fn ended(&self, stay: &Stay) {
        loop {
            self.clock.sleep(CHECKED_EVERY).await;
            let now = self.clock.now();
            let has_ended = match stay {
                Stay::Token(id) => matches!(self.tokens.named(id, now).await, Ok(None)),
                Stay::Session(cookie) => matches!(self.session(cookie).await, Ok(None)),
                Stay::Until(end) => now >= *end,
            };
            if has_ended {
                return;
            }
        }
    }
}

impl fmt::Debug for Stay {
    /// Without the cookie.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stay(..)")
    }
}
