use longhaul_simulation::{Lines, Planted, SEEDS, catch, run, shrink};

#[test]
fn every_planted_fault_is_found_by_the_seeds_of_every_check() {
    for planted in Planted::all().iter().copied() {
        let (words, _) = planted.describe();
        let (seed, broken) =
            catch(planted, 1..=SEEDS).unwrap_or_else(|| panic!("no seed finds that {words}"));
        println!("{words}: seed {seed}, {}: {}", broken.promise, broken.how);
    }
}

#[test]
fn a_scenario_that_breaks_a_promise_is_cut_to_the_steps_that_it_takes() {
    let planted = Some(Planted::LateFinishOverwritesItsSuccessor);
    let (seed, broken) = catch(Planted::LateFinishOverwritesItsSuccessor, 1..=SEEDS).expect("it is found");
    let planned = run(seed, planted, Lines::Forgotten).planned;
    let shrunk = shrink(seed, planted, &broken, planned);
    assert!(shrunk.left < shrunk.of, "{} of {}", shrunk.left, shrunk.of);
    assert_eq!(shrunk.outcome.broken.map(|found| found.promise), Some(broken.promise));
    assert!(!shrunk.outcome.lines.is_empty());
}
