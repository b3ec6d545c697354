//! An application's code on the writer's thread, which may panic, block or meddle with the transaction.

use std::sync::mpsc;
use std::time::Duration;

use longhaul::{Enqueued, Error, JobId, Lookup, Store, process_id};
use longhaul_sqlite::{SqliteStore, rusqlite};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::owner::{claim, job};

type Answer<T> = longhaul::Result<rusqlite::Result<T>>;

pub(crate) async fn store() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("jobs.db")).await.unwrap();
    (folder, store)
}

/// The writer, kept busy by an application's code until this is dropped, so that what is asked of it meanwhile shares a
/// transaction.
pub(crate) struct Busy {
    release: mpsc::Sender<()>,
    code: JoinHandle<Answer<()>>,
}

impl Busy {
    /// Lets the code end, and waits for its commit.
    pub(crate) async fn end(self) {
        drop(self.release);
        self.code.await.unwrap().unwrap().unwrap();
    }
}

pub(crate) async fn busy(store: &SqliteStore) -> Busy {
    let (release, released) = mpsc::channel::<()>();
    let (began, begun) = tokio::sync::oneshot::channel();
    let store = store.clone();
    let code = tokio::spawn(async move {
        store
            .transact(move |_| {
                let _ = began.send(());
                let _ = released.recv();
                Ok(())
            })
            .await
    });
    begun.await.unwrap();
    Busy { release, code }
}

#[tokio::test]
async fn a_panic_of_an_application_fails_its_call_and_undoes_what_it_did() {
    let (_folder, store) = store().await;
    let busy = busy(&store).await;
    let panics = store.transact(|tx| -> Result<(), Error> {
        tx.enqueue(vec![job("undone")])?;
        panic!("in the application")
    });
    let panics = std::pin::pin!(panics);
    let mut both =
        std::pin::pin!(futures::future::join(panics, store.transact(|tx| tx.enqueue(vec![job("beside")]))));
    assert!(futures::poll!(both.as_mut()).is_pending());
    drop(busy);
    let (panicked, beside) = both.await;
    assert!(panicked.unwrap_err().to_string().contains("the code panicked: in the application"));
    assert!(beside.unwrap().unwrap()[0].is_created());
    let ids = [JobId::new("undone").unwrap(), JobId::new("beside").unwrap()];
    let found = store.get(&ids).await.unwrap();
    assert!(matches!(found[..], [Lookup::Unknown, Lookup::Found(_)]), "{found:?}");
    assert_eq!(store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap().len(), 1);
    store.ready().await.unwrap();
}

#[tokio::test]
async fn an_application_cannot_end_the_transaction_that_it_shares() {
    let (_folder, store) = store().await;
    for sql in ["COMMIT", "ROLLBACK", "RELEASE longhaul_call", "PRAGMA defer_foreign_keys = 1"] {
        let busy = busy(&store).await;
        let before = store.transact(move |tx| tx.enqueue(vec![job(&format!("before-{}", sql.len()))]));
        let meddles = store.transact(move |tx| tx.connection().execute_batch(sql));
        let mut both = std::pin::pin!(futures::future::join(before, meddles));
        assert!(futures::poll!(both.as_mut()).is_pending());
        drop(busy);
        let (before, meddles) = both.await;
        assert!(before.unwrap().unwrap().iter().all(Enqueued::is_created));
        assert!(meddles.unwrap().unwrap_err().to_string().contains("not authorized"), "{sql}");
    }
    let own = "SAVEPOINT mine; CREATE TABLE t (n); ROLLBACK TO mine; RELEASE mine";
    store.transact(move |tx| tx.connection().execute_batch(own)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_constraint_that_fails_at_the_commit_fails_the_call_that_broke_it() {
    let (_folder, store) = store().await;
    let tables = "CREATE TABLE customers (id INTEGER PRIMARY KEY);
        CREATE TABLE orders (customer INTEGER REFERENCES customers (id) DEFERRABLE INITIALLY DEFERRED)";
    store.transact(move |tx| tx.connection().execute_batch(tables)).await.unwrap().unwrap();
    let busy = busy(&store).await;
    let breaks = store.transact(|tx| tx.connection().execute("INSERT INTO orders VALUES (7)", []));
    let beside = store.transact(|tx| tx.enqueue(vec![job("beside")]));
    let mut both = std::pin::pin!(futures::future::join(breaks, beside));
    assert!(futures::poll!(both.as_mut()).is_pending());
    drop(busy);
    let (breaks, beside) = both.await;
    assert!(breaks.unwrap_err().to_string().contains("FOREIGN KEY"));
    assert!(beside.unwrap().unwrap()[0].is_created());
}

#[tokio::test]
async fn a_panic_of_an_application_that_reads_fails_its_call_alone() {
    let (_folder, store) = store().await;
    let panicked = store.read(|_| -> rusqlite::Result<()> { panic!("while it reads") }).await;
    assert!(panicked.unwrap_err().to_string().contains("while it reads"));
    store.read(|c| c.query_row("SELECT 1", [], |_| Ok(()))).await.unwrap();
}

#[tokio::test]
async fn a_look_up_does_not_wait_for_applications_that_read_for_long() {
    let (_folder, store) = store().await;
    store.enqueue(vec![job("a")]).await.unwrap();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Arc::new(std::sync::Mutex::new(released));
    let mut readers = Vec::new();
    // More than there are connections for them.
    for _ in 0..8 {
        let (store, released) = (store.clone(), std::sync::Arc::clone(&released));
        readers.push(tokio::spawn(async move {
            let wait = move |_: &rusqlite::Connection| {
                let _ = released.lock().unwrap().recv();
                Ok(())
            };
            store.read(wait).await
        }));
    }
    tokio::task::yield_now().await;
    assert!(matches!(store.get(&[JobId::new("a").unwrap()]).await.unwrap()[0], Lookup::Found(_)));
    drop(release);
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
}
