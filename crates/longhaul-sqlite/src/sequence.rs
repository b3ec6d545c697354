use longhaul::Timestamp;

/// Draws numbers that rise for ever, across restarts and processes: for jobs' `seq` and for leases' tokens.
///
/// A number is the time in 1/1024 milliseconds, or the last one plus one where that is more. So it never goes
/// back, even after the newest job was deleted, without a counter that every commit would have to write; and it
/// stays below 2⁵³, where JSON numbers end, until the year 2248. A token that is never drawn twice means that a
/// job which is made anew under an old id does not know the old one's leases.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    last: i64,
}

impl Sequence {
    /// Takes note of a number that another process has drawn.
    pub(crate) fn observe(&mut self, seen: i64) {
        self.last = self.last.max(seen);
    }

    pub(crate) fn next(&mut self, now: Timestamp) -> i64 {
        self.last = (self.last + 1).max(now.0 << 10);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_even_when_the_clock_goes_back() {
        let mut sequence = Sequence::default();
        let first = sequence.next(Timestamp(2_000));
        let second = sequence.next(Timestamp(1_000));
        assert!(second > first);
        sequence.observe(second + 10);
        assert_eq!(sequence.next(Timestamp(0)), second + 11);
    }
}
