use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use longhaul::{Clock, Timestamp};

/// The waits for a limit of which a system tells nothing: each twice as long as the one before it, until the system
/// answers again. Past the longest that a job may be let to wait, the job fails with the reason.
#[derive(Debug, Default)]
pub(super) struct Untold(Mutex<Option<Pause>>);

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Timestamp,
    length: Duration,
}

const FIRST: Duration = Duration::from_secs(2);

impl Untold {
    /// The wait of a refusal that has just come. Of several at once, all wait for the same moment.
    pub(super) fn next(&self, clock: &Clock) -> Duration {
        let now = clock.now();
        let mut pause = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let length = match *pause {
            Some(pause) if pause.until > now => return pause.until.since(now),
            Some(pause) => pause.length.saturating_mul(2),
            None => FIRST,
        };
        *pause = Some(Pause { until: now.plus(length), length });
        length
    }

    /// The system has answered.
    pub(super) fn over(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_twice_as_long_until_an_answer_comes() {
        let (clock, untold) = (Clock::manual(), Untold::default());
        let next = || untold.next(&clock).as_secs();
        assert_eq!((next(), next()), (2, 2), "two that are refused at once wait for the same moment");
        clock.advance(Duration::from_secs(2));
        assert_eq!(next(), 4);
        clock.advance(Duration::from_secs(4));
        assert_eq!(next(), 8);
        untold.over();
        assert_eq!(next(), 2);
    }
}
