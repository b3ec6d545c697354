//! The jobs of a run: each does what its args say, and notes what it does.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, join_all, select};
use longhaul::{
    Clock, Collected, Context, EnqueueStatus, Enqueued, Job, JobError, JobId, JobResult, Json, LogLevel,
    NewJob, SIGNAL_PREFIX, Timestamp,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::witness::{ACKNOWLEDGED, OVERLAP, SIGNALS, SLEEPS, STEPS, Witness};
use crate::world::{ProcessId, ProcessState, World};

/// The kinds of jobs; not every worker knows each of them.
pub(crate) const KINDS: [&str; 3] = ["chore", "errand", "closing"];

/// A job of the kind with this number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Work<const K: usize> {
    acts: Vec<Act>,
    ends: Vec<End>,
    follow_ups: Vec<NewJob>,
}

/// The args of a job of any kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Script {
    /// The acts of each of its runs.
    pub(crate) acts: Vec<Act>,
    /// The ends of its first, second, … runs; later ones complete.
    pub(crate) ends: Vec<End>,
    /// The follow-ups of its completion.
    pub(crate) follow_ups: Vec<NewJob>,
}

/// One act of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Act {
    Sleep(u64),
    Log,
    Progress(u8),
    /// Streams so many pieces.
    Stream(u32),
    Step {
        name: String,
        takes: u64,
    },
    /// Works this long, and stops when it is asked to.
    Obey(u64),
    Enqueue(Box<NewJob>),
    /// Sleeps without a slot.
    Pause {
        name: String,
        millis: u64,
    },
    /// Waits for a signal without a slot.
    Await {
        name: String,
        timeout: Option<u64>,
    },
    /// Enqueues children, and waits for all of the job's children without a slot.
    Raise {
        name: String,
        children: Vec<NewJob>,
    },
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Complete,
    Retry,
    Fail,
    Cancel,
    Snooze(u64),
    RateLimited(u64),
    Panic,
}

impl Script {
    pub(crate) fn job(&self, kind: usize) -> NewJob {
        let args = Json::new(self).unwrap_or_else(|_| Json::null());
        NewJob::new(KINDS[kind], args)
    }
}

/// The state that the runs of a process share, in which they record what they do.
#[derive(Clone)]
pub(crate) struct RunContext {
    pub(crate) world: Arc<World>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) runs: Arc<Mutex<BTreeMap<JobId, Runs>>>,
    /// The process that works here.
    pub(crate) process: ProcessId,
    pub(crate) clock: Clock,
}

/// The runs of a job.
#[derive(Default)]
pub(crate) struct Runs {
    begun: usize,
    active: Vec<Active>,
    steps: u64,
}

/// A run whose code has not ended.
#[derive(Clone, Copy)]
struct Active {
    number: usize,
    process: ProcessId,
    stops: u32,
    begun_at: Duration,
    retries: u32,
}

impl<const K: usize> Job for Work<K> {
    const KIND: &'static str = KINDS[K];
    type State = RunContext;
    type Output = usize;

    async fn run(self, cx: Context<RunContext>) -> JobResult<usize> {
        let script = Script { acts: self.acts, ends: self.ends, follow_ups: self.follow_ups };
        play(script, cx).await
    }
}

/// Runs the jobs of a call beside each other. Each ends by itself, and stops where it has ended without the call.
pub(crate) async fn play_call(context: RunContext, call: Vec<Collected<Work<1>>>) -> JobResult<()> {
    if call.len() > 1 {
        context.witness.count("calls of several jobs");
    }
    let play_one = async |mut job: Collected<Work<1>>| {
        let Work { acts, ends, follow_ups } = job.args.clone();
        let playing = play(Script { acts, ends, follow_ups }, job.cx.clone());
        let played = match select(pin!(playing), pin!(job.ended())).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(_) => None,
        };
        if let Some(result) = played {
            job.end(result);
        }
    };
    join_all(call.into_iter().map(play_one)).await;
    Ok(())
}

