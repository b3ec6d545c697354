use crate::planted::Planted;
use crate::run::{Outcome, Steps, run_steps};
use crate::trace::Lines;
use crate::witness::Broken;

/// The shortest scenario found that breaks the same promise.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The steps that are left, of how many.
    pub left: usize,
    /// The steps of the whole scenario.
    pub of: usize,
    /// The run of those.
    pub outcome: Outcome,
}

/// The most runs that are made to find a shorter one.
const MOST_RUNS: usize = 300;

/// Leaves out steps of a seed's scenario for as long as the promise that it breaks is still broken.
#[must_use]
pub fn shrink(seed: u64, planted: Option<Planted>, broken: &Broken, planned: usize) -> Shrunk {
    let breaks = |steps: &[usize]| {
        let outcome = run_steps(seed, planted, Lines::Forgotten, &Steps::Only(steps.to_vec()));
        outcome.broken.is_some_and(|found| found.promise == broken.promise)
    };
    let mut kept: Vec<usize> = (0..planned).collect();
    let mut runs = 0;
    let mut piece = kept.len().div_ceil(2).max(1);
    while runs < MOST_RUNS {
        let mut at = 0;
        let mut is_shorter = false;
        while at < kept.len() && runs < MOST_RUNS {
            let end = (at + piece).min(kept.len());
            let without: Vec<usize> = kept[..at].iter().chain(&kept[end..]).copied().collect();
            runs += 1;
            if breaks(&without) {
                kept = without;
                is_shorter = true;
            } else {
                at = end;
            }
        }
        if piece == 1 && !is_shorter {
            break;
        }
        piece = piece.div_ceil(2);
    }
    let outcome = run_steps(seed, planted, Lines::Kept, &Steps::Only(kept.clone()));
    Shrunk { left: kept.len(), of: planned, outcome }
}
