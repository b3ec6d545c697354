//! A step of a job and the rows that it changes are one commit: an account is charged once, although the attempt that did it dies
//! right after.
//!
//!     cargo run -p examples --bin charge

use std::time::Duration;

use longhaul::{Backoff, Context, Job, JobError, JobResult, Longhaul};
use longhaul_sqlite::{FinishStepIn, SqliteStore, Transaction};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Charge {
    account: i64,
    amount: i64,
}

impl Charge {
    /// Takes the amount, and notes the step with the new balance, or does neither.
    async fn charge(self, cx: &Context<SqliteStore>) -> JobResult<i64> {
        if let Some(balance) = cx.finished_step("charge")? {
            return Ok(balance);
        }
        let run = cx.clone();
        let charge = move |tx: &mut Transaction<'_, '_>| -> JobResult<i64> {
            let sql = "UPDATE accounts SET balance = balance - ?2 WHERE id = ?1 RETURNING balance";
            let balance = tx.connection().query_row(sql, [self.account, self.amount], |row| row.get(0))?;
            run.finish_step_in(tx, "charge", &balance)?;
            Ok(balance)
        };
        cx.state().transact(charge).await?
    }
}

impl Job for Charge {
    const KIND: &'static str = "charge";
    type State = SqliteStore;
    type Output = String;

    fn backoff() -> Backoff {
        Backoff { base: Duration::from_millis(10), ..Backoff::default() }
    }

    async fn run(self, cx: Context<SqliteStore>) -> JobResult<String> {
        let balance = self.charge(&cx).await?;
        if cx.attempt() == 1 {
            return Err(JobError::retry("the power went out"));
        }
        Ok(format!("{balance} left, in attempt {}", cx.attempt()))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let store = SqliteStore::open("charge.db").await?;
    let accounts = "CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, balance INTEGER); \
                    INSERT OR REPLACE INTO accounts VALUES (7, 20)";
    store.transact(move |tx| tx.connection().execute_batch(accounts)).await??;
    let longhaul = Longhaul::new(store.clone());
    let worker = longhaul.worker().register::<Charge>(store).queue("default", 1).start();
    let job = longhaul.enqueue(Charge { account: 7, amount: 5 }).await?.id;
    let ended = longhaul.wait(&job, Duration::from_secs(60)).await?;
    println!("{}", ended.found().and_then(|job| job.output.clone()).ok_or("not charged")?.to_value());
    worker.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
