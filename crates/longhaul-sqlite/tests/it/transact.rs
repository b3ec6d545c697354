use std::time::Duration;

use longhaul::{
    JobFilter, JobId, Json, Lease, LeaseStatus, Lookup, NewJob, Page, Start, State, Store, process_id,
};
use longhaul_sqlite::{SqliteStore, rusqlite};

use crate::owner::{claim, completed, job};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::test]
async fn rows_and_jobs_are_committed_together() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("app.db")).await.unwrap();
    create_table(&store).await;
    store
        .transact(|tx| -> Result<(), Failure> {
            tx.connection().execute("INSERT INTO orders VALUES (7)", [])?;
            tx.enqueue(vec![job("ship-7")])?;
            Ok(())
        })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(orders(&store).await, 1);
    let id = JobId::new("ship-7").unwrap();
    assert!(matches!(store.get(&[id]).await.unwrap()[0], Lookup::Found(_)));
}

#[tokio::test]
async fn an_error_undoes_the_callers_rows_jobs_and_counts_and_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("app.db")).await.unwrap();
    create_table(&store).await;
    let failing = store.transact(|tx| -> Result<(), Failure> {
        tx.connection().execute("INSERT INTO orders VALUES (7)", [])?;
        tx.enqueue(vec![job("ship-7")])?;
        Err("the customer changed their mind".into())
    });
    // Both wait in the inbox together, so that they share a transaction or follow each other closely.
    let (failed, other) = tokio::join!(failing, store.enqueue(vec![job("ship-8")]));
    assert_eq!(failed.unwrap().unwrap_err().to_string(), "the customer changed their mind");
    assert!(other.unwrap()[0].is_created());
    assert_eq!(orders(&store).await, 0);
    let page =
        store.list(&JobFilter::default(), Page { cursor: None, limit: 10, ..Page::default() }).await.unwrap();
    let ids: Vec<&str> = page.jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(ids, ["ship-8"]);
    let queues = store.queues().await.unwrap();
    assert_eq!(queues[0].counts.values().sum::<u64>(), 1);
}

#[tokio::test]
async fn a_step_and_the_callers_rows_are_committed_together_under_the_lease_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("app.db")).await.unwrap();
    create_table(&store).await;
    store.enqueue(vec![job("ship-7")]).await.unwrap();
    let lease = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap().remove(0).lease;
    let order = |lease: Lease, row: i64, end: Result<(), Failure>| {
        store.transact(move |tx| -> Result<LeaseStatus, Failure> {
            tx.connection().execute("INSERT INTO orders VALUES (?1)", [row])?;
            let status = tx.finish_step(&lease, "order", &Json::new(&row)?)?;
            if status == LeaseStatus::Lost {
                return Err("it runs elsewhere".into());
            }
            end.map(|()| status)
        })
    };
    assert!(order(lease.clone(), 7, Err("out of stock".into())).await.unwrap().is_err());
    let id = JobId::new("ship-7").unwrap();
    assert_eq!((orders(&store).await, store.steps(&id).await.unwrap().unwrap().len()), (0, 0));
    assert_eq!(order(lease.clone(), 8, Ok(())).await.unwrap().unwrap(), LeaseStatus::Held);
    let stale = Lease { token: lease.token - 1, ..lease };
    assert_eq!(order(stale, 9, Ok(())).await.unwrap().unwrap_err().to_string(), "it runs elsewhere");
    let steps = store.steps(&id).await.unwrap().unwrap();
    let steps: Vec<_> =
        steps.iter().map(|step| (step.name.as_str(), step.output.as_ref().unwrap().as_str())).collect();
    assert_eq!((orders(&store).await, steps), (1, vec![("order", "8")]));
}

#[tokio::test]
async fn an_error_undoes_what_it_did_to_batches() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("app.db")).await.unwrap();
    let closing = |id| NewJob { start: Start::AfterChildren, ..job(id) };
    let child = |id, of| NewJob { parent: Some(JobId::new(of).unwrap()), ..job(id) };
    store.enqueue(vec![closing("all"), child("child", "all")]).await.unwrap();
    let failing = store.transact(move |tx| -> Result<(), Failure> {
        tx.enqueue(vec![
            child("late", "all"),
            closing("other"),
            child("others", "other"),
            closing("childless"),
        ])?;
        Err("the customer changed their mind".into())
    });
    // The one that follows it has new numbers to give, which may be those of the jobs that are gone.
    let (failed, next) = tokio::join!(failing, store.enqueue(vec![closing("next"), child("nexts", "next")]));
    assert!(failed.unwrap().is_err() && next.unwrap()[0].is_created());
    let claimed = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap();
    assert_eq!(claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(), ["child", "nexts"]);
    store.finish(vec![completed(&claimed[0])]).await.unwrap();
    let ids = ["all", "next"].map(|id| JobId::new(id).unwrap());
    let found = store.get(&ids).await.unwrap().into_iter().filter_map(Lookup::found);
    let found: Vec<_> = found.map(|job| (job.state, job.children.unwrap().total)).collect();
    assert_eq!(found, [(State::Available, 1), (State::Blocked, 1)]);
}

#[tokio::test]
async fn an_invalid_job_is_refused_inside_a_transaction_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("app.db")).await.unwrap();
    let enqueued = store
        .transact(|tx| {
            let args = Json::new(&"x".repeat(longhaul::MAX_ARGS_BYTES)).unwrap();
            tx.enqueue(vec![NewJob { args, ..job("big") }])
        })
        .await
        .unwrap();
    assert!(enqueued.unwrap_err().to_string().contains("args: must be at most 262144 bytes"));
}

async fn create_table(store: &SqliteStore) {
    store
        .transact(|tx| tx.connection().execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
        .await
        .unwrap()
        .unwrap();
}

async fn orders(store: &SqliteStore) -> i64 {
    let count = |c: &rusqlite::Connection| c.query_row("SELECT count(*) FROM orders", [], |row| row.get(0));
    store.read(count).await.unwrap()
}
