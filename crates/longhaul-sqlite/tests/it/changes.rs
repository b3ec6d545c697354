//! Reported changes when transactions fail.

use std::sync::Arc;

use longhaul::{Change, NewJob, Observer, State, Store};
use longhaul_sqlite::SqliteStore;
use parking_lot::Mutex;

use crate::application::{busy, store};
use crate::containment::{REFUSES, execute, poison};
use crate::owner::job;

#[derive(Default)]
struct ChangeLog(Mutex<Vec<(String, Option<State>)>>);

impl Observer for ChangeLog {
    fn changed(&self, change: &Change<'_>) {
        self.0.lock().push((change.id.to_string(), change.to));
    }
}

impl ChangeLog {
    fn listen(store: &SqliteStore) -> Arc<Self> {
        let log = Arc::new(Self::default());
        store.changes().unwrap().observe(&log);
        log
    }

    fn take(&self) -> Vec<(String, Option<State>)> {
        std::mem::take(&mut *self.0.lock())
    }
}

fn created(names: &[&str]) -> Vec<(String, Option<State>)> {
    names.iter().map(|name| ((*name).to_owned(), Some(State::Available))).collect()
}

#[tokio::test]
async fn what_an_application_takes_back_is_not_told_and_what_it_keeps_is() {
    let (_folder, store) = store().await;
    let log = ChangeLog::listen(&store);
    let failed = store.transact(|tx| -> Result<(), &str> {
        tx.enqueue(vec![job("undone")]).unwrap();
        Err("changed my mind")
    });
    assert_eq!(failed.await.unwrap(), Err("changed my mind"));
    let kept = |tx: &mut longhaul_sqlite::Transaction<'_, '_>| tx.enqueue(vec![job("kept")]).map(drop);
    store.transact(kept).await.unwrap().unwrap();
    assert_eq!(log.take(), created(&["kept"]));
}

#[tokio::test]
async fn changes_of_calls_that_run_again_because_another_has_failed_are_reported_once() {
    let (_folder, store) = store().await;
    execute(&store, REFUSES).await;
    let log = ChangeLog::listen(&store);
    let busy = busy(&store).await;
    let one = |job: NewJob| store.enqueue(vec![job]);
    let mut calls = std::pin::pin!(futures::future::join3(one(job("a")), one(poison("bad")), one(job("b"))));
    assert!(futures::poll!(calls.as_mut()).is_pending());
    drop(busy);
    let (a, bad, b) = calls.await;
    assert!(a.is_ok() && bad.is_err() && b.is_ok());
    assert_eq!(log.take(), created(&["a", "b"]));
}

#[tokio::test]
async fn a_change_made_through_another_store_of_the_file_is_told_there() {
    let (_folder, store) = store().await;
    let guest = SqliteStore::open(store.path()).await.unwrap();
    let (log, guests) = (ChangeLog::listen(&store), ChangeLog::listen(&guest));
    guest.enqueue(vec![job("a")]).await.unwrap();
    store.enqueue(vec![job("b")]).await.unwrap();
    assert_eq!((log.take(), guests.take()), (created(&["b"]), created(&["a"])));
}
