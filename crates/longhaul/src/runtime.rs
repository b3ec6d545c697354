use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::backoff::Backoff;
use crate::clock::Clock;

/// The time, threads and chance of workers and maintenance. A simulation gives its own, and then no clock, thread or random
/// number but those is used: see [`Simulation`](crate::testing::Simulation).
#[derive(Clone)]
pub struct Runtime {
    /// The clock by which workers wait; stores have their own.
    pub clock: Clock,
    /// Runs tasks.
    pub spawn: Arc<dyn Spawn>,
    /// Draws a random number.
    pub random: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// Runs tasks in the background.
pub trait Spawn: Send + Sync {
    /// Runs a task beside others. A panic of the task must not reach the caller or other tasks.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Runs a task on a thread of its own, so that code which blocks the threads of other tasks does not stop it.
    ///
    /// # Errors
    /// If no thread can be started.
    fn spawn_thread(&self, name: &'static str, task: BoxFuture<'static, ()>) -> io::Result<()>;
}

impl Runtime {
    /// The machine's clock, the tokio runtime in which a task is started, threads of the machine, and its random
    /// numbers.
    #[must_use]
    pub fn tokio() -> Self {
        Self { clock: Clock::system(), spawn: Arc::new(Tokio), random: Arc::new(rand::random) }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn.spawn(Box::pin(task));
    }

    /// The wait after failure number `failures` in a row, from 1.
    pub(crate) fn delay(&self, backoff: &Backoff, failures: u32) -> Duration {
        // The upper 53 bits are a fraction that a float holds without rounding.
        let draw = ((self.random)() >> 11) as f64 / (1u64 << 53) as f64;
        backoff.delay_at(failures, draw)
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self::tokio()
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("clock", &self.clock).finish_non_exhaustive()
    }
}

struct Tokio;

impl Spawn for Tokio {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn spawn_thread(&self, name: &'static str, task: BoxFuture<'static, ()>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name(name.into()).spawn(move || runtime.block_on(task))?;
        Ok(())
    }
}
