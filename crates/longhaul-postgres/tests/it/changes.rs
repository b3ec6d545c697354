//! Changes of state, as a process tells its observers of them.

use std::sync::Arc;
use std::time::Duration;

use longhaul::{Change, JobId, NewJob, Observer, State, Store};
use longhaul_conformance::jobs::{claim, completed, finish, id, named, unique};
use longhaul_postgres::PostgresStore;
use tokio::sync::mpsc;

use crate::releases::client;
use crate::server::shared;

const LONG: Duration = Duration::from_secs(300);

struct Ear(mpsc::UnboundedSender<(JobId, Option<State>)>);

impl Observer for Ear {
    fn changed(&self, change: &Change<'_>) {
        let _ = self.0.send((change.id.clone(), change.to));
    }
}

type Heard = mpsc::UnboundedReceiver<(JobId, Option<State>)>;

fn listen(store: &PostgresStore) -> (Arc<Ear>, Heard) {
    let (told, heard) = mpsc::unbounded_channel();
    let ear = Arc::new(Ear(told));
    store.changes().unwrap().observe(&ear);
    (ear, heard)
}

fn all(heard: &mut Heard) -> Vec<(JobId, Option<State>)> {
    let mut changes: Vec<_> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
    changes.sort();
    changes
}

#[tokio::test]
async fn a_job_of_an_applications_transaction_is_told_once_that_is_committed() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let (_ear, mut heard) = listen(&store);
    let mut client = client(&options).await;
    for (name, commits) in [("undone", false), ("done", true)] {
        let transaction = client.transaction().await.unwrap();
        store.enqueue_in(&transaction, vec![named(name)]).await.unwrap();
        assert_eq!(all(&mut heard), []);
        match commits {
            true => transaction.commit().await.unwrap(),
            false => transaction.rollback().await.unwrap(),
        }
    }
    let told = tokio::time::timeout(LONG / 5, heard.recv()).await.expect("nobody told it").unwrap();
    assert_eq!(told, (id("done"), Some(State::Available)));
    store.enqueue(vec![named("last")]).await.unwrap();
    assert_eq!(all(&mut heard), [(id("last"), Some(State::Available))], "it is told once");
}

#[tokio::test]
async fn each_process_tells_what_it_has_changed_itself() {
    let options = shared().options();
    let one = PostgresStore::open(options.clone()).await.unwrap();
    let other = PostgresStore::open(options).await.unwrap();
    let ((_ear, mut of_one), (_other, mut of_other)) = (listen(&one), listen(&other));
    one.enqueue(vec![named("a")]).await.unwrap();
    let lease = other.claim(claim()).await.unwrap().remove(0).lease;
    // By the process that has not claimed it.
    one.finish(vec![finish(&lease, completed())]).await.unwrap();
    assert_eq!(all(&mut of_other), [(id("a"), Some(State::Running))]);
    let expected = [(id("a"), Some(State::Available)), (id("a"), Some(State::Completed))];
    assert_eq!(all(&mut of_one), expected);
}

/// Of a turn that one statement cannot do, one part is committed before the other.
#[tokio::test]
async fn the_parts_of_a_turn_are_told_once() {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    let keyed = NewJob { id: Some(id("keyed")), ..unique("key", None) };
    store.enqueue(vec![named("plain"), keyed]).await.unwrap();
    let claimed = store.claim(claim()).await.unwrap();
    store.enqueue(vec![named("next")]).await.unwrap();
    let (_ear, mut heard) = listen(&store);
    let finishes = claimed.iter().map(|job| finish(&job.lease, completed())).collect();
    store.finish_and_claim(finishes, claim()).await.unwrap();
    let expected = [("keyed", State::Completed), ("next", State::Running), ("plain", State::Completed)];
    assert_eq!(all(&mut heard), expected.map(|(name, state)| (id(name), Some(state))));
}

/// A call that is at fault is rolled back with those that it shares a transaction with, and they are carried out without it.
#[tokio::test]
async fn nothing_is_told_of_what_was_rolled_back() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let refuses = "ALTER TABLE jobs ADD CONSTRAINT no_bad_jobs CHECK (id <> 'bad')";
    client(&options).await.batch_execute(refuses).await.unwrap();
    let (_ear, mut heard) = listen(&store);
    let calls = ["a", "bad", "b"].map(|name| store.enqueue(vec![named(name)]));
    let [a, bad, b] = futures::future::join_all(calls).await.try_into().unwrap();
    assert!(a.is_ok() && bad.is_err() && b.is_ok());
    assert_eq!(all(&mut heard), ["a", "b"].map(|name| (id(name), Some(State::Available))));
}
