//! The server's clock, as an interval: a reading takes a while, and the server may have read its clock at the beginning
//! or at the end of that. If this process were suspended meanwhile and took either for the exact time, it would be
//! wrong by seconds, and pauses and leases that it sets would end too early.

use std::time::{Duration, Instant};

use longhaul::Timestamp;

/// The server's time, which is between these two. Past events are judged by the earliest, future ones are counted from
/// the latest: so nothing is due too early, and no lease, pause or delay is shorter than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) earliest: Timestamp,
    pub(crate) latest: Timestamp,
}

impl Now {
    /// A time that is known exactly.
    pub(crate) fn exactly(time: Timestamp) -> Self {
        Self { earliest: time, latest: time }
    }

    /// A time that a server has just answered, in microseconds.
    pub(crate) fn from_micros(micros: i64) -> Self {
        Self {
            earliest: Timestamp(micros.div_euclid(1_000)),
            latest: Timestamp(-(-micros).div_euclid(1_000)),
        }
    }

    /// The time at which `delay` has passed for certain; `earliest` for a delay of zero.
    pub(crate) fn plus(self, delay: Duration) -> Timestamp {
        if delay.is_zero() { self.earliest } else { self.latest.plus(delay) }
    }
}

/// Readings of the server's clock, continued by this machine's monotonic clock. Its instants are arguments, so that
/// tests of slow readings need not wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerClock {
    earliest: Bound,
    latest: Bound,
    /// The time of the last reading.
    read: Instant,
}

/// The time for which a reading is used. The clocks of two machines diverge by less than a millisecond in it.
const READING_HOLDS: Duration = Duration::from_secs(10);

impl ServerClock {
    /// A reading in microseconds that was asked for at `asked` and received at `received`, with what is known of
    /// earlier ones.
    pub(crate) fn read(earlier: Option<Self>, micros: i64, asked: Instant, received: Instant) -> Self {
        let new = Self {
            earliest: Bound { micros, since: received },
            latest: Bound { micros, since: asked },
            read: received,
        };
        let Some(old) = earlier else { return new };
        let both = Self {
            earliest: if old.earliest.holds_at(received) {
                old.earliest.later(new.earliest, received)
            } else {
                new.earliest
            },
            latest: if old.latest.holds_at(received) {
                old.latest.earlier(new.latest, received)
            } else {
                new.latest
            },
            read: received,
        };
        // They contradict each other if the server's clock was set, or after a change of the server.
        if both.earliest.at(received) <= both.latest.at(received) { both } else { new }
    }

    /// The server's time at this machine's moment `at`.
    pub(crate) fn now(&self, at: Instant) -> Now {
        Now {
            earliest: Now::from_micros(self.earliest.at(at)).earliest,
            latest: Now::from_micros(self.latest.at(at)).latest,
        }
    }

    /// True where a reading was received less than [`READING_HOLDS`] before `at`.
    pub(crate) fn was_read_lately(&self, at: Instant) -> bool {
        at.saturating_duration_since(self.read) < READING_HOLDS
    }
}

/// A bound of the server's clock: its time at the latest, or at the earliest, at some moment.
#[derive(Clone, Copy, Debug)]
struct Bound {
    micros: i64,
    since: Instant,
}

impl Bound {
    fn at(&self, moment: Instant) -> i64 {
        let passed = moment.saturating_duration_since(self.since).as_micros();
        self.micros.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    fn holds_at(&self, moment: Instant) -> bool {
        moment.saturating_duration_since(self.since) < READING_HOLDS
    }

    fn later(self, other: Self, moment: Instant) -> Self {
        if self.at(moment) >= other.at(moment) { self } else { other }
    }

    fn earlier(self, other: Self, moment: Instant) -> Self {
        if self.at(moment) <= other.at(moment) { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use longhaul::clock::Stopwatch;

    use super::*;

    const SLOW: Duration = Duration::from_millis(30);

    /// Some moment, from which a test counts by itself.
    fn start() -> Instant {
        Stopwatch::start().started()
    }

    #[test]
    fn the_server_may_have_read_its_clock_at_the_beginning_or_at_the_end() {
        let asked = start();
        let clock = ServerClock::read(None, 5_000_500, asked, asked + SLOW);
        let now = clock.now(asked + SLOW);
        assert_eq!(now.earliest, Timestamp(5_000), "it was read just now, at the latest");
        assert_eq!(now.latest, Timestamp(5_001).plus(SLOW), "or when it was asked for");
        let later = clock.now(asked + 2 * SLOW);
        assert_eq!((later.earliest, later.latest), (now.earliest.plus(SLOW), now.latest.plus(SLOW)));
    }

    #[test]
    fn what_is_to_come_is_counted_from_the_latest() {
        let now = Now { earliest: Timestamp(5_000), latest: Timestamp(5_030) };
        assert_eq!(now.plus(Duration::from_millis(100)), Timestamp(5_130));
        assert_eq!(now.plus(Duration::ZERO), now.earliest, "nothing is to pass");
        assert_eq!(Now::from_micros(5_000_500), Now { earliest: Timestamp(5_000), latest: Timestamp(5_001) });
    }

    #[test]
    fn a_slow_reading_does_not_widen_the_interval_of_a_quick_one() {
        let known_at = start();
        let known = ServerClock::read(None, 5_000_000, known_at, known_at);
        // The reading is asked for at this instant and received much later.
        let received = known_at + SLOW;
        let both = ServerClock::read(Some(known), 5_000_000, known_at, received);
        assert_eq!(both.now(received), Now::exactly(Timestamp(5_000).plus(SLOW)));
    }

    #[test]
    fn a_quick_reading_narrows_what_a_slow_one_left_open() {
        let asked = start();
        let vague = ServerClock::read(None, 5_000_000, asked, asked + SLOW);
        // By the quick reading, the slow one was taken at its beginning.
        let exact = ServerClock::read(Some(vague), 5_030_000, asked + SLOW, asked + SLOW);
        assert_eq!(exact.now(asked + SLOW), Now::exactly(Timestamp(5_030)));
    }

    #[test]
    fn an_old_reading_is_not_relied_on() {
        let first = start();
        let known = ServerClock::read(None, 5_000_000, first, first);
        let late = first + READING_HOLDS;
        assert!(known.was_read_lately(late - SLOW) && !known.was_read_lately(late));
        let again = ServerClock::read(Some(known), 15_000_000, late, late + SLOW);
        let (earliest, latest) = (Timestamp(15_000), Timestamp(15_000).plus(SLOW));
        assert_eq!(
            again.now(late + SLOW),
            Now { earliest, latest },
            "the quick one of ten seconds ago is no help"
        );
    }

    #[test]
    fn a_clock_that_was_set_is_believed() {
        let at = start();
        let known = ServerClock::read(None, 5_000_000_000, at, at);
        for set in [1_000_000_000, 9_000_000_000] {
            let now = ServerClock::read(Some(known), set, at, at).now(at);
            assert_eq!(now, Now::exactly(Timestamp(set / 1_000)));
        }
    }
}
