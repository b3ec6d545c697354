//! The reasons for which a job waits: limits of its queue, the turns of others, and the workers that it prefers.

use std::time::Duration;

use longhaul::why::{Reason, Rule};
use longhaul::{
    Claim, Clock, Cost, JobId, Json, Longhaul, MemoryStore, NewJob, Policy, Prefer, QueueConfig, QueueSlots,
    Rate, SupportedKind, WorkerInfo,
};

const SECOND: Duration = Duration::from_secs(1);

fn job(id: &str) -> NewJob {
    NewJob { id: Some(JobId::new(id).unwrap()), queue: "q".into(), ..NewJob::new("k", Json::null()) }
}

fn worker(labels: &[(&str, &str)]) -> WorkerInfo {
    WorkerInfo {
        id: "w".into(),
        queues: vec![QueueSlots { queue: "q".into(), slots: 9 }],
        kinds: vec![SupportedKind { kind: "k".into(), version: 1 }],
        labels: labels.iter().map(|(label, value)| ((*label).into(), (*value).into())).collect(),
        ..WorkerInfo::default()
    }
}

/// A store that a worker with these labels lives at.
async fn started(labels: &[(&str, &str)], config: QueueConfig) -> (Longhaul, Clock) {
    let clock = Clock::manual();
    let longhaul = Longhaul::new(MemoryStore::with_clock(clock.clone()));
    longhaul.store().heartbeat(&worker(labels), &[], SECOND).await.unwrap();
    longhaul.store().set_queue("q", &config).await.unwrap();
    (longhaul, clock)
}

async fn claim(longhaul: &Longhaul, slots: usize) -> usize {
    let worker = worker(&[]);
    let claim = Claim {
        queues: vec![QueueSlots { slots, ..worker.queues[0].clone() }],
        kinds: worker.kinds.clone(),
        worker,
        lease_for: 60 * SECOND,
        wait: Duration::ZERO,
    };
    longhaul.store().claim(claim).await.unwrap().len()
}

async fn reasons(longhaul: &Longhaul, id: &str) -> Vec<Reason> {
    let record = longhaul.get(&JobId::new(id).unwrap()).await.unwrap().found().unwrap();
    longhaul.why(&record).await.unwrap().reasons
}

async fn rules(longhaul: &Longhaul, id: &str) -> Vec<Rule> {
    reasons(longhaul, id).await.into_iter().map(|reason| reason.rule).collect()
}

#[tokio::test]
async fn a_job_behind_the_slots_of_its_queue_is_told_how_many_are_taken() {
    let (longhaul, _) = started(&[], QueueConfig { slots: Some(2), ..QueueConfig::default() }).await;
    longhaul.enqueue_many(vec![job("a"), job("b"), job("c")]).await.unwrap();
    assert_eq!(rules(&longhaul, "c").await, [], "all but its turn is there");
    assert_eq!(claim(&longhaul, 9).await, 2);
    let reasons = reasons(&longhaul, "c").await;
    assert_eq!(reasons.len(), 1);
    assert_eq!((reasons[0].rule, reasons[0].key.as_deref()), (Rule::SlotsQueue, Some("q")));
    assert_eq!((reasons[0].done, reasons[0].of, reasons[0].until), (Some(2), Some(2), None));
}

#[tokio::test]
async fn a_job_behind_the_rate_of_its_queue_is_told_when_it_may_start() {
    let rate = Some(Rate { n: 1, per: 10 * SECOND, burst: Some(3) });
    let (longhaul, clock) = started(&[], QueueConfig { rate, ..QueueConfig::default() }).await;
    let costing = |id, rate| NewJob {
        policy: Policy { cost: Cost { slots: 1, rate }, ..Policy::default() },
        ..job(id)
    };
    let jobs = vec![costing("first", 2), costing("two", 2), costing("nine", 9), costing("none", 0)];
    longhaul.enqueue_many(jobs).await.unwrap();
    assert_eq!(claim(&longhaul, 1).await, 1);
    for (id, seconds) in [("two", 10), ("nine", 20)] {
        let reasons = reasons(&longhaul, id).await;
        assert_eq!((reasons.len(), reasons[0].rule), (1, Rule::RateQueue), "{id}");
        assert_eq!(reasons[0].until, Some(clock.now().plus(seconds * SECOND)), "{id}");
        assert_eq!((reasons[0].done, reasons[0].of), (Some(2), Some(3)));
    }
    assert_eq!(rules(&longhaul, "none").await, [], "it takes none of it");
    let record = longhaul.get(&JobId::new("two").unwrap()).await.unwrap().found().unwrap();
    assert_eq!(longhaul.waits_until(&record).await.unwrap(), Some(clock.now().plus(10 * SECOND)));
    clock.advance(10 * SECOND);
    assert_eq!(rules(&longhaul, "two").await, [], "the moment that was told is right");
}

#[tokio::test]
async fn a_job_waits_for_the_turns_of_other_keys_where_its_queue_is_fair() {
    let keyed = |id, key: &str| NewJob { limit_keys: vec![key.to_owned()], ..job(id) };
    let (longhaul, _) = started(&[], QueueConfig { fair: true, ..QueueConfig::default() }).await;
    longhaul.enqueue_many(vec![keyed("a", "x"), keyed("b", "x")]).await.unwrap();
    assert_eq!(rules(&longhaul, "b").await, [], "it waits behind its own key alone");
    longhaul.enqueue_many(vec![keyed("c", "y"), job("plain")]).await.unwrap();
    let reasons = reasons(&longhaul, "b").await;
    assert_eq!(reasons.iter().map(|reason| reason.rule).collect::<Vec<_>>(), [Rule::Turn]);
    assert_eq!(reasons[0].key.as_deref(), Some("x"));
    assert_eq!(rules(&longhaul, "plain").await, [Rule::Turn]);
    longhaul.store().pause_key("x", SECOND).await.unwrap();
    assert_eq!(rules(&longhaul, "b").await, [Rule::PausedKey], "a turn would not help it");
    longhaul.store().set_queue("q", &QueueConfig::default()).await.unwrap();
    assert_eq!(rules(&longhaul, "c").await, []);
}

#[tokio::test]
async fn a_job_of_a_hard_preference_waits_for_a_worker_that_has_the_labels() {
    let with = |id, prefer| NewJob { prefer: Some(prefer), ..job(id) };
    let labels = [("gpu", "a100"), ("zone", "eu")];
    let (longhaul, _) = started(&labels, QueueConfig::default()).await;
    let other = Prefer::hard([("gpu", "h100"), ("zone", "eu")]);
    longhaul
        .enqueue_many(vec![
            with("there", Prefer::hard(labels)),
            with("missing", other.clone()),
            with("soft", Prefer::soft([("gpu", "h100")])),
            NewJob { kind: "unknown".into(), ..with("unknown", other) },
        ])
        .await
        .unwrap();
    assert_eq!(rules(&longhaul, "there").await, []);
    assert_eq!(rules(&longhaul, "soft").await, [], "any worker will do in the end");
    assert_eq!(rules(&longhaul, "unknown").await, [Rule::UnknownKind]);
    let reasons = reasons(&longhaul, "missing").await;
    assert_eq!((reasons.len(), reasons[0].rule), (1, Rule::NoWorker));
    assert_eq!(reasons[0].key.as_deref(), Some("gpu=h100;zone=eu"));
}
