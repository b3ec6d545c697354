//! The check of a history against the promises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use longhaul::Timestamp;

use crate::history::{Accepted, End, Fault, Line, What};

/// The result of a check.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Findings {
    /// Jobs that an API server had acknowledged.
    pub(crate) acknowledged: usize,
    /// Of these, jobs that completed.
    pub(crate) completed: usize,
    /// Acknowledged jobs that the store does not know, or that did not complete. Must be none.
    pub(crate) lost: Vec<String>,
    /// Jobs with runs that ended in no accepted finish: allowed, and what faults cost.
    pub(crate) executed_twice: usize,
    /// Jobs of which two completions were accepted, or that were claimed again after one. Must be none.
    pub(crate) finished_twice: Vec<String>,
    /// Finishes that came too late and were refused: zombies that were fenced off.
    pub(crate) refused: usize,
    /// Jobs of a paused key that were claimed within the pause. Must be none.
    pub(crate) limits_exceeded: Vec<String>,
    /// The times from a worker's death until its jobs were with another, in order.
    pub(crate) rescues: Vec<Duration>,
    /// Of these, rescues that were left out because the store itself was away meanwhile.
    pub(crate) rescues_left_out: usize,
    /// The faults that were made, by sort.
    pub(crate) faults: BTreeMap<Fault, usize>,
}

impl Findings {
    /// The promises that were broken, of those that allow no exception.
    #[must_use]
    pub(crate) fn broken(&self) -> Vec<String> {
        let found = [
            (&self.lost, "an acknowledged job is never lost"),
            (&self.finished_twice, "a job is finished once"),
            (&self.limits_exceeded, "a paused key's jobs wait"),
        ];
        found.iter().filter(|(jobs, _)| !jobs.is_empty()).map(|(_, promise)| (*promise).to_owned()).collect()
    }

    /// The jobs that these promises were broken for.
    pub(crate) fn broken_jobs(&self) -> impl Iterator<Item = &str> {
        [&self.lost, &self.finished_twice, &self.limits_exceeded].into_iter().flatten().map(String::as_str)
    }

    /// Prints the counts.
    pub(crate) fn report(&self) {
        let none = |jobs: &[String]| match jobs {
            [] => "0".to_owned(),
            jobs => format!("{} (must be 0): {}", jobs.len(), jobs[..jobs.len().min(5)].join(", ")),
        };
        println!("  acknowledged         {}", self.acknowledged);
        println!("  completed            {}", self.completed);
        println!("  lost                 {}", none(&self.lost));
        println!("  finished twice       {}", none(&self.finished_twice));
        println!("  limits exceeded      {}", none(&self.limits_exceeded));
        println!("  executed twice       {} (allowed)", self.executed_twice);
        println!("  late finishes        {} refused", self.refused);
    }

    /// A percentile of the rescues.
    #[must_use]
    pub(crate) fn rescue(&self, part: f64) -> Option<Duration> {
        let last = self.rescues.len().checked_sub(1)?;
        self.rescues.get((last as f64 * part).round() as usize).copied()
    }
}

/// Checks a history. `completed` are the jobs that the store says are completed, at the end; `limited` those that share
/// the paused key.
#[must_use]
pub(crate) fn check(
    history: &[Line],
    completed: &BTreeSet<String>,
    limited: &BTreeSet<String>,
    owner: StoreOwner,
) -> Findings {
    let mut findings = Findings::default();
    let acknowledged: BTreeSet<&str> = history
        .iter()
        .filter_map(|line| match &line.what {
            What::Acknowledged { job } => Some(job.as_str()),
            _ => None,
        })
        .collect();
    findings.acknowledged = acknowledged.len();
    for job in acknowledged {
        if completed.contains(job) {
            findings.completed += 1;
        } else {
            findings.lost.push(job.to_owned());
        }
    }
    for line in history {
        if let What::Fault { fault, .. } = line.what {
            *findings.faults.entry(fault).or_default() += 1;
        }
    }
    check_runs(history, &mut findings);
    check_pauses(history, limited, &mut findings);
    check_rescues(history, owner, &mut findings);
    findings
}

/// The owner of a store's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreOwner {
    /// A server of its own.
    Server,
    /// The processes that use it, together: one that is stopped in the middle of a transaction holds the file's lock,
    /// and no other can write until it is resumed.
    Processes,
}

