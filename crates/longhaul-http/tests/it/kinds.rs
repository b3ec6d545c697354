//! The jobs that the tests run.

use std::sync::Arc;
use std::time::Duration;

use longhaul::{Clock, Context, Job, JobError, JobResult, LogLevel, Longhaul, WorkerBuilder};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// Lets jobs go on, one step for each permit.
pub(crate) type Gate = Arc<Semaphore>;

pub(crate) fn gate() -> Gate {
    Arc::new(Semaphore::new(0))
}

pub(crate) fn declare(longhaul: &Longhaul) {
    longhaul.declare::<Greet>();
    longhaul.declare::<Nap>();
    longhaul.declare::<Tell>();
    longhaul.declare::<Stumble>();
    longhaul.declare::<Shout>();
}

pub(crate) fn register(worker: WorkerBuilder, clock: &Clock, gate: &Gate) -> WorkerBuilder {
    worker
        .register::<Greet>(())
        .register::<Nap>(clock.clone())
        .register::<Tell>(Arc::clone(gate))
        .register::<Stumble>(())
        .register::<Shout>(())
}

/// Returns at once.
#[derive(Serialize, Deserialize)]
pub(crate) struct Greet {
    pub(crate) name: String,
}

impl Job for Greet {
    const KIND: &'static str = "greet";
    type State = ();
    type Output = String;

    async fn run(self, _: Context<()>) -> JobResult<String> {
        if self.name.is_empty() {
            return Err(JobError::fatal("no name"));
        }
        Ok(format!("hello, {}", self.name))
    }
}

/// Takes so many seconds of the store's clock.
#[derive(Serialize, Deserialize)]
pub(crate) struct Nap {
    seconds: u64,
}

impl Job for Nap {
    const KIND: &'static str = "nap";
    const MAX_ATTEMPTS: u32 = 5;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(90));
    type State = Clock;
    type Output = ();

    async fn run(self, cx: Context<Clock>) -> JobResult<()> {
        cx.state().advance(Duration::from_secs(self.seconds));
        Ok(())
    }
}

/// Says something each time that the gate lets it, and stops when it is asked to.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tell {
    lines: u32,
}

impl Job for Tell {
    const KIND: &'static str = "tell";
    type State = Gate;
    type Output = u32;

    async fn run(self, cx: Context<Gate>) -> JobResult<u32> {
        for line in 1..=self.lines {
            tokio::select! {
                permit = cx.state().acquire() => permit?.forget(),
                () = cx.cancelled() => return Err(JobError::cancel("was asked to stop")),
            }
            cx.emit(format!("line {line}")).await?;
        }
        Ok(self.lines)
    }
}

/// Fails once, after it has said something, and then succeeds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Stumble {}

impl Job for Stumble {
    const KIND: &'static str = "stumble";
    type State = ();
    type Output = String;

    async fn run(self, cx: Context<()>) -> JobResult<String> {
        cx.log(LogLevel::Info, format!("attempt {}", cx.attempt()));
        cx.emit(format!("half of attempt {}", cx.attempt())).await?;
        if cx.attempt() == 1 {
            return Err(JobError::retry_after(Duration::ZERO, "stumbled"));
        }
        cx.progress(50, "half way");
        Ok("arrived".into())
    }
}

/// Emits so many chunks of about so many bytes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Shout {
    chunks: usize,
    bytes: usize,
}

impl Job for Shout {
    const KIND: &'static str = "shout";
    type State = ();
    type Output = String;

    async fn run(self, cx: Context<()>) -> JobResult<String> {
        for n in 0..self.chunks {
            cx.emit(format!("{n} {}", "x".repeat(self.bytes))).await?;
        }
        Ok("x".repeat(self.bytes))
    }
}

/// Says with which token the signal `go` is given, and ends when the gate lets it. No test but its own declares it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ask {}

impl Job for Ask {
    const KIND: &'static str = "ask";
    const MAX_ATTEMPTS: u32 = 1;
    type State = Gate;
    type Output = ();

    async fn run(self, cx: Context<Gate>) -> JobResult<()> {
        cx.emit(cx.wait_token("go").await?).await?;
        cx.state().acquire().await?.forget();
        Ok(())
    }
}
