use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Durations in buckets of which each ends an eighth above its begin at most, and so far is a percentile above the true value.
///
/// Buckets are eight to an octave: 0, 1, 2, … 8 ms are exact, and each octave above them is cut into eight equal parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Pairs of a bucket and a count, by bucket.
    #[serde(rename = "b")]
    buckets: Vec<(u16, u64)>,
    /// The longest, in milliseconds.
    #[serde(rename = "m")]
    max: u64,
    /// All of them together, in milliseconds; releases before this one did not keep it.
    #[serde(rename = "s", default)]
    sum: u64,
}

impl Histogram {
    /// Counts a duration.
    pub fn add(&mut self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.max = self.max.max(millis);
        self.sum = self.sum.saturating_add(millis);
        self.count(bucket(millis), 1);
    }

    /// Counts all that another has counted.
    pub fn merge(&mut self, other: &Self) {
        self.max = self.max.max(other.max);
        self.sum = self.sum.saturating_add(other.sum);
        for (bucket, count) in &other.buckets {
            self.count(*bucket, *count);
        }
    }

    /// The number of durations.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// True where nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The longest duration.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_millis(self.max)
    }

    /// All durations together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_millis(self.sum)
    }

    /// The number of durations that are in buckets which end at `bound` or before: those just below it may be missing, by an
    /// eighth of it at most.
    #[must_use]
    pub fn up_to(&self, bound: Duration) -> u64 {
        let bound = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        let within = self.buckets.iter().take_while(|(bucket, _)| highest(*bucket) <= bound);
        within.map(|(_, count)| count).sum()
    }

    /// The duration that the fraction `part` of all, 0 to 1, do not exceed; `None` where there are none.
    #[must_use]
    pub fn percentile(&self, part: f64) -> Option<Duration> {
        let total = self.len();
        let wanted = (total as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen >= wanted {
                return Some(Duration::from_millis(highest(*bucket).min(self.max)));
            }
        }
        None
    }

    fn count(&mut self, bucket: u16, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }
}

const PARTS: u64 = 8;

fn bucket(millis: u64) -> u16 {
    if millis < PARTS {
        return millis as u16;
    }
    let octave = u64::from(millis.ilog2());
    // The three bits after the first.
    let part = (millis >> (octave - 3)) - PARTS;
    ((octave - 2) * PARTS + part) as u16
}

/// The longest duration of a bucket, in milliseconds.
fn highest(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < PARTS {
        return bucket;
    }
    let (octave, part) = (bucket / PARTS + 2, bucket % PARTS);
    ((u128::from(PARTS + part + 1) << (octave - 3)) - 1).min(u128::from(u64::MAX)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_a_bucket_that_ends_less_than_an_eighth_above_it() {
        let mut last = 0;
        let steps =
            (0..5_000).chain((13..63).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]));
        for millis in steps {
            let bucket = bucket(millis);
            assert!(bucket >= last, "{millis}");
            last = bucket;
            let highest = highest(bucket);
            assert!(highest >= millis && highest - millis <= millis / 8, "{millis} {highest}");
        }
        assert_eq!(highest(bucket(u64::MAX)), u64::MAX);
    }

    #[test]
    fn percentiles_are_those_of_all_that_was_merged() {
        let mut fast = Histogram::default();
        assert_eq!(fast.percentile(0.5), None);
        (1..=99).for_each(|_| fast.add(Duration::from_millis(3)));
        let mut slow = Histogram::default();
        slow.add(Duration::from_secs(10));
        slow.merge(&fast);
        assert_eq!((slow.len(), slow.max()), (100, Duration::from_secs(10)));
        assert_eq!(slow.percentile(0.5), Some(Duration::from_millis(3)));
        assert_eq!(slow.percentile(0.99), Some(Duration::from_millis(3)));
        assert_eq!(slow.percentile(1.0), Some(Duration::from_secs(10)), "no more than the longest");
        assert_eq!(slow.sum(), Duration::from_millis(99 * 3 + 10_000));
        let up_to = |millis| slow.up_to(Duration::from_millis(millis));
        assert_eq!((up_to(2), up_to(3), up_to(9_999), up_to(12_000)), (0, 99, 99, 100));
        let read: Histogram = serde_json::from_str(&serde_json::to_string(&slow).unwrap()).unwrap();
        assert_eq!(read, slow);
    }
}