/// The tokens of a job's claims, of its accepted finishes, and of those of these that completed it. A finish that is repeated
/// after a lost answer is accepted again, and counts once.
#[derive(Default)]
struct Runs {
    claims: Vec<u64>,
    accepted: BTreeSet<u64>,
    completions: BTreeSet<u64>,
}

fn check_runs(history: &[Line], findings: &mut Findings) {
    let mut runs: BTreeMap<&str, Runs> = BTreeMap::new();
    for line in history {
        match &line.what {
            What::Claimed { job, token, .. } => runs.entry(job).or_default().claims.push(*token),
            What::Finished { accepted: Accepted::No, .. } => findings.refused += 1,
            What::Finished { job, token, outcome, accepted: Accepted::Yes, .. } => {
                let runs = runs.entry(job).or_default();
                runs.accepted.insert(*token);
                if *outcome == End::Completed {
                    runs.completions.insert(*token);
                }
            }
            _ => {}
        }
    }
    for (job, runs) in runs {
        findings.executed_twice += usize::from(runs.claims.len() > runs.accepted.len().max(1));
        // Tokens only rise. So whatever order the lines came in, a claim with a higher one came after the completion.
        let again = runs.completions.iter().any(|done| runs.claims.iter().any(|claim| claim > done));
        if runs.completions.len() > 1 || again {
            findings.finished_twice.push(job.to_owned());
        }
    }
}

/// A pause is known to hold from when its finish was answered until its length after it was asked for. A claim that
/// was asked for and answered within that time must not have brought a job of the key.
fn check_pauses(history: &[Line], limited: &BTreeSet<String>, findings: &mut Findings) {
    let pauses: Vec<(Timestamp, Timestamp)> = history
        .iter()
        .filter_map(|line| match &line.what {
            What::Finished { outcome: End::RateLimited(millis), accepted: Accepted::Yes, asked, .. } => {
                Some((line.at, asked.plus(Duration::from_millis(*millis))))
            }
            _ => None,
        })
        .collect();
    for line in history {
        let What::Claimed { job, asked, .. } = &line.what else { continue };
        let within = |(from, to): &(Timestamp, Timestamp)| from < asked && line.at < *to;
        if limited.contains(job) && pauses.iter().any(within) {
            findings.limits_exceeded.push(job.clone());
        }
    }
}

/// The time for which a store's absence delays rescues after its end: its clients come back with a backoff.
const AFTER_AN_OUTAGE: Duration = Duration::from_secs(5);

fn check_rescues(history: &[Line], owner: StoreOwner, findings: &mut Findings) {
    let outages = outages(history, owner);
    for (position, line) in history.iter().enumerate() {
        let What::Fault { fault: Fault::WorkerKilled, pid: dead } = line.what else { continue };
        for job in running_under(&history[..position], dead) {
            let next = history[position..].iter().find(
                |later| matches!(&later.what, What::Claimed { job: j, pid, .. } if j == job && *pid != dead),
            );
            // A finish may have reached the store although its worker died before the answer.
            let Some(next) = next else { continue };
            if outages.iter().any(|(from, to)| *from <= next.at && line.at <= to.plus(AFTER_AN_OUTAGE)) {
                findings.rescues_left_out += 1;
            } else {
                findings.rescues.push(next.at.since(line.at));
            }
        }
    }
    findings.rescues.sort_unstable();
}

/// The jobs that a process had claimed and not finished.
fn running_under(history: &[Line], worker: u32) -> BTreeSet<&str> {
    let mut running = BTreeSet::new();
    for line in history {
        match &line.what {
            What::Claimed { job, pid, .. } if *pid == worker => running.insert(job.as_str()),
            // Another worker that has claimed it since has rescued it already.
            What::Claimed { job, .. } | What::Finished { job, .. } => running.remove(job.as_str()),
            _ => false,
        };
    }
    running
}

