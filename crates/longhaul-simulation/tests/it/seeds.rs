use longhaul_simulation::{Lines, SEEDS, Seeds, run, run_many, silence_planned_panics};

/// A part of the seeds of every check; four parts run side by side.
fn keeps_every_promise(part: u64) {
    let seeds = SEEDS / 4;
    let sum = run_many(1 + part * seeds, Seeds::Count(seeds), |_| {});
    assert_eq!(sum.runs, seeds);
    let broken = sum.broken.iter().map(|(seed, broken)| {
        format!(
            "seed {seed} broke: {}\n  {}\n  make simulate SEED={seed} replays it",
            broken.promise, broken.how
        )
    });
    let broken: Vec<String> = broken.collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_first_quarter_of_the_seeds_keeps_every_promise() {
    keeps_every_promise(0);
}

#[test]
fn the_second_quarter_of_the_seeds_keeps_every_promise() {
    keeps_every_promise(1);
}

#[test]
fn the_third_quarter_of_the_seeds_keeps_every_promise() {
    keeps_every_promise(2);
}

#[test]
fn the_last_quarter_of_the_seeds_keeps_every_promise() {
    keeps_every_promise(3);
}

#[test]
fn seeds_beyond_those_of_every_check_that_have_found_something_keep_every_promise() {
    silence_planned_panics();
    for seed in [3_747, 3_905] {
        let broken = run(seed, None, Lines::Forgotten).broken;
        assert_eq!(broken, None, "seed {seed}");
    }
}

#[test]
fn two_runs_of_a_seed_are_alike_to_the_last_event() {
    silence_planned_panics();
    let mut digests = std::collections::BTreeSet::new();
    for seed in 1..=40 {
        let (first, second) = (run(seed, None, Lines::Kept), run(seed, None, Lines::Kept));
        let differs = first.lines.iter().zip(&second.lines).position(|(a, b)| a != b);
        if let Some(at) = differs {
            let from = at.saturating_sub(5);
            panic!("seed {seed}: {:#?} and {:#?}", &first.lines[from..=at], &second.lines[from..=at]);
        }
        assert_eq!((first.digest, first.counts), (second.digest, second.counts), "seed {seed}");
        digests.insert(first.digest);
    }
    assert_eq!(digests.len(), 40, "and those of two seeds are not");
}
