use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use longhaul::{Clock, Result, Timestamp};
use tokio::sync::mpsc;

use crate::answer::{int, list};
use crate::driver::Driver;
use crate::error::unreadable;
use crate::scripts;

/// Promotes scheduled jobs when they fall due, by one timer for all waiting claims of a process. A promotion wakes only
/// the claims of the jobs' queues.
#[derive(Debug)]
pub(crate) struct DueTimer {
    dues: mpsc::UnboundedSender<Due>,
}

/// The time at which the next job falls due, and the store's time of that answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) at: Timestamp,
    pub(crate) now: Timestamp,
}

/// The most jobs that one call promotes.
const PROMOTED_AT_ONCE: &[u8] = b"100";
/// The pause after a promotion that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl DueTimer {
    /// Starts the timer, which ends when this and the driver's other owners are dropped.
    pub(crate) fn start(driver: Arc<Driver>, clock: Clock) -> Self {
        let (dues, noted) = mpsc::unbounded_channel();
        driver.runtime().spawn(run(Arc::downgrade(&driver), clock, noted));
        Self { dues }
    }

    /// Notes a time at which a job falls due. The earliest one counts.
    pub(crate) fn note(&self, due: Due) {
        let _ = self.dues.send(due);
    }
}

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn run(driver: std::sync::Weak<Driver>, clock: Clock, mut noted: mpsc::UnboundedReceiver<Due>) {
    let mut next: Option<Timestamp> = None;
    // The time of the last promotion, which has seen all that was known before it.
    let mut promoted_at: Option<Timestamp> = None;
    let mut sleep: Sleep = Box::pin(pending());
    loop {
        let due = tokio::select! {
            due = noted.recv() => match due {
                Some(due) if promoted_at.is_some_and(|at| due.now < at) => continue,
                Some(due) if next.is_none_or(|next| due.at < next) => Some(due),
                Some(_) => continue,
                None => return,
            },
            () = &mut sleep => {
                let Some(driver) = driver.upgrade() else { return };
                match promote(&driver).await {
                    Ok((now, due)) => {
                        promoted_at = Some(now);
                        due
                    }
                    Err(error) => {
                        tracing::debug!("failed to promote due jobs: {error}");
                        sleep = Box::pin(tokio::time::sleep(RETRY_AFTER));
                        continue;
                    }
                }
            }
        };
        next = due.map(|due| due.at);
        sleep = match due {
            Some(due) => Box::pin(sleep_until(clock.clone(), due)),
            None => Box::pin(pending()),
        };
    }
}

async fn sleep_until(clock: Clock, due: Due) {
    if clock.is_manual() {
        clock.sleep_until(due.at).await;
    } else {
        // A millisecond at least: the clock has no finer steps, and a busy loop would wait for the next one.
        tokio::time::sleep(due.at.since(due.now).max(Duration::from_millis(1))).await;
    }
}

/// Makes due jobs available, and answers the store's time and when the next one falls due.
async fn promote(driver: &Driver) -> Result<(Timestamp, Option<Due>)> {
    let arguments = vec![PROMOTED_AT_ONCE.to_vec(), driver.reporter.notes().argument()];
    let answer = driver.call_noting(&scripts::PROMOTE, arguments).await?;
    let numbers: Option<Vec<i64>> = list(answer).and_then(|answer| answer.iter().take(2).map(int).collect());
    match numbers.as_deref() {
        Some([now, at]) => {
            let now = Timestamp(*now);
            Ok((now, (*at != -1).then_some(Due { at: Timestamp(*at), now })))
        }
        _ => Err(unreadable(scripts::PROMOTE.operation)),
    }
}
