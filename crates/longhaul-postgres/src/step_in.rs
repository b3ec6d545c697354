use std::future::Future;

use longhaul::{Context, JobResult};
use serde::Serialize;
use tokio_postgres::Transaction;

use crate::store::PostgresStore;

/// Ends a step of a running job in a transaction of the application's own.
pub trait FinishStepIn {
    /// Records the step with its output: it and the application's rows are there together once the transaction commits, or
    /// neither is. The attempt must have asked [`finished_step`](Context::finished_step) for it, and have found no output.
    ///
    /// ```no_run
    /// # use longhaul::{Context, JobResult};
    /// # use longhaul_postgres::{FinishStepIn, PostgresStore, tokio_postgres::Client};
    /// # async fn run(cx: Context<PostgresStore>, client: &mut Client) -> JobResult<()> {
    /// if cx.finished_step::<()>("charge")?.is_none() {
    ///     let tx = client.transaction().await?;
    ///     tx.execute("UPDATE accounts SET balance = balance - 5 WHERE id = 7", &[]).await?;
    ///     cx.finish_step_in(cx.state(), &tx, "charge", &()).await?;
    ///     tx.commit().await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// To be returned, which rolls the transaction back: one that runs the job again where the run has lost its lease or the
    /// database is away, and a fatal one where the name or the output cannot be kept, or `finished_step` was not asked.
    fn finish_step_in<T: Serialize + Sync>(
        &self,
        store: &PostgresStore,
        transaction: &Transaction<'_>,
        name: &str,
        output: &T,
    ) -> impl Future<Output = JobResult<()>> + Send;
}

impl<S: Send + Sync> FinishStepIn for Context<S> {
    async fn finish_step_in<T: Serialize + Sync>(
        &self,
        store: &PostgresStore,
        transaction: &Transaction<'_>,
        name: &str,
        output: &T,
    ) -> JobResult<()> {
        let (lease, output) = self.begin_finish(name, output)?;
        Self::end_finish(store.finish_step_in(transaction, &lease, name, &output).await)
    }
}
