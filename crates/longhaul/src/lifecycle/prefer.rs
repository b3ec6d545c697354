//! Placement: the workers that may claim a job with preferred labels.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::model::{Prefer, Strength};
use crate::store::PREFER_FOR;

/// The time from which a worker may claim a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fits {
    /// At any time.
    Always,
    /// From this moment on.
    From(Timestamp),
    /// Never.
    Never,
}

impl Fits {
    /// True if the worker may claim it now.
    #[must_use]
    pub fn at(self, now: Timestamp) -> bool {
        match self {
            Fits::Always => true,
            Fits::From(from) => from <= now,
            Fits::Never => false,
        }
    }
}

/// The time from which a worker with these labels may claim a job that has been due since `run_at`. A job that was
/// released, or reclaimed from a dead worker, keeps its `run_at`, so that it does not wait for preferred workers a
/// second time.
#[must_use]
pub fn fits(prefer: Option<&Prefer>, labels: &BTreeMap<String, String>, run_at: Timestamp) -> Fits {
    match prefer {
        Some(prefer) if !prefer.is_met_by(labels) => match prefer.strength {
            Strength::Soft => Fits::From(run_at.plus(PREFER_FOR)),
            Strength::Hard => Fits::Never,
        },
        _ => Fits::Always,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_without_the_labels_waits_for_a_soft_job_and_never_has_a_hard_one() {
        let due = Timestamp(1_767_225_600_000);
        let (with, without) = ([("gpu".to_owned(), "a100".to_owned())].into(), BTreeMap::new());
        let soft = Prefer::soft([("gpu", "a100")]);
        let hard = Prefer::hard([("gpu", "a100")]);
        assert_eq!(fits(None, &without, due), Fits::Always);
        assert_eq!(fits(Some(&soft), &with, due), Fits::Always);
        assert_eq!(fits(Some(&hard), &with, due), Fits::Always);
        assert_eq!(fits(Some(&hard), &without, due), Fits::Never);
        let later = fits(Some(&soft), &without, due);
        assert_eq!(later, Fits::From(due.plus(PREFER_FOR)));
        assert!(!later.at(due.plus(PREFER_FOR).minus(std::time::Duration::from_millis(1))));
        assert!(later.at(due.plus(PREFER_FOR)) && Fits::Always.at(due) && !Fits::Never.at(Timestamp::MAX));
    }
}
