use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of values by ranges, which many threads raise at once without a lock.
pub struct Distribution {
    /// The ends of the ranges, in ascending order; the last range has none.
    bounds: &'static [u64],
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Distribution {
    /// Counts nothing yet. Each range ends at one of `bounds`, which it includes; one more has all that is beyond the last.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::default()).collect();
        Self { bounds, counts, sum: AtomicU64::default() }
    }

    /// Counts a value: two additions.
    pub fn add(&self, value: u64) {
        let range = self.bounds.partition_point(|bound| *bound < value);
        self.counts[range].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The end of each range, and the number of values in it; the last has no end.
    pub fn ranges(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        self.bounds.iter().map(|bound| Some(*bound)).chain([None]).zip(counts)
    }

    /// All values together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.ranges().filter(|(_, count)| *count > 0)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_the_range_that_ends_at_it_or_above_it() {
        let sizes = Distribution::new(&[1, 2, 4]);
        [1, 2, 3, 4, 5, 100].into_iter().for_each(|size| sizes.add(size));
        let ranges: Vec<_> = sizes.ranges().collect();
        assert_eq!(ranges, [(Some(1), 1), (Some(2), 1), (Some(4), 2), (None, 2)]);
        assert_eq!(sizes.sum(), 115);
    }
}
