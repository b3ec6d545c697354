use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::MeasureArgs;
use crate::Result;
use crate::figure::{Bar, Figure};
use crate::target::{StoreKind, Target};

/// The workloads of `longhaul bench` that are compared. None of their jobs has limits, a unique key or dependencies.
const WORKLOADS: [&str; 4] = ["enqueue1", "enqueue64", "bulk", "drain"];
/// The part of the rate of before that a build must come to.
const LEAST: f64 = 0.97;

/// The bench of this build beside that of one before, in turn, so that a machine that becomes slower or faster meanwhile does
/// not decide it.
pub(super) async fn measure(args: &MeasureArgs, kind: StoreKind) -> Result<Vec<Figure>> {
    let Some(before) = &args.before else {
        return Ok(vec![Figure::without_bar(
            "the bench without any of it, beside before",
            "not measured: --before names no build",
        )]);
    };
    let mut figures = Vec::new();
    for workload in WORKLOADS {
        let target = Target::start(kind).await?;
        let store = match kind {
            // Each run makes a file of its own.
            StoreKind::Sqlite => "sqlite:",
            StoreKind::Postgres | StoreKind::Redis => &target.direct,
        };
        let (mut was, mut is, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for rep in 0..args.reps {
            let mut pair = [0.0; 2];
            // Who goes first changes: the second may find the disk busy with what the first has left.
            for turn in [rep % 2, 1 - rep % 2] {
                let build = [before, &args.longhaul][turn];
                pair[turn] = jobs_per_second(build, store, workload).await?;
            }
            let [less, more] = pair;
            eprintln!("measure: {workload}: {less:.0} → {more:.0} jobs/s ({:.3} ×)", more / less);
            was.push(less);
            is.push(more);
            ratios.push(more / less);
        }
        let [was, is, ratio] = [was, is, ratios].map(median);
        figures.push(Figure::held(
            format!("{workload}, before → now, medians of {} runs each in turn", args.reps),
            format!("{was:.0} → {is:.0} jobs/s ({ratio:.3} ×, median of the pairs)"),
            Bar::at_least(ratio, LEAST, "×"),
        ));
    }
    Ok(figures)
}

async fn jobs_per_second(build: &Path, store: &str, workload: &str) -> Result<f64> {
    let mut bench = Command::new(build);
    bench.args(["bench", "--reps", "1", "--quiet-seconds", "0", "--store", store, workload]);
    let done = bench.stderr(Stdio::inherit()).output().await?;
    let line: Option<Value> = serde_json::from_slice(&done.stdout).ok();
    let rate = line.as_ref().and_then(|line| line["jobs_per_s"].as_f64()).filter(|_| done.status.success());
    rate.ok_or_else(|| format!("failed to measure {workload} with {}", build.display()).into())
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}
