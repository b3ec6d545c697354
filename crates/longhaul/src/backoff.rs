//! The waits of a failed job before it tries again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::{Error, Result};

/// Exponential backoff with jitter: attempt *n* waits `base × factorⁿ⁻¹`, at most `max`, less a random part.
///
/// The jitter keeps jobs that failed together from coming back together. With `jitter` 0.2, a wait is
/// between 80 % and 100 % of its nominal length, so that `max` and the documented waits are never exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    /// The wait after the first failed attempt.
    pub base: Duration,
    /// The factor by which each further wait is multiplied, from 1.
    pub factor: f64,
    /// The longest wait.
    pub max: Duration,
    /// The part of the wait that is random, 0 to 1.
    pub jitter: f64,
}

impl Default for Backoff {
    /// 2 s, doubled each time, at most an hour, a fifth of it random.
    fn default() -> Self {
        Self { base: Duration::from_secs(2), factor: 2.0, max: Duration::from_secs(3600), jitter: 0.2 }
    }
}

impl Backoff {
    /// The wait after a failed call to a store. The jitter keeps workers from coming back all at once.
    pub(crate) const STORE: Self =
        Self { base: Duration::from_millis(100), factor: 2.0, max: Duration::from_secs(5), jitter: 0.5 };

    /// The wait after failed attempt `attempt` (from 1).
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        self.delay_at(attempt, rand::random::<f64>())
    }

    /// Checks the bounds of each field: a factor or jitter that is no finite number has no JSON form, so a row that holds
    /// one could not be read back.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming the field and what it must be.
    pub fn validate(&self) -> Result<()> {
        let invalid = |field: &str, reason: &str| {
            Err(Error::Invalid { field: format!("backoff.{field}"), reason: reason.to_owned() })
        };
        if !(1.0..=1_000_000.0).contains(&self.factor) {
            return invalid("factor", "must be from 1 to 1000000");
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return invalid("jitter", "must be from 0 to 1");
        }
        Ok(())
    }

    /// The same with a given draw of 0 to 1 in place of a random one.
    pub(crate) fn delay_at(&self, attempt: u32, draw: f64) -> Duration {
        let exponent = f64::from(attempt.saturating_sub(1).min(1_000));
        // The power can be infinite; `min` brings it back before it becomes a duration.
        let nominal =
            (self.base.as_secs_f64() * self.factor.max(1.0).powf(exponent)).min(self.max.as_secs_f64());
        let kept = 1.0 - self.jitter.clamp(0.0, 1.0) * draw.clamp(0.0, 1.0);
        Duration::try_from_secs_f64(nominal * kept).unwrap_or(self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum() {
        let backoff = Backoff { jitter: 0.0, max: Duration::from_secs(10), ..Backoff::default() };
        let waits: Vec<u64> = (1..=5).map(|attempt| backoff.delay(attempt).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 10, 10]);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_above_its_bound_nor_below_its_jitter(
            attempt in 0u32..5_000, base in 0u64..100_000, factor in 0.0f64..10.0,
            max in 0u64..10_000_000, jitter in 0.0f64..1.0, draw in 0.0f64..1.0,
        ) {
            let backoff = Backoff {
                base: Duration::from_millis(base), factor, max: Duration::from_millis(max), jitter,
            };
            let wait = backoff.delay_at(attempt, draw);
            prop_assert!(wait <= backoff.max);
            let full = Backoff { jitter: 0.0, ..backoff }.delay_at(attempt, 0.0);
            prop_assert!(wait.as_secs_f64() >= full.as_secs_f64() * (1.0 - jitter) - 1e-6);
        }
    }
}
