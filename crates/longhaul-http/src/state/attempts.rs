//! Limits the number of wrong tokens, against guessing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use longhaul::Timestamp;
use parking_lot::Mutex;

/// Wrong tokens that are answered for one client within the [`WINDOW`].
const MOST: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Clients that are counted apart; the others are one.
const CLIENTS: usize = 10_000;

/// The clients that have shown wrong tokens.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<Option<IpAddr>, Counted>>);

#[derive(Clone, Copy, Debug)]
struct Counted {
    since: Timestamp,
    wrong: u32,
}

impl Attempts {
    /// The time for which a client has to wait before it may try again.
    pub(crate) fn wait(&self, client: Option<IpAddr>, now: Timestamp) -> Option<Duration> {
        let all = self.0.lock();
        let others = || all.get(&None).filter(|_| all.len() >= CLIENTS);
        let counted = all.get(&place(client)).or_else(others)?;
        let left = counted.since.plus(WINDOW).0 - now.0;
        (counted.wrong >= MOST && left > 0).then(|| Duration::from_millis(left.unsigned_abs()))
    }

    pub(crate) fn failed(&self, client: Option<IpAddr>, now: Timestamp) {
        let mut all = self.0.lock();
        let place = place(client);
        if !all.contains_key(&place) && all.len() >= CLIENTS {
            all.retain(|_, counted| counted.since.plus(WINDOW) > now);
        }
        let place = if all.len() >= CLIENTS && !all.contains_key(&place) { None } else { place };
        let counted = all.entry(place).or_insert(Counted { since: now, wrong: 0 });
        if counted.since.plus(WINDOW) <= now {
            *counted = Counted { since: now, wrong: 0 };
        }
        counted.wrong += 1;
    }
}

/// One client has a whole network of 64 bits in IPv6.
fn place(client: Option<IpAddr>) -> Option<IpAddr> {
    client.map(|ip| match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_wrong_tokens_a_minute_are_answered_for_each_client() {
        let (attempts, now) = (Attempts::default(), Timestamp(0));
        let [one, same, other] = ["2001:db8::1", "2001:db8::2", "2001:db8:1::1"].map(|ip| ip.parse().ok());
        for _ in 0..MOST {
            assert_eq!(attempts.wait(one, now), None);
            attempts.failed(one, now);
        }
        assert_eq!(attempts.wait(same, now), Some(WINDOW));
        assert_eq!(attempts.wait(other, now), None);
        assert_eq!(attempts.wait(one, now.plus(WINDOW)), None);
        attempts.failed(one, now.plus(WINDOW));
        assert_eq!(attempts.wait(one, now.plus(WINDOW)), None);
    }

    #[test]
    fn clients_beyond_the_bound_are_counted_as_one() {
        let (attempts, now) = (Attempts::default(), Timestamp(0));
        for client in 0..CLIENTS as u32 + MOST {
            attempts.failed(Some(IpAddr::V4(client.into())), now);
        }
        assert!(attempts.0.lock().len() <= CLIENTS + 1);
        assert_eq!(attempts.wait(Some(IpAddr::V4(u32::MAX.into())), now), Some(WINDOW));
    }
}
