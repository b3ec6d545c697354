use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use longhaul::clock::Stopwatch;
use longhaul::stats::Recorder;
use longhaul::{
    AttemptError, Claim, Claimed, ErrorKind, Finish, JobId, Json, Keep, NewJob, Outcome, QueueConfig,
    QueueSlots, Retention, Start, Store, SupportedKind, Timestamp, WorkerInfo,
};
use serde_json::json;

use crate::Result;

/// The kinds of the jobs.
pub(super) const KINDS: [&str; 6] =
    ["email.send", "invoice.render", "image.scale", "report.build", "webhook.deliver", "index.update"];
/// Those who fill, each with queues of its own.
const HANDS: usize = 4;
const QUEUES_OF_A_HAND: usize = 3;
/// Jobs of one call.
const AT_ONCE: usize = 1_000;
/// One job in so many has failed; messages of failures have so many shapes.
const FAILED: usize = 25;
const SHAPES: usize = 60;
/// Tenants that jobs are labelled with, and providers whose limit some share.
const TENANTS: usize = 500;
const PROVIDERS: usize = 40;
/// Jobs that wait, run and are scheduled, and batches that are open and closed, with their children.
const WAITING: usize = 3_000;
const RUNNING: usize = 300;
const SCHEDULED: usize = 2_000;
const BATCHES: usize = 200;
const CHILDREN: usize = 20;
/// Leases that outlast the measurement.
const LEASE: Duration = Duration::from_secs(6 * 3_600);
/// Ids that are kept of each outcome.
const KEPT: usize = 200;

/// Jobs to look at.
#[derive(Default)]
pub(super) struct Filled {
    pub(super) completed: Vec<JobId>,
    pub(super) failed: Vec<JobId>,
    pub(super) waiting: Vec<JobId>,
    pub(super) running: Vec<JobId>,
    pub(super) batches: Vec<JobId>,
}

/// Fills an empty store: most jobs have ended, and statistics reach back for a week.
pub(super) async fn fill(store: Arc<dyn Store>, jobs: usize) -> Result<Filled> {
    let recorder = Recorder::start(Arc::clone(&store));
    let filling = Stopwatch::start();
    // A history that maintenance leaves alone.
    let all = Keep { age: None, count: None };
    let retention = Retention { completed: all.clone(), failed: all.clone(), cancelled: all };
    for queue in (0..HANDS * QUEUES_OF_A_HAND).map(queue) {
        store
            .set_queue(&queue, &QueueConfig { retention: retention.clone(), ..QueueConfig::default() })
            .await?;
    }
    let mut filled = Filled::default();
    let rounds = jobs.div_ceil(HANDS * AT_ONCE);
    for round in 0..rounds {
        let hands = (0..HANDS).map(|hand| run_some(store.as_ref(), hand, round));
        for claimed in try_join_all(hands).await? {
            filled.note(&claimed);
        }
        if round % 50 == 49 || round + 1 == rounds {
            let done = (round + 1) * HANDS * AT_ONCE;
            eprintln!("measure: {done} jobs are in the store after {:.0} s", filling.elapsed().as_secs_f64());
        }
    }
    fill_unfinished(store.as_ref(), &mut filled).await?;
    recorder.flush().await?;
    repeat_statistics(store.as_ref()).await?;
    eprintln!("measure: the store is full after {:.0} s", filling.elapsed().as_secs_f64());
    Ok(filled)
}

impl Filled {
    fn note(&mut self, claimed: &[Claimed]) {
        for (number, job) in claimed.iter().enumerate() {
            let kept = if has_failed(number) { &mut self.failed } else { &mut self.completed };
            // The later ones take the place of the earlier, so that all parts of the history are kept.
            if kept.len() < KEPT {
                kept.push(job.lease.id.clone());
            } else if number < 2 * FAILED {
                let place = rand::random_range(0..KEPT);
                kept[place] = job.lease.id.clone();
            }
        }
    }
}

pub(super) fn queue(number: usize) -> String {
    format!("queue-{number}")
}

fn job(number: usize, queue: String) -> Result<NewJob> {
    let args = json!({
        "user": { "id": number, "name": format!("user {number}") }, "region": format!("eu-{}", number % 7),
        "subject": "Your order is on its way", "text": "It left our warehouse, and is with you in two days at the most.",
    });
    let mut job =
        NewJob { queue: queue.into(), ..NewJob::new(KINDS[number % KINDS.len()], Json::new(&args)?) };
    job.labels.insert("tenant".into(), format!("tenant-{}", number % TENANTS));
    if number.is_multiple_of(10) {
        job.limit_keys.push(format!("provider-{}", number / 10 % PROVIDERS));
    }
    Ok(job)
}

fn has_failed(number: usize) -> bool {
    number % FAILED == FAILED - 1
}

