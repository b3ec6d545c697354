use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::panic;
use std::sync::Once;
use std::time::Duration;

use longhaul::clock::Stopwatch;

use crate::jobs::PLANNED;
use crate::planted::Planted;
use crate::run::{Outcome, run};
use crate::trace::Lines;
use crate::witness::Broken;

/// The seeds that every check runs, from 1.
pub const SEEDS: u64 = 2_000;

/// The seeds to run.
#[derive(Clone, Copy, Debug)]
pub enum Seeds {
    /// So many, from the first.
    Count(u64),
    /// As many as this time gives.
    For(Duration),
}

/// The sum of many runs.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// Runs that were made.
    pub runs: u64,
    /// The numbers of events, by sort.
    pub counts: BTreeMap<&'static str, u64>,
    /// The time that passed in them.
    pub simulated: Duration,
    /// The time that they took.
    pub took: Duration,
    /// The seeds that broke a promise.
    pub broken: Vec<(u64, Broken)>,
}

/// Runs seed after seed, and calls `progress` with each sum.
#[must_use]
pub fn run_many(first: u64, seeds: Seeds, mut progress: impl FnMut(&Sum)) -> Sum {
    silence_planned_panics();
    let clock = Stopwatch::start();
    let mut sum = Sum::default();
    for seed in first.. {
        let is_done = match seeds {
            Seeds::Count(count) => sum.runs >= count,
            Seeds::For(time) => clock.elapsed() >= time,
        };
        if is_done {
            break;
        }
        sum.add(seed, run(seed, None, Lines::Forgotten));
        sum.took = clock.elapsed();
        progress(&sum);
    }
    sum
}

impl Sum {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.runs += 1;
        self.simulated += outcome.simulated;
        for (what, count) in outcome.counts {
            *self.counts.entry(what).or_default() += count;
        }
        self.broken.extend(outcome.broken.map(|broken| (seed, broken)));
    }
}

/// The first of the seeds that finds a planted fault, and the promise that it breaks.
#[must_use]
pub fn catch(planted: Planted, seeds: RangeInclusive<u64>) -> Option<(u64, Broken)> {
    silence_planned_panics();
    seeds.into_iter().find_map(|seed| Some((seed, run(seed, Some(planted), Lines::Forgotten).broken?)))
}

/// Keeps the panics that jobs are made to have from being printed; all others are printed as ever.
pub fn silence_planned_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let is_planned = panic.payload_as_str() == Some(PLANNED);
            if !is_planned {
                print(panic);
            }
        }));
    });
}
