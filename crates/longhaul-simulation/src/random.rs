use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The generator SplitMix64: every choice of a run is drawn from generators that follow from its seed.
#[derive(Debug)]
pub(crate) struct Random(AtomicU64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A generator of its own for one purpose, so that more draws for one purpose change nothing of another.
    pub(crate) fn of(seed: u64, purpose: u64) -> Self {
        Self::new(mix(seed.wrapping_mul(STEP) ^ mix(purpose)))
    }

    pub(crate) fn next(&self) -> u64 {
        mix(self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }

    /// A number below `bound`, which is at least 1.
    pub(crate) fn below(&self, bound: usize) -> usize {
        // The bias of the remainder is far below what anybody could see.
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(crate) fn between(&self, least: usize, most: usize) -> usize {
        least + self.below(most + 1 - least)
    }

    /// True in so many of a thousand cases.
    pub(crate) fn happens(&self, of_a_thousand: u32) -> bool {
        of_a_thousand > 0 && self.below(1_000) < of_a_thousand as usize
    }

    pub(crate) fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub(crate) fn millis(&self, least: usize, most: usize) -> Duration {
        Duration::from_millis(self.between(least, most) as u64)
    }
}

fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