/// Enqueues jobs and runs them to their end.
async fn run_some(store: &dyn Store, hand: usize, round: usize) -> Result<Vec<Claimed>> {
    let first = (round * HANDS + hand) * AT_ONCE;
    let queue_of = |number: usize| queue(hand * QUEUES_OF_A_HAND + number % QUEUES_OF_A_HAND);
    let jobs = (first..first + AT_ONCE).map(|number| job(number, queue_of(number)));
    store.enqueue(jobs.collect::<Result<_>>()?).await?;
    let queues: Vec<String> = (0..QUEUES_OF_A_HAND).map(queue_of).collect();
    let claimed = claim_all(store, &format!("hand-{hand}"), &queues, AT_ONCE).await?;
    let finishes = claimed.iter().enumerate().map(|(number, job)| finish(job, number, first + number));
    store.finish(finishes.collect::<Result<_>>()?).await?;
    Ok(claimed)
}

async fn claim_all(
    store: &dyn Store,
    worker: &str,
    queues: &[String],
    wanted: usize,
) -> Result<Vec<Claimed>> {
    let slots = |queue: &String| QueueSlots { queue: queue.clone(), slots: wanted };
    let claim = Claim {
        worker: WorkerInfo { id: worker.into(), process: "fills".into(), ..WorkerInfo::default() },
        queues: queues.iter().map(slots).collect(),
        kinds: KINDS.map(|kind| SupportedKind { kind: kind.into(), version: 1 }).into(),
        lease_for: LEASE,
        wait: Duration::ZERO,
    };
    let mut claimed = Vec::with_capacity(wanted);
    while claimed.len() < wanted {
        let more = store.claim(claim.clone()).await?;
        if more.is_empty() {
            return Err(format!("{} jobs were claimed of {wanted}", claimed.len()).into());
        }
        claimed.extend(more);
    }
    Ok(claimed)
}

fn finish(job: &Claimed, place: usize, number: usize) -> Result<Finish> {
    let outcome = if has_failed(place) {
        let reason = ["timed out", "was refused", "answered 503", "has no such user"][number % 4];
        let message = format!("host-{}: the request of job {number} {reason}", shape(number));
        Outcome::Failed { error: AttemptError::new(ErrorKind::Error, message) }
    } else {
        Outcome::Completed { output: Json::new(&json!({ "message_id": number, "accepted": true }))? }
    };
    Ok(Finish { lease: job.lease.clone(), outcome, entries: Vec::new(), follow_ups: Vec::new(), cost: None })
}

/// A word of letters, because messages that differ in numbers only have the same shape.
fn shape(number: usize) -> String {
    let number = number / FAILED % SHAPES;
    [number / 8, number % 8]
        .map(|letter| char::from(b'a' + u8::try_from(letter).unwrap_or_default()))
        .iter()
        .collect()
}

async fn fill_unfinished(store: &dyn Store, filled: &mut Filled) -> Result<()> {
    let new = |number: usize| job(number, queue(number % (HANDS * QUEUES_OF_A_HAND)));
    let runs: Vec<NewJob> = (0..RUNNING).map(|n| job(n, queue(0))).collect::<Result<_>>()?;
    store.enqueue(runs).await?;
    let running = claim_all(store, "holds", &[queue(0)], RUNNING).await?;
    filled.running = running.into_iter().map(|job| job.lease.id).collect();
    let waiting: Vec<NewJob> = (0..WAITING).map(new).collect::<Result<_>>()?;
    let enqueued = store.enqueue(waiting).await?;
    filled.waiting = enqueued.into_iter().map(|one| one.id).collect();
    let later = |number| Ok(NewJob { start: Start::After(LEASE), ..new(number)? });
    store.enqueue((0..SCHEDULED).map(later).collect::<Result<_>>()?).await?;
    for number in 0..BATCHES {
        let id = JobId::random();
        let closing = NewJob { id: Some(id.clone()), ..new(number)? };
        let children = (0..CHILDREN).map(|child| job(child, "batches".into())).collect::<Result<_>>()?;
        store.enqueue(NewJob::batch(closing, children)).await?;
        filled.batches.push(id);
    }
    // Half of the batches are closed.
    let children = claim_all(store, "closes", &["batches".to_owned()], BATCHES * CHILDREN / 2).await?;
    let finishes = children.iter().take(BATCHES * CHILDREN / 2).enumerate().map(|(n, job)| finish(job, n, n));
    store.finish(finishes.collect::<Result<_>>()?).await?;
    Ok(())
}

/// Statistics of a store that was as busy for a week: what was counted stands for each minute of a day and each hour of a week.
async fn repeat_statistics(store: &dyn Store) -> Result<()> {
    const SERIES: [(&str, u64, i64); 2] = [("stats.minutes", 60, 1_439), ("stats.hours", 3_600, 167)];
    for (series, seconds, times) in SERIES {
        let all = store.samples(series, Timestamp(0)).await?;
        let last = all.iter().map(|sample| sample.at).max().ok_or("no statistics were written")?;
        let kept: Vec<_> = all.into_iter().filter(|sample| sample.at == last).collect();
        for back in 1..=times {
            let mut earlier = kept.clone();
            for sample in &mut earlier {
                sample.at = Timestamp(sample.at.0 - back * i64::try_from(seconds)? * 1_000);
                sample.source = format!("earlier.{}", sample.source);
            }
            store.put_samples(&earlier).await?;
        }
    }
    Ok(())
}
