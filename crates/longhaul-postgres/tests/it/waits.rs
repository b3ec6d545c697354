//! Dependencies and waits in the tables: as several processes see them, and by which indexes they are found.

use longhaul::{
    Children, Dependency, JobRecord, LeaseStatus, NewJob, Outcome, Signalled, State, Store, WaitsFor,
};
use longhaul_conformance::jobs::{claim, completed, failed, finish, id, json, named};
use longhaul_postgres::PostgresStore;

use crate::server::shared;

async fn two() -> [PostgresStore; 2] {
    let options = shared().options();
    [PostgresStore::open(options.clone()).await.unwrap(), PostgresStore::open(options).await.unwrap()]
}

async fn record(store: &PostgresStore, name: &str) -> JobRecord {
    store.get(&[id(name)]).await.unwrap().remove(0).found().unwrap()
}

#[tokio::test]
async fn dependencies_that_end_in_two_processes_at_once_free_or_cancel_a_dependant_once() {
    let [one, other] = two().await;
    for round in 0..30 {
        let names = ["a", "b"].map(|name| format!("{name}{round}"));
        let dependant = format!("c{round}");
        let on = names.iter().map(|name| Dependency::on(id(name))).collect();
        one.enqueue(names.iter().map(|name| named(name)).collect()).await.unwrap();
        let claimed = one.claim(claim()).await.unwrap();
        let last = NewJob { depends_on: vec![Dependency::on_any_end(id(&dependant))], ..named("last") };
        let last = NewJob { id: Some(id(&format!("d{round}"))), ..last };
        one.enqueue(vec![NewJob { depends_on: on, ..named(&dependant) }, last]).await.unwrap();
        let is_bad = round % 3 == 0;
        let ends: [Outcome; 2] = std::array::from_fn(|_| if is_bad { failed() } else { completed() });
        let [first, second] = ends;
        let (first, second) = tokio::join!(
            one.finish(vec![finish(&claimed[0].lease, first)]),
            other.finish(vec![finish(&claimed[1].lease, second)])
        );
        assert_eq!((first.unwrap(), second.unwrap()), (vec![LeaseStatus::Held], vec![LeaseStatus::Held]));
        let record = record(&one, &dependant).await;
        let expected = if is_bad { State::Cancelled } else { State::Available };
        assert_eq!((record.state, record.last_event), (expected, 2), "told once");
        while let Some(left) = other.claim(claim()).await.unwrap().first() {
            other.finish(vec![finish(&left.lease, completed())]).await.unwrap();
        }
        assert_eq!(self::record(&one, &format!("d{round}")).await.state, State::Completed);
    }
}

#[tokio::test]
async fn children_that_end_in_another_process_let_a_waiting_run_go_on_once() {
    let [one, other] = two().await;
    for round in 0..20 {
        let parent = format!("p{round}");
        one.enqueue(vec![named(&parent)]).await.unwrap();
        let run = one.claim(claim()).await.unwrap().remove(0).lease;
        let child = |n: u32| NewJob { parent: Some(id(&parent)), ..named(&format!("{parent}-{n}")) };
        other.enqueue((0..4).map(child).collect()).await.unwrap();
        let children = other.claim(claim()).await.unwrap();
        let waits = Outcome::Waits { on: WaitsFor::Children, timeout: None, error: None };
        let ends = children.iter().map(|child| finish(&child.lease, completed())).collect();
        let (waited, ended) = tokio::join!(one.finish(vec![finish(&run, waits)]), other.finish(ends));
        assert_eq!((waited.unwrap(), ended.unwrap()), (vec![LeaseStatus::Held], vec![LeaseStatus::Held; 4]));
        let counted = Children { total: 4, completed: 4, ..Children::default() };
        let record = record(&one, &parent).await;
        assert_eq!((record.state, record.children), (State::Available, Some(counted)));
        let again = other.claim(claim()).await.unwrap().remove(0).lease;
        other.finish(vec![finish(&again, completed())]).await.unwrap();
    }
}

#[tokio::test]
async fn a_signal_from_another_process_is_heard_by_a_claim_that_waits() {
    let [one, other] = two().await;
    one.enqueue(vec![named("a")]).await.unwrap();
    let run = one.claim(claim()).await.unwrap().remove(0).lease;
    let waits = Outcome::Waits { on: WaitsFor::Signal("go".into()), timeout: None, error: None };
    one.finish(vec![finish(&run, waits)]).await.unwrap();
    let wait = std::time::Duration::from_secs(300);
    let waiting = one.claim(longhaul::Claim { wait, ..claim() });
    let signal = async { other.signal(&id("a"), "go", &json("7")).await };
    let (claimed, sent) = tokio::join!(waiting, signal);
    assert_eq!(sent.unwrap(), Signalled::Accepted);
    assert_eq!(claimed.unwrap()[0].steps["signal:go"], json(r#"{"value":7}"#));
}

/// Jobs of a call that depend on one another are written by few statements, whatever their order.
#[tokio::test]
async fn a_long_chain_of_one_call_is_created_and_cancelled_from_its_first_job_on() {
    let [store, _] = two().await;
    let of = |n: usize| {
        let depends_on = n.checked_sub(1).map(|before| Dependency::on(id(&format!("j{before}"))));
        NewJob { depends_on: depends_on.into_iter().collect(), ..named(&format!("j{n}")) }
    };
    let created = store.enqueue((0..2_000).map(of).collect()).await.unwrap();
    assert!(created.iter().all(longhaul::Enqueued::is_created));
    let first = store.claim(claim()).await.unwrap().remove(0).lease;
    assert_eq!(first.id, id("j0"));
    store.finish(vec![finish(&first, failed())]).await.unwrap();
    while record(&store, "j1999").await.state == State::Blocked {
        store.sweep(10_000).await.unwrap();
    }
    let counts = store.queues().await.unwrap().remove(0).counts;
    assert_eq!(counts.get(&State::Cancelled), Some(&1_999), "{counts:?}");
}
