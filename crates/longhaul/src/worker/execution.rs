use std::sync::Arc;
use std::time::Duration;

use super::layer::{RunError, RunErrorKind, RunResult, Stack};
use super::registry::{Registry, Runner, keepable};
use super::running::{AbortReason, RunningJob};
use crate::backoff::Backoff;
use crate::job::{JobError, Verdict};
use crate::model::{
    AttemptError, CancelReason, Entry, ErrorKind, Finish, LogLevel, OnExhausted, Outcome, WaitsFor,
};

/// The words of a run that is cut off at its job's deadline.
pub(super) const DEADLINE_PASSED: &str = "stopped, because its deadline has passed";

/// Runs one claimed job to its end and returns the finish to send: `None` if the lease is lost.
pub(crate) async fn execute(job: &Arc<RunningJob>, stack: &Stack) -> Option<Finish> {
    let result = stack.run(job).await;
    let mut outcome = match job.stopped() {
        None => outcome(job, &stack.registry, result),
        Some(AbortReason::LeaseLost) => return None,
        Some(AbortReason::LeaseUnsure | AbortReason::Shutdown) => Outcome::Released,
        Some(AbortReason::Unkept(reason)) => failed(reason.clone()),
        Some(AbortReason::Deadline) => {
            Outcome::Cancelled { reason: DEADLINE_PASSED.to_owned(), cancel_reason: CancelReason::Deadline }
        }
    };
    if let Outcome::Retry { error, .. }
    | Outcome::Failed { error }
    | Outcome::Waits { error: Some(error), .. } = &mut outcome
    {
        error.traceparent = job.own_traceparent();
    }
    if let Outcome::Failed { error } = &outcome {
        let (id, kind, queue) = (job.id(), &job.claimed.kind, &job.claimed.queue);
        let reason = &error.message;
        let attempt = job.claimed.attempt;
        let trace_id = job.traceparent().map(|place| format!("{:032x}", place.trace_id));
        tracing::error!(job = %id, attempt, trace_id, kind = &**kind, queue = &**queue, "Background processing failed for {kind} {id}: {reason}");
    }
    Some(finish(job, outcome).await)
}

async fn finish(job: &Arc<RunningJob>, outcome: Outcome) -> Finish {
    Finish {
        lease: job.lease(),
        entries: job.take_entries().await,
        follow_ups: match outcome {
            Outcome::Completed { .. } => job.take_follow_ups(),
            _ => Vec::new(),
        },
        outcome,
        cost: job.cost(),
    }
}

fn outcome(job: &Arc<RunningJob>, registry: &Registry, result: RunResult) -> Outcome {
    let RunError { error: JobError { verdict, message }, kind } =
        match result.and_then(|output| Ok(keepable(output)?)) {
            Ok(output) => return Outcome::Completed { output },
            Err(error) => error,
        };
    let sort = match kind {
        // A job that was asked to stop and stops with an error has done what it was asked.
        RunErrorKind::Returned if job.cancelled.is_cancelled() => {
            return cancelled(message);
        }
        RunErrorKind::Returned | RunErrorKind::Stopped => ErrorKind::Error,
        RunErrorKind::Panicked => ErrorKind::Panic,
        RunErrorKind::TimedOut => ErrorKind::Timeout,
    };
    match verdict {
        Verdict::Waits => match job.take_wait() {
            Some((entry, outcome)) => {
                entry.into_iter().for_each(|entry| job.push(entry));
                outcome
            }
            None => failed(format!("returned the wait of another run: {message}")),
        },
        Verdict::Retry(delay) => failed_attempt(job, registry.get(&job.claimed.kind), sort, message, delay),
        Verdict::Fatal => failed(message),
        Verdict::Cancel => cancelled(message),
        Verdict::Snooze(delay) => {
            let message = format!("snoozed for {:.1} s: {message}", delay.as_secs_f64());
            job.push(Entry::Log { level: LogLevel::Info, message });
            Outcome::Snoozed { delay }
        }
        Verdict::RateLimited(delay) => {
            let message = format!("rate limited for {:.1} s: {message}", delay.as_secs_f64());
            job.push(Entry::Log { level: LogLevel::Info, message });
            Outcome::RateLimited { delay }
        }
    }
}

fn cancelled(reason: String) -> Outcome {
    Outcome::Cancelled { reason, cancel_reason: CancelReason::Asked }
}

fn failed(message: String) -> Outcome {
    Outcome::Failed { error: AttemptError::new(ErrorKind::Fatal, message) }
}

fn failed_attempt(
    job: &RunningJob,
    runner: Option<&Runner>,
    kind: ErrorKind,
    mut message: String,
    delay: Option<Duration>,
) -> Outcome {
    if job.is_last_attempt() {
        let error = AttemptError::new(kind, message);
        return match job.claimed.policy.on_exhausted {
            OnExhausted::Fail => Outcome::Failed { error },
            OnExhausted::Pause => Outcome::Waits { on: WaitsFor::Person, timeout: None, error: Some(error) },
        };
    }
    let delay = delay.unwrap_or_else(|| {
        let (backoff, panic) = match job.claimed.policy.backoff {
            Some(backoff) => (backoff, None),
            None => runner.map_or((Backoff::default(), None), Runner::backoff),
        };
        if let Some(panic) = panic {
            message.push_str(&format!("; its backoff() {panic}"));
        }
        job.runtime.delay(&backoff, job.claimed.attempt)
    });
    Outcome::Retry { error: AttemptError::new(kind, message), delay }
}
