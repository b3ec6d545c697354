use std::sync::Arc;
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{Context, Job, JobError, JobResult, Json, Longhaul, NewJob};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::MeasureArgs;
use crate::Result;
use crate::figure::{Bar, Figure, millis};
use crate::target::{self, Target};

/// Jobs that are resumed one after the other, of which the fastest counts.
const JOBS: usize = 5;
const QUEUE: &str = "resumed";

/// The time from when a worker may take a job with very many finished steps until it has passed them all.
pub(super) async fn measure(args: &MeasureArgs, target: &Target) -> Result<Vec<Figure>> {
    let longhaul = Longhaul::over(target::open(&target.direct).await?);
    let store = Arc::clone(longhaul.store());
    let (passed, mut has_passed) = mpsc::channel(JOBS);
    store.pause_queue(QUEUE).await?;
    let worker = longhaul.worker().register::<Resumed>(passed).queue(QUEUE, 1).start();
    let mut least = Duration::MAX;
    for _ in 0..JOBS {
        store.pause_queue(QUEUE).await?;
        let steps = (0..args.steps).map(|step| Ok((name(step), Json::new(&step)?)));
        let job = Resumed { steps: args.steps };
        let steps = steps.collect::<longhaul::Result<_>>()?;
        longhaul.enqueue_one(NewJob { steps, ..NewJob::of(&job)? }).await?;
        let resuming = Stopwatch::start();
        store.resume_queue(QUEUE).await?;
        has_passed.recv().await.ok_or("the worker has ended")?;
        least = resuming.elapsed().min(least);
    }
    worker.shutdown(Duration::from_secs(10)).await;
    let name = format!("a job with {} finished steps is claimed and passes them all", args.steps);
    Ok(vec![Figure::held(name, millis(least), Bar::within(least, 50, ""))])
}

fn name(step: usize) -> String {
    format!("step-{step}")
}

/// A job whose steps an earlier one has done.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Resumed {
    steps: usize,
}

impl Job for Resumed {
    const KIND: &'static str = "chaos.resumed";
    const QUEUE: &'static str = QUEUE;

    type State = mpsc::Sender<()>;
    type Output = ();

    async fn run(self, cx: Context<Self::State>) -> JobResult<()> {
        for step in 0..self.steps {
            let undone = || async { Err(JobError::fatal("a finished step has run again")) };
            let output: usize = cx.step(&name(step), undone).await?;
            if output != step {
                return Err(JobError::fatal("a step has another one's output"));
            }
        }
        cx.state().send(()).await.map_err(|_| JobError::fatal("nobody measures"))
    }
}
