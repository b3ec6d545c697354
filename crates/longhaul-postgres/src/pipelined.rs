//! Calls that are one statement in a commit of its own, and are sent before the one before is answered.

use std::sync::Arc;
use std::time::Duration;

use longhaul::{Changes, Enqueued, NewJob, Result};

use crate::call::{Call, Op};
use crate::connection::Connection;
use crate::enqueue::{enqueue_simple, is_simple_enqueue};
use crate::error::{SILENCE, unavailable};
use crate::finish_and_claim::{self, Jobs};
use crate::server_clock::Now;
use crate::write_tx::Effects;

/// Calls whose statement has been answered.
pub(crate) struct Pipelined {
    pub(crate) calls: Vec<Call>,
    pub(crate) connection: Arc<Connection>,
    /// The number that its claimed jobs carry.
    pub(crate) claim_number: i64,
    pub(crate) result: Result<Statement>,
}

/// The result of the statement, which is committed.
pub(crate) enum Statement {
    FinishAndClaim(finish_and_claim::Done),
    /// The answer of each call, and the changes for others.
    Enqueued(Vec<Vec<Enqueued>>, Effects),
    /// Nothing was done: a bound on waiting jobs may hold for some of those that were to be created.
    Bounded,
}

/// True where one statement can do what is asked for: a finish with a claim by itself, or enqueues.
pub(crate) fn are_simple(calls: &[Call]) -> bool {
    match calls {
        [Call { op: Op::Finish(finishes) | Op::Claim { finishes, .. }, .. }] => {
            finish_and_claim::is_simple(finishes)
        }
        calls => !calls.is_empty() && calls.iter().all(is_simple),
    }
}

/// True where a call can share a statement with others.
pub(crate) fn is_simple(call: &Call) -> bool {
    call.jobs().is_some_and(is_simple_enqueue)
}

/// Sends [simple](are_simple) calls as one statement, once this is polled first.
pub(crate) async fn run(
    connection: Arc<Connection>,
    calls: Vec<Call>,
    of: Jobs,
    now: Now,
    claim_number: i64,
    patience: Duration,
    observers: Arc<Changes>,
) -> Pipelined {
    let statement = async {
        match calls.as_slice() {
            [call @ Call { op: Op::Finish(finishes) | Op::Claim { finishes, .. }, .. }] => {
                // A caller who is gone takes nothing.
                let claim = call.claim().filter(|_| !call.reply.is_closed());
                let done =
                    finish_and_claim::run(&connection, finishes, claim, of, now, claim_number, &observers);
                done.await.map(Statement::FinishAndClaim)
            }
            calls => {
                let jobs: Vec<&[NewJob]> = calls.iter().filter_map(Call::jobs).collect();
                let created = enqueue_simple(&connection, &jobs, now, &observers).await?;
                let enqueued = |(enqueued, effects)| Statement::Enqueued(enqueued, effects);
                Ok(created.map_or(Statement::Bounded, enqueued))
            }
        }
    };
    let result = tokio::time::timeout(patience, statement).await;
    let result = result.unwrap_or_else(|_| {
        connection.cancel();
        Err(unavailable(SILENCE))
    });
    Pipelined { calls, connection, claim_number, result }
}
