//! The contract of [`Store::claim`](longhaul::Store::claim), but for the order and the waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use longhaul::{Action, Claim, Claimed, Event, EventBody, JobId, LeaseStatus, NewJob, Outcome, State};

use crate::Fixture;
use crate::jobs::{
    QUEUE, chunk, claim, completed, delayed, failed, id, job, json, kind, log, named, progress, retry, secs,
    slots, step, worker,
};

fn ids(claimed: &[Claimed]) -> Vec<JobId> {
    claimed.iter().map(|claimed| claimed.lease.id.clone()).collect()
}

/// "A claimed job is running and belongs to the worker."
pub async fn a_claimed_job_is_running_and_belongs_to_the_worker(fx: &Fixture) {
    let waiting = fx.enqueue(named("a")).await;
    let before = fx.job(&waiting).await;
    fx.clock.advance(secs(3));
    let claimed = fx.claim(Claim { worker: worker("w7"), ..claim() }).await;
    assert_eq!(ids(&claimed), [id("a")]);
    assert_eq!(claimed[0].attempt, 1);
    let after = fx.job(&waiting).await;
    let expected = longhaul::JobRecord {
        state: State::Running,
        attempt: 1,
        worker: Some("w7".into()),
        position: None,
        started_at: Some(fx.now()),
        last_event: before.last_event + 1,
        ..before.clone()
    };
    // Whether `run_at` of a running job still tells when it was due is the store's choice.
    assert_eq!(after, longhaul::JobRecord { run_at: after.run_at, ..expected });
    let body = EventBody::State { state: State::Running, error: None, children: None, cancel_reason: None };
    let event = Event { seq: after.last_event, at: fx.now(), attempt: 1, body };
    assert_eq!(fx.events_after(&waiting, before.last_event, 10).await, [event]);
    assert_eq!(fx.heartbeat(&claimed[0].lease).await, LeaseStatus::Held);
}

/// "A claim takes no more than the slots of each queue."
pub async fn a_claim_takes_no_more_than_the_slots_of_each_queue(fx: &Fixture) {
    let many = |queue: &'static str| (0..5).map(move |_| NewJob { queue: queue.into(), ..job() });
    fx.enqueue_all(many("a").chain(many("b")).chain(many("c")).collect()).await;
    let queues = vec![slots("a", 3), slots("b", 1), slots("c", 0), slots("empty", 9)];
    let claimed = fx.claim(Claim { queues: queues.clone(), ..claim() }).await;
    let taken = |queue: &str| claimed.iter().filter(|claimed| claimed.queue == queue).count();
    assert_eq!((taken("a"), taken("b"), taken("c"), claimed.len()), (3, 1, 0, 4));
    let claimed = fx.claim(Claim { queues, ..claim() }).await;
    let taken = |queue: &str| claimed.iter().filter(|claimed| claimed.queue == queue).count();
    assert_eq!((taken("a"), taken("b"), taken("c"), claimed.len()), (2, 1, 0, 3), "what was left of them");
    let claimed = fx.claim(Claim { queues: Vec::new(), ..claim() }).await;
    assert!(claimed.is_empty(), "no queue, no job");
}

/// "A claim takes only the queues it names."
pub async fn a_claim_takes_only_the_queues_it_names(fx: &Fixture) {
    let other = NewJob { queue: "images2".into(), priority: 100, ..named("other") };
    fx.enqueue_all(vec![other, named("ours")]).await;
    assert_eq!(fx.claim_ids().await, [id("ours")]);
    assert!(fx.claim_ids().await.is_empty());
    assert_eq!(fx.state(&id("other")).await, State::Available, "the other queue's job still waits");
    let claimed = fx.claim(Claim { queues: vec![slots("images2", 5), slots(QUEUE, 5)], ..claim() }).await;
    assert_eq!(ids(&claimed), [id("other")]);
    assert_eq!(claimed[0].queue, "images2");
}

/// "A claim takes only the kinds it names."
pub async fn a_claim_takes_only_the_kinds_it_names(fx: &Fixture) {
    let other = NewJob { kind: "mail".into(), priority: 100, ..named("other") };
    fx.enqueue_all(vec![other, named("ours")]).await;
    assert_eq!(fx.claim_ids().await, [id("ours")], "a kind that is not known holds up no other");
    assert!(fx.claim_ids().await.is_empty());
    assert!(fx.claim(Claim { kinds: Vec::new(), ..claim() }).await.is_empty(), "no kind, no job");
    let third = fx.enqueue(named("third")).await;
    let kinds = vec![kind("resize", 1), kind("mail", 1), kind("unheard-of", 1)];
    let claimed = fx.claim(Claim { kinds, queues: vec![slots(QUEUE, 2)], ..claim() }).await;
    assert_eq!(ids(&claimed), [id("other"), third], "kinds of one queue share one order");
}

