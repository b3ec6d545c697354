//! A worker under observation: the engine's own, with a job that records its runs in the history.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use longhaul::clock::Stopwatch;
use longhaul::{Backoff, Context, Job, JobError, JobResult, Longhaul, Store};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::history::{History, What};
use crate::limits::{self, Guarded, Notes};
use crate::observed::observed;

/// The queue of the jobs of a run.
pub(crate) const QUEUE: &str = "chaos";

/// The flags of a worker's process.
#[derive(Args, Clone, Debug)]
pub(crate) struct WorkerArgs {
    /// The store that it works on
    #[arg(long)]
    pub(crate) store: String,
    /// The history that it appends to
    #[arg(long)]
    pub(crate) history: PathBuf,
    /// Jobs at once
    #[arg(long)]
    pub(crate) slots: usize,
    /// Notes nothing: to be measured
    #[arg(long)]
    pub(crate) plain: bool,
    /// Workers in this process
    #[arg(long, default_value_t = 1)]
    pub(crate) count: usize,
    /// The length of its lease, in milliseconds
    #[arg(long)]
    pub(crate) lease: u64,
    /// The folder of the lock files, where it runs jobs of limit keys
    #[arg(long)]
    pub(crate) locks: Option<PathBuf>,
}

/// A job of a run. It takes a while, and says more than a worker that dies has time to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probe {
    /// The time that it takes.
    pub(crate) millis: u64,
    /// Its behaviour.
    pub(crate) behaviour: Behaviour,
}

/// The behaviour of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Behaviour {
    /// Its work.
    Plain,
    /// It fails the first time.
    Fails,
    /// It comes to its provider's limit the first time, and pauses its key.
    Limited,
}

/// A job that does nothing but give signs that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// The time that it runs.
    pub(crate) millis: u64,
}

/// The pause between two signs.
const TICK: Duration = Duration::from_millis(10);

impl Job for Watch {
    const KIND: &'static str = "chaos.watch";
    const QUEUE: &'static str = QUEUE;

    type State = History;
    type Output = ();

    async fn run(self, cx: Context<History>) -> JobResult<()> {
        let running = Stopwatch::start();
        loop {
            cx.state().note(vec![What::Ticked { job: cx.id().to_string(), pid: std::process::id() }]);
            if running.elapsed() >= Duration::from_millis(self.millis) {
                return Ok(());
            }
            tokio::time::sleep(TICK).await;
        }
    }
}

/// A job that does nothing at all.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Nothing {}

impl Job for Nothing {
    const KIND: &'static str = "chaos.nothing";
    const QUEUE: &'static str = QUEUE;

    type State = ();
    type Output = ();

    async fn run(self, _cx: Context<()>) -> JobResult<()> {
        Ok(())
    }
}

/// The key that limited jobs share.
pub(crate) const LIMIT_KEY: &str = "chaos-provider";
/// For how long a limited job pauses it.
pub(crate) const PAUSE: Duration = Duration::from_millis(400);

impl Job for Probe {
    const KIND: &'static str = "chaos.probe";
    const QUEUE: &'static str = QUEUE;
    // A job has no more attempts than this in which it fails by itself; crashes are counted apart.
    const MAX_ATTEMPTS: u32 = 3;

    type State = ();
    type Output = String;

    fn backoff() -> Backoff {
        Backoff { base: Duration::from_millis(50), factor: 2.0, max: Duration::from_secs(1), jitter: 0.2 }
    }

    fn limit_keys(&self) -> Vec<String> {
        Vec::from_iter((self.behaviour == Behaviour::Limited).then(|| LIMIT_KEY.to_owned()))
    }

    async fn run(self, cx: Context<()>) -> JobResult<String> {
        if self.behaviour == Behaviour::Fails && cx.attempt() == 1 {
            return Err(JobError::retry("fails the first time"));
        }
        // Half of the work before the step and half after it, so that deaths fall on both sides.
        let half = Duration::from_millis(self.millis / 2);
        tokio::time::sleep(half).await;
        if self.behaviour == Behaviour::Limited {
            // Once per job: the step is done when the job comes back from its pause.
            let first = std::sync::atomic::AtomicBool::new(false);
            cx.step("limited", || async {
                first.store(true, std::sync::atomic::Ordering::Relaxed);
                Ok(())
            })
            .await?;
            if first.into_inner() {
                return Err(JobError::rate_limited(PAUSE, "the provider is busy"));
            }
        }
        let half_done = cx.step("half", || async { Ok(cx.attempt()) }).await?;
        cx.progress(50, "half done");
        tokio::time::sleep(half).await;
        Ok(format!("half done in attempt {half_done}"))
    }
}

/// Works until the process is ended from outside.
///
/// # Errors
/// The store or the history cannot be opened.
pub(crate) async fn work(args: WorkerArgs, store: Arc<dyn Store>) -> Result<()> {
    let history = History::open(&args.history)?;
    let longhaul =
        if args.plain { Longhaul::over(store) } else { Longhaul::new(observed(store, history.clone())) };
    let start = |_| {
        let worker = longhaul.worker().register::<Probe>(()).register::<Nothing>(());
        let worker = worker.register::<Watch>(history.clone()).queue(QUEUE, args.slots);
        let worker = match &args.locks {
            Some(locks) => {
                let notes = Notes { history: history.clone(), locks: locks.clone() };
                worker.register::<Guarded>(notes).queue(limits::QUEUE, args.slots)
            }
            None => worker,
        };
        worker.lease(Duration::from_millis(args.lease)).start()
    };
    let _workers: Vec<_> = (0..args.count).map(start).collect();
    std::future::pending().await
}
