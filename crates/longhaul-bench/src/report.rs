use std::fmt;
use std::time::Duration;

use longhaul_sqlite::Durability;
use serde::Serialize;

use crate::target::StoreUrl;

/// One workload of one contender, as it is printed: the fields of the harness that measures other systems.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Line {
    pub(crate) peer: &'static str,
    pub(crate) version: &'static str,
    pub(crate) store: String,
    pub(crate) durability: String,
    pub(crate) workload: &'static str,
    pub(crate) jobs: Option<u64>,
    pub(crate) seconds: Option<f64>,
    pub(crate) jobs_per_s: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) note: String,
    /// Each run's rate, or its p50 where that is what was asked.
    pub(crate) runs: Vec<f64>,
    /// The number of times a second that the disk made 4 KiB durable, right before each run.
    pub(crate) disk_syncs_per_s: Vec<u64>,
    /// Figures that only some workloads have.
    #[serde(flatten)]
    pub(crate) figures: serde_json::Map<String, serde_json::Value>,
}

/// A system that is measured.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) peer: &'static str,
    store: String,
    durability: String,
}

pub(crate) const LONGHAUL: &str = "longhaul";
pub(crate) const RECORDED: &str = "longhaul, recorded";
pub(crate) const RELAXED: &str = "longhaul, relaxed";
pub(crate) const LIMIT: &str = "limit";

impl Contender {
    pub(crate) fn longhaul(url: &StoreUrl) -> Self {
        Self { peer: LONGHAUL, store: url.description(), durability: url.durability().into() }
    }

    pub(crate) fn recorded(url: &StoreUrl) -> Self {
        Self { peer: RECORDED, ..Self::longhaul(url) }
    }

    pub(crate) fn relaxed(url: &StoreUrl, durability: Durability) -> Self {
        let durability = format!("WAL, fdatasync within {durability}");
        Self { peer: RELAXED, durability, ..Self::longhaul(url) }
    }

    pub(crate) fn limit() -> Self {
        Self {
            peer: LIMIT,
            store: "append-only file".into(),
            durability: "one write + fdatasync per batch".into(),
        }
    }

    pub(crate) fn line(&self, workload: &'static str) -> Line {
        Line {
            peer: self.peer,
            version: env!("CARGO_PKG_VERSION"),
            store: self.store.clone(),
            durability: self.durability.clone(),
            workload,
            jobs: None,
            seconds: None,
            jobs_per_s: None,
            p50_ms: None,
            p99_ms: None,
            note: String::new(),
            runs: Vec::new(),
            disk_syncs_per_s: Vec::new(),
            figures: serde_json::Map::new(),
        }
    }
}

/// The result of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Run {
    pub(crate) jobs: u64,
    pub(crate) time: Duration,
    /// The latency, for workloads that measure waiting.
    pub(crate) latency: Option<Latency>,
    pub(crate) note: String,
}

/// The time that jobs waited, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latency {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// A run, and how the disk was right before it.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) run: Run,
    pub(crate) disk_syncs_per_s: u64,
}

impl Run {
    pub(crate) fn per_second(&self) -> f64 {
        if self.time.is_zero() { 0.0 } else { self.jobs as f64 / self.time.as_secs_f64() }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.latency {
            Some(Latency { p50_ms, p99_ms }) => write!(f, "p50 {p50_ms:.3} ms, p99 {p99_ms:.3} ms")?,
            None => write!(f, "{:.0} jobs/s", self.per_second())?,
        }
        write!(f, " ({} jobs in {:.3} s)", self.jobs, self.time.as_secs_f64())
    }
}

impl Latency {
    /// The percentiles of at least one wait; `None` of none.
    pub(crate) fn of(mut waits: Vec<Duration>) -> Option<Self> {
        waits.sort_unstable();
        let at = |hundredths: usize| {
            let rank = (waits.len() * hundredths).div_ceil(100);
            waits.get(rank.saturating_sub(1)).map(|wait| wait.as_secs_f64() * 1e3)
        };
        Some(Self { p50_ms: at(50)?, p99_ms: at(99)? })
    }
}

