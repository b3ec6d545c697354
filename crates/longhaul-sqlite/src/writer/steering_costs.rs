//! The cost of bounds on waiting jobs, and of jobs with an expiry or a deadline, in steps of SQLite's virtual machine.

use longhaul::{
    Deadline, EnqueueStatus, JobFilter, KeyConfig, Lookup, NewJob, OnFull, QueueConfig, State, Timestamp,
};
use longhaul_conformance::jobs::{HOUR, QUEUE, claim, completed, finish, id, limited, named, secs};
use rusqlite::params;

use super::scratch::Scratch;
use super::write_tx::{Isolation, WriteTx};

/// Ends the transaction and begins the next one.
fn turn(tx: &mut WriteTx<'_>) {
    tx.commit().unwrap();
    tx.begin(Isolation::Together).unwrap();
}

fn set_queue(tx: &mut WriteTx<'_>, most: u64, on_full: OnFull) {
    let config = QueueConfig { max_waiting: Some(most), on_full, ..QueueConfig::default() };
    let text = longhaul::Json::new(&config).unwrap();
    tx.set_queue(QUEUE, text.as_str(), &config).unwrap();
}

fn set_key(tx: &mut WriteTx<'_>, key: &str, most: Option<u64>, on_full: OnFull) {
    let config = KeyConfig { max_waiting: most, on_full, ..KeyConfig::default() };
    tx.set_key(key, Some(&config)).unwrap();
}

fn many(jobs: u32, job: impl Fn(&str) -> NewJob) -> Vec<NewJob> {
    (0..jobs).map(|n| job(&format!("j{n}"))).collect()
}

fn state(tx: &WriteTx<'_>, name: &str) -> Option<State> {
    let found = crate::read::get(tx.connection(), &[id(name)], Timestamp(0)).unwrap().remove(0);
    match found {
        Lookup::Found(job) => Some(job.state),
        _ => None,
    }
}

/// Searches in larger trees take some more steps of the machine; what grows with the jobs takes thousands.
fn assert_alike(few: u64, many: u64) {
    assert!(many <= few + few / 5, "{few} {many}");
}

#[test]
fn jobs_pay_nothing_for_others_that_end_by_time() {
    let cost = |before: fn(&str) -> NewJob| {
        let file = Scratch::new();
        let mut tx = file.begin();
        tx.enqueue(&many(20, before)).unwrap();
        for job in tx.claim(&claim()).unwrap() {
            tx.finish(&[finish(&job.lease, completed())]).unwrap();
        }
        turn(&mut tx);
        file.steps(|| {
            tx.enqueue(&[named("plain")]).unwrap();
            let claimed = tx.claim(&claim()).unwrap().remove(0);
            tx.finish(&[finish(&claimed.lease, completed())]).unwrap();
            tx.commit().unwrap();
        })
    };
    let ends =
        |name: &str| NewJob { expires_in: Some(HOUR), deadline: Some(Deadline::In(HOUR)), ..named(name) };
    assert_eq!(cost(named), cost(ends));
}

#[test]
fn a_full_queue_refuses_and_drops_at_the_same_cost_however_many_wait() {
    for on_full in [OnFull::Reject, OnFull::DropNewest, OnFull::DropOldest] {
        let cost = |jobs: u32| {
            let file = Scratch::new();
            let mut tx = file.begin();
            tx.enqueue(&many(jobs, named)).unwrap();
            turn(&mut tx);
            set_queue(&mut tx, u64::from(jobs), on_full);
            turn(&mut tx);
            file.steps(|| {
                let refused = tx.enqueue(&[named("more")]).unwrap().remove(0).status == EnqueueStatus::Full;
                assert_eq!(refused, on_full == OnFull::Reject);
                tx.commit().unwrap();
            })
        };
        assert_alike(cost(5), cost(3_000));
    }
}

