//! `longhaul-simulation`: runs seeds, replays one of them, and writes the page of what was proved.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use longhaul_simulation::{
    Histories, Lines, Planted, Proof, SEEDS, Seeds, Sum, catch, run, run_many, shrink, silence_planned_panics,
};

const EXAMPLES: &str = "\
Examples:
  longhaul-simulation                            the seeds of every check
  longhaul-simulation --hours 2 --from 1000000   as many seeds as two hours give, from another first one
  longhaul-simulation --seed 43                  replays a seed: what happened, and where a promise broke
                                                 the shortest scenario that still breaks it
  longhaul-simulation --seed 7 --plant wake-up-is-lost
                                                 the same on a store with a fault
  longhaul-simulation --proof docs/proof.md      runs seeds, looks for all planted faults, writes the page

A run draws workers, servers, jobs, what people do and what befalls processes, calls and clocks from its seed; two runs of
one seed are alike to the last event. It ends with 1 where a promise was broken or a planted fault was not found.";

/// Runs the whole engine on a simulated store, network and clock, with faults, and checks its promises
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
struct Cli {
    /// Replays this seed with a trace of what happened; where it breaks a promise, the shortest trace that is found
    #[arg(long, conflicts_with_all = ["seeds", "hours", "proof"])]
    seed: Option<u64>,
    /// Runs so many seeds
    #[arg(long, default_value_t = SEEDS, conflicts_with = "hours")]
    seeds: u64,
    /// Runs as many seeds as these hours give
    #[arg(long)]
    hours: Option<f64>,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Plants a fault in the store of the seed that is replayed
    #[arg(long, requires = "seed", hide_possible_values = true)]
    plant: Option<Planted>,
    /// Writes what was run, what it found and what it cannot find to this file
    #[arg(long)]
    proof: Option<PathBuf>,
    /// The folder that the tests of histories left their notes in (LONGHAUL_HISTORIES), for the page
    #[arg(long, requires = "proof")]
    histories: Option<PathBuf>,
}

fn main() -> ExitCode {
    silence_planned_panics();
    let cli = Cli::parse();
    match cli.seed {
        Some(seed) => replay(seed, cli.plant),
        None => many(&cli),
    }
}

fn replay(seed: u64, planted: Option<Planted>) -> ExitCode {
    let outcome = run(seed, planted, Lines::Kept);
    let Some(broken) = outcome.broken else {
        outcome.lines.iter().for_each(|line| println!("{line}"));
        println!("seed {seed}: every promise was kept; digest {:016x}", outcome.digest);
        return ExitCode::SUCCESS;
    };
    let shrunk = shrink(seed, planted, &broken, outcome.planned);
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
    let sum = run_seeds(cli.from, seeds);
    let Some(path) = &cli.proof else {
        return if sum.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    };
    let find = |planted: Planted| {
        let caught = catch(planted, 1..=SEEDS);
        let seed = caught.as_ref().map_or("no seed".to_owned(), |(seed, _)| format!("seed {seed}"));
        eprintln!("{seed} finds that {}", planted.describe().0);
        (planted, caught)
    };
    let caught = Planted::all().iter().copied().map(find).collect();
    // Last, so that histories may be run beside the seeds. What hours of seeds came to is written in any case.
    let histories = cli.histories.as_deref().map(Histories::read).transpose();
    if let Err(error) = &histories {
        eprintln!("failed to read the notes of histories: {error}");
    }
    let is_whole = histories.is_ok();
    let proof =
        Proof { first: cli.from, sum, caught, histories: histories.ok().flatten().unwrap_or_default() };
    match fs::write(path, proof.page()) {
        Ok(()) if proof.holds() && is_whole => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("failed to write {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// Runs seeds; prints those that break a promise at once, and the sum now and then.
fn run_seeds(first: u64, seeds: Seeds) -> Sum {
    let (mut told, mut shown) = (Duration::ZERO, 0);
    let sum = run_many(first, seeds, |sum| {
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
    sum
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
