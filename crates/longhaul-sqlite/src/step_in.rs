use longhaul::{Context, JobResult};
use serde::Serialize;

use crate::transaction::Transaction;

/// Ends a step of a running job in a transaction of the application's own.
pub trait FinishStepIn {
    /// Records the step with its output: it and the application's rows are there together, or neither is. The attempt must have
    /// asked [`finished_step`](Context::finished_step) for it, and have found no output.
    ///
    /// ```
    /// # use longhaul::{Context, JobResult};
    /// # use longhaul_sqlite::{FinishStepIn, SqliteStore};
    /// # async fn run(cx: Context<SqliteStore>) -> JobResult<()> {
    /// if cx.finished_step::<()>("charge")?.is_none() {
    ///     let run = cx.clone();
    ///     let charge = move |tx: &mut longhaul_sqlite::Transaction<'_, '_>| -> JobResult<()> {
    ///         tx.connection().execute("UPDATE accounts SET balance = balance - 5 WHERE id = 7", [])?;
    ///         run.finish_step_in(tx, "charge", &())
    ///     };
    ///     cx.state().transact(charge).await??;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// To be returned from the transaction, which it undoes: one that runs the job again where the run has lost its lease, and
    /// a fatal one where the name or the output cannot be kept, or `finished_step` was not asked.
    fn finish_step_in<T: Serialize>(
        &self,
        tx: &mut Transaction<'_, '_>,
        name: &str,
        output: &T,
    ) -> JobResult<()>;
}

impl<S> FinishStepIn for Context<S> {
    fn finish_step_in<T: Serialize>(
        &self,
        tx: &mut Transaction<'_, '_>,
        name: &str,
        output: &T,
    ) -> JobResult<()> {
        let (lease, output) = self.begin_finish(name, output)?;
        Self::end_finish(tx.finish_step(&lease, name, &output))
    }
}
