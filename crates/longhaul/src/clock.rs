//! The only place that reads a clock.
//!
//! A store owns its clock (requests carry durations, never times of day), so that nothing depends on two
//! machines' clocks agreeing. Tests give a store [`Clock::manual`] and move it by hand instead of sleeping.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// A source of time: the system's, or one that a test moves.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<Manual>>);

struct Manual {
    now: AtomicI64,
    changed: watch::Sender<()>,
    listeners: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

impl Clock {
    /// The machine's own clock.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still at 2026-01-01T00:00:00Z until [`advance`](Self::advance) moves it.
    #[must_use]
    pub fn manual() -> Self {
        Self(Some(Arc::new(Manual {
            now: AtomicI64::new(1_767_225_600_000),
            changed: watch::Sender::new(()),
            listeners: Mutex::default(),
        })))
    }

    /// The time now, to the millisecond.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that may")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(manual) => Timestamp(manual.now.load(Ordering::SeqCst)),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }

    /// Moves a manual clock forward and wakes whoever sleeps on it.
    ///
    /// # Panics
    /// On the system's clock, which nobody can move.
    pub fn advance(&self, by: Duration) {
        let manual = self.0.as_ref().expect("only a manual clock can be advanced");
        manual.now.fetch_add(millis(by), Ordering::SeqCst);
        manual.changed.send_replace(());
        for listener in manual.listeners.lock().iter() {
            listener();
        }
    }

    /// Calls `listener` after every [`advance`](Self::advance), for code that waits outside of async.
    /// Does nothing on the system's clock.
    pub fn on_advance(&self, listener: impl Fn() + Send + Sync + 'static) {
        if let Some(manual) = &self.0 {
            manual.listeners.lock().push(Box::new(listener));
        }
    }

    /// Sleeps for `duration` on this clock: on a manual one, until it has been advanced that far.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Some(_) => self.sleep_until(self.now().plus(duration)).await,
            None => tokio::time::sleep(duration).await,
        }
    }

    /// Sleeps until this clock shows `until`: for whoever has looked at the time already, since a manual clock
    /// may be advanced between that look and the sleep.
    pub async fn sleep_until(&self, until: Timestamp) {
        let Some(manual) = &self.0 else { return tokio::time::sleep(until.since(self.now())).await };
        // Subscribed before the first look at the time, so that no advance in between is missed.
        let mut changed = manual.changed.subscribe();
        while self.now() < until {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether a test moves this clock.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_manual() { "Clock::manual" } else { "Clock::system" })
    }
}

/// A moment on a store's clock: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment and `duration` more, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This moment less `duration`, saturating.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How long after `earlier` this moment is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Measures elapsed time on the machine's monotonic clock, which no adjustment of the wall clock moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that may")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// The instant at which it was started.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.0
    }
}

/// A duration in whole milliseconds, saturating.
#[must_use]
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_on_a_manual_clock_wakes_when_it_is_advanced_far_enough() {
        let clock = Clock::manual();
        let start = clock.now();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep(Duration::from_secs(10)).await;
                clock.now()
            }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(4));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(7));
        assert_eq!(sleeper.await.unwrap(), start.plus(Duration::from_secs(11)));
    }
}
