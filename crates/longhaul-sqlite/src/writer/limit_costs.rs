//! The cost of limit keys, in steps of SQLite's virtual machine.

use std::time::Duration;

use longhaul::{
    Action, Claim, JobFilter, KeyConfig, Lease, NewJob, Prefer, QueueConfig, QueueSlots, Rate, SupportedKind,
};
use longhaul_conformance::jobs::{HOUR, QUEUE, claim, completed, finish, id, limited, named};

use super::scratch::Scratch;
use super::write_tx::WriteTx;
use crate::limit_key::key_of_queue;

/// A claim of so many slots.
fn of(slots: usize) -> Claim {
    let queues = claim().queues.into_iter().map(|queue| QueueSlots { slots, ..queue }).collect();
    Claim { queues, ..claim() }
}

fn one_slot() -> KeyConfig {
    KeyConfig { slots: Some(1), ..KeyConfig::default() }
}

/// Ends the transaction and begins the next one.
fn turn(tx: &mut WriteTx<'_>) {
    tx.commit().unwrap();
    tx.begin(super::write_tx::Isolation::Together).unwrap();
}

/// Claims until nothing more is moved out of the way.
fn settle(tx: &mut WriteTx<'_>) {
    loop {
        assert!(tx.claim(&of(1)).unwrap().is_empty());
        let goes_on = tx.notes.stopped_early;
        turn(tx);
        if !goes_on {
            return;
        }
    }
}

/// The steps of a claim that finds nothing, an enqueue of the same keys, and the pause of another key.
fn costs(file: &Scratch, tx: &mut WriteTx<'_>, more: &[NewJob]) -> [u64; 3] {
    let claims = file.steps(|| assert!(tx.claim(&of(1)).unwrap().is_empty()));
    let enqueues = file.steps(|| drop(tx.enqueue(more).unwrap()));
    let pauses = file.steps(|| assert!(tx.pause_key("other", HOUR).is_ok()));
    [claims, enqueues, pauses]
}

/// Searches in larger trees take some more steps of the machine; what grows with the jobs takes thousands.
fn assert_alike(few: [u64; 3], many: [u64; 3]) {
    assert!(few.iter().zip(many).all(|(few, many)| many <= few + few / 5), "{few:?} {many:?}");
}

#[test]
fn jobs_behind_a_paused_key_cost_the_same_however_many_they_are() {
    let cost = |jobs: u32| {
        let file = Scratch::new();
        let mut tx = file.begin();
        tx.pause_key("provider", HOUR).unwrap();
        let jobs: Vec<NewJob> = (0..jobs).map(|n| limited(&format!("j{n}"), &["provider"])).collect();
        tx.enqueue(&jobs).unwrap();
        settle(&mut tx);
        costs(&file, &mut tx, &[limited("more", &["provider"])])
    };
    assert_alike(cost(1), cost(3_000));
}

#[test]
fn full_keys_cost_the_same_however_many_they_are() {
    let cost = |keys: u32| {
        let file = Scratch::new();
        let mut tx = file.begin();
        tx.set_key("*", Some(&one_slot())).unwrap();
        let job = |job: &str, n: u32| limited(&format!("{job}{n}"), &[&format!("tenant:{n}"), "provider"]);
        tx.set_key("provider", Some(&KeyConfig::default())).unwrap();
        tx.enqueue(&(0..keys).flat_map(|n| [job("a", n), job("b", n)]).collect::<Vec<_>>()).unwrap();
        let mut claimed = 0;
        while claimed < keys as usize {
            claimed += tx.claim(&of(9_999)).unwrap().len();
            turn(&mut tx);
        }
        settle(&mut tx);
        costs(&file, &mut tx, &[job("c", 0)])
    };
    assert_alike(cost(1), cost(2_000));
}

