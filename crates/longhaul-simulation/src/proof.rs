//! The report page: what was run, which faults were found, and what the simulation does not cover.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::many::{SEEDS, Sum};
use crate::planted::Planted;
use crate::witness::{Broken, PROMISES};

/// The data of the page.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The first seed.
    pub first: u64,
    /// The sum of the runs.
    pub sum: Sum,
    /// For each planted fault the first seed that finds it, and the promise that it breaks.
    pub caught: Vec<(Planted, Option<(u64, Broken)>)>,
    /// Histories that agreed with the model.
    pub histories: Vec<Histories>,
}

/// Random histories of one store, as the test that compared them notes them.
#[derive(Clone, Debug, Deserialize)]
pub struct Histories {
    /// The package of the store, and the test.
    pub store: String,
    /// The number of histories.
    pub histories: u64,
    /// The seed that they follow from.
    pub seed: u64,
}

impl Histories {
    /// Reads all notes of a folder, by store.
    ///
    /// # Errors
    /// A note cannot be read.
    pub fn read(folder: &Path) -> io::Result<Vec<Self>> {
        let mut all = Vec::new();
        for note in fs::read_dir(folder)? {
            let text = fs::read_to_string(note?.path())?;
            all.push(serde_json::from_str(&text)?);
        }
        all.sort_by(|a: &Self, b: &Self| (&a.store, a.seed).cmp(&(&b.store, b.seed)));
        Ok(all)
    }
}

/// Faults of the engine and its stores that seeds and histories have found: by what, where, and what it was. Scenarios have
/// changed since, so that a seed need not show its fault in the code before its mend any more.
const FOUND: [(&str, &str, &str); 14] = [
    (
        "simulation",
        "engine",
        "a worker that stood still while its claim was on its way started jobs that another ran",
    ),
    ("simulation", "engine", "a stop between taking a job and the first step of its run did the same"),
    (
        "simulation, then a sentence of the suite",
        "memory, Postgres, Redis",
        "a waiting claim was not woken when a job went that kept back others of its limit key",
    ),
    (
        "simulation, seeds 43 and 109",
        "memory",
        "a claim that waited already did not hear of a wait with a timeout that began after it",
    ),
    (
        "simulation, seeds 930 and 1385",
        "engine",
        "a step that enqueues children was taken for done though a full queue had refused one of them",
    ),
    (
        "simulation, seeds 3747 and 3905",
        "engine",
        "a schedule that was resumed by a server whose clock is behind the store's fired ticks again",
    ),
    (
        "simulation, seeds 36219 and 38287",
        "all stores",
        "retention removed a child before its parent had recorded the step that created it: it ran again, without end where its queue was full",
    ),
    (
        "histories, seed 3 of 250",
        "Postgres",
        "a run that ended with a wait of no time was not claimed again in the same call",
    ),
    (
        "histories, seed 202 of 250",
        "Postgres",
        "a call named a job that was there, joined it by its unique key and depended on that: it was tried again until its time was over",
    ),
    (
        "histories, seed 11 of 250",
        "Redis",
        "a sweep went round again wherever time had opened a key, and ended a job by its deadline one sweep too early",
    ),
    (
        "simulation, seed 8276",
        "all stores",
        "of two dependencies that turned out to be one job the first held, so that a failure that was to cancel did not",
    ),
    (
        "histories with lines of descendants",
        "Postgres",
        "a job that was cancelled at once for a dependency did not supersede the holder of its unique key",
    ),
    (
        "histories, seed 17390803432669708356 of 1000",
        "Redis",
        "a job whose unique key was given to another took it back at its end, once the other had ended",
    ),
    (
        "histories, seed 6316336692047870172 of 1000",
        "Redis",
        "an action on jobs found by their text left alone a job that it had itself moved to another state",
    ),
];

/// A long run by hand, of the code before the fixes of what it found.
const BY_HAND: &str = "Runs by hand before this one: on 29 November 2026 seeds 1 to 10,649, which are 165 hours of simulated time, of which \
     3747, 3905 and 8276 broke a promise; on 30 November, in an hour, seeds 1 to 52,952, which are 865 hours, of which 36219, 38287, 44525 and \
     47682 broke one (one fault), and 26605 and 47175 showed that the witness overlooked a pause.";

/// The parts that no seed can find faults of, because the simulation does not model them.
const NOT_MODELLED: [(&str, &str); 10] = [
    (
        "SQLite, Postgres and Redis",
        "the simulated store is the one in memory, with the network's faults before it. The others are compared with it by random \
         histories, call by call, and run under kills, stops, outages and partitions by `make chaos` and `make outage`.",
    ),
    (
        "threads",
        "a run has one thread; races between the threads of one process are for the races of the conformance suite.",
    ),
    (
        "HTTP and remote workers",
        "calls are the `Store`'s methods, not requests; clients have conformance tests of their own.",
    ),
    (
        "disks",
        "nothing acknowledged by the store in memory is lost with a process; a power loss is the databases' promise.",
    ),
    (
        "clocks that go back or run at other speeds",
        "clocks jump forward, each process has its own, and all run alike.",
    ),
    ("failover", "one store, which is away or cut off, and comes back as it was."),
    ("payloads near their bounds", "args, outputs and logs are small."),
    ("webhooks", "no scenario has them; the conformance suite has their sentences."),
    ("middleware", "runs have no layers of an application's."),
    (
        "long lives",
        "a storm lasts 8 to 30 s of simulated time, with up to 3 workers and 2 servers, until its jobs have ended.",
    ),
];

