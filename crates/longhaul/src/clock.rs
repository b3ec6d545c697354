//! The only place that reads a clock.
//!
//! A store owns its clock (requests carry durations, never times of day), so that nothing depends on two
//! machines' clocks agreeing. Tests give a store [`Clock::manual`] and move it by hand instead of sleeping.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// A source of time: the system's, or a manual one that a test advances. It has a wall clock ([`now`](Self::now)),
/// which people and time servers set, and a monotonic clock ([`monotonic`](Self::monotonic)), which counts the time
/// that has passed.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<Manual>>);

struct Manual {
    time: Mutex<ManualTime>,
    listeners: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

struct ManualTime {
    wall: Timestamp,
    monotonic: Duration,
    /// Sleeping tasks by the time of their wake-up; a number makes the key unique.
    sleepers: BTreeMap<(Duration, u64), Waker>,
    wall_sleepers: BTreeMap<(Timestamp, u64), Waker>,
    next_sleeper: u64,
}

/// A moment that every process of a machine sees alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootTime {
    /// Names the start of the machine (and the namespace of its time): moments of two boots do not compare.
    pub boot: &'static str,
    /// The time since then, sleep included.
    pub elapsed: Duration,
}

/// The kernel's name for this boot, with that of the time namespace, which may have an offset of its own.
#[cfg(target_os = "linux")]
fn boot() -> Option<&'static str> {
    static BOOT: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
        Some(format!("{} {}", boot.trim(), namespace.display()))
    };
    BOOT.get_or_init(read).as_deref()
}

/// A wait was longer than it might be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

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
            time: Mutex::new(ManualTime {
                wall: Timestamp(1_767_225_600_000),
                monotonic: Duration::ZERO,
                sleepers: BTreeMap::new(),
                wall_sleepers: BTreeMap::new(),
                next_sleeper: 0,
            }),
            listeners: Mutex::default(),
        })))
    }

    /// The time of day, to the millisecond. It may jump; what has passed is measured by [`monotonic`](Self::monotonic).
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that may")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(manual) => manual.time.lock().wall,
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }

    /// The time since some moment in the past that is the same for every clock of the process; it never goes back and no
    /// setting of the wall clock moves it.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that may")]
    pub fn monotonic(&self) -> Duration {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Some(manual) => manual.time.lock().monotonic,
            None => ORIGIN.get_or_init(Instant::now).elapsed(),
        }
    }

    /// The time since an earlier reading of [`monotonic`](Self::monotonic).
    #[must_use]
    pub fn since(&self, earlier: Duration) -> Duration {
        self.monotonic().saturating_sub(earlier)
    }

    /// The time until the next multiple of `period` on the monotonic clock, in whole milliseconds and at least one, because stores
    /// know no shorter time. Whoever of a process waits no longer than that wakes with all others of the same period, and an idle
    /// processor is woken once for all of them.
    pub(crate) fn until_multiple_of(&self, period: Duration) -> Duration {
        let period = period.as_millis().max(1);
        let left = period - self.monotonic().as_millis() % period;
        Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX))
    }

    /// The time since the machine was started, which all its processes share and no setting of the wall clock moves. On
    /// a system without it, the wall clock's time.
    #[must_use]
    pub fn boot_time(&self) -> BootTime {
        if self.is_manual() {
            return BootTime { boot: "manual", elapsed: self.monotonic() };
        }
        #[cfg(target_os = "linux")]
        if let Some(boot) = boot() {
            let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
            let elapsed = Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default());
            return BootTime { boot, elapsed };
        }
        BootTime { boot: "wall", elapsed: self.now().since(Timestamp(0)) }
    }

    /// Lets time pass on a manual clock: advances both clocks and wakes the tasks whose time has come.
    ///
    /// # Panics
    /// On the system's clock, which cannot be set.
    pub fn advance(&self, by: Duration) {
        self.turn(by, by);
    }

    /// Sets the wall clock of a manual clock forward, as people and time servers do, while no time passes.
    ///
    /// # Panics
    /// On the system's clock, which cannot be set.
    pub fn set_wall_forward(&self, by: Duration) {
        self.turn(by, Duration::ZERO);
    }

    fn turn(&self, wall: Duration, monotonic: Duration) {
        let manual = self.0.as_ref().expect("only a manual clock can be moved");
        let due = {
            let mut time = manual.time.lock();
            time.wall = time.wall.plus(wall);
            time.monotonic = time.monotonic.saturating_add(monotonic);
            time.take_due()
        };
        due.into_iter().for_each(Waker::wake);
        for listener in manual.listeners.lock().iter() {
            listener();
        }
    }

    /// Calls `listener` after every move of a manual clock, for code that waits outside of async.
    /// Does nothing on the system's clock.
    pub fn on_advance(&self, listener: impl Fn() + Send + Sync + 'static) {
        if let Some(manual) = &self.0 {
            manual.listeners.lock().push(Box::new(listener));
        }
    }

    /// Sleeps until `duration` has passed: on a manual clock, until it has been advanced that far.
    pub async fn sleep(&self, duration: Duration) {
        let Some(manual) = &self.0 else { return tokio::time::sleep(duration).await };
        let until = Until::Monotonic(self.monotonic().saturating_add(duration));
        Sleep::new(manual, until).await;
    }

    /// Sleeps until the wall clock shows `until`. A relative sleep after a look at the time would be too long if a
    /// manual clock is advanced in between.
    pub async fn sleep_until(&self, until: Timestamp) {
        let Some(manual) = &self.0 else { return tokio::time::sleep(until.since(self.now())).await };
        Sleep::new(manual, Until::Wall(until)).await;
    }

    /// The result of `future`, if it completes within `patience`.
    ///
    /// # Errors
    /// [`TimedOut`] if it does not; `future` is dropped then.
    pub async fn timeout<T>(
        &self,
        patience: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, TimedOut> {
        if self.0.is_none() {
            return tokio::time::timeout(patience, future).await.map_err(|_| TimedOut);
        }
        let (future, over) = (pin!(future), pin!(self.sleep(patience)));
        tokio::select! {
            biased;
            answer = future => Ok(answer),
            () = over => Err(TimedOut),
        }
    }

    /// The time by which a manual clock must be advanced to wake the next sleeping task; `None` if none sleeps. A
    /// simulation whose tasks all wait advances by that much.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let time = self.0.as_ref()?.time.lock();
        let monotonic = time.sleepers.keys().next().map(|(until, _)| until.saturating_sub(time.monotonic));
        let wall = time.wall_sleepers.keys().next().map(|(until, _)| until.since(time.wall));
        monotonic.into_iter().chain(wall).min()
    }

    /// True where a test moves this clock.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        self.0.is_some()
    }
}