/// "A claim takes no version above the one it knows."
pub async fn a_claim_takes_no_version_above_the_one_it_knows(fx: &Fixture) {
    let version = |name: &str, version| NewJob { version, ..named(name) };
    fx.enqueue_all(vec![version("v3", 3), version("v2", 2), version("v1", 1)]).await;
    let knows = |version| Claim { kinds: vec![kind("resize", version)], ..claim() };
    let claimed = fx.claim(knows(1)).await;
    assert_eq!(ids(&claimed), [id("v1")], "newer versions hold up no older one");
    assert_eq!(claimed[0].version, 1);
    assert!(fx.claim(knows(1)).await.is_empty());
    let mixed = vec![kind("other", 9), kind("resize", 2)];
    let claimed = fx.claim(Claim { kinds: mixed, ..claim() }).await;
    assert_eq!(ids(&claimed), [id("v2")], "each kind has its own newest version");
    fx.enqueue(version("v1b", 1)).await;
    let claimed = fx.claim(knows(4)).await;
    assert_eq!(ids(&claimed), [id("v3"), id("v1b")], "older versions are taken too, in one order");
    assert_eq!(claimed[0].version, 3);
}

/// "A due scheduled job is claimed without a sweep."
pub async fn a_due_scheduled_job_is_claimed_without_a_sweep(fx: &Fixture) {
    let new = fx.enqueue(delayed(secs(10))).await;
    fx.clock.advance(secs(10));
    let claimed = fx.claim_one().await;
    assert_eq!(claimed.lease.id, new);
    fx.end(&claimed.lease, retry(secs(7))).await;
    fx.clock.advance(secs(7));
    let claimed = fx.claim_one().await;
    assert_eq!(claimed.attempt, 2, "a retry that is due, too");
    fx.end(&claimed.lease, Outcome::Snoozed { delay: secs(5) }).await;
    fx.clock.advance(secs(5));
    assert_eq!(fx.claim_one().await.lease.id, new, "and one that was snoozed");
    let counts = fx.counts(QUEUE).await;
    assert_eq!(counts, BTreeMap::from([(State::Running, 1)]));
}

/// "A job that is not due is not claimed."
pub async fn a_job_that_is_not_due_is_not_claimed(fx: &Fixture) {
    fx.enqueue(NewJob { id: Some(id("early")), ..delayed(secs(10)) }).await;
    fx.enqueue(NewJob { id: Some(id("late")), priority: 100, ..delayed(secs(60)) }).await;
    assert!(fx.claim_ids().await.is_empty());
    fx.clock.advance(secs(10));
    let claimed = fx.claim_one().await;
    assert_eq!(claimed.lease.id, id("early"), "no priority makes a job due");
    let almost = secs(9) + Duration::from_millis(999);
    for outcome in [retry(secs(10)), Outcome::Snoozed { delay: secs(10) }] {
        let claimed = fx.running_from(job()).await;
        fx.end(&claimed.lease, outcome).await;
        fx.clock.advance(almost);
        assert!(fx.claim_ids().await.is_empty(), "a millisecond too early");
        fx.clock.advance(Duration::from_millis(1));
        assert_eq!(fx.claim_ids().await, [claimed.lease.id]);
    }
    assert_eq!(fx.state(&id("late")).await, State::Scheduled);
}

/// "Two claims never take the same job."
pub async fn two_claims_never_take_the_same_job(fx: &Fixture) {
    fx.enqueue_all((0..7).map(|_| job()).collect()).await;
    let some =
        |name: &str, count| Claim { worker: worker(name), queues: vec![slots(QUEUE, count)], ..claim() };
    let first = fx.claim(some("w1", 2)).await;
    let (second, third) = futures::join!(fx.claim(some("w2", 3)), fx.claim(some("w3", 3)));
    let rest = fx.claim(claim()).await;
    let all: BTreeSet<JobId> = [&first, &second, &third, &rest].into_iter().flat_map(|c| ids(c)).collect();
    assert_eq!((first.len(), second.len() + third.len(), rest.len(), all.len()), (2, 5, 0, 7));
    for (worker, claimed) in [("w1", first), ("w2", second), ("w3", third)] {
        for claimed in claimed {
            assert_eq!(fx.job(&claimed.lease.id).await.worker.as_deref(), Some(worker));
            assert_eq!(claimed.attempt, 1);
        }
    }
}

