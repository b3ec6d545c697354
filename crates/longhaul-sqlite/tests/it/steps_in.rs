//! Steps that a handler ends in a transaction of the application's own.

use std::time::Duration;

use longhaul::{
    Backoff, Context, ErrorKind, Job, JobError, JobRecord, JobResult, Longhaul, Outcome, State, Store,
};
use longhaul_conformance::jobs::finish;
use longhaul_sqlite::{FinishStepIn, SqliteStore, Transaction, rusqlite};
use serde::{Deserialize, Serialize};

const PATIENCE: Duration = Duration::from_secs(60);

/// Ships an order once, whatever becomes of the attempt that did it.
#[derive(Serialize, Deserialize)]
struct Ship {
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum How {
    FailsAfterwards,
    RefusesTheOrder,
    ForgetsToAsk,
    LosesItsLease,
}

impl Job for Ship {
    const KIND: &'static str = "ship";
    const MAX_ATTEMPTS: u32 = 2;
    type State = SqliteStore;
    type Output = i64;

    fn backoff() -> Backoff {
        Backoff { base: Duration::from_millis(1), ..Backoff::default() }
    }

    async fn run(self, cx: Context<SqliteStore>) -> JobResult<i64> {
        let how = self.how;
        if how != How::ForgetsToAsk
            && let Some(orders) = cx.finished_step("order")?
        {
            return Ok(orders);
        }
        let job = cx.longhaul().get(cx.id()).await?.found();
        if how == How::LosesItsLease && job.is_some_and(|job| job.interruptions == 0) {
            cx.state().finish(vec![finish(&cx.lease(), Outcome::Released)]).await?;
        }
        let run = cx.clone();
        let order = move |tx: &mut Transaction<'_, '_>| -> JobResult<i64> {
            tx.connection().execute("INSERT INTO orders VALUES (NULL)", [])?;
            let orders = tx.connection().query_row("SELECT count(*) FROM orders", [], |row| row.get(0))?;
            run.finish_step_in(tx, "order", &orders)?;
            if how == How::RefusesTheOrder && run.attempt() == 1 {
                return Err(JobError::retry("out of stock"));
            }
            Ok(orders)
        };
        let orders = cx.state().transact(order).await??;
        if how == How::FailsAfterwards && cx.attempt() == 1 {
            return Err(JobError::retry("the power went out"));
        }
        Ok(orders)
    }
}

/// The job, once it has ended, and how many orders there are.
async fn shipped(how: How) -> (JobRecord, i64) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("app.db")).await.unwrap();
    let table = "CREATE TABLE orders (id INTEGER PRIMARY KEY)";
    store.transact(move |tx| tx.connection().execute(table, [])).await.unwrap().unwrap();
    let longhaul = Longhaul::new(store.clone());
    let worker = longhaul.worker().register::<Ship>(store.clone()).queue("default", 1).start();
    let job = longhaul.enqueue(Ship { how }).await.unwrap().id;
    let ended = longhaul.wait(&job, PATIENCE).await.unwrap().found().unwrap();
    worker.shutdown(PATIENCE).await;
    let count = |c: &rusqlite::Connection| c.query_row("SELECT count(*) FROM orders", [], |row| row.get(0));
    (ended, store.read(count).await.unwrap())
}

#[tokio::test]
async fn a_step_and_its_rows_are_there_once_though_the_attempt_fails_afterwards() {
    let (job, orders) = shipped(How::FailsAfterwards).await;
    assert_eq!((job.state, job.attempt, job.errors.len(), orders), (State::Completed, 2, 1, 1));
}

#[tokio::test]
async fn a_step_whose_rows_are_rolled_back_is_done_again() {
    let (job, orders) = shipped(How::RefusesTheOrder).await;
    assert_eq!((job.state, job.errors[0].message.as_str(), orders), (State::Completed, "out of stock", 1));
}

#[tokio::test]
async fn a_step_that_was_not_asked_for_is_a_fault_of_the_handler_and_writes_nothing() {
    let (job, orders) = shipped(How::ForgetsToAsk).await;
    assert_eq!((job.state, job.errors[0].kind, orders), (State::Failed, ErrorKind::Fatal, 0));
    assert!(job.errors[0].message.contains("ask finished_step for it first"), "{:?}", job.errors);
}

#[tokio::test]
async fn a_run_that_has_lost_its_lease_writes_neither() {
    let (job, orders) = shipped(How::LosesItsLease).await;
    assert_eq!((job.state, orders), (State::Completed, 1), "only the run that follows it has");
}