#[test]
fn a_full_key_refuses_and_drops_at_the_same_cost_however_many_wait() {
    for on_full in [OnFull::Reject, OnFull::DropOldest] {
        let cost = |jobs: u32| {
            let file = Scratch::new();
            let mut tx = file.begin();
            tx.enqueue(&many(jobs, |name| limited(name, &["tenant:1", "provider"]))).unwrap();
            set_key(&mut tx, "tenant:*", Some(u64::from(jobs)), on_full);
            turn(&mut tx);
            file.steps(|| {
                let refused = tx.enqueue(&[limited("more", &["tenant:1"])]).unwrap().remove(0);
                assert_eq!(refused.status == EnqueueStatus::Full, on_full == OnFull::Reject);
                tx.commit().unwrap();
            })
        };
        assert_alike(cost(5), cost(3_000));
    }
}

#[test]
fn limits_of_prefixes_that_change_count_anew_what_waits() {
    let file = Scratch::new();
    let mut tx = file.begin();
    let is_full = |tx: &mut WriteTx<'_>, name: &str| {
        turn(tx);
        tx.enqueue(&[limited(name, &["tenant:42"])]).unwrap().remove(0).status == EnqueueStatus::Full
    };
    tx.enqueue(&[limited("a", &["tenant:42"]), limited("b", &["tenant:42", "x"])]).unwrap();
    set_key(&mut tx, "tenant:*", Some(3), OnFull::Reject);
    assert!(!is_full(&mut tx, "c"));
    assert!(is_full(&mut tx, "d"));
    set_key(&mut tx, "tenant:4*", None, OnFull::Reject);
    assert!(!is_full(&mut tx, "d"), "the longer prefix has no bound");
    tx.set_key("tenant:4*", None).unwrap();
    assert!(is_full(&mut tx, "e"), "and gives way to the shorter one again");
    let leases: Vec<_> = tx.claim(&claim()).unwrap().into_iter().map(|job| job.lease).collect();
    assert_eq!(leases.len(), 4);
    assert!(!is_full(&mut tx, "e"), "what runs does not wait");
    tx.set_key("tenant:*", None).unwrap();
    turn(&mut tx);
    let left: i64 = file
        .connection
        .query_row(
            "SELECT (SELECT count(*) FROM bounded_jobs) + (SELECT count(*) FROM bounded_counts)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0, "nothing is counted where nothing is bounded");
    tx.unclaim(&leases[0]).unwrap();
    assert!(!is_full(&mut tx, "f"));
}

#[test]
fn a_job_that_an_earlier_release_has_claimed_is_not_dropped() {
    let file = Scratch::new();
    let mut tx = file.begin();
    set_queue(&mut tx, 1, OnFull::DropOldest);
    tx.enqueue(&[named("a")]).unwrap();
    turn(&mut tx);
    let claimed = include_str!("../../tests/it/previous_release/claim_job.sql");
    let seq: i64 = file.connection.query_row("SELECT seq FROM jobs", [], |row| row.get(0)).unwrap();
    file.connection.execute(claimed, params![seq, 7, "previous", 0, i64::MAX]).unwrap();
    let count = include_str!("../../tests/it/previous_release/add_count.sql");
    file.connection.execute(count, params![QUEUE, "available", -1]).unwrap();
    tx.enqueue(&[named("b"), named("c")]).unwrap();
    let states = ["a", "b", "c"].map(|name| state(&tx, name).unwrap());
    assert_eq!(states, [State::Running, State::Cancelled, State::Available]);
}

#[test]
fn a_sweep_costs_the_same_however_many_jobs_have_an_end_to_come() {
    let cost = |jobs: u32| {
        let file = Scratch::new();
        let mut tx = file.begin();
        tx.enqueue(&many(jobs, |name| NewJob { expires_in: Some(HOUR), ..named(name) })).unwrap();
        tx.enqueue(&[NewJob { expires_in: Some(secs(1)), ..named("short") }]).unwrap();
        turn(&mut tx);
        file.clock.advance(secs(2));
        turn(&mut tx);
        let steps = file.steps(|| assert_eq!(tx.sweep(200).unwrap().expired, 1));
        assert_eq!(state(&tx, "short"), Some(State::Cancelled));
        steps
    };
    assert_alike(cost(1), cost(3_000));
}

