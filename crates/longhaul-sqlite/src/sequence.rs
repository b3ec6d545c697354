/// Draws numbers that rise for ever, across restarts and processes: for jobs' `seq` and for leases' tokens.
///
/// A number is the time on the clock of leases in 1/1024 milliseconds, or the last one plus one where that is more. So it
/// never goes back, even after the newest job was deleted, without a counter that every commit would have to write; and it
/// stays below 2⁵³, where JSON numbers end, until the year 2248. All processes of the machine share that clock, they write
/// one after the other, and a row takes longer to write than a number lasts: so two of them never draw the same. A token that
/// is never drawn twice means that a job which is made anew under an old id does not know the old one's leases.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    last: i64,
}

impl Sequence {
    /// Takes note of a number that another process has drawn.
    pub(crate) fn observe(&mut self, seen: i64) {
        self.last = self.last.max(seen);
    }

    /// The next number, at a time in 1/1024 milliseconds.
    pub(crate) fn next(&mut self, ticks: i64) -> i64 {
        self.last = (self.last + 1).max(ticks);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_even_when_the_clock_goes_back() {
        let mut sequence = Sequence::default();
        let first = sequence.next(2_000);
        let second = sequence.next(1_000);
        assert!(second > first);
        sequence.observe(second + 10);
        assert_eq!(sequence.next(0), second + 11);
    }
}
