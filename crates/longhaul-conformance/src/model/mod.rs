//! The model test: any sequence of operations has the same answers, and leaves the same to be seen, on the
//! store under test as on [`MemoryStore`].
//!
//! | file | what |
//! |---|---|
//! | `operation` | what can be done, and how sequences of it are drawn |
//! | `change_log` | what a store tells of its changes of state |
//! | `moving` | stores that are moved in the midst of a sequence |
//! | `observation` | what can be seen afterwards, and what must hold of it on any store |

mod change_log;
mod moving;
mod observation;
mod operation;

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::str::FromStr;
use std::{fs, io};

use longhaul::{
    Claim, Claimed, Clock, EnqueueStatus, Enqueued, Error, Finish, Lease, LeaseStatus, MemoryStore, Record,
    Signalled, Swept,
};
use proptest::collection::vec;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use self::change_log::ChangeLog;
pub use self::moving::{MOVES, moves_agree};
use self::observation::Observation;
use self::operation::{End, Operation, Run};
use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{id, json, worker};

/// The number of sequences that are tried, unless `PROPTEST_CASES` says otherwise.
pub const CASES: u32 = 64;
/// The number of sequences that a store with [`histories!`](crate::histories) plays in every check, unless it names fewer.
pub const HISTORIES: u32 = 1_000;
/// The seed of the sequences where `PROPTEST_CASES` is not set: a suite that passed passes again, and new sequences are
/// drawn where somebody is there to read what they find.
pub const SEED: u64 = 20_261_125;
/// The longest sequence.
const OPERATIONS: usize = 60;

/// Tries sequences of operations, each on a new store and a new model: `cases` of them, or as many as
/// `PROPTEST_CASES` says. These are drawn anew each time, by the seed `PROPTEST_RNG_SEED` where it is set.
///
/// # Panics
/// If the two differ, with the seed and the shortest sequence found that shows it.
pub fn model_agrees<F, Fut>(make_store: F, cases: u32)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Fixture>,
{
    let asked: Option<u32> = number("PROPTEST_CASES");
    let seed = number("PROPTEST_RNG_SEED").unwrap_or_else(|| asked.map_or(SEED, |_| random()));
    agree_on(make_store, asked.unwrap_or(cases), seed);
}

/// Tries a quarter of a store's `histories`, by its number, of which each has a seed of its own; or a quarter of as many as
/// `PROPTEST_CASES` says.
///
/// # Panics
/// As [`model_agrees`].
pub fn histories_agree<F, Fut>(make_store: F, histories: u32, part: u64)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Fixture>,
{
    let asked: Option<u32> = number("PROPTEST_CASES");
    let seed = number("PROPTEST_RNG_SEED").unwrap_or_else(|| asked.map_or(SEED + part, |_| random()));
    agree_on(make_store, asked.unwrap_or(histories).div_ceil(4), seed);
}

/// Panics on a difference; otherwise writes the number of histories to the folder `LONGHAUL_HISTORIES`, if it is set.
fn agree_on<F, Fut>(make_store: F, cases: u32, seed: u64)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Fixture>,
{
    if let Some(difference) = find_difference(make_store, cases, seed) {
        panic!("PROPTEST_RNG_SEED={seed}: {difference}");
    }
    if let Some(folder) = std::env::var_os("LONGHAUL_HISTORIES") {
        let noted = note(Path::new(&folder), cases, seed);
        noted.unwrap_or_else(|error| panic!("failed to note the histories: {error}"));
    }
}

