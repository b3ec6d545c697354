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
    let outcome = match runner.run(Arc::clone(job), longhaul.clone(), cut_off(job)).await {
        Ok(ended) => outcome(job, runner, ended),
        Err(CutOff::TimedOut(timeout)) => {
            let message = format!("timed out after {:.1} s", timeout.as_secs_f64());
            failed_attempt(job, runner, ErrorKind::Timeout, message, None)
        }
        Err(CutOff::Aborted(AbortReason::LeaseLost)) => return None,
        Err(CutOff::Aborted(AbortReason::LeaseUnsure | AbortReason::Shutdown)) => Outcome::Released,
        Err(CutOff::Aborted(AbortReason::Unkept(reason))) => failed(reason),
    };
    if let Outcome::Failed { error } = &outcome {
        let (id, kind, queue) = (job.id(), &job.claimed.kind, &job.claimed.queue);
        let reason = &error.message;
        tracing::error!(job = %id, kind = &**kind, queue = &**queue, "Background processing failed for {kind} {id}: {reason}");
    }
    Some(finish(job, outcome).await)
}

/// The reason for which a run did not come to its own end.
enum CutOff {
    TimedOut(Duration),
    Aborted(AbortReason),
}

async fn cut_off(job: &RunningJob) -> CutOff {
    let timeout = async {
        match job.claimed.policy.timeout {
            None => std::future::pending().await,
            Some(timeout) => {
                job.runtime.clock.sleep(timeout).await;
                timeout
            }
        }
    };
    tokio::select! {
        biased;
        reason = job.aborted() => CutOff::Aborted(reason),
        timeout = timeout => CutOff::TimedOut(timeout),
    }
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
            Verdict::Fatal => failed(message),
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

fn failed(message: String) -> Outcome {
    Outcome::Failed { error: AttemptError::new(ErrorKind::Fatal, message) }
}

fn failed_attempt(
    job: &RunningJob,
    runner: &Runner,
    kind: ErrorKind,
    mut message: String,
    delay: Option<Duration>,
) -> Outcome {
    let attempt = job.claimed.attempt;
    if attempt >= job.claimed.max_attempts {
        return Outcome::Failed { error: AttemptError::new(kind, message) };
    }
    let delay = delay.unwrap_or_else(|| {
        let (backoff, panic) = match job.claimed.policy.backoff {
            Some(backoff) => (backoff, None),
            None => runner.backoff(),
        };
        if let Some(panic) = panic {
            message.push_str(&format!("; its backoff() {panic}"));
        }
        job.runtime.delay(&backoff, attempt)
    });
    Outcome::Retry { error: AttemptError::new(kind, message), delay }
}