#[test]
fn a_slot_that_is_given_back_costs_the_same_however_many_groups_wait_for_it() {
    let cost = |keys: u32| {
        let file = Scratch::new();
        let mut tx = file.begin();
        tx.set_key("provider", Some(&one_slot())).unwrap();
        let jobs = (0..keys).map(|n| limited(&format!("j{n}"), &[&format!("tenant:{n}"), "provider"]));
        tx.enqueue(&jobs.collect::<Vec<_>>()).unwrap();
        let lease: Lease = tx.claim(&of(1)).unwrap().remove(0).lease;
        turn(&mut tx);
        settle(&mut tx);
        let mut next = None;
        let steps = file.steps(|| {
            tx.finish(&[finish(&lease, completed())]).unwrap();
            next = tx.claim(&of(1)).unwrap().pop();
        });
        assert_eq!(next.unwrap().lease.id.as_str(), "j1");
        steps
    };
    let (few, many) = (cost(3), cost(2_000));
    assert!(many <= few + few / 5, "{few} {many}");
}

#[test]
fn plain_jobs_pay_nothing_where_none_with_keys_waits() {
    let cost = |before: &[NewJob]| {
        let file = Scratch::new();
        let mut tx = file.begin();
        tx.set_key("*", Some(&one_slot())).unwrap();
        tx.enqueue(before).unwrap();
        let leases: Vec<Lease> = tx.claim(&of(9)).unwrap().into_iter().map(|job| job.lease).collect();
        turn(&mut tx);
        for lease in &leases[..leases.len() / 2] {
            tx.finish(&[finish(lease, completed())]).unwrap();
        }
        turn(&mut tx);
        file.steps(|| {
            tx.enqueue(&[named("plain")]).unwrap();
            let claimed = tx.claim(&of(9)).unwrap().remove(0);
            tx.finish(&[finish(&claimed.lease, completed())]).unwrap();
            tx.commit().unwrap();
        })
    };
    let keyed = cost(&[limited("a", &["p"]), limited("b", &["q"])]);
    assert_eq!(keyed, cost(&[named("a"), named("b")]));
}

#[test]
fn a_claim_that_is_taken_back_gives_its_slot_back() {
    let file = Scratch::new();
    let mut tx = file.begin();
    tx.set_key("provider", Some(&one_slot())).unwrap();
    tx.enqueue(&[limited("a", &["provider"]), limited("b", &["provider"])]).unwrap();
    for _ in 0..2 {
        let claimed = tx.claim(&of(9)).unwrap();
        assert_eq!(claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(), ["a"]);
        turn(&mut tx);
        tx.unclaim(&claimed[0].lease).unwrap();
        // Sent again, it changes nothing.
        tx.unclaim(&claimed[0].lease).unwrap();
        turn(&mut tx);
        assert_eq!(tx.key("provider").unwrap().state.used, 0);
    }
}

#[test]
fn a_job_that_is_cancelled_once_the_pause_of_its_key_is_over_keeps_no_other_back() {
    let file = Scratch::new();
    let mut tx = file.begin();
    tx.pause_key("provider", HOUR).unwrap();
    tx.enqueue(&[limited("a", &["provider"]), NewJob { version: 2, ..limited("b", &["provider"]) }]).unwrap();
    let kinds = claim().kinds.into_iter().map(|kind| SupportedKind { version: 2, ..kind }).collect();
    let claim = Claim { kinds, ..claim() };
    assert!(tx.claim(&claim).unwrap().is_empty());
    turn(&mut tx);
    file.clock.advance(HOUR);
    turn(&mut tx);
    assert_eq!(tx.act(&[id("b")], &JobFilter::default(), &Action::cancel(HOUR)).unwrap().done, 1);
    turn(&mut tx);
    tx.open_for_claims().unwrap();
    assert_eq!(tx.claim(&claim).unwrap().len(), 1);
}

#[test]
fn limits_of_a_prefix_that_are_taken_away_let_the_jobs_of_very_many_keys_go_some_at_a_time() {
    let file = Scratch::new();
    let mut tx = file.begin();
    tx.set_key("tenant:*", Some(&one_slot())).unwrap();
    let job = |job: &str, n: u32| limited(&format!("{job}{n}"), &[&format!("tenant:{n}")]);
    tx.enqueue(&(0..250).flat_map(|n| [job("a", n), job("b", n)]).collect::<Vec<_>>()).unwrap();
    assert_eq!(tx.claim(&of(500)).unwrap().len(), 250);
    turn(&mut tx);
    settle(&mut tx);
    tx.set_key("tenant:*", None).unwrap();
    let mut claimed = Vec::new();
    for _ in 0..3 {
        tx.open_for_claims().unwrap();
        claimed.push(tx.claim(&of(500)).unwrap().len());
        let goes_on = tx.notes.stopped_early;
        assert_eq!(goes_on, claimed.len() == 1, "{claimed:?}");
        file.clock.advance(Duration::from_millis(1));
        turn(&mut tx);
    }
    assert_eq!(claimed, [200, 50, 0]);
}

