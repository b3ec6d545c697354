//! Faults that concern one job, key or call: the others go on, and the one ends in a way that a person can see.

use longhaul::{
    Claim, Clock, ErrorKind, JobId, KeyConfig, LeaseStatus, NewJob, Outcome, Record, State, SupportedKind,
};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{
    HOUR, KIND, LEASE, claim, completed, delayed, finish, id, idempotent, named, secs, slots, step, unique,
};
use longhaul_redis::RedisStore;

use crate::server::{Server, calls, shared};

/// A store on which a test can damage what is kept.
struct Damaged {
    fx: Fixture,
    prefix: String,
}

impl Damaged {
    async fn new() -> Self {
        let (options, clock) = (shared().options(), Clock::manual());
        let prefix = options.prefix.clone();
        let store = RedisStore::open_with_clock(options, clock.clone()).await.unwrap();
        Self { fx: Fixture::new(store, clock), prefix }
    }

    fn say(&self, command: &str, key: &str, rest: &str) {
        shared().say(&format!("{command} {{{}}}:{key} {rest}", self.prefix));
    }

    async fn assert_failed(&self, name: &str, reason: &str) {
        let job = self.fx.job(&id(name)).await;
        assert_eq!(job.state, State::Failed, "{name}");
        let error = job.errors.last().unwrap();
        assert!(error.message.contains(reason) && error.kind == ErrorKind::Fatal, "{error:?}");
    }
}

#[tokio::test]
async fn a_claim_that_names_a_kind_or_a_queue_twice_claims_each_job_once_and_loses_none() {
    let damaged = Damaged::new().await;
    let fx = &damaged.fx;
    fx.enqueue_all(["a", "b", "c"].map(named).to_vec()).await;
    let kind = |version| SupportedKind { kind: KIND.into(), version };
    let twice = Claim {
        kinds: vec![kind(1), kind(2), kind(1)],
        queues: vec![slots("images", 1), slots("images", 1)],
        ..claim()
    };
    let mut ended = Vec::new();
    while ended.len() < 3 {
        let claimed = fx.claim(twice.clone()).await;
        assert!(!claimed.is_empty(), "an acknowledged job is never lost: {ended:?}");
        for job in claimed {
            fx.end(&job.lease, completed()).await;
            ended.push(job.lease.id);
        }
    }
    assert_eq!(ended, [id("a"), id("b"), id("c")]);
    assert_eq!(fx.counts("images").await, [(State::Completed, 3)].into());
}

#[tokio::test]
async fn a_version_that_looks_like_a_date_costs_a_claim_nothing() {
    let server = Server::start(&[]);
    let clock = Clock::manual();
    let store = RedisStore::open_with_clock(server.options(), clock.clone()).await.unwrap();
    let fx = Fixture::new(store, clock);
    let dated = |version| Claim { kinds: vec![SupportedKind { kind: KIND.into(), version }], ..claim() };
    let mut costs = Vec::new();
    for version in [1, 20_260_101, u32::MAX] {
        let before = calls(&server, "");
        assert!(fx.claim(dated(version)).await.is_empty());
        costs.push(calls(&server, "") - before);
    }
    assert!(costs.iter().all(|cost| *cost <= costs[0] + 2), "{costs:?}");
    fx.enqueue(NewJob { version: 20_260_101, ..named("a") }).await;
    assert!(fx.claim(dated(20_260_100)).await.is_empty());
    assert_eq!(fx.claim(dated(20_260_101)).await.len(), 1);
}

