//! A row and the job about it in one transaction: both are there, or neither is.
//!
//!     cargo run -p examples --bin transactional

use std::time::Duration;

use longhaul::{Context, Job, JobId, JobResult, Longhaul, NewJob};
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Serialize, Deserialize)]
struct Confirm {
    order: i64,
}

impl Job for Confirm {
    const KIND: &'static str = "confirm";
    type State = ();
    type Output = String;

    async fn run(self, _cx: Context<()>) -> JobResult<String> {
        Ok(format!("order {} is confirmed", self.order))
    }
}

/// Takes an order. Whatever fails in here undoes all of it.
async fn order(store: &SqliteStore, number: i64, price: i64) -> Result<JobId, Failure> {
    let taken = store.transact(move |tx| -> Result<JobId, Failure> {
        tx.connection().execute("INSERT INTO orders VALUES (?1, ?2)", [number, price])?;
        let enqueued = tx.enqueue(vec![NewJob::of(&Confirm { order: number })?])?;
        if price <= 0 {
            return Err("an order needs a price".into());
        }
        Ok(enqueued[0].id.clone())
    });
    taken.await?
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let store = SqliteStore::open("shop.db").await?;
    let table = "CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, price INTEGER)";
    store.transact(move |tx| tx.connection().execute(table, [])).await??;
    let longhaul = Longhaul::new(store.clone());
    let worker = longhaul.worker().register::<Confirm>(()).queue("default", 4).start();

    let refused = order(&store, 1, 0).await.err().ok_or("an order without a price was taken")?;
    println!("{refused}");
    let job = order(&store, 2, 30).await?;
    let ended = longhaul.wait(&job, Duration::from_secs(60)).await?;
    println!("{}", ended.found().and_then(|job| job.output.clone()).ok_or("not confirmed")?.to_value());
    let count = "SELECT count(*) FROM orders";
    let orders: i64 = store.read(move |c| c.query_row(count, [], |row| row.get(0))).await?;
    println!("orders: {orders}");
    worker.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
