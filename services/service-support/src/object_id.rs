use std::sync::{Mutex, PoisonError};

use longhaul::Timestamp;

/// Makes MongoDB ObjectIds: 24 lowercase hex digits. The first four bytes are the time in seconds, as in those that
/// MongoDB makes; the other eight are random, where MongoDB counts: whoever knows some ids must not be able to guess others.
/// Ids of one process that are made later sort later.
#[derive(Debug, Default)]
pub struct ObjectIds(Mutex<Last>);

/// The id that was made last.
#[derive(Debug, Default)]
struct Last {
    seconds: u32,
    rest: u64,
}

/// The longest way from one id to the next of the same second: too long to be searched, and short enough that a second
/// has room for millions.
const LONGEST_STEP: u64 = 1 << 40;

impl ObjectIds {
    /// An id that nobody else has.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> String {
        // The standard's four bytes last from 1970 until 2106.
        let seconds = u32::try_from(now.0.max(0) / 1_000).unwrap_or(u32::MAX);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = match last.seconds == seconds {
            true => last.rest.wrapping_add(rand::random_range(1..=LONGEST_STEP)),
            // The upper half is left for the steps.
            false => rand::random::<u64>() >> 1,
        };
        *last = Last { seconds, rest };
        format!("{seconds:08x}{rest:016x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_begins_with_its_time_and_tells_nothing_of_the_next() {
        let ids = ObjectIds::default();
        let now = Timestamp(0x60d5_ec49 * 1_000 + 999);
        let made: Vec<String> = (0..1_000).map(|_| ids.next(now)).collect();
        assert!(made.iter().all(|id| id.len() == 24 && id.starts_with("60d5ec49")));
        assert!(made.is_sorted() && ids.next(Timestamp(now.0 + 1)) > made[999]);
        let number = |id: &str| u64::from_str_radix(&id[8..], 16).unwrap();
        let steps = made.windows(2).map(|pair| number(&pair[1]) - number(&pair[0]));
        assert!(steps.filter(|step| *step > 1 << 20).count() > 990, "no step is found by trying");
        assert!(ids.next(Timestamp(-1)).starts_with("00000000"));
    }
}