#[test]
fn very_many_jobs_whose_time_is_over_keep_no_other_back() {
    let file = Scratch::new();
    let mut tx = file.begin();
    tx.enqueue(&many(3_000, |name| NewJob { expires_in: Some(secs(1)), ..named(name) })).unwrap();
    tx.enqueue(&[named("last")]).unwrap();
    turn(&mut tx);
    file.clock.advance(secs(2));
    turn(&mut tx);
    let mut claims = 0;
    loop {
        let mut claimed = Vec::new();
        let steps = file.steps(|| claimed = tx.claim(&claim()).unwrap());
        assert!(steps < 500_000, "{steps}");
        claims += 1;
        let goes_on = tx.notes.stopped_early;
        turn(&mut tx);
        if let Some(job) = claimed.pop() {
            assert_eq!(job.lease.id.as_str(), "last");
            break;
        }
        assert!(goes_on && claims < 10, "{claims}");
    }
}

#[test]
fn a_job_whose_first_claim_is_taken_back_may_expire_still_and_one_that_was_started_may_not() {
    let file = Scratch::new();
    let mut tx = file.begin();
    let expires = |name: &str| NewJob { expires_in: Some(secs(10)), ..named(name) };
    tx.enqueue(&[expires("fresh"), expires("started")]).unwrap();
    let leases: Vec<_> = tx.claim(&claim()).unwrap().into_iter().map(|job| job.lease).collect();
    tx.unclaim(&leases[0]).unwrap();
    tx.finish(&[finish(&leases[1], longhaul::Outcome::Released)]).unwrap();
    turn(&mut tx);
    for job in tx.claim(&claim()).unwrap() {
        tx.unclaim(&job.lease).unwrap();
    }
    turn(&mut tx);
    file.clock.advance(secs(10));
    turn(&mut tx);
    assert_eq!(tx.sweep(200).unwrap().expired, 1);
    let states = ["fresh", "started"].map(|name| state(&tx, name).unwrap());
    assert_eq!(states, [State::Cancelled, State::Available]);
    assert_eq!(tx.claim(&claim()).unwrap().len(), 1);
}

#[test]
fn a_job_that_an_earlier_release_has_started_or_ended_does_not_expire() {
    let file = Scratch::new();
    let mut tx = file.begin();
    let expires = |name: &str| NewJob { expires_in: Some(secs(10)), ..named(name) };
    tx.enqueue(&[expires("ended"), expires("rescued")]).unwrap();
    let seqs: Vec<i64> = tx
        .connection()
        .prepare("SELECT seq FROM jobs ORDER BY seq")
        .and_then(|mut find| find.query_map([], |row| row.get(0))?.collect())
        .unwrap();
    for (seq, state) in seqs.iter().zip(["completed", "available"]) {
        let now = file.clock.now().0;
        let claimed = include_str!("../../tests/it/previous_release/claim_job.sql");
        file.connection.execute(claimed, params![seq, 7, "previous", now, i64::MAX]).unwrap();
        let end = include_str!("../../tests/it/previous_release/end_run.sql");
        let finished_at = (state == "completed").then_some(now);
        let values = params![seq, state, now, now, now, 0, 1, 0, None::<String>, finished_at, 4];
        file.connection.execute(end, values).unwrap();
    }
    file.clock.advance(secs(10));
    turn(&mut tx);
    assert_eq!(tx.sweep(200).unwrap().expired, 0);
    let claimed = tx.claim(&claim()).unwrap();
    assert_eq!(claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(), ["rescued"]);
    let all = JobFilter::default();
    assert_eq!(tx.act(&[id("ended")], &all, &longhaul::Action::Retry).unwrap().done, 1);
}