#[tokio::test]
async fn a_job_whose_record_cannot_be_read_fails_at_the_claim_and_the_others_are_claimed() {
    let damaged = Damaged::new().await;
    let fx = &damaged.fx;
    fx.enqueue_all(["a", "b", "c", "d"].map(named).to_vec()).await;
    damaged.say("SET", "m:b", "garbage");
    damaged.say("SET", "d:c", "garbage");
    assert_eq!(fx.claim_ids().await, [id("a"), id("d")]);
    for name in ["b", "c"] {
        damaged.assert_failed(name, "failed to read the stored job").await;
    }
    let job = fx.job(&id("b")).await;
    assert_eq!((job.kind.as_str(), job.queue.as_str(), job.version), (KIND, "images", 1));
    assert_eq!(fx.counts("images").await, [(State::Running, 2), (State::Failed, 2)].into());
    let error = fx.job(&id("c")).await.errors.remove(0).message;
    assert!(error.ends_with("its args cannot be read"), "{error}");
    fx.clock.advance(15 * 24 * HOUR);
    fx.sweep().await;
    fx.sweep().await;
    assert!(fx.lookup(&id("b")).await.found().is_none(), "it is pruned as any other");
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_fails_its_own_job_and_a_newer_field_is_passed_over() {
    let damaged = Damaged::new().await;
    let fx = &damaged.fx;
    // Args, attempts, timeout, backoff and labels as the previous release packs them, and what follows of this one.
    let data = |backoff: &str, policy: &str| {
        let word = |word: &str| [&[0xd9, u8::try_from(word.len()).unwrap()], word.as_bytes()].concat();
        let tail = if policy.is_empty() { Vec::new() } else { word(policy) };
        let backoff = if backoff.is_empty() { vec![0xc2] } else { word(backoff) };
        let length = 0x95 + u8::from(!policy.is_empty());
        [vec![length], word("{}"), vec![3, 0xc2], backoff, vec![0xc2], tail].concat()
    };
    let policy = r#"{"timeout":{"secs":7,"nanos":0},"of_tomorrow":[1]}"#;
    let cases = [("old", data("\"x\"", "")), ("torn", data("", "{")), ("newer", data("", policy))];
    for (name, data) in cases {
        fx.enqueue(named(name)).await;
        let key = format!("{{{}}}:d:{name}", damaged.prefix);
        shared().tell::<()>(longhaul_redis::redis::cmd("SET").arg(key).arg(data)).unwrap();
    }
    let claimed = fx.claim(claim()).await;
    assert_eq!(claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(), ["newer"]);
    assert_eq!(claimed[0].policy.timeout, Some(secs(7)));
    for name in ["old", "torn"] {
        damaged.assert_failed(name, "its policy cannot be read").await;
    }
}

#[tokio::test]
async fn jobs_whose_records_cannot_be_read_do_not_keep_a_sweep_from_others() {
    let damaged = Damaged::new().await;
    let fx = &damaged.fx;
    for name in ["a", "b"] {
        fx.running_from(named(name)).await;
    }
    let scheduled = ["c", "d"].map(|name| NewJob { id: Some(id(name)), ..delayed(secs(1)) });
    fx.enqueue_all(scheduled.to_vec()).await;
    damaged.say("SET", "m:a", "garbage");
    damaged.say("SET", "m:c", "garbage");
    fx.clock.advance(LEASE + secs(1));
    let swept = fx.sweep().await;
    assert_eq!((swept.promoted, swept.rescued), (1, 1));
    for name in ["a", "c"] {
        damaged.assert_failed(name, "failed to read the stored job").await;
    }
    assert_eq!(fx.counts("images").await, [(State::Available, 2), (State::Failed, 2)].into());
}

#[tokio::test]
async fn a_finish_that_cannot_be_stored_fails_its_own_job_and_the_others_complete() {
    let damaged = Damaged::new().await;
    let fx = &damaged.fx;
    fx.enqueue_all(["a", "b", "c"].map(named).to_vec()).await;
    let leases: Vec<_> = fx.claim(claim()).await.into_iter().map(|job| job.lease).collect();
    fx.record(&leases[0], vec![step("ocr", "1")]).await;
    damaged.say("SET", "t:a", "garbage");
    let mut bad = finish(&leases[0], completed());
    bad.entries = vec![step("layout", "2")];
    // One caller's end stands beside those of others, and beside one of its own.
    let (others, own) = tokio::join!(
        fx.finish_all(vec![finish(&leases[1], completed())]),
        fx.finish_all(vec![bad, finish(&leases[2], completed())]),
    );
    assert_eq!((others[0], own[1]), (LeaseStatus::Held, LeaseStatus::Held));
    damaged.assert_failed("a", "failed to store the end of the run").await;
    assert_eq!(fx.counts("images").await, [(State::Completed, 2), (State::Failed, 1)].into());
}

#[tokio::test]
async fn a_finish_that_cannot_be_stored_keeps_no_claim_back() {
    let damaged = Damaged::new().await;
    let fx = &damaged.fx;
    let lease = fx.running_from(named("a")).await.lease;
    fx.record(&lease, vec![step("ocr", "1")]).await;
    fx.enqueue(named("b")).await;
    damaged.say("SET", "t:a", "garbage");
    let mut bad = finish(&lease, completed());
    bad.entries = vec![step("layout", "2")];
    let answer = fx.finish_and_claim(vec![bad], claim()).await;
    assert_eq!((answer.finished.len(), answer.claimed.len()), (1, 1));
    damaged.assert_failed("a", "failed to store the end of the run").await;
}

#[tokio::test]
async fn a_record_that_cannot_be_stored_fails_its_own_job_and_the_others_are_kept() {
    let damaged = Damaged::new().await;
    let fx = &damaged.fx;
    fx.enqueue_all(["a", "b"].map(named).to_vec()).await;
    let leases: Vec<_> = fx.claim(claim()).await.into_iter().map(|job| job.lease).collect();
    fx.record(&leases[0], vec![step("ocr", "1")]).await;
    damaged.say("SET", "t:a", "garbage");
    let record = |n: usize| Record { lease: leases[n].clone(), entries: vec![step("layout", "2")] };
    let statuses = fx.record_all(vec![record(0), record(1)]).await;
    assert_eq!(statuses, [LeaseStatus::Lost, LeaseStatus::Held]);
    damaged.assert_failed("a", "failed to store what the run has recorded").await;
}

#[tokio::test]
async fn a_damaged_key_is_free_and_keeps_no_enqueue_back() {
    let damaged = Damaged::new().await;
    let fx = &damaged.fx;
    fx.enqueue(unique("k", None)).await;
    damaged.say("HSET", "unique", "k garbage");
    damaged.say("HSET", "promises", "order-1 garbage");
    assert!(!fx.offer(unique("k", None)).await.is_duplicate());
    assert!(!fx.offer(idempotent("order-1", "a")).await.is_duplicate());
    damaged.say("HSET", "promises", "order-1 garbage");
    fx.clock.advance(48 * HOUR);
    fx.sweep().await;
}

#[tokio::test]
async fn a_key_that_a_damaged_job_held_is_free_once_the_job_has_failed() {
    let damaged = Damaged::new().await;
    let fx = &damaged.fx;
    let holder: JobId = fx.enqueue(unique("k", None)).await;
    damaged.say("SET", &format!("m:{holder}"), "garbage");
    assert!(fx.claim_ids().await.is_empty());
    assert!(!fx.offer(unique("k", None)).await.is_duplicate());
}

#[tokio::test]
async fn a_key_of_a_wrong_type_keeps_a_run_from_nothing_else() {
    let damaged = Damaged::new().await;
    let fx = &damaged.fx;
    let lease = fx.running_from(named("a")).await.lease;
    damaged.say("SET", "e:a", "garbage");
    let Outcome::Failed { error } = longhaul_conformance::jobs::failed() else { unreachable!() };
    fx.end(&lease, Outcome::Retry { error, delay: HOUR }).await;
    assert_eq!(fx.counts("images").await, [(State::Scheduled, 1)].into(), "the rest of the end is written");
}

#[tokio::test]
async fn limit_keys_of_which_nothing_can_be_read_keep_no_run_from_its_end() {
    let damaged = Damaged::new().await;
    let fx = &damaged.fx;
    fx.store.set_key("provider", Some(&KeyConfig { slots: Some(1), ..KeyConfig::default() })).await.unwrap();
    let lease = fx.running_from(NewJob { limit_keys: vec!["provider".into()], ..named("a") }).await.lease;
    for key in ["holding", "limits"] {
        damaged.say("DEL", key, "");
        damaged.say("SET", key, "garbage");
    }
    fx.end(&lease, completed()).await;
    fx.enqueue(named("b")).await;
    assert_eq!(fx.claim_ids().await, [id("b")]);
    assert_eq!(fx.counts("images").await, [(State::Running, 1), (State::Completed, 1)].into());
}