async fn play(script: Script, cx: Context<RunContext>) -> JobResult<usize> {
    let context = cx.state().clone();
    let run = context.begin(cx.id());
    for follow_up in script.follow_ups {
        cx.follow_up(follow_up)?;
    }
    let mut streamed = 0;
    for act in script.acts {
        match act {
            Act::Sleep(millis) => context.clock.sleep(Duration::from_millis(millis)).await,
            Act::Log => cx.log(LogLevel::Info, "it goes on"),
            Act::Progress(percent) => cx.progress(percent, "so far"),
            Act::Stream(pieces) => {
                for _ in 0..pieces {
                    cx.emit(streamed).await?;
                    streamed += 1;
                }
            }
            Act::Step { name, takes } => step(&cx, &context, &run, &name, takes).await?,
            Act::Obey(millis) => {
                let work = Box::pin(context.clock.sleep(Duration::from_millis(millis)));
                if let Either::Right(_) = select(work, Box::pin(cx.cancelled())).await {
                    return Err(JobError::cancel("it was asked to stop"));
                }
            }
            Act::Enqueue(job) => {
                let enqueued = cx.longhaul().enqueue_one(*job).await?;
                if is_kept(&enqueued) {
                    context.witness.acknowledge(&enqueued.id);
                }
            }
            Act::Pause { name, millis } => {
                cx.sleep(&name, Duration::from_millis(millis)).await?;
                context.witness.count("sleeps that were over");
                context.check_time(&cx, &format!("sleep:{name}"));
            }
            Act::Await { name, timeout } => {
                let signal = cx.wait_for::<u64>(&name, timeout.map(Duration::from_millis)).await?;
                context.check_signal(&cx, &run, &name, signal);
            }
            Act::Raise { name, children } => {
                let count = children.len();
                cx.enqueue_children(&name, children).await?;
                if let Some(how) = context.witness.missing_child(cx.id(), &name, count) {
                    context.witness.break_promise(ACKNOWLEDGED, how);
                }
                cx.wait_for_children().await?;
                context.witness.count("waits for children that were over");
            }
        }
    }
    end(script.ends.get(run.active.number).copied().unwrap_or(End::Complete), run.active.number)
}

/// True for an answer that names a job which is there.
pub(crate) fn is_kept(enqueued: &Enqueued) -> bool {
    enqueued.is_created() || matches!(enqueued.status, EnqueueStatus::Duplicate | EnqueueStatus::Replaced)
}

fn end(end: End, run: usize) -> JobResult<usize> {
    match end {
        End::Complete => Ok(run),
        End::Retry => Err(JobError::retry("not this time")),
        End::Fail => Err(JobError::fatal("never")),
        End::Cancel => Err(JobError::cancel("not needed")),
        End::Snooze(millis) => Err(JobError::snooze(Duration::from_millis(millis), "later")),
        End::RateLimited(millis) => Err(JobError::rate_limited(Duration::from_millis(millis), "too fast")),
        End::Panic => panic!("{PLANNED}"),
    }
}

/// No run has a lease of more, so that a jump of the store's clock so long before it has not ended its lease.
const LONGEST_LEASE: Duration = Duration::from_secs(40);

/// The words of the panics that jobs are made to have.
pub(crate) const PLANNED: &str = "as planned";

async fn step(
    cx: &Context<RunContext>,
    context: &RunContext,
    run: &Run,
    name: &str,
    takes: u64,
) -> JobResult<()> {
    let output = cx
        .step(name, || async {
            context.witness.count("steps");
            if let Some(output) = context
                .witness
                .step_output(cx.id(), name)
                .filter(|_| !context.is_excused(&run.active, cx.id()))
            {
                let how =
                    format!("{} runs its step {name} again, whose output {output:?} is recorded", cx.id());
                context.witness.break_promise(STEPS, how);
            }
            context.clock.sleep(Duration::from_millis(takes)).await;
            let mut runs = context.runs.lock();
            let runs = runs.entry(cx.id().clone()).or_default();
            runs.steps += 1;
            Ok(runs.steps)
        })
        .await?;
    let recorded = context.witness.step_output(cx.id(), name).and_then(|output| output.to::<u64>().ok());
    if recorded != Some(output) && !context.is_excused(&run.active, cx.id()) {
        let how = format!("{} was given {output} for its step {name}, and {recorded:?} is recorded", cx.id());
        context.witness.break_promise(STEPS, how);
    }
    Ok(())
}