impl ManualTime {
    /// Removes and returns the wakers of the tasks whose time has come.
    fn take_due(&mut self) -> Vec<Waker> {
        let later = self.sleepers.split_off(&(self.monotonic.saturating_add(Duration::from_nanos(1)), 0));
        let due = std::mem::replace(&mut self.sleepers, later);
        let later = self.wall_sleepers.split_off(&(Timestamp(self.wall.0.saturating_add(1)), 0));
        let wall_due = std::mem::replace(&mut self.wall_sleepers, later);
        due.into_values().chain(wall_due.into_values()).collect()
    }
}

/// A sleep on a manual clock.
struct Sleep<'a> {
    manual: &'a Manual,
    until: Until,
    number: u64,
}

/// The clock that a sleep waits for, and the time on it.
#[derive(Clone, Copy)]
enum Until {
    Monotonic(Duration),
    Wall(Timestamp),
}

impl<'a> Sleep<'a> {
    fn new(manual: &'a Manual, until: Until) -> Self {
        let mut time = manual.time.lock();
        time.next_sleeper += 1;
        Self { manual, until, number: time.next_sleeper }
    }
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The look and the entry are under one lock, so that the time does not move in between.
        let mut time = self.manual.time.lock();
        let earlier = match self.until {
            Until::Monotonic(until) if until > time.monotonic => {
                time.sleepers.insert((until, self.number), cx.waker().clone())
            }
            Until::Wall(until) if until > time.wall => {
                time.wall_sleepers.insert((until, self.number), cx.waker().clone())
            }
            _ => return Poll::Ready(()),
        };
        // A waker may be the last to hold a task, with other sleeps in it, which want the lock when they are dropped.
        drop(time);
        drop(earlier);
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        let mut time = self.manual.time.lock();
        let waker = match self.until {
            Until::Monotonic(until) => time.sleepers.remove(&(until, self.number)),
            Until::Wall(until) => time.wall_sleepers.remove(&(until, self.number)),
        };
        // After the lock, for the reason that `poll` has.
        drop(time);
        drop(waker);
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
    /// The last time at which anything can be due: the end of the year 9999, the last that all stores and RFC 3339 can
    /// represent.
    pub const MAX: Timestamp = Timestamp(253_402_300_799_999);

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

    /// The time from `earlier` to this moment; zero if it is not after it.
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

    #[tokio::test]
    async fn a_wall_clock_that_is_set_forward_lets_no_time_pass() {
        let clock = Clock::manual();
        let (wall, passed) = (clock.now(), clock.monotonic());
        let hour = Duration::from_secs(3600);
        let mut sleep = Box::pin(clock.sleep(hour));
        assert!(futures::poll!(&mut sleep).is_pending());
        clock.set_wall_forward(hour);
        assert_eq!((clock.now(), clock.since(passed)), (wall.plus(hour), Duration::ZERO));
        assert!(futures::poll!(&mut sleep).is_pending());
        clock.advance(hour);
        assert_eq!((clock.now(), clock.since(passed)), (wall.plus(2 * hour), hour));
        assert!(futures::poll!(&mut sleep).is_ready());
    }

    #[tokio::test]
    async fn a_timeout_on_a_manual_clock_ends_when_the_clock_is_advanced_that_far() {
        let clock = Clock::manual();
        let second = Duration::from_secs(1);
        assert_eq!(clock.timeout(second, async { 1 }).await, Ok(1));
        assert_eq!(clock.next_wake(), None);
        let mut waiting = Box::pin(clock.timeout(second, std::future::pending::<()>()));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(clock.next_wake(), Some(second));
        clock.advance(second / 4);
        assert_eq!(clock.next_wake(), Some(second * 3 / 4));
        clock.advance(second);
        assert_eq!(futures::poll!(&mut waiting), std::task::Poll::Ready(Err(TimedOut)));
        assert_eq!(clock.next_wake(), None);
    }
}