/// "Each claim raises the token."
pub async fn each_claim_raises_the_token(fx: &Fixture) {
    let first = fx.running_from(NewJob { max_crashes: 9, ..named("a") }).await;
    let mut tokens = vec![first.lease.token];
    let mut lease = first.lease;
    let ends = [Outcome::Released, retry(Duration::ZERO), Outcome::Snoozed { delay: secs(1) }];
    for end in ends {
        fx.end(&lease, end).await;
        fx.clock.advance(secs(1));
        lease = fx.claim_one().await.lease;
        tokens.push(lease.token);
    }
    fx.crash_workers().await;
    lease = fx.claim_one().await.lease;
    tokens.push(lease.token);
    for end in [failed(), completed()] {
        fx.end(&lease, end).await;
        assert_eq!(fx.act(&id("a"), Action::Retry).await, 1);
        lease = fx.claim_one().await.lease;
        tokens.push(lease.token);
    }
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?} rise, also over a retry by hand");
}

/// "A claim brings the outputs of the steps that are done."
pub async fn a_claim_brings_the_outputs_of_the_steps_that_are_done(fx: &Fixture) {
    let other = fx.running().await;
    fx.record(&other.lease, vec![step("ocr", r#""another job's""#)]).await;
    let claimed = fx.running().await;
    assert_eq!(claimed.steps, BTreeMap::new(), "none is done yet");
    fx.record(&claimed.lease, vec![step("ocr", r#"{"pages": 20.0}"#), step("index", "null")]).await;
    let with_finish = longhaul::Finish {
        entries: vec![step("mail: Grüße", "3")],
        ..crate::jobs::finish(&claimed.lease, retry(Duration::ZERO))
    };
    assert_eq!(fx.finish_all(vec![with_finish]).await, [LeaseStatus::Held]);
    let done = BTreeMap::from([
        ("ocr".to_owned(), json(r#"{"pages": 20.0}"#)),
        ("index".to_owned(), json("null")),
        ("mail: Grüße".to_owned(), json("3")),
    ]);
    let claimed = fx.claim_one().await;
    assert_eq!(claimed.steps, done, "after a retry");
    fx.end(&claimed.lease, Outcome::Released).await;
    assert_eq!(fx.claim_one().await.steps, done, "after a release");
    fx.crash_workers().await;
    let again = fx.claim(claim()).await;
    let again = again.into_iter().find(|again| again.lease.id == claimed.lease.id);
    assert_eq!(again.map(|again| again.steps), Some(done), "after a crash");
}

/// "A second attempt resets a log that has entries."
pub async fn a_second_attempt_resets_a_log_that_has_entries(fx: &Fixture) {
    for entry in [chunk("1"), log("hm"), longhaul::Entry::Progress(progress(4.0))] {
        let first = fx.running().await;
        fx.record(&first.lease, vec![entry]).await;
        fx.end(&first.lease, retry(Duration::ZERO)).await;
        let seen = fx.job(&first.lease.id).await.last_event;
        let second = fx.claim_one().await;
        let news = fx.events_after(&second.lease.id, seen, 10).await;
        let resets: Vec<&Event> = news.iter().filter(|event| event.body == EventBody::Reset).collect();
        assert_eq!(resets.len(), 1, "{news:?}");
        assert_eq!((resets[0].attempt, resets[0].at), (2, fx.now()));
        fx.record(&second.lease, vec![chunk("2")]).await;
        let news = fx.events_after(&second.lease.id, resets[0].seq, 10).await;
        assert_eq!(news.last().map(|e| &e.body), Some(&EventBody::Chunk { data: json("2") }), "{news:?}");

        fx.end(&second.lease, retry(Duration::ZERO)).await;
        let third = fx.claim_one().await;
        fx.end(&third.lease, retry(Duration::ZERO)).await;
        let fourth = fx.claim_one().await;
        let attempts: Vec<u32> = resets_of(fx, &fourth.lease.id).await;
        assert_eq!(attempts, [2, 3], "the third attempt wrote nothing that the fourth could reset");
        fx.end(&fourth.lease, completed()).await;
    }

    let silent = fx.running().await;
    fx.record(&silent.lease, vec![step("ocr", "1")]).await;
    fx.end(&silent.lease, retry(Duration::ZERO)).await;
    let silent = fx.claim_one().await;
    assert!(resets_of(fx, &silent.lease.id).await.is_empty(), "a log with no entries needs no reset");
}

async fn resets_of(fx: &Fixture, id: &JobId) -> Vec<u32> {
    let events = fx.events(id).await.into_iter();
    events.filter(|event| event.body == EventBody::Reset).map(|event| event.attempt).collect()
}
