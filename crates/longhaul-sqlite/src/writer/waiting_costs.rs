//! The cost of jobs that wait for others, in steps of SQLite's virtual machine and in jobs settled per transaction.

use longhaul::{
    Action, DEPENDANTS_AT_ONCE, Dependency, JobFilter, Lease, NewJob, OnFailure, Outcome, Start, State,
    WaitsFor,
};
use longhaul_conformance::jobs::{claim, completed, failed, finish, id, named, secs};
use rusqlite::params;

use super::scratch::Scratch;
use super::write_tx::{Isolation, WriteTx};

/// Ends the transaction and begins the next one.
fn turn(tx: &mut WriteTx<'_>) {
    tx.commit().unwrap();
    tx.begin(Isolation::Together).unwrap();
}

fn depends(name: &str, on: &str) -> NewJob {
    NewJob { depends_on: vec![Dependency::on(id(on))], ..named(name) }
}

/// The number of jobs in a state, as far as it is written.
fn count(tx: &WriteTx<'_>, state: State) -> usize {
    let sql = "SELECT count(*) FROM jobs WHERE state = ?1";
    tx.connection().query_row(sql, [state.as_str()], |row| row.get::<_, i64>(0)).unwrap() as usize
}

fn run(tx: &mut WriteTx<'_>) -> Lease {
    tx.claim(&claim()).unwrap().remove(0).lease
}

const DEPENDANTS: usize = 2 * DEPENDANTS_AT_ONCE + 500;

/// A file in which a job runs that very many others depend on.
fn fan_out(tx: &mut WriteTx<'_>, on_failure: OnFailure) -> Lease {
    tx.enqueue(&[named("first")]).unwrap();
    let lease = run(tx);
    let dependants: Vec<NewJob> = (0..DEPENDANTS)
        .map(|n| NewJob {
            depends_on: vec![Dependency { id: id("first"), on_failure }],
            ..named(&format!("d{n}"))
        })
        .collect();
    tx.enqueue(&dependants).unwrap();
    turn(tx);
    lease
}

#[test]
fn the_end_of_a_job_with_very_many_dependants_is_settled_in_portions_that_outlive_a_crash() {
    let file = Scratch::new();
    let mut tx = file.begin();
    let lease = fan_out(&mut tx, OnFailure::Cancel);
    tx.finish(&[finish(&lease, completed())]).unwrap();
    assert_eq!(count(&tx, State::Available), DEPENDANTS_AT_ONCE);
    tx.commit().unwrap();
    drop(tx);
    // Another process goes on.
    let mut tx = file.begin();
    tx.settle().unwrap();
    assert!(tx.notes.stopped_early);
    assert_eq!(count(&tx, State::Available), 2 * DEPENDANTS_AT_ONCE);
    turn(&mut tx);
    tx.sweep(200).unwrap();
    assert_eq!(count(&tx, State::Available), DEPENDANTS);
    turn(&mut tx);
    assert!(!tx.has_dependencies && !tx.has_ended_dependencies, "nothing is left to be looked at");
}

#[test]
fn a_failure_cancels_very_many_dependants_and_theirs_in_portions() {
    let file = Scratch::new();
    let mut tx = file.begin();
    let lease = fan_out(&mut tx, OnFailure::Cancel);
    let chain =
        |n: usize| depends(&format!("c{n}"), &if n == 0 { "d7".into() } else { format!("c{}", n - 1) });
    tx.enqueue(&(0..DEPENDANTS).map(chain).collect::<Vec<_>>()).unwrap();
    turn(&mut tx);
    tx.finish(&[finish(&lease, failed())]).unwrap();
    let mut settled = vec![count(&tx, State::Cancelled)];
    while tx.has_ended_dependencies && settled.len() < 20 {
        turn(&mut tx);
        tx.settle().unwrap();
        settled.push(count(&tx, State::Cancelled));
    }
    assert!(settled.windows(2).all(|pair| pair[1] - pair[0] <= DEPENDANTS_AT_ONCE), "{settled:?}");
    assert_eq!(settled.last(), Some(&(2 * DEPENDANTS)));
}