impl Proof {
    /// True where no promise was broken and every planted fault was found.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.sum.broken.is_empty() && self.caught.iter().all(|(_, caught)| caught.is_some())
    }

    /// The page.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut page);
        page
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        writeln!(
            page,
            "# Proof\n\n\
             `make proof` writes this page: it runs the whole engine (workers, servers, maintenance, schedules) on a simulated store, \
             network and clock, with faults, judges {} promises, and plants faults that it must find. All of a run follows from its \
             seed.\n\n\
             Version {}, {profile} build for {} on {}, Rust {} or later.\n\n\
             - `make simulate SEED=n` replays a seed with a trace, and cuts it to the shortest scenario that breaks its promise.\n\
             - `make simulate SEED=n PLANT=wake-up-is-lost` replays it with a planted fault.\n\
             - Every check (`make test`) runs {SEEDS} seeds and finds every planted fault with them.\n",
            PROMISES.len(),
            env!("CARGO_PKG_VERSION"),
            std::env::consts::ARCH,
            std::env::consts::OS,
            env!("CARGO_PKG_RUST_VERSION"),
        )?;
        self.write_seeds(page)?;
        self.write_planted(page)?;
        self.write_histories(page)?;
        writeln!(
            page,
            "## What was found\n\n{BY_HAND} All of these are mended.\n\n| found by | in | fault |\n|---|---|---|"
        )?;
        for (by, place, fault) in FOUND {
            writeln!(page, "| {by} | {place} | {fault} |")?;
        }
        writeln!(page, "\n## What is not modelled\n")?;
        for (what, why) in NOT_MODELLED {
            writeln!(page, "- **{what}**: {why}")?;
        }
        writeln!(page, "\n## The promises\n")?;
        for promise in PROMISES {
            writeln!(page, "- {promise}")?;
        }
        Ok(())
    }

    fn write_seeds(&self, page: &mut String) -> std::fmt::Result {
        let Self { first, sum, .. } = self;
        let last = first + sum.runs.saturating_sub(1);
        writeln!(
            page,
            "## Seeds\n\n\
             Seeds {first} to {last}: **{} runs**, {:.1} hours of simulated time in {:.1} minutes ({:.1} ms a run on one core). \
             **{} broke a promise.**\n",
            sum.runs,
            sum.simulated.as_secs_f64() / 3_600.0,
            sum.took.as_secs_f64() / 60.0,
            sum.took.as_secs_f64() * 1e3 / sum.runs.max(1) as f64,
            sum.broken.len(),
        )?;
        for (seed, broken) in &sum.broken {
            writeln!(page, "- seed {seed}: {} ({})", broken.promise, broken.how)?;
        }
        writeln!(page, "| count | of |\n|--:|---|")?;
        for (what, count) in &sum.counts {
            writeln!(page, "| {count} | {what} |")?;
        }
        writeln!(page)
    }

    fn write_planted(&self, page: &mut String) -> std::fmt::Result {
        writeln!(
            page,
            "## Planted faults\n\n\
             Each is a store with one fault, named after the report or the mistake that it comes from. The seed is the first, from 1, \
             that finds it.\n\n\
             | fault | from | seed | the promise that breaks |\n|---|---|--:|---|"
        )?;
        for (planted, caught) in &self.caught {
            let (words, report) = planted.describe();
            match caught {
                Some((seed, broken)) => {
                    writeln!(page, "| {words} | {report} | {seed} | {} |", broken.promise)?
                }
                None => writeln!(page, "| {words} | {report} | **none of {SEEDS}** | |")?,
            }
        }
        writeln!(page)
    }

    fn write_histories(&self, page: &mut String) -> std::fmt::Result {
        if self.histories.is_empty() {
            return Ok(());
        }
        writeln!(
            page,
            "## Histories\n\n\
             Random sequences of up to 60 operations, each on a new store: its answers, and all that can be seen of it, agree with \
             the store in memory after every operation. `PROPTEST_CASES=n PROPTEST_RNG_SEED=n` repeats them.\n\n\
             | store | histories | seed |\n|---|--:|--:|"
        )?;
        for runs in self.histories.chunk_by(|one, next| one.store == next.store) {
            let histories: u64 = runs.iter().map(|run| run.histories).sum();
            let seed = match runs {
                [first, .., _] => format!("{} and {} more", first.seed, runs.len() - 1),
                _ => runs.iter().map(|run| run.seed.to_string()).collect(),
            };
            writeln!(page, "| {} | {histories} | {seed} |", runs[0].store)?;
        }
        writeln!(page)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_page_tells_of_seeds_faults_and_histories_and_does_not_hold_where_a_fault_was_not_found() {
        let broken = Broken { promise: PROMISES[0], how: "by chance".into(), at: Duration::ZERO };
        let sum = Sum { runs: 3, counts: BTreeMap::from([("jobs", 7)]), ..Sum::default() };
        let of = |store: &str, histories, seed| Histories { store: store.into(), histories, seed };
        let histories =
            vec![of("memory", 1_000, 5), of("redis", 500, 6), of("redis", 250, 7), of("redis", 250, 8)];
        let caught = vec![(Planted::WakeUpIsLost, Some((9, broken.clone())))];
        let mut proof = Proof { first: 1, sum, caught, histories };
        assert!(proof.holds());
        let page = proof.page();
        for part in [
            "Seeds 1 to 3: **3 runs**",
            "| 7 | jobs |",
            "river#238 | 9 |",
            "| memory | 1000 | 5 |",
            "| redis | 1000 | 6 and 2 more |",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        proof.caught[0].1 = None;
        assert!(!proof.holds() && proof.page().contains("none of"));
        proof.caught.clear();
        proof.sum.broken.push((2, broken));
        assert!(!proof.holds() && proof.page().contains("- seed 2: "));
    }
}
