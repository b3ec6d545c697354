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

struct ChangeSender(mpsc::UnboundedSender<(JobId, Option<State>)>);

impl Observer for ChangeSender {
    fn changed(&self, change: &Change<'_>) {
        let _ = self.0.send((change.id.clone(), change.to));
    }
}

type Received = mpsc::UnboundedReceiver<(JobId, Option<State>)>;

fn listen(store: &PostgresStore) -> (Arc<ChangeSender>, Received) {
    let (sender, received) = mpsc::unbounded_channel();
    let observer = Arc::new(ChangeSender(sender));
    store.changes().unwrap().observe(&observer);
    (observer, received)
}

fn all(received: &mut Received) -> Vec<(JobId, Option<State>)> {
    let mut changes: Vec<_> = std::iter::from_fn(|| received.try_recv().ok()).collect();
    changes.sort();
    changes
}

#[tokio::test]
async fn a_job_of_an_applications_transaction_is_reported_after_the_commit() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let (_observer, mut received) = listen(&store);
    let mut client = client(&options).await;
    for (name, commits) in [("undone", false), ("done", true)] {
        let transaction = client.transaction().await.unwrap();
        store.enqueue_in(&transaction, vec![named(name)]).await.unwrap();
        assert_eq!(all(&mut received), []);
        match commits {
            true => transaction.commit().await.unwrap(),
            false => transaction.rollback().await.unwrap(),
        }
    }
    let change =
        tokio::time::timeout(LONG / 5, received.recv()).await.expect("the change was not reported").unwrap();
    assert_eq!(change, (id("done"), Some(State::Available)));
    store.enqueue(vec![named("last")]).await.unwrap();
    assert_eq!(all(&mut received), [(id("last"), Some(State::Available))], "it is reported once");
}

#[tokio::test]
async fn each_process_reports_its_own_changes() {
    let options = shared().options();
    let one = PostgresStore::open(options.clone()).await.unwrap();
    let other = PostgresStore::open(options).await.unwrap();
    let ((_observer, mut of_one), (_other, mut of_other)) = (listen(&one), listen(&other));
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
    let (_observer, mut received) = listen(&store);
    let finishes = claimed.iter().map(|job| finish(&job.lease, completed())).collect();
    store.finish_and_claim(finishes, claim()).await.unwrap();
    let expected = [("keyed", State::Completed), ("next", State::Running), ("plain", State::Completed)];
    assert_eq!(all(&mut received), expected.map(|(name, state)| (id(name), Some(state))));
}

/// A call that is at fault is rolled back with those that it shares a transaction with, and they are carried out without it.
#[tokio::test]
async fn changes_that_were_rolled_back_are_not_reported() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let refuses = "ALTER TABLE jobs ADD CONSTRAINT no_bad_jobs CHECK (id <> 'bad')";
    client(&options).await.batch_execute(refuses).await.unwrap();
    let (_observer, mut received) = listen(&store);
    let calls = ["a", "bad", "b"].map(|name| store.enqueue(vec![named(name)]));
    let [a, bad, b] = futures::future::join_all(calls).await.try_into().unwrap();
    assert!(a.is_ok() && bad.is_err() && b.is_ok());
    assert_eq!(all(&mut received), ["a", "b"].map(|name| (id(name), Some(State::Available))));
}
