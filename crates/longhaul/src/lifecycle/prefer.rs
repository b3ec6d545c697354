//! Which workers may claim a job that prefers some.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::model::{Prefer, Strength};
use crate::store::PREFER_FOR;

/// When a worker may claim a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fits {
    /// Whenever the job is available.
    Always,
    /// From this moment on.
    From(Timestamp),
    /// Never.
    Never,
}

impl Fits {
    /// True where the worker may claim it now.
    #[must_use]
    pub fn at(self, now: Timestamp) -> bool {
        match self {
            Fits::Always => true,
            Fits::From(from) => from <= now,
            Fits::Never => false,
        }
    }
}

/// When a worker with these labels may claim a job that has been due since `run_at`. A job that was given back, or taken from a
/// dead worker, keeps that time: it has waited already.
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
