//! The server's clock, as far as it is known here: a reading took a while, and the server may have read it at the
//! beginning or at the end of that. A process that was stopped meanwhile would be wrong by seconds if it took either for
//! the truth, so that the pauses and leases which it sets would be over before their time.

use std::time::Duration;

use longhaul::Timestamp;
use longhaul::clock::Stopwatch;

/// The server's time, which is between these two. What has come is judged by the earliest, what is to come is counted from
/// the latest: so nothing is due too early, and no lease, pause or delay is shorter than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) earliest: Timestamp,
    pub(crate) latest: Timestamp,
}

impl Now {
    /// A time that is known.
    pub(crate) fn exactly(time: Timestamp) -> Self {
        Self { earliest: time, latest: time }
    }

    /// A time that a server has just told, in microseconds.
    pub(crate) fn told(micros: i64) -> Self {
        Self {
            earliest: Timestamp(micros.div_euclid(1_000)),
            latest: Timestamp(-(-micros).div_euclid(1_000)),
        }
    }

    /// When so much time will have passed for certain: at once where there is none to pass.
    pub(crate) fn plus(self, delay: Duration) -> Timestamp {
        if delay.is_zero() { self.earliest } else { self.latest.plus(delay) }
    }
}

/// Readings of the server's clock, which go on by this machine's monotonic one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerClock {
    earliest: Bound,
    latest: Bound,
    /// When it was read last.
    read: Stopwatch,
}

/// How long one reading is relied on. Two machines' clocks part by less than a millisecond in it.
const READING_HOLDS: Duration = Duration::from_secs(10);

impl ServerClock {
    /// A reading in microseconds that was asked for at `asked` and heard now, with what is known of earlier ones.
    pub(crate) fn read(earlier: Option<Self>, micros: i64, asked: Stopwatch) -> Self {
        let read = Stopwatch::start();
        let new =
            Self { earliest: Bound { micros, since: read }, latest: Bound { micros, since: asked }, read };
        let Some(old) = earlier else { return new };
        let both = Self {
            earliest: if old.earliest.holds() { old.earliest.later(new.earliest) } else { new.earliest },
            latest: if old.latest.holds() { old.latest.earlier(new.latest) } else { new.latest },
            read,
        };
        // They contradict each other where somebody has set the server's clock, or it is another server's.
        if both.earliest.micros() <= both.latest.micros() { both } else { new }
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            earliest: Now::told(self.earliest.micros()).earliest,
            latest: Now::told(self.latest.micros()).latest,
        }
    }

    /// Whether it was read a short while ago.
    pub(crate) fn was_read_lately(&self) -> bool {
        self.read.elapsed() < READING_HOLDS
    }
}

/// What the server's clock showed at the latest, or at the earliest, at some moment.
#[derive(Clone, Copy, Debug)]
struct Bound {
    micros: i64,
    since: Stopwatch,
}

impl Bound {
    fn micros(&self) -> i64 {
        let elapsed = i64::try_from(self.since.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.micros.saturating_add(elapsed)
    }

    fn holds(&self) -> bool {
        self.since.elapsed() < READING_HOLDS
    }

    fn later(self, other: Self) -> Self {
        if self.micros() >= other.micros() { self } else { other }
    }

    fn earlier(self, other: Self) -> Self {
        if self.micros() <= other.micros() { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_millis(30);

    /// A reading that shows `micros` and was long on its way.
    fn slow(earlier: Option<ServerClock>, micros: i64) -> ServerClock {
        let asked = Stopwatch::start();
        while asked.elapsed() < SLOW {
            std::hint::spin_loop();
        }
        ServerClock::read(earlier, micros, asked)
    }

    fn quick(earlier: Option<ServerClock>, micros: i64) -> ServerClock {
        ServerClock::read(earlier, micros, Stopwatch::start())
    }

    #[test]
    fn the_server_may_have_read_its_clock_at_the_beginning_or_at_the_end() {
        let now = slow(None, 5_000_500).now();
        assert!(now.earliest >= Timestamp(5_000), "it was read just now, at the latest");
        assert!(now.latest >= Timestamp(5_001).plus(SLOW), "or when it was asked for");
    }

    #[test]
    fn what_is_to_come_is_counted_from_the_latest() {
        let now = Now { earliest: Timestamp(5_000), latest: Timestamp(5_030) };
        assert_eq!(now.plus(Duration::from_millis(100)), Timestamp(5_130));
        assert_eq!(now.plus(Duration::ZERO), now.earliest, "nothing is to pass");
        assert_eq!(Now::told(5_000_500), Now { earliest: Timestamp(5_000), latest: Timestamp(5_001) });
    }

    #[test]
    fn a_slow_reading_does_not_unlearn_what_a_quick_one_told() {
        let known = quick(None, 5_000_000);
        // The same moment, heard of much later: the time is at least what it was, and what has passed since.
        let both = slow(Some(known), 5_000_000).now();
        assert!(both.earliest >= Timestamp(5_000).plus(SLOW), "{both:?}");
        assert_eq!(both.latest, known.now().latest.min(both.latest));
    }

    #[test]
    fn a_clock_that_was_set_is_believed() {
        let known = quick(None, 5_000_000_000);
        for set in [1_000_000_000, 9_000_000_000] {
            let now = quick(Some(known), set).now();
            assert!(now.earliest.0 >= set / 1_000 && now.latest.0 < set / 1_000 + 1_000, "{now:?}");
        }
    }
}