fn limited_queue(tx: &mut WriteTx<'_>, slots: Option<u32>) {
    let rate = Some(Rate { n: 1, per: HOUR, burst: Some(1) });
    let config = QueueConfig { slots, rate: rate.filter(|_| slots.is_none()), ..QueueConfig::default() };
    tx.set_queue(QUEUE, longhaul::Json::new(&config).unwrap().as_str(), &config).unwrap();
}

#[test]
fn a_full_queue_costs_the_same_however_many_jobs_wait_in_it() {
    for slots in [Some(1), None] {
        let cost = |jobs: u32| {
            let file = Scratch::new();
            let mut tx = file.begin();
            limited_queue(&mut tx, slots);
            let key = |n: u32| format!("tenant:{n}");
            let job = |n: u32| {
                if n.is_multiple_of(2) {
                    named(&format!("j{n}"))
                } else {
                    limited(&format!("j{n}"), &[&key(n)])
                }
            };
            tx.enqueue(&(0..jobs).map(job).collect::<Vec<_>>()).unwrap();
            assert_eq!(tx.claim(&of(9)).unwrap().len(), 1, "one of a burst, or of a slot");
            turn(&mut tx);
            settle(&mut tx);
            costs(&file, &mut tx, &[limited("more", &["provider"])])
        };
        assert_alike(cost(40), cost(3_000));
    }
}

#[test]
fn jobs_pay_nothing_where_no_queue_is_limited() {
    let cost = |was_limited: bool| {
        let file = Scratch::new();
        let mut tx = file.begin();
        if was_limited {
            limited_queue(&mut tx, Some(1));
        }
        tx.set_queue(QUEUE, "{}", &QueueConfig::default()).unwrap();
        tx.enqueue(&[named("a")]).unwrap();
        let first = tx.claim(&of(9)).unwrap().remove(0);
        tx.finish(&[finish(&first.lease, completed())]).unwrap();
        turn(&mut tx);
        file.steps(|| {
            tx.enqueue(&[named("plain")]).unwrap();
            let claimed = tx.claim(&of(9)).unwrap().remove(0);
            tx.finish(&[finish(&claimed.lease, completed())]).unwrap();
            tx.commit().unwrap();
        })
    };
    assert_eq!(cost(true), cost(false));
}

#[test]
fn a_claim_that_is_taken_back_gives_the_slot_of_its_queue_back() {
    let file = Scratch::new();
    let mut tx = file.begin();
    limited_queue(&mut tx, Some(1));
    tx.enqueue(&[named("a"), limited("b", &["provider"])]).unwrap();
    for _ in 0..2 {
        let claimed = tx.claim(&of(9)).unwrap();
        assert_eq!(claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(), ["a"]);
        turn(&mut tx);
        tx.unclaim(&claimed[0].lease).unwrap();
        tx.unclaim(&claimed[0].lease).unwrap();
        turn(&mut tx);
        assert_eq!(tx.key(&key_of_queue(QUEUE)).unwrap().state.used, 0);
    }
}

#[test]
fn jobs_that_prefer_other_workers_cost_a_claim_the_same_however_many_they_are() {
    let cost = |jobs: u32| {
        let file = Scratch::new();
        let mut tx = file.begin();
        let hard = |n: u32| NewJob {
            prefer: Some(Prefer::hard([("gpu", "a100")])),
            ..limited(&format!("j{n}"), &[&format!("tenant:{n}")])
        };
        tx.enqueue(&(0..jobs).map(hard).collect::<Vec<_>>()).unwrap();
        turn(&mut tx);
        costs(&file, &mut tx, &[named("more")])
    };
    assert_alike(cost(2), cost(3_000));
}