/// A signal as it is recorded.
#[derive(Deserialize)]
struct Recorded {
    value: Option<u64>,
}

/// Until when a sleep or a wait lasts, as it is recorded.
#[derive(Deserialize)]
struct Until {
    until: Timestamp,
}

/// A run of a job's code, until it is dropped.
struct Run {
    context: RunContext,
    id: JobId,
    active: Active,
}

impl RunContext {
    fn begin(&self, id: &JobId) -> Run {
        let mut all = self.runs.lock();
        let runs = all.entry(id.clone()).or_default();
        let active = Active {
            number: runs.begun,
            process: self.process,
            stops: self.world.stops(self.process),
            begun_at: self.world.now(),
            retries: self.witness.retries(id),
        };
        runs.begun += 1;
        let overlapping = runs.active.iter().find(|earlier| !self.is_excused(earlier, id)).copied();
        runs.active.push(active);
        drop(all);
        let name = self.world.name(self.process);
        self.world.note(&name, format_args!("runs {id} for the {}. time", active.number + 1));
        if let Some(earlier) = overlapping {
            let how = format!(
                "{id} runs for the {}. time on {name} while its {}. run goes on, on {}",
                active.number + 1,
                earlier.number + 1,
                self.world.name(earlier.process)
            );
            self.witness.break_promise(OVERLAP, how);
        }
        Run { context: self.clone(), id: id.clone(), active }
    }

    /// A job was given a signal, or the end of its wait: the one that is recorded.
    fn check_signal(&self, cx: &Context<RunContext>, run: &Run, name: &str, signal: Option<u64>) {
        self.witness.count(if signal.is_some() { "signals that were given" } else { "waits that timed out" });
        let recorded = self.witness.step_output(cx.id(), &format!("{SIGNAL_PREFIX}{name}"));
        let value = recorded.as_ref().and_then(|output| Some(output.to::<Recorded>().ok()?.value));
        if value != Some(signal) && !self.is_excused(&run.active, cx.id()) {
            let how = format!("{} was given {signal:?} as {name}, and {recorded:?} is recorded", cx.id());
            self.witness.break_promise(SIGNALS, how);
        }
        if signal.is_none() {
            self.check_time(cx, &format!("wait:{name}"));
        }
    }

    /// A wait is over: its time has come, by the clock of the store.
    fn check_time(&self, cx: &Context<RunContext>, step: &str) {
        let Some(output) = self.witness.step_output(cx.id(), step) else { return };
        let (now, until) = (self.world.store_clock.now(), output.to::<Until>().ok().map(|kept| kept.until));
        if until.is_none_or(|until| until > now) {
            self.witness.break_promise(
                SLEEPS,
                format!("{} goes on after {step} at {now:?}, and not at {until:?}", cx.id()),
            );
        }
    }

    /// True for a run that may have missed the end of its lease: its process was suspended, the store's clock has
    /// jumped, or the job was run again by hand.
    fn is_excused(&self, run: &Active, id: &JobId) -> bool {
        self.world.state(run.process) != ProcessState::Running
            || self.world.stops(run.process) != run.stops
            || self.witness.jumped_at().is_some_and(|at| at + LONGEST_LEASE > run.begun_at)
            || self.witness.retries(id) != run.retries
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(runs) = self.context.runs.lock().get_mut(&self.id) {
            runs.active.retain(|active| active.number != self.active.number);
        }
        let name = self.context.world.name(self.context.process);
        self.context
            .world
            .note(&name, format_args!("the {}. run of {} is over", self.active.number + 1, self.id));
    }
}