/// The times in which the store was away; one that is away at the end stays so.
fn outages(history: &[Line], owner: StoreOwner) -> Vec<(Timestamp, Timestamp)> {
    let mut outages = Vec::new();
    let mut since = None;
    for line in history {
        let What::Fault { fault, .. } = line.what else { continue };
        match fault {
            Fault::WorkerStopped | Fault::ServerStopped if owner == StoreOwner::Processes => {
                since = Some(line.at)
            }
            Fault::WorkerContinued | Fault::ServerContinued if owner == StoreOwner::Processes => {
                outages.extend(since.take().map(|from| (from, line.at)));
            }
            Fault::StoreKilled => since = Some(line.at),
            Fault::StoreBack => outages.extend(since.take().map(|from| (from, line.at))),
            Fault::ConnectionsCut => outages.push((line.at, line.at)),
            _ => {}
        }
    }
    outages.extend(since.map(|from| (from, Timestamp(i64::MAX))));
    outages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: i64, what: What) -> Line {
        Line { at: Timestamp(at), what }
    }

    fn claimed(at: i64, job: &str, token: u64, pid: u32) -> Line {
        line(at, What::Claimed { job: job.into(), token, pid, asked: Timestamp(at - 1) })
    }

    fn finished(at: i64, job: &str, token: u64, outcome: End, accepted: Accepted) -> Line {
        let asked = Timestamp(at - 1);
        line(at, What::Finished { job: job.into(), token, pid: 1, outcome, accepted, asked })
    }

    fn acknowledged(job: &str) -> Line {
        line(0, What::Acknowledged { job: job.into() })
    }

    fn set(jobs: &[&str]) -> BTreeSet<String> {
        jobs.iter().map(|job| (*job).to_owned()).collect()
    }

    #[test]
    fn a_good_history_is_good() {
        let history = [
            acknowledged("a"),
            claimed(10, "a", 1, 1),
            line(20, What::Fault { fault: Fault::WorkerKilled, pid: 1 }),
            claimed(3_020, "a", 2, 2),
            finished(3_100, "a", 1, End::Completed, Accepted::No),
            finished(3_200, "a", 2, End::Completed, Accepted::Yes),
        ];
        let findings = check(&history, &set(&["a"]), &set(&[]), StoreOwner::Server);
        assert_eq!((findings.acknowledged, findings.completed, findings.executed_twice), (1, 1, 1));
        assert_eq!((findings.refused, findings.rescues.clone()), (1, vec![Duration::from_secs(3)]));
        assert_eq!((findings.broken(), findings.rescue(0.99)), (vec![], Some(Duration::from_secs(3))));
    }

    #[test]
    fn a_lost_job_is_found() {
        assert_eq!(check(&[acknowledged("a")], &set(&[]), &set(&[]), StoreOwner::Server).lost, ["a"]);
    }

    #[test]
    fn a_second_completion_is_found() {
        let twice = [
            finished(1, "a", 1, End::Completed, Accepted::Yes),
            finished(2, "a", 2, End::Completed, Accepted::Yes),
        ];
        assert_eq!(check(&twice, &set(&["a"]), &set(&[]), StoreOwner::Server).finished_twice, ["a"]);
        let again = [claimed(3, "a", 2, 1), finished(2, "a", 1, End::Completed, Accepted::Yes)];
        assert_eq!(check(&again, &set(&["a"]), &set(&[]), StoreOwner::Server).finished_twice, ["a"]);
    }

    #[test]
    fn a_claim_within_a_pause_is_found() {
        let history = [
            finished(10, "a", 1, End::RateLimited(100), Accepted::Yes),
            claimed(50, "b", 2, 1),
            claimed(50, "free", 3, 1),
            claimed(120, "c", 4, 1),
        ];
        let findings = check(&history, &set(&[]), &set(&["a", "b", "c"]), StoreOwner::Server);
        assert_eq!(findings.limits_exceeded, ["b"], "neither one of no key nor one after the pause");
    }

    #[test]
    fn a_rescue_while_the_store_was_away_is_left_out() {
        let history = [
            claimed(10, "a", 1, 1),
            line(20, What::Fault { fault: Fault::WorkerKilled, pid: 1 }),
            line(30, What::Fault { fault: Fault::StoreKilled, pid: 9 }),
            line(40, What::Fault { fault: Fault::StoreBack, pid: 9 }),
            claimed(9_000, "a", 2, 2),
        ];
        let findings = check(&history, &set(&[]), &set(&[]), StoreOwner::Server);
        assert_eq!((findings.rescues.len(), findings.rescues_left_out), (0, 1));
    }
}
