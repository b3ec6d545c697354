use std::sync::Arc;
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{Claim, NewJob, QueueSlots, Store, SupportedKind, WorkerInfo, process_id};

use super::MeasureArgs;
use crate::Result;
use crate::figure::{Bar, Figure, millis, part};
use crate::target::{self, Target};
use crate::worker::Nothing;

/// Enqueues that are timed in each half of a round, and rounds.
const ENQUEUES: usize = 300;
const ROUNDS: usize = 5;
/// The pause after claims have come or gone.
const SETTLE: Duration = Duration::from_secs(3);

/// The time of an enqueue without waiting claims and with many of another queue, in turn, so that a machine that becomes
/// slower or faster meanwhile does not decide it.
pub(super) async fn measure(args: &MeasureArgs, target: &Target) -> Result<Vec<Figure>> {
    let store = target::open(&target.direct).await?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        enqueue(store.as_ref(), &mut without).await?;
        let waiting: Vec<_> =
            (0..args.waiting).map(|number| tokio::spawn(wait(Arc::clone(&store), number))).collect();
        tokio::time::sleep(SETTLE).await;
        enqueue(store.as_ref(), &mut with).await?;
        if let Some(early) = waiting.iter().find(|claim| claim.is_finished()) {
            return Err(format!("a claim has not waited: {early:?}").into());
        }
        waiting.iter().for_each(|claim| claim.abort());
        tokio::time::sleep(SETTLE).await;
    }
    without.sort_unstable();
    with.sort_unstable();
    let (less, more) = (part(&without, 0.5), part(&with, 0.5));
    let added = (more.as_secs_f64() / less.as_secs_f64() - 1.0) * 100.0;
    let name = format!("an enqueue beside {} claims that wait for another queue, p50", args.waiting);
    let value = format!("{} → {} ({added:+.1} %)", millis(less), millis(more));
    Ok(vec![Figure::held(name, value, Bar::at_most(added, 5.0, "% more"))])
}

async fn enqueue(store: &dyn Store, took: &mut Vec<Duration>) -> Result<()> {
    for _ in 0..ENQUEUES {
        let job = NewJob { queue: "busy".into(), ..NewJob::of(&Nothing {})? };
        let enqueuing = Stopwatch::start();
        store.enqueue(vec![job]).await?;
        took.push(enqueuing.elapsed());
    }
    Ok(())
}

/// Claims, as a worker does that knows a few kinds, of a queue without jobs.
async fn wait(store: Arc<dyn Store>, number: usize) -> longhaul::Result<Vec<longhaul::Claimed>> {
    let kinds = ["a", "b", "c", "d", "e"].map(|kind| SupportedKind { kind: kind.into(), version: 1 });
    let queues = vec![QueueSlots { queue: "quiet".into(), slots: 1 }];
    let worker = WorkerInfo {
        id: format!("waits-{number}"),
        process: process_id().into(),
        host: String::new(),
        queues: queues.clone(),
        ..WorkerInfo::default()
    };
    let (lease_for, wait) = (Duration::from_secs(30), Duration::from_secs(3_600));
    store.claim(Claim { worker, queues, kinds: kinds.into(), lease_for, wait }).await
}
