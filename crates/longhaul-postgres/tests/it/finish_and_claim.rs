//! Finishes with claims, and enqueues, which are one statement where that will do.

use std::time::Duration;

use longhaul::{LeaseStatus, Start, State, Store};
use longhaul_conformance::jobs::{HOUR, claim, completed, delayed, finish, id, job, named, retry, unique};
use longhaul_postgres::PostgresStore;

use crate::server::shared;

#[tokio::test]
async fn runs_that_one_statement_cannot_complete_are_completed_after_it() {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    let keyed = longhaul::NewJob { id: Some(id("keyed")), ..unique("key", None) };
    store.enqueue(vec![named("plain"), keyed]).await.unwrap();
    let claimed = store.claim(claim()).await.unwrap();
    store.enqueue(vec![named("next")]).await.unwrap();
    let finishes = claimed.iter().map(|job| finish(&job.lease, completed())).collect();
    let turn = store.finish_and_claim(finishes, claim()).await.unwrap();
    assert_eq!(turn.finished, [LeaseStatus::Held, LeaseStatus::Held]);
    assert_eq!(turn.claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(), ["next"]);
    let again = store.enqueue(vec![unique("key", None)]).await.unwrap();
    assert!(!again[0].is_duplicate(), "the key is free");
    let counts = store.queues().await.unwrap().remove(0).counts;
    let counts: Vec<_> = counts.into_iter().filter(|(_, jobs)| *jobs > 0).collect();
    assert_eq!(counts, [(State::Available, 1), (State::Running, 1), (State::Completed, 2)]);
}

#[tokio::test]
async fn of_runs_whose_leases_are_partly_lost_the_others_are_completed() {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    store.enqueue(vec![named("a"), named("b")]).await.unwrap();
    let claimed = store.claim(claim()).await.unwrap();
    store.finish(vec![finish(&claimed[0].lease, longhaul::Outcome::Released)]).await.unwrap();
    let finishes = claimed.iter().map(|job| finish(&job.lease, completed())).collect();
    let turn = store.finish_and_claim(finishes, claim()).await.unwrap();
    assert_eq!(turn.finished, [LeaseStatus::Lost, LeaseStatus::Held]);
}

#[tokio::test]
async fn a_finish_with_a_claim_takes_a_job_that_has_fallen_due_by_the_servers_clock() {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    store.enqueue(vec![named("a")]).await.unwrap();
    let claimed = store.claim(claim()).await.unwrap();
    let soon = longhaul::NewJob { id: Some(id("due")), ..delayed(Duration::from_millis(1)) };
    assert!(matches!(soon.start, Start::After(_)));
    store.enqueue(vec![soon]).await.unwrap();
    let mut due = Vec::new();
    let mut finishes = vec![finish(&claimed[0].lease, completed())];
    while due.is_empty() {
        due = store.finish_and_claim(std::mem::take(&mut finishes), claim()).await.unwrap().claimed;
    }
    assert_eq!(due[0].lease.id, id("due"));
}

#[tokio::test]
async fn a_claim_in_one_statement_brings_steps_and_resets_the_log() {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    store.enqueue(vec![named("first")]).await.unwrap();
    let first = store.claim(claim()).await.unwrap().remove(0);
    let entries = ["b", "a"].map(|name| longhaul_conformance::jobs::step(name, "7"));
    let log = longhaul_conformance::jobs::log("half way");
    let told = entries.into_iter().chain([log]).collect();
    let end = longhaul::Finish { entries: told, ..finish(&first.lease, retry(Duration::ZERO)) };
    store.enqueue(vec![named("second")]).await.unwrap();
    let second = store.claim(claim()).await.unwrap().remove(0);
    store.finish(vec![end]).await.unwrap();

    let turn = store.finish_and_claim(vec![finish(&second.lease, completed())], claim()).await.unwrap();
    assert_eq!((turn.claimed[0].lease.id.as_str(), turn.claimed[0].attempt), ("first", 2));
    let steps: Vec<_> =
        turn.claimed[0].steps.iter().map(|(name, out)| (name.as_str(), out.as_str())).collect();
    assert_eq!(steps, [("a", "7"), ("b", "7")]);
    let events = store.events(&id("first"), 0, 20, Duration::ZERO).await.unwrap().unwrap();
    let resets = events.iter().filter(|event| matches!(event.body, longhaul::EventBody::Reset)).count();
    assert_eq!(resets, 1, "{events:?}");
}

#[tokio::test]
async fn a_waiting_claim_is_answered_by_the_very_transaction_that_enqueues() {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    store.enqueue(vec![job()]).await.unwrap();
    assert_eq!(store.claim(claim()).await.unwrap().len(), 1, "nobody waits, so it is one statement");
    let mut waiting = Box::pin(store.claim(longhaul::Claim { wait: HOUR, ..claim() }));
    assert!(futures::poll!(&mut waiting).is_pending());
    // Whatever is asked for after the claim is answered after it has been looked at.
    store.set_queue("images", &longhaul::QueueConfig::default()).await.unwrap();
    store.enqueue(vec![job()]).await.unwrap();
    let std::task::Poll::Ready(claimed) = futures::poll!(&mut waiting) else { panic!("it still waits") };
    assert_eq!(claimed.unwrap().len(), 1);
}