/// Writes the number of agreeing histories to a file of its own, for the page that reports them.
fn note(folder: &Path, histories: u32, seed: u64) -> io::Result<()> {
    let test = std::thread::current().name().unwrap_or_default().replace("::", ".");
    let store = format!("{} {test}", std::env::var("CARGO_PKG_NAME").unwrap_or_default());
    fs::create_dir_all(folder)?;
    let note = format!(r#"{{"store":"{store}","histories":{histories},"seed":{seed}}}"#);
    fs::write(folder.join(format!("{store} {seed}.json")), note)
}

fn number<N: FromStr>(variable: &str) -> Option<N> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Tries `cases` sequences that follow from `seed`, and answers with the shortest difference found, where there is one.
///
/// # Panics
/// If no runtime can be started.
pub fn find_difference<F, Fut>(make_store: F, cases: u32, seed: u64) -> Option<String>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Fixture>,
{
    let rng_seed = RngSeed::Fixed(seed);
    let config =
        Config { cases, rng_seed, failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("failed to start a runtime: {error}"));
    let result = TestRunner::new(config).run(&vec(operation::any(), 1..OPERATIONS), |operations| {
        runtime.block_on(async {
            let store = make_store().await;
            let clock = Clock::manual();
            // One that has played others before has a later time.
            clock.advance(store.now().since(clock.now()));
            let model = Fixture::new(MemoryStore::with_clock(clock.clone()), clock);
            agree(&model, &store, &operations).await
        })
    });
    result.err().map(|difference| difference.to_string())
}

/// Applies the operations to both and compares after each.
async fn agree(model: &Fixture, store: &Fixture, operations: &[Operation]) -> Result<(), TestCaseError> {
    // A token means something to the store that drew it, and nothing to the other.
    let (mut modelled_leases, mut leases) = (Vec::new(), Vec::new());
    let (modelled_log, log) = (ChangeLog::listen(model), ChangeLog::listen(store));
    let mut before = Observation::of(model).await;
    for (number, operation) in operations.iter().enumerate() {
        let mut expected = apply(model, operation, &before.runs(&modelled_leases)).await;
        let mut answer = apply(store, operation, &before.runs(&leases)).await;
        modelled_leases.extend(expected.take_tokens());
        leases.extend(answer.take_tokens());
        compare(number, operation, "answers", &expected, &answer)?;
        let (modelled, seen) = (Observation::of(model).await, Observation::of(store).await);
        compare(number, operation, "leaves to be seen", &modelled, &seen)?;
        if let Err(broken) = seen.check_against(&before) {
            return Err(TestCaseError::fail(format!("after operation {number}, {operation:#?}: {broken}")));
        }
        if let (Some(modelled_log), Some(log)) = (&modelled_log, &log) {
            let (modelled, reported) = (modelled_log.take(), log.take());
            compare(number, operation, "tells", &change_log::runs(&modelled), &change_log::runs(&reported))?;
            if let Err(broken) = change_log::check(&reported, &before, &seen) {
                let broken = format!("after operation {number}, {operation:#?}: {broken}");
                return Err(TestCaseError::fail(broken));
            }
        }
        before = seen;
    }
    Ok(())
}

fn compare<T: PartialEq + std::fmt::Debug>(
    number: usize,
    operation: &Operation,
    what: &str,
    expected: &T,
    found: &T,
) -> Result<(), TestCaseError> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (format!("{expected:#?}"), format!("{found:#?}"));
    let difference = lines_that_differ(&expected, &found);
    let message =
        format!("operation {number}, {operation:#?}, {what} (- the model, + the store):\n{difference}");
    Err(TestCaseError::fail(message))
}

/// Two texts are mostly alike, so only the lines between their common beginning and end are shown, with the
/// few before that say whose they are.
fn lines_that_differ(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let begin = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let longest_end = expected.len().min(found.len()) - begin;
    let backwards = expected.iter().rev().zip(found.iter().rev()).take(longest_end);
    let end = backwards.take_while(|(a, b)| a == b).count();
    let context = expected[begin.saturating_sub(40)..begin].iter().map(|line| format!("  {line}"));
    let removed = expected[begin..expected.len() - end].iter().map(|line| format!("- {line}"));
    let added = found[begin..found.len() - end].iter().map(|line| format!("+ {line}"));
    context.chain(removed).chain(added).collect::<Vec<_>>().join("\n")
}

/// All that an operation may answer; what it does not is empty.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    enqueued: Vec<Enqueued>,
    /// The field and the reason of a refusal.
    refused: Option<(String, String)>,
    signalled: Option<Signalled>,
    claimed: Vec<Claimed>,
    statuses: Vec<LeaseStatus>,
    swept: Swept,
    acted: u64,
}

impl Answer {
    /// The leases that it gave, which are left without their tokens.
    fn take_tokens(&mut self) -> Vec<Lease> {
        let take = |claimed: &mut Claimed| {
            let token = std::mem::take(&mut claimed.lease.token);
            Lease { id: claimed.lease.id.clone(), token }
        };
        self.claimed.iter_mut().map(take).collect()
    }
}

