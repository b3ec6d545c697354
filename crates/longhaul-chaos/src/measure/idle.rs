use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{
    Claim, Finish, Json, NewJob, Outcome, QueueSlots, Store, SupportedKind, WorkerInfo, process_id,
};
use tokio::process::Command;

use super::MeasureArgs;
use crate::Result;
use crate::figure::{Bar, Figure, millis, part};
use crate::process::Process;
use crate::target::{self, Target};

/// Jobs of one call while queues are filled.
const AT_ONCE: usize = 1_000;
/// The pause before idle processes are watched: workers connect, and sweeps find that there is nothing to do.
const SETTLE: Duration = Duration::from_secs(20);
/// Sweeps that are timed, and the jobs of each sort that one takes on, as maintenance has it.
const SWEEPS: usize = 300;
const SWEEP_LIMIT: usize = 1_000;

/// CPU time of workers that wait for jobs of a store with many queues, CPU time of its server, and the duration of a sweep.
pub(super) async fn measure(args: &MeasureArgs, target: &Target) -> Result<Vec<Figure>> {
    let store = target::open(&target.direct).await?;
    for first in (0..args.queues).step_by(AT_ONCE) {
        run_a_job_in_each(store.as_ref(), first..args.queues.min(first + AT_ONCE)).await?;
    }
    let mut processes = Vec::new();
    for number in 0..args.processes {
        let workers = (args.workers + number) / args.processes.max(1);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", "--plain", "--store", &target.direct, "--slots", "1", "--lease", "30000"]);
        command.args(["--history", "/dev/null", "--count", &workers.to_string()]);
        processes.push(Process::start(&mut command)?);
    }
    while store.workers().await?.len() < args.workers {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    tokio::time::sleep(SETTLE).await;
    let before = (used(&processes), target.server_cpu());
    let watching = Stopwatch::start();
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    let seconds = watching.elapsed().as_secs_f64();
    let figure = |name: String, from: f64, to: f64| {
        let percent = (to - from) / seconds * 100.0;
        Figure::held(name, format!("{percent:.2} % of a core"), Bar::at_most(percent, 1.0, "%"))
    };
    let crowd = format!("{} queues, {} workers, {} processes", args.queues, args.workers, processes.len());
    let mut figures = vec![figure(format!("CPU of Longhaul, idle: {crowd}"), before.0, used(&processes))];
    if let (Some(from), Some(to)) = (before.1, target.server_cpu()) {
        figures.push(figure("CPU of the store's server meanwhile".into(), from, to));
    }
    let mut took = Vec::with_capacity(SWEEPS);
    for _ in 0..SWEEPS {
        let sweeping = Stopwatch::start();
        store.sweep(SWEEP_LIMIT).await?;
        took.push(sweeping.elapsed());
    }
    took.sort_unstable();
    let (half, most) = (part(&took, 0.5), part(&took, 0.99));
    let value = format!("{} / {}", millis(half), millis(most));
    figures.push(Figure::held("a sweep beside them, p50 / p99", value, Bar::within(most, 20, "p99")));
    Ok(figures)
}

/// Leaves each queue with one completed job.
async fn run_a_job_in_each(store: &dyn Store, numbers: std::ops::Range<usize>) -> Result<()> {
    let queues: Vec<String> = numbers.map(|number| format!("queue-{number}")).collect();
    let job = |queue: &String| NewJob {
        queue: queue.clone().into(),
        ..NewJob::of(&crate::worker::Nothing {}).expect("args without fields")
    };
    store.enqueue(queues.iter().map(job).collect()).await?;
    let slots: Vec<QueueSlots> =
        queues.iter().map(|queue| QueueSlots { queue: queue.clone(), slots: 1 }).collect();
    let claim = Claim {
        worker: WorkerInfo {
            id: "fills-queues".into(),
            process: process_id().into(),
            host: String::new(),
            queues: Vec::new(),
            ..WorkerInfo::default()
        },
        queues: slots,
        kinds: vec![SupportedKind { kind: "chaos.nothing".into(), version: 1 }],
        lease_for: Duration::from_secs(60),
        wait: Duration::ZERO,
    };
    let finish = |job: longhaul::Claimed| Finish {
        lease: job.lease,
        outcome: Outcome::Completed { output: Json::null() },
        entries: Vec::new(),
        follow_ups: Vec::new(),
        cost: None,
    };
    loop {
        let claimed = store.claim(claim.clone()).await?;
        if claimed.is_empty() {
            return Ok(());
        }
        store.finish(claimed.into_iter().map(finish).collect()).await?;
    }
}

fn used(processes: &[Process]) -> f64 {
    processes.iter().filter_map(Process::cpu).sum()
}
