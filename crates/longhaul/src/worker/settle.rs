use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::running::TRIES;
use crate::backoff::Backoff;
use crate::model::{AttemptError, Claim, Claimed, ErrorKind, Finish, FinishAndClaim, LeaseStatus, Outcome};
use crate::runtime::Runtime;
use crate::store::{Error, Result, Store};

/// The end of a run, to be sent to the store.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) run: u64,
    pub(crate) finish: Finish,
}

/// The result of sending ends, and of a claim with them.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Runs for which nothing more is to be sent.
    pub(crate) over: Vec<u64>,
    /// Ends that were not sent because of an outage.
    pub(crate) unsent: Vec<End>,
    pub(crate) claimed: Vec<Claimed>,
    /// The error because of which ends are unsent.
    pub(crate) outage: Option<Error>,
    /// The error because of which nothing was claimed.
    pub(crate) claim_fault: Option<Error>,
}

/// The number of concurrent calls while each end is sent by itself.
const ALONE_AT_ONCE: usize = 8;

/// Sends the ends of runs, and claims into the slots that they free. An outage leaves all ends unsent. After any other
/// error each end is sent by itself, and one that the store cannot keep is replaced by a failure with the reason. If
/// the store does not keep that either, the run is dropped: without heartbeats its lease ends, and the store counts a
/// crash.
pub(crate) async fn settle(
    store: Arc<dyn Store>,
    runtime: Runtime,
    ends: Vec<End>,
    claim: Option<Claim>,
) -> Settled {
    let is_claiming = claim.is_some();
    match send(store.as_ref(), &ends, claim).await {
        Ok(FinishAndClaim { finished, claimed }) => {
            for (end, status) in ends.iter().zip(finished) {
                note_status(&end.finish, status);
            }
            let over = ends.iter().map(|end| end.run).collect();
            Settled { over, claimed, ..Settled::default() }
        }
        Err(error) if error.is_outage() => {
            Settled { unsent: ends, outage: Some(error), ..Settled::default() }
        }
        Err(error) => {
            tracing::warn!("{error}; sending the ends of {} jobs one by one", ends.len());
            let mut settled = settle_each(store.as_ref(), &runtime, ends).await;
            settled.claim_fault = is_claiming.then_some(error);
            settled
        }
    }
}

async fn send(store: &dyn Store, ends: &[End], claim: Option<Claim>) -> Result<FinishAndClaim> {
    let finishes = ends.iter().map(|end| end.finish.clone()).collect();
    match claim {
        Some(claim) => store.finish_and_claim(finishes, claim).await,
        None => Ok(FinishAndClaim { finished: store.finish(finishes).await?, claimed: Vec::new() }),
    }
}

async fn settle_each(store: &dyn Store, runtime: &Runtime, ends: Vec<End>) -> Settled {
    let mut settled = Settled::default();
    let mut ends = ends.into_iter();
    let mut calls: FuturesUnordered<_> =
        ends.by_ref().take(ALONE_AT_ONCE).map(|end| settle_one(store, runtime, end)).collect();
    while let Some((end, outage)) = calls.next().await {
        match outage {
            None => settled.over.push(end.run),
            Some(error) => {
                settled.unsent.push(end);
                settled.outage = Some(error);
            }
        }
        calls.extend(ends.next().map(|end| settle_one(store, runtime, end)));
    }
    settled
}

/// Sends one end until it is settled or there is an outage, which is returned, with the end as it is to be sent again.
async fn settle_one(store: &dyn Store, runtime: &Runtime, mut end: End) -> (End, Option<Error>) {
    let error = match send_alone(store, runtime, &end.finish).await {
        Ok(()) => return (end, None),
        Err(error) if error.is_outage() => return (end, Some(error)),
        Err(error) => error,
    };
    let message = format!("failed to keep the end of the job, {}: {error}", describe(&end.finish));
    tracing::error!(job = %end.finish.lease.id, "{message}");
    end.finish = Finish {
        outcome: Outcome::Failed { error: AttemptError::new(ErrorKind::Fatal, message) },
        entries: Vec::new(),
        follow_ups: Vec::new(),
        cost: end.finish.cost,
        lease: end.finish.lease,
    };
    match send_alone(store, runtime, &end.finish).await {
        Ok(()) => (end, None),
        Err(error) if error.is_outage() => (end, Some(error)),
        Err(error) => {
            tracing::error!(job = %end.finish.lease.id, "failed to end a job, which is let go until its lease ends: {error}");
            (end, None)
        }
    }
}

async fn send_alone(store: &dyn Store, runtime: &Runtime, finish: &Finish) -> Result<()> {
    let mut failures = 0;
    loop {
        let error = match store.finish(vec![finish.clone()]).await {
            Ok(statuses) => {
                statuses.into_iter().for_each(|status| note_status(finish, status));
                return Ok(());
            }
            Err(error) => error,
        };
        failures += 1;
        if failures >= TRIES || error.is_outage() || matches!(error, Error::Invalid { .. }) {
            return Err(error);
        }
        runtime.clock.sleep(runtime.delay(&Backoff::STORE, failures)).await;
    }
}

fn note_status(finish: &Finish, status: LeaseStatus) {
    if status == LeaseStatus::Lost {
        tracing::warn!(job = %finish.lease.id, "the end of a job came after its lease was lost; it runs elsewhere");
    }
}

fn describe(finish: &Finish) -> String {
    let outcome = match &finish.outcome {
        Outcome::Completed { output } => {
            format!("which had completed with an output of {} bytes", output.as_str().len())
        }
        Outcome::Retry { error, .. } | Outcome::Failed { error } => {
            format!("whose attempt had failed ({})", error.message)
        }
        Outcome::Cancelled { reason, .. } => format!("which had stopped ({reason})"),
        Outcome::Snoozed { .. } => "which was to run later".into(),
        Outcome::RateLimited { .. } => "which had met a limit".into(),
        Outcome::Released => "which was handed back".into(),
        Outcome::Waits { on, .. } => format!("which was to wait ({on})"),
    };
    let (entries, follow_ups) = (finish.entries.len(), finish.follow_ups.len());
    format!("{outcome}, with {entries} entries of its log and {follow_ups} follow-ups")
}