async fn apply(fx: &Fixture, operation: &Operation, runs: &Runs<'_>) -> Answer {
    let answer = Answer::default();
    match operation {
        Operation::Enqueue(jobs) => match fx.store.enqueue(jobs.clone()).await {
            Err(Error::Invalid { field, reason }) => Answer { refused: Some((field, reason)), ..answer },
            enqueued => {
                let enqueued = ok("enqueue", enqueued).into_iter().map(without_chance).collect();
                Answer { enqueued, ..answer }
            }
        },
        Operation::Claim(claim) => {
            Answer { claimed: by_queue(fx.claim(claim.clone()).await, claim), ..answer }
        }
        Operation::Heartbeat { beats, lease_for } => {
            let leases: Vec<Lease> = beats.iter().map(|run| runs.lease(*run)).collect();
            Answer { statuses: fx.heartbeat_all(&worker("w1"), &leases, *lease_for).await, ..answer }
        }
        Operation::Record(records) => {
            let record = |(run, entries): &(Run, Vec<longhaul::Entry>)| Record {
                lease: runs.lease(*run),
                entries: entries.clone(),
            };
            Answer { statuses: fx.record_all(records.iter().map(record).collect()).await, ..answer }
        }
        Operation::Finish(ends) => {
            let finishes = ends.iter().map(|end| finish_of(end, runs)).collect();
            Answer { statuses: fx.finish_all(finishes).await, ..answer }
        }
        Operation::FinishAndClaim(ends, claim) => {
            let finishes = ends.iter().map(|end| finish_of(end, runs)).collect();
            let turn = fx.finish_and_claim(finishes, claim.clone()).await;
            Answer { statuses: turn.finished, claimed: by_queue(turn.claimed, claim), ..answer }
        }
        Operation::Sweep => Answer { swept: fx.sweep().await, ..answer },
        Operation::Advance(by) => {
            fx.clock.advance(*by);
            answer
        }
        Operation::Act(filter, action) => {
            Answer { acted: fx.act_on(filter, action.clone(), 100).await, ..answer }
        }
        Operation::SetQueue(queue, config) => {
            fx.set_queue(queue, config).await;
            answer
        }
        Operation::PauseQueue(queue) => {
            ok("pause a queue", fx.store.pause_queue(queue).await);
            answer
        }
        Operation::SetKey(key, config) => {
            ok("configure a key", fx.store.set_key(key, config.as_ref()).await);
            answer
        }
        Operation::PauseKey(key, pause) => {
            ok("pause a key", fx.store.pause_key(key, *pause).await);
            answer
        }
        Operation::ResumeKey(key) => {
            ok("resume a key", fx.store.resume_key(key).await);
            answer
        }
        Operation::Signal(job, name, value) => {
            let signalled = fx.store.signal(&id(job), name, &json(&value.to_string())).await;
            Answer { signalled: Some(ok("signal", signalled)), ..answer }
        }
        Operation::ResumeQueue(queue) => {
            ok("resume a queue", fx.store.resume_queue(queue).await);
            answer
        }
    }
}

/// The id of a job that was refused for its own or another's sake means nothing.
fn without_chance(enqueued: Enqueued) -> Enqueued {
    match enqueued.status {
        EnqueueStatus::Created
        | EnqueueStatus::Dropped
        | EnqueueStatus::Duplicate
        | EnqueueStatus::Replaced
        | EnqueueStatus::Rejected => enqueued,
        EnqueueStatus::Full | EnqueueStatus::KeyReused | EnqueueStatus::NotCreated => {
            Enqueued { id: id("-"), ..enqueued }
        }
    }
}

/// The order of the jobs of one queue matters, that of the queues does not.
fn by_queue(mut claimed: Vec<Claimed>, claim: &Claim) -> Vec<Claimed> {
    claimed.sort_by_key(|claimed| claim.queues.iter().position(|slots| slots.queue == claimed.queue));
    claimed
}

/// The leases that a store has given, the latest last.
struct Runs<'a> {
    all: &'a [Lease],
    /// Those of jobs that are running.
    open: Vec<&'a Lease>,
}

impl Runs<'_> {
    /// The lease of a run; one that never was, where there were not so many.
    fn lease(&self, run: Run) -> Lease {
        let lease = match run {
            Run::Open(number) => self.open.iter().rev().nth(number).copied(),
            Run::Any(number) => self.all.iter().rev().nth(number),
        };
        lease.cloned().unwrap_or_else(|| Lease { id: id("never"), token: 1 })
    }
}

fn finish_of(end: &End, runs: &Runs<'_>) -> Finish {
    Finish {
        lease: runs.lease(end.run),
        outcome: end.outcome.clone(),
        entries: end.entries.clone(),
        follow_ups: end.follow_ups.clone(),
        cost: end.cost,
    }
}
