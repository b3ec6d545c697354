use std::future::Future;

use longhaul::moving::{Exported, Imported};
use longhaul::{Clock, JobFilter, Lookup, MemoryStore, State};
use proptest::collection::vec;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use super::observation::Observation;
use super::operation::{self, IDS, Operation};
use super::{OPERATIONS, SEED, agree, apply, compare, number, random};
use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::id;
use crate::moving::{export, import, is_a_view};

/// The number of sequences in the midst of which a store is moved, unless `PROPTEST_CASES` says otherwise.
pub const MOVES: u32 = 32;

/// Tries sequences of operations. A store in memory plays the first part of each; what it exports is imported into a new store and
/// into a new model, which must be alike, play the second part alike, and export the same at the end.
///
/// # Panics
/// If they differ, with the seed and the shortest sequence found that shows it.
pub fn moves_agree<F, Fut>(make_store: F, cases: u32)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Fixture>,
{
    let asked: Option<u32> = number("PROPTEST_CASES");
    let seed = number("PROPTEST_RNG_SEED").unwrap_or_else(|| asked.map_or(SEED, |_| random()));
    let rng_seed = RngSeed::Fixed(seed);
    let cases = asked.unwrap_or(cases);
    let config =
        Config { cases, rng_seed, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("failed to start a runtime: {error}"));
    let parts = (vec(operation::any(), 1..OPERATIONS), vec(operation::any(), 0..OPERATIONS / 2));
    let result = TestRunner::new(config).run(&parts, |(before, after)| {
        runtime.block_on(async { moved(&make_store().await, &before, &after).await })
    });
    if let Err(difference) = result {
        panic!("PROPTEST_RNG_SEED={seed}: {difference}");
    }
}

async fn moved(store: &Fixture, before: &[Operation], after: &[Operation]) -> Result<(), TestCaseError> {
    if is_a_view(store).await {
        return Ok(());
    }
    let in_memory = || {
        let clock = Clock::manual();
        Fixture::new(MemoryStore::with_clock(clock.clone()), clock)
    };
    let (source, model) = (in_memory(), in_memory());
    let mut leases = Vec::new();
    let mut seen = Observation::of(&source).await;
    for operation in before {
        let mut answer = apply(&source, operation, &seen.runs(&leases)).await;
        leases.extend(answer.take_tokens());
        seen = Observation::of(&source).await;
    }
    for other in [&model, store] {
        other.clock.advance(source.now().since(other.now()));
    }
    let records = export(&source).await;
    for other in [&model, store] {
        let imported = import(other, &records).await;
        if let Some(place) = imported.iter().position(|imported| *imported != Imported::Created) {
            return Err(TestCaseError::fail(format!("{:?} for {:#?}", imported[place], records[place])));
        }
    }
    resembles(&model, &source).await?;
    let moving = Operation::Advance(std::time::Duration::ZERO);
    let (modelled, seen) = (Observation::of(&model).await, Observation::of(store).await);
    compare(before.len(), &moving, "leaves to be seen when it is moved", &modelled, &seen)?;
    agree(&model, store, after).await?;
    let (modelled, found) = (in_order(export(&model).await), in_order(export(store).await));
    compare(before.len() + after.len(), &moving, "exports", &modelled, &found)
}

/// Checks that the imported jobs equal the exported ones, but for running jobs.
async fn resembles(imported: &Fixture, source: &Fixture) -> Result<(), TestCaseError> {
    let all = source.list_records(&JobFilter::default()).await;
    if all.iter().any(|job| job.cancel_requested) {
        // It is cancelled by the import, which changes other jobs too.
        return Ok(());
    }
    for id in IDS.map(id) {
        let without_place = |lookup: Lookup| match lookup {
            Lookup::Found(mut job) => {
                job.position = None;
                Lookup::Found(job)
            }
            other => other,
        };
        let (there, here) =
            (without_place(source.lookup(&id).await), without_place(imported.lookup(&id).await));
        if matches!(&there, Lookup::Found(job) if job.state == State::Running) {
            continue;
        }
        if there != here {
            return Err(TestCaseError::fail(format!("{there:#?} was imported as {here:#?}")));
        }
        let events = async |fx: &Fixture| {
            ok("read events", fx.store.events(&id, 0, 1_000, std::time::Duration::ZERO).await)
        };
        let (there, here) = (events(source).await, events(imported).await);
        if there != here {
            return Err(TestCaseError::fail(format!("the log {there:#?} was imported as {here:#?}")));
        }
    }
    Ok(())
}

/// Records in an order that stores have in common: only that of jobs means something.
fn in_order(mut records: Vec<Exported>) -> Vec<Exported> {
    let name = |record: &Exported| match record {
        Exported::Queue(queue) => (0, queue.queue.clone()),
        Exported::Key(key) => (1, key.key.clone()),
        Exported::Job(_) => (2, String::new()),
        Exported::IdempotencyKey(key) => (3, key.key.clone()),
        Exported::Removed(removal) => (4, removal.id.to_string()),
        Exported::Sample(sample) => (5, sample.sample.source.clone()),
    };
    records.sort_by_key(name);
    for record in &mut records {
        if let Exported::Job(job) = record {
            job.dependencies.sort_by(|a, b| a.id.cmp(&b.id));
            job.job.position = None;
        }
    }
    records
}