impl Line {
    /// The median run; of an even number the slower of the two in the middle. Percentiles are each the median of
    /// the runs' own.
    pub(crate) fn median(contender: &Contender, workload: &'static str, samples: &[Sample]) -> Self {
        let mut line = contender.line(workload);
        line.disk_syncs_per_s = samples.iter().map(|sample| sample.disk_syncs_per_s).collect();
        let mut runs: Vec<&Run> = samples.iter().map(|sample| &sample.run).collect();
        runs.sort_by(|a, b| a.per_second().total_cmp(&b.per_second()));
        let Some(middle) = runs.get(runs.len().saturating_sub(1) / 2) else { return line };
        line.jobs = Some(middle.jobs);
        line.seconds = Some(round(middle.time.as_secs_f64(), 3));
        line.note.clone_from(&middle.note);
        let latencies: Vec<Latency> = samples.iter().filter_map(|sample| sample.run.latency).collect();
        if latencies.is_empty() {
            line.jobs_per_s = Some(round(middle.per_second(), 1));
            line.runs = samples.iter().map(|sample| round(sample.run.per_second(), 1)).collect();
        } else {
            line.p50_ms = middle_of(latencies.iter().map(|latency| latency.p50_ms)).map(|ms| round(ms, 3));
            line.p99_ms = middle_of(latencies.iter().map(|latency| latency.p99_ms)).map(|ms| round(ms, 3));
            line.runs = latencies.iter().map(|latency| round(latency.p50_ms, 3)).collect();
        }
        line
    }
}

/// The median of some numbers; of an even number of them the mean of the two in the middle.
pub(crate) fn middle_of(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let (below, above) = (numbers.len().checked_sub(1)? / 2, numbers.len() / 2);
    Some((numbers[below] + numbers[above]) / 2.0)
}

pub(crate) fn round(number: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (number * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(jobs: u64, millis: u64) -> Sample {
        let run = Run { jobs, time: Duration::from_millis(millis), ..Run::default() };
        Sample { run, disk_syncs_per_s: 9_000 }
    }

    fn pickup(p50_ms: f64, p99_ms: f64) -> Sample {
        let mut sample = rate(200, 5_000);
        sample.run.latency = Some(Latency { p50_ms, p99_ms });
        sample
    }

    #[test]
    fn a_line_holds_the_median_run_and_all_rates_in_the_order_of_the_runs() {
        let samples = [rate(1_000, 100), rate(1_000, 500), rate(1_000, 250)];
        let line = Line::median(&Contender::limit(), "drain", &samples);
        assert_eq!(line.jobs_per_s, Some(4_000.0));
        assert_eq!(line.seconds, Some(0.25));
        assert_eq!(line.runs, [10_000.0, 2_000.0, 4_000.0]);
    }

    #[test]
    fn of_two_runs_the_slower_one_counts() {
        let line = Line::median(&Contender::limit(), "bulk", &[rate(1_000, 100), rate(1_000, 500)]);
        assert_eq!(line.jobs_per_s, Some(2_000.0));
    }

    #[test]
    fn percentiles_are_medians_of_their_own() {
        let samples = [pickup(0.5, 9.0), pickup(0.7, 2.0), pickup(0.9, 4.0)];
        let line = Line::median(&Contender::limit(), "pickup", &samples);
        assert_eq!((line.p50_ms, line.p99_ms, line.jobs_per_s), (Some(0.7), Some(4.0), None));
        assert_eq!(line.runs, [0.5, 0.7, 0.9]);
    }

    #[test]
    fn a_percentile_is_the_smallest_wait_that_so_many_do_not_exceed() {
        let waits = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(Latency::of(waits), Some(Latency { p50_ms: 100.0, p99_ms: 198.0 }));
        let one = vec![Duration::from_millis(3)];
        assert_eq!(Latency::of(one), Some(Latency { p50_ms: 3.0, p99_ms: 3.0 }));
        assert_eq!(Latency::of(Vec::new()), None);
    }

    #[test]
    fn a_line_has_the_fields_that_the_table_of_other_systems_reads() {
        let line = Line::median(&Contender::limit(), "enqueue1", &[rate(5_000, 1_000)]);
        let json = serde_json::to_value(&line).unwrap();
        let fields: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        for field in [
            "peer",
            "version",
            "store",
            "durability",
            "workload",
            "jobs",
            "seconds",
            "jobs_per_s",
            "p50_ms",
            "p99_ms",
            "note",
            "runs",
            "disk_syncs_per_s",
        ] {
            assert!(fields.contains(&field), "{field} is missing in {json}");
        }
        assert_eq!(json["p50_ms"], serde_json::Value::Null);
        assert_eq!(json["disk_syncs_per_s"], serde_json::json!([9_000]));
    }
}
