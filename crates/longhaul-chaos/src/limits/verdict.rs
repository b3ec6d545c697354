//! The check of the observations against the limits. Each check finds certain violations only: a claim happened between
//! its request and its answer, and its lease lasted at least until the first of its finish's request (a worker may die
//! before the answer), the end of the grace of a cancel, and its length after the claim's request. A process that was
//! suspended for longer may run on for a moment; it has no lease then.

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::{Rate, Timestamp};

use crate::history::{Line, What};

/// A run under its lease, as far as it is certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lasted {
    pub(super) job: String,
    pid: u32,
    asked: Timestamp,
    pub(super) from: Timestamp,
    to: Timestamp,
}

/// The runs of a history, in the order in which they began.
pub(super) fn runs(history: &[Line], lease: Duration, grace: Duration) -> Vec<Lasted> {
    let mut finished: BTreeMap<(&str, u64), Timestamp> = BTreeMap::new();
    let mut cancelled: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for line in history {
        let (at, earliest) = match &line.what {
            What::Finishing { job, token } => (line.at, finished.entry((job, *token)).or_insert(line.at)),
            What::CancelAsked { job } => {
                let end = line.at.plus(grace);
                (end, cancelled.entry(job).or_insert(end))
            }
            _ => continue,
        };
        *earliest = at.min(*earliest);
    }
    let run = |line: &Line| match &line.what {
        What::Claimed { job, token, pid, asked } => {
            let ends = [finished.get(&(job.as_str(), *token)), cancelled.get(job.as_str())];
            let to = ends.into_iter().flatten().copied().fold(asked.plus(lease), Ord::min);
            Some(Lasted { job: job.clone(), pid: *pid, asked: *asked, from: line.at, to })
        }
        _ => None,
    };
    history.iter().filter_map(run).collect()
}

/// The runs of a key that were claimed while its slots were all taken. A claim waits for jobs, so only a time that holds all of
/// it, from its request to its answer, is one in which it must have found none.
pub(super) fn overlaps<'a>(runs: &[&'a Lasted], slots: usize, lease: Duration) -> Vec<&'a Lasted> {
    let beside = |run: &Lasted| {
        let first = runs.partition_point(|other| other.from.plus(lease) < run.asked);
        let before = runs[first..].iter().take_while(|other| other.from < run.asked);
        before.filter(|other| run.from < other.to).count()
    };
    runs.iter().copied().filter(|run| beside(run) >= slots).collect()
}

/// The locks that a job met while its own lease and that of the lock's holder lasted, and the number of all that were met.
pub(super) fn locks_met(history: &[Line], runs: &[Lasted]) -> (Vec<String>, usize) {
    let lasts = |wanted: &str, by: u32, at: Timestamp| {
        let run = runs.iter().rev().find(|run| run.job == wanted && run.pid == by && run.from <= at);
        run.is_some_and(|run| at < run.to)
    };
    let (mut overlaps, mut met) = (Vec::new(), 0);
    for line in history {
        let What::LockMet { job, pid, holder, holder_pid } = &line.what else { continue };
        met += 1;
        if lasts(job, *pid, line.at) && lasts(holder, *holder_pid, line.at) {
            overlaps.push(format!("{job} met the lock of {holder}"));
        }
    }
    (overlaps, met)
}

/// The most starts by which a window of these starts, which are in order, exceeds its bound; 0 where none does.
pub(super) fn excess(starts: &[Timestamp], rate: Rate) -> f64 {
    let share =
        |at: Timestamp| at.since(starts[0]).as_secs_f64() / rate.per.as_secs_f64() * f64::from(rate.n);
    let (mut least, mut most) = (f64::MAX, 0.0_f64);
    for (number, at) in starts.iter().enumerate() {
        // The starts of a window less the share of its length, by the window that begins where that is most.
        let now = number as f64 - share(*at);
        least = least.min(now);
        most = most.max(now - least + 1.0 - f64::from(rate.burst()));
    }
    // What is less than a start is of the arithmetic.
    if most < 1e-6 { 0.0 } else { most }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(2);
    const GRACE: Duration = Duration::from_millis(500);

    fn line(at: i64, what: What) -> Line {
        Line { at: Timestamp(at), what }
    }

    fn claimed(asked: i64, at: i64, job: &str, pid: u32) -> Line {
        line(at, What::Claimed { job: job.into(), token: 1, pid, asked: Timestamp(asked) })
    }

    fn finishing(at: i64, job: &str) -> Line {
        line(at, What::Finishing { job: job.into(), token: 1 })
    }

    fn overlapping(history: &[Line], slots: usize) -> Vec<String> {
        let runs = runs(history, LEASE, GRACE);
        let all: Vec<&Lasted> = runs.iter().collect();
        overlaps(&all, slots, LEASE).into_iter().map(|run| run.job.clone()).collect()
    }

    #[test]
    fn a_claim_beside_a_run_that_lasts_is_an_overlap_beyond_the_slots() {
        let history = [claimed(0, 10, "a", 1), claimed(20, 30, "b", 2), finishing(40, "a")];
        assert_eq!(overlapping(&history, 1), ["b"]);
        assert_eq!(overlapping(&history, 2), Vec::<String>::new());
    }

    #[test]
    fn a_claim_that_may_have_come_after_the_end_is_none() {
        let waits = [claimed(0, 10, "a", 1), finishing(40, "a"), claimed(20, 41, "b", 2)];
        assert!(overlapping(&waits, 1).is_empty(), "it waited until the finish");
        let rescues = [claimed(0, 10, "a", 1), claimed(1_990, 2_001, "b", 2)];
        assert!(overlapping(&rescues, 1).is_empty(), "the lease had ended");
        let fenced = [
            claimed(0, 10, "a", 1),
            line(20, What::CancelAsked { job: "a".into() }),
            claimed(515, 521, "b", 2),
        ];
        assert!(overlapping(&fenced, 1).is_empty(), "the grace had ended");
        assert_eq!(overlapping(&[claimed(0, 10, "a", 1), claimed(500, 510, "b", 2)], 1), ["b"]);
    }

    #[test]
    fn a_lock_is_an_overlap_only_while_both_leases_last() {
        let met = |at| {
            let (job, holder) = ("b".into(), "a".into());
            line(at, What::LockMet { job, pid: 2, holder, holder_pid: 1 })
        };
        let overlaps = |history: &[Line]| locks_met(history, &runs(history, LEASE, GRACE)).0.len();
        assert_eq!(overlaps(&[claimed(0, 10, "a", 1), claimed(20, 30, "b", 2), met(40)]), 1);
        let after = [claimed(0, 10, "a", 1), claimed(2_000, 2_010, "b", 2), met(2_020)];
        assert_eq!(overlaps(&after), 0, "the dead holder's lease had ended");
        let zombie = [claimed(0, 10, "b", 2), claimed(2_000, 2_010, "a", 1), met(2_020)];
        assert_eq!(overlaps(&zombie), 0, "the one that met it had no lease");
    }

    #[test]
    fn a_window_beyond_burst_and_share_is_found() {
        let rate = Rate { n: 100, per: Duration::from_secs(1), burst: Some(3) };
        let starts = |at: &[i64]| at.iter().map(|at| Timestamp(*at)).collect::<Vec<_>>();
        assert_eq!(excess(&starts(&[0, 0, 0, 10, 20]), rate), 0.0);
        assert_eq!(excess(&starts(&[0, 100, 100, 100, 105]), rate), 0.5);
        assert_eq!(excess(&starts(&[0, 500, 500, 500, 500]), rate), 1.0);
    }
}