#[test]
fn a_dependency_that_is_removed_before_all_have_counted_it_is_counted_all_the_same() {
    let file = Scratch::new();
    let mut tx = file.begin();
    let lease = fan_out(&mut tx, OnFailure::Run);
    tx.finish(&[finish(&lease, failed())]).unwrap();
    turn(&mut tx);
    assert_eq!(tx.act(&[id("first")], &JobFilter::default(), &Action::Delete).unwrap().done, 1);
    while tx.has_ended_dependencies {
        turn(&mut tx);
        tx.settle().unwrap();
    }
    assert_eq!(count(&tx, State::Available), DEPENDANTS);
    let edges: i64 =
        file.connection.query_row("SELECT count(*) FROM dependencies", [], |row| row.get(0)).unwrap();
    assert_eq!(edges, 0, "they are forgotten with the job");
}

#[test]
fn a_dependency_that_has_ended_anew_and_is_removed_is_counted_by_each_end() {
    let file = Scratch::new();
    let mut tx = file.begin();
    let lease = fan_out(&mut tx, OnFailure::Cancel);
    tx.finish(&[finish(&lease, failed())]).unwrap();
    assert_eq!(tx.act(&[id("first")], &JobFilter::default(), &Action::Retry).unwrap().done, 1);
    tx.enqueue(&[depends("late", "first")]).unwrap();
    let lease = run(&mut tx);
    tx.finish(&[finish(&lease, completed())]).unwrap();
    assert_eq!(tx.act(&[id("first")], &JobFilter::default(), &Action::Delete).unwrap().done, 1);
    while tx.has_ended_dependencies {
        turn(&mut tx);
        tx.settle().unwrap();
    }
    assert_eq!((count(&tx, State::Cancelled), count(&tx, State::Available)), (DEPENDANTS, 1));
    let edges: i64 =
        file.connection.query_row("SELECT count(*) FROM dependencies", [], |row| row.get(0)).unwrap();
    assert_eq!(edges, 0, "they are forgotten with the job");
}

#[test]
fn a_sweep_finds_what_an_earlier_release_has_ended() {
    let file = Scratch::new();
    let mut tx = file.begin();
    tx.enqueue(&[named("ended"), named("waits"), depends("free", "ended"), depends("blocked", "waits")])
        .unwrap();
    let seq: i64 =
        file.connection.query_row("SELECT seq FROM jobs WHERE id = 'ended'", [], |row| row.get(0)).unwrap();
    let now = file.clock.now().0;
    let claimed = include_str!("../../tests/it/previous_release/claim_job.sql");
    file.connection.execute(claimed, params![seq, 7, "previous", now, i64::MAX]).unwrap();
    let end = include_str!("../../tests/it/previous_release/complete_leased_job.sql");
    file.connection.execute(end, params![seq, 7, now, "null"]).unwrap();
    turn(&mut tx);
    tx.sweep(200).unwrap();
    let free = "SELECT id FROM jobs WHERE state = 'blocked'";
    let blocked: Vec<String> = file
        .connection
        .prepare(free)
        .and_then(|mut find| find.query_map([], |row| row.get(0))?.collect())
        .unwrap();
    assert_eq!(blocked, ["blocked"]);
}

