use std::sync::Arc;
use std::time::Duration;

use super::registry::{Ended, Registry, Runner};
use super::running::{AbortReason, RunningJob};
use crate::handle::Longhaul;
use crate::job::{JobError, Verdict};
use crate::model::{AttemptError, Entry, ErrorKind, Finish, LogLevel, Outcome};

/// Runs one claimed job to its end and says what to tell the store: nothing, where the job is no longer ours.
pub(crate) async fn execute(
    job: &Arc<RunningJob>,
    registry: &Registry,
    longhaul: &Longhaul,
) -> Option<Finish> {
    let Some(runner) = registry.get(&job.claimed.kind) else {
        // Only a store that hands out kinds which were not asked for gets here; the job is another worker's.
        tracing::error!(job = %job.id(), kind = job.claimed.kind, "failed to run a job of an unknown kind");
        return Some(finish(job, Outcome::Snoozed { delay: Duration::from_secs(10) }).await);
    };
    let run = runner.run(Arc::clone(job), longhaul.clone());
    let limited = async {
        match job.claimed.timeout {
            None => Some(run.await),
            Some(timeout) => tokio::time::timeout(timeout, run).await.ok(),
        }
    };
    let outcome = tokio::select! {
        // The job first: most end at their first poll, and never need to listen for the abort.
        biased;
        ended = limited => match ended {
            Some(ended) => outcome(job, runner, ended),
            None => failed_attempt(job, runner, ErrorKind::Timeout, timeout_message(job), None),
        },
        reason = job.aborted() => match reason {
            AbortReason::LeaseLost => return None,
            AbortReason::Shutdown => Outcome::Released,
        },
    };
    Some(finish(job, outcome).await)
}

async fn finish(job: &Arc<RunningJob>, outcome: Outcome) -> Finish {
    Finish {
        lease: job.claimed.lease.clone(),
        entries: job.take_entries().await,
        follow_ups: match outcome {
            Outcome::Completed { .. } => job.take_follow_ups(),
            _ => Vec::new(),
        },
        outcome,
    }
}

fn outcome(job: &Arc<RunningJob>, runner: &Runner, ended: Ended) -> Outcome {
    match ended {
        Ended::Returned(output) => Outcome::Completed { output },
        Ended::Panicked(message) => failed_attempt(job, runner, ErrorKind::Panic, message, None),
        Ended::Erred(JobError { verdict, message }) => match verdict {
            // A job that was asked to stop and stops with an error has done what it was asked.
            _ if job.cancelled.is_cancelled() => Outcome::Cancelled { reason: message },
            Verdict::Retry(delay) => failed_attempt(job, runner, ErrorKind::Error, message, delay),
            Verdict::Fatal => Outcome::Failed { error: AttemptError::new(ErrorKind::Fatal, message) },
            Verdict::Cancel => Outcome::Cancelled { reason: message },
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
        },
    }
}

fn failed_attempt(
    job: &RunningJob,
    runner: &Runner,
    kind: ErrorKind,
    message: String,
    delay: Option<Duration>,
) -> Outcome {
    let error = AttemptError::new(kind, message);
    let attempt = job.claimed.attempt;
    if attempt >= job.claimed.max_attempts {
        return Outcome::Failed { error };
    }
    let backoff = || job.claimed.backoff.unwrap_or_else(runner.backoff).delay(attempt);
    Outcome::Retry { error, delay: delay.unwrap_or_else(backoff) }
}

fn timeout_message(job: &RunningJob) -> String {
    format!("timed out after {:.1} s", job.claimed.timeout.unwrap_or_default().as_secs_f64())
}
