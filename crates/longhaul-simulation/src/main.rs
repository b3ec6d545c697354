//! `longhaul-simulation`: runs seeds, and replays one of them.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use longhaul_simulation::{Lines, Seeds, Sum, run, run_many, shrink, silence_planned_panics};

/// Runs the whole engine on a simulated store, network and clock, with faults, and checks its promises
#[derive(Debug, Parser)]
struct Cli {
    /// Replays this seed with a trace of what happened; where it breaks a promise, the shortest trace that is found
    #[arg(long, conflicts_with_all = ["seeds", "hours"])]
    seed: Option<u64>,
    /// Runs so many seeds
    #[arg(long, default_value_t = 2_000, conflicts_with = "hours")]
    seeds: u64,
    /// Runs as many seeds as these hours give
    #[arg(long)]
    hours: Option<f64>,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
}

fn main() -> ExitCode {
    silence_planned_panics();
    let cli = Cli::parse();
    match cli.seed {
        Some(seed) => replay(seed),
        None => many(&cli),
    }
}

fn replay(seed: u64) -> ExitCode {
    let outcome = run(seed, None, Lines::Kept);
    let Some(broken) = outcome.broken else {
        outcome.lines.iter().for_each(|line| println!("{line}"));
        println!("seed {seed}: every promise was kept; digest {:016x}", outcome.digest);
        return ExitCode::SUCCESS;
    };
    let shrunk = shrink(seed, None, &broken, outcome.planned);
    shrunk.outcome.lines.iter().for_each(|line| println!("{line}"));
    let (promise, how) = (broken.promise, shrunk.outcome.broken.map_or(broken.how, |broken| broken.how));
    println!("seed {seed}, with {} of its {} steps, broke: {promise}\n  {how}", shrunk.left, shrunk.of);
    ExitCode::FAILURE
}

fn many(cli: &Cli) -> ExitCode {
    let seeds = match cli.hours {
        Some(hours) => Seeds::For(Duration::from_secs_f64(hours.max(0.0) * 3_600.0)),
        None => Seeds::Count(cli.seeds),
    };
    let (mut told, mut shown) = (Duration::ZERO, 0);
    let sum = run_many(cli.from, seeds, |sum| {
        for (seed, broken) in &sum.broken[shown..] {
            println!("seed {seed} broke: {}\n  {}\n  --seed {seed} replays it", broken.promise, broken.how);
        }
        shown = sum.broken.len();
        if sum.took >= told + Duration::from_secs(10) {
            told = sum.took;
            eprintln!("{}", words(sum));
        }
    });
    println!("{}", words(&sum));
    for (what, count) in &sum.counts {
        println!("  {count:>12} {what}");
    }
    if sum.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn words(sum: &Sum) -> String {
    format!(
        "{} seeds in {:.0} s, {:.1} ms each; {:.1} hours were simulated; {} broke a promise",
        sum.runs,
        sum.took.as_secs_f64(),
        sum.took.as_secs_f64() * 1e3 / sum.runs.max(1) as f64,
        sum.simulated.as_secs_f64() / 3_600.0,
        sum.broken.len()
    )
}