#[test]
fn jobs_pay_nothing_for_others_that_wait() {
    let cost = |waits: bool| {
        let file = Scratch::new();
        let mut tx = file.begin();
        tx.enqueue(&[named("c")]).unwrap();
        let other = run(&mut tx);
        tx.finish(&[finish(&other, completed())]).unwrap();
        tx.enqueue(&[named("a"), named("b")]).unwrap();
        let on = WaitsFor::Signal("go".into());
        let outcome = if waits { Outcome::Waits { on, timeout: None, error: None } } else { completed() };
        for job in tx.claim(&claim()).unwrap() {
            tx.finish(&[finish(&job.lease, outcome.clone())]).unwrap();
        }
        turn(&mut tx);
        file.steps(|| {
            tx.enqueue(&[named("plain")]).unwrap();
            let lease = run(&mut tx);
            tx.finish(&[finish(&lease, completed())]).unwrap();
            tx.commit().unwrap();
        })
    };
    assert_eq!(cost(true), cost(false));
}

#[test]
fn a_signal_and_a_timeout_cost_the_same_however_many_jobs_wait() {
    let cost = |jobs: usize| {
        let file = Scratch::new();
        let mut tx = file.begin();
        tx.enqueue(&(0..jobs).map(|n| named(&format!("j{n}"))).collect::<Vec<_>>()).unwrap();
        for job in 0..jobs {
            let on = WaitsFor::Signal("go".into());
            let timeout = Some(secs(if job == 1 { 5 } else { 3_600 }));
            let lease = run_one(&mut tx);
            tx.finish(&[finish(&lease, Outcome::Waits { on, timeout, error: None })]).unwrap();
        }
        turn(&mut tx);
        file.clock.advance(secs(6));
        turn(&mut tx);
        let steps = file.steps(|| {
            tx.signal(&id("j0"), "go", &longhaul::Json::null()).unwrap();
            assert_eq!(tx.promote_due(200).unwrap(), 1);
        });
        assert_eq!(count(&tx, State::Available), 2);
        steps
    };
    let (few, many) = (cost(3), cost(2_000));
    assert!(many <= few + few / 5, "{few} {many}");
}

#[test]
fn the_end_and_the_cancel_of_a_child_cost_the_same_however_many_its_batch_has() {
    let cost = |children: usize| {
        let file = Scratch::new();
        let mut tx = file.begin();
        let closing = NewJob { start: Start::AfterChildren, ..named("last") };
        let child = |n| NewJob { parent: Some(id("last")), ..depends(&format!("d{n}"), "first") };
        let jobs: Vec<NewJob> =
            [closing, named("first")].into_iter().chain((0..children).map(child)).collect();
        tx.enqueue(&jobs).unwrap();
        let first = run_one(&mut tx);
        tx.finish(&[finish(&first, completed())]).unwrap();
        turn(&mut tx);
        file.steps(|| {
            let lease = run_one(&mut tx);
            tx.finish(&[finish(&lease, completed())]).unwrap();
            let cancelled = tx.act(&[id("d3")], &JobFilter::default(), &Action::cancel(secs(1)));
            assert_eq!(cancelled.unwrap().done, 1);
            tx.commit().unwrap();
        })
    };
    let (few, many) = (cost(8), cost(900));
    assert!(many <= few + few / 5, "{few} {many}");
}

#[test]
fn a_job_that_goes_on_reads_its_finished_steps_once_each() {
    let cost = |steps: usize| {
        let file = Scratch::new();
        let mut tx = file.begin();
        let steps = (0..steps).map(|n| (format!("s{n}"), longhaul::Json::null())).collect();
        tx.enqueue(&[NewJob { steps, ..named("goes-on") }]).unwrap();
        turn(&mut tx);
        file.steps(|| drop(run_one(&mut tx)))
    };
    let (none, some, many) = (cost(0), cost(1_000), cost(10_000));
    let (of_some, of_many) = ((some - none) / 1_000, (many - none) / 10_000);
    assert!(of_many <= of_some && of_some <= 30, "{none} {some} {many}");
}

fn run_one(tx: &mut WriteTx<'_>) -> Lease {
    let queues = claim().queues.into_iter().map(|queue| longhaul::QueueSlots { slots: 1, ..queue }).collect();
    tx.claim(&longhaul::Claim { queues, ..claim() }).unwrap().remove(0).lease
}
