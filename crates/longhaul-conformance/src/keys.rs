//! The contract of limit keys: slots, rates, their configuration, and what is told of them.

use std::pin::pin;
use std::time::Duration;

use longhaul::{
    Action, CancelReason, Claim, Cost, Error, KeyConfig, KeyFilter, KeyInfo, LeaseStatus, NewJob, Outcome,
    Policy, Rate, State,
};

use crate::Fixture;
use crate::fixture::{ok, park, within};
use crate::jobs::{
    HOUR, KIND, LEASE, QUEUE, cancelled, claim, completed, failed, id, ids, kind, limited, named, retry,
    secs, slots,
};

/// Limits the runs of a key.
async fn set_slots(fx: &Fixture, key: &str, slots: u32) {
    set(fx, key, KeyConfig { slots: Some(slots), ..KeyConfig::default() }).await;
}

/// Limits the starts of a key, in a second.
async fn set_rate(fx: &Fixture, key: &str, n: u32, burst: u32) {
    let rate = Some(Rate { n, per: secs(1), burst: Some(burst) });
    set(fx, key, KeyConfig { rate, ..KeyConfig::default() }).await;
}

async fn set(fx: &Fixture, key: &str, config: KeyConfig) {
    ok("configure a key", fx.store.set_key(key, Some(&config)).await);
}

async fn keys(fx: &Fixture, filter: KeyFilter) -> Vec<KeyInfo> {
    ok("list keys", fx.store.keys(&filter).await)
}

async fn key(fx: &Fixture, name: &str) -> KeyInfo {
    let filter = KeyFilter { names: vec![name.to_owned()], limit: 1, ..KeyFilter::default() };
    keys(fx, filter).await.remove(0)
}

fn costing(name: &str, keys: &[&str], slots: u32, rate: u32) -> NewJob {
    NewJob { policy: Policy { cost: Cost { slots, rate }, ..Policy::default() }, ..limited(name, keys) }
}

async fn enqueue(fx: &Fixture, names: &[&str], keys: &[&str]) {
    fx.enqueue_all(names.iter().map(|name| limited(name, keys)).collect()).await;
}

/// "No more jobs of a key run than it has slots."
pub async fn no_more_jobs_of_a_key_run_than_it_has_slots(fx: &Fixture) {
    set_slots(fx, "provider", 2).await;
    enqueue(fx, &["a", "b", "c", "d"], &["provider"]).await;
    fx.enqueue(NewJob { queue: "mail".into(), ..limited("elsewhere", &["provider"]) }).await;
    let first = fx.claim_leases().await;
    assert_eq!(first.iter().map(|lease| lease.id.clone()).collect::<Vec<_>>(), ids(["a", "b"]));
    let mail = Claim { queues: vec![slots("mail", 9)], ..claim() };
    assert!(fx.claim(mail).await.is_empty(), "in whatever queue");
    assert_eq!(fx.state(&id("c")).await, State::Available);
    fx.end(&first[0], completed()).await;
    assert_eq!(fx.claim_ids().await, ids(["c"]));
    assert!(fx.claim_ids().await.is_empty());
}

/// "A job takes as many slots of its keys as it costs."
pub async fn a_job_takes_as_many_slots_of_its_keys_as_it_costs(fx: &Fixture) {
    set_slots(fx, "gpu", 4).await;
    fx.enqueue_all(vec![
        costing("a", &["gpu"], 3, 1),
        costing("b", &["gpu"], 2, 1),
        costing("c", &["gpu"], 1, 1),
    ])
    .await;
    let leases = fx.claim_leases().await;
    assert_eq!(leases.len(), 1, "the next of the key has to wait, and those behind it wait with it");
    assert_eq!((leases[0].id.clone(), key(fx, "gpu").await.used), (id("a"), 3));
    fx.end(&leases[0], completed()).await;
    assert_eq!(fx.claim_ids().await, ids(["b", "c"]));
    assert_eq!(key(fx, "gpu").await.used, 3);
}

/// "A job that costs more than all slots runs alone."
pub async fn a_job_that_costs_more_than_all_slots_runs_alone(fx: &Fixture) {
    set_slots(fx, "gpu", 2).await;
    fx.enqueue_all(vec![costing("large", &["gpu"], 9, 1), costing("small", &["gpu"], 1, 1)]).await;
    let large = fx.claim_leases().await;
    assert_eq!((large.len(), large[0].id.clone()), (1, id("large")));
    fx.end(&large[0], completed()).await;
    let small = fx.claim_leases().await;
    fx.enqueue(costing("again", &["gpu"], 9, 1)).await;
    assert!(fx.claim_ids().await.is_empty(), "not beside another");
    fx.end(&small[0], completed()).await;
    assert_eq!(fx.claim_ids().await, ids(["again"]));
}

/// "All keys of a job must admit it."
pub async fn all_keys_of_a_job_must_admit_it(fx: &Fixture) {
    set_slots(fx, "tenant", 1).await;
    set_slots(fx, "provider", 2).await;
    enqueue(fx, &["a", "b"], &["tenant", "provider"]).await;
    enqueue(fx, &["c", "d"], &["provider"]).await;
    let first = fx.claim_leases().await;
    assert_eq!(first.iter().map(|lease| lease.id.clone()).collect::<Vec<_>>(), ids(["a", "c"]));
    fx.end(&first[0], completed()).await;
    assert_eq!(fx.claim_ids().await, ids(["b"]), "of both keys, and of the one");
    fx.end(&first[1], completed()).await;
    assert_eq!(fx.claim_ids().await, ids(["d"]));
}

/// "A key that keeps a job back takes nothing of the others."
pub async fn a_key_that_keeps_a_job_back_takes_nothing_of_the_others(fx: &Fixture) {
    ok("pause", fx.store.pause_key("tenant", HOUR).await);
    set(
        fx,
        "provider",
        KeyConfig {
            slots: Some(1),
            rate: Some(Rate { n: 1, per: HOUR, burst: Some(1) }),
            ..KeyConfig::default()
        },
    )
    .await;
    enqueue(fx, &["paused"], &["provider", "tenant"]).await;
    assert!(fx.claim_ids().await.is_empty());
    assert_eq!((key(fx, "provider").await.used, key(fx, "provider").await.rate_free_at), (0, None));
    enqueue(fx, &["free"], &["provider"]).await;
    assert_eq!(fx.claim_ids().await, ids(["free"]));
}

/// "Jobs of a full key keep their order and no other back."
pub async fn jobs_of_a_full_key_keep_their_order_and_no_other_back(fx: &Fixture) {
    set_slots(fx, "provider", 1).await;
    for name in ["a", "b", "c"] {
        fx.enqueue(limited(name, &["provider"])).await;
        fx.clock.advance(secs(1));
    }
    enqueue(fx, &["other"], &["another"]).await;
    fx.enqueue(named("plain")).await;
    let first = fx.claim_leases().await;
    assert_eq!(first.iter().map(|lease| lease.id.clone()).collect::<Vec<_>>(), ids(["a", "other", "plain"]));
    fx.enqueue(NewJob { priority: 1, ..limited("first", &["provider"]) }).await;
    let mut running = first[0].clone();
    for next in ["first", "b", "c"] {
        fx.end(&running, completed()).await;
        let leases = fx.claim_leases().await;
        assert_eq!((leases.len(), &leases[0].id), (1, &id(next)));
        running = leases[0].clone();
    }
}

/// "A slot is given back when its run ends, however it ends."
pub async fn a_slot_is_given_back_when_its_run_ends_however_it_ends(fx: &Fixture) {
    set_slots(fx, "provider", 1).await;
    let outcomes = [
        completed(),
        retry(HOUR),
        retry(Duration::ZERO),
        failed(),
        cancelled(),
        Outcome::Snoozed { delay: HOUR },
        Outcome::Released,
    ];
    for (n, outcome) in outcomes.into_iter().enumerate() {
        let name = format!("job-{n}");
        let lease = fx.running_from(limited(&name, &["provider"])).await.lease;
        assert_eq!(key(fx, "provider").await.used, 1, "{outcome:?}");
        fx.end(&lease, outcome.clone()).await;
        assert_eq!(key(fx, "provider").await.used, 0, "{outcome:?}");
        fx.act(&id(&name), Action::cancel(LEASE)).await;
    }
    // Asked to stop, it ends in another way, and so it does when it is fenced off.
    let lease = fx.running_from(limited("asked", &["provider"])).await.lease;
    fx.act(&id("asked"), Action::cancel(LEASE)).await;
    assert_eq!(key(fx, "provider").await.used, 1, "it runs on");
    fx.end_asked(&lease, retry(secs(1))).await;
    assert_eq!(key(fx, "provider").await.used, 0);
    fx.running_from(limited("fenced", &["provider"])).await;
    fx.act(&id("fenced"), Action::cancel(secs(1))).await;
    fx.clock.advance(secs(1));
    fx.sweep().await;
    assert_eq!((fx.state(&id("fenced")).await, key(fx, "provider").await.used), (State::Cancelled, 0));
    let limits = || Outcome::RateLimited { delay: secs(5) };
    let lease = fx.running_from(limited("limited", &["provider"])).await.lease;
    fx.end(&lease, limits()).await;
    assert_eq!(key(fx, "provider").await.used, 0);
}

/// "A slot is given back once."
pub async fn a_slot_is_given_back_once(fx: &Fixture) {
    set_slots(fx, "provider", 2).await;
    enqueue(fx, &["a", "b", "c"], &["provider"]).await;
    let leases = fx.claim_leases().await;
    fx.end(&leases[0], completed()).await;
    assert_eq!(fx.finish(&leases[0], completed()).await, LeaseStatus::Held, "sent again");
    assert_eq!(key(fx, "provider").await.used, 1);
    let old = fx.claim_leases().await.remove(0);
    fx.crash_workers().await;
    assert_eq!(key(fx, "provider").await.used, 0, "two workers were not heard of in time");
    let new = fx.claim_leases().await;
    assert_eq!(new.len(), 2);
    assert_eq!(fx.finish(&old, completed()).await, LeaseStatus::Lost, "of a lease that has ended");
    assert_eq!(key(fx, "provider").await.used, 2);
}

/// "A rescue gives a slot back."
pub async fn a_rescue_gives_a_slot_back(fx: &Fixture) {
    set_slots(fx, "provider", 1).await;
    enqueue(fx, &["a", "b"], &["provider"]).await;
    let poison = NewJob { max_crashes: 0, priority: 100, ..limited("poison", &["provider"]) };
    fx.enqueue(poison).await;
    assert_eq!(fx.claim_ids().await, ids(["poison"]));
    fx.crash_workers().await;
    assert_eq!((fx.state(&id("poison")).await, key(fx, "provider").await.used), (State::Failed, 0));
    assert_eq!(fx.claim_ids().await, ids(["a"]));
    fx.crash_workers().await;
    assert_eq!(fx.claim_ids().await, ids(["a"]), "and the rescued job takes it again");
    assert_eq!(key(fx, "provider").await.used, 1);
}

/// "A waiting claim answers when a slot of its key is given back."
pub async fn a_waiting_claim_answers_when_a_slot_of_its_key_is_given_back(fx: &Fixture) {
    set_slots(fx, "provider", 1).await;
    let other = NewJob { queue: "mail".into(), ..limited("first", &["provider"]) };
    fx.enqueue(other).await;
    let lease = fx.claim(Claim { queues: vec![slots("mail", 1)], ..claim() }).await.remove(0).lease;
    enqueue(fx, &["second"], &["provider"]).await;
    let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
    park(fx, waiting.as_mut()).await;
    fx.end(&lease, completed()).await;
    let claimed = ok("claim", within("a slot", waiting).await);
    assert_eq!((claimed.len(), &claimed[0].lease.id), (1, &id("second")));
}

/// "A waiting claim answers when a job goes that kept back others of its limit key."
pub async fn a_waiting_claim_answers_when_a_job_goes_that_kept_back_others_of_its_limit_key(fx: &Fixture) {
    set_slots(fx, "gpu", 3).await;
    fx.enqueue(NewJob { queue: "mail".into(), ..limited("holder", &["gpu"]) }).await;
    assert_eq!(fx.claim(Claim { queues: vec![slots("mail", 1)], ..claim() }).await.len(), 1);
    // A store may keep the jobs of one kind apart from those of another.
    for (n, other) in [KIND, "render"].into_iter().enumerate() {
        for (way, cancels) in [("cancel", true), ("expiry", false)] {
            let large =
                NewJob { expires_in: Some(secs(5)), ..costing(&format!("large-{way}-{n}"), &["gpu"], 3, 1) };
            let small = NewJob { kind: other.into(), ..limited(&format!("small-{way}-{n}"), &["gpu"]) };
            let large = fx.enqueue_all(vec![large, small]).await.remove(0).id;
            let kinds = vec![kind(KIND, 1), kind("render", 1)];
            let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, kinds, ..claim() }));
            park(fx, waiting.as_mut()).await;
            if cancels {
                let cancel = Action::Cancel { grace: secs(1), reason: CancelReason::Asked };
                assert_eq!(fx.act(&large, cancel).await, 1);
            } else {
                fx.clock.advance(secs(5));
                assert_eq!(fx.sweep().await.expired, 1);
            }
            let claimed = ok("claim", within(way, waiting).await);
            let ids: Vec<&str> = claimed.iter().map(|claimed| claimed.lease.id.as_str()).collect();
            assert_eq!(ids, [format!("small-{way}-{n}")], "{way}, {other}");
            fx.end(&claimed[0].lease, completed()).await;
        }
    }
}

/// "A rate admits a burst and then its share."
pub async fn a_rate_admits_a_burst_and_then_its_share(fx: &Fixture) {
    set_rate(fx, "provider", 4, 2).await;
    let names: Vec<String> = (0..8).map(|n| format!("job-{n}")).collect();
    for name in &names {
        fx.enqueue(limited(name, &["provider"])).await;
    }
    assert_eq!(fx.claim_ids().await.len(), 2, "a burst");
    assert!(fx.claim_ids().await.is_empty());
    for _ in 0..4 {
        fx.clock.advance(Duration::from_millis(249));
        assert!(fx.claim_ids().await.is_empty());
        fx.clock.advance(Duration::from_millis(1));
        assert_eq!(fx.claim_ids().await.len(), 1, "a quarter of a second");
    }
    assert_eq!(key(fx, "provider").await.rate_free_at, Some(fx.now().plus(Duration::from_millis(250))));
    fx.clock.advance(HOUR);
    assert_eq!(key(fx, "provider").await.rate_free_at, None);
    assert_eq!(fx.claim_ids().await.len(), 2, "no more than a burst after a rest");
}

/// "A rate counts what jobs cost."
pub async fn a_rate_counts_what_jobs_cost(fx: &Fixture) {
    set_rate(fx, "tokens", 1_000, 1_000).await;
    fx.enqueue_all(vec![
        costing("a", &["tokens"], 1, 700),
        costing("b", &["tokens"], 1, 400),
        costing("c", &["tokens"], 1, 5_000),
        costing("d", &["tokens"], 1, 1),
    ])
    .await;
    assert_eq!(fx.claim_ids().await, ids(["a"]));
    fx.clock.advance(Duration::from_millis(99));
    assert!(fx.claim_ids().await.is_empty());
    fx.clock.advance(Duration::from_millis(1));
    assert_eq!(fx.claim_ids().await, ids(["b"]));
    fx.clock.advance(Duration::from_millis(999));
    assert!(fx.claim_ids().await.is_empty(), "more than a burst starts after a rest");
    fx.clock.advance(Duration::from_millis(1));
    assert_eq!(fx.claim_ids().await, ids(["c"]));
    fx.clock.advance(Duration::from_millis(4_000));
    assert!(fx.claim_ids().await.is_empty(), "and is paid for");
    fx.clock.advance(Duration::from_millis(1));
    assert_eq!(fx.claim_ids().await, ids(["d"]));
    fx.enqueue(costing("free", &["tokens"], 1, 0)).await;
    assert_eq!(fx.claim_ids().await, ids(["free"]), "no unit is needed for a cost of none");
}

/// "A waiting claim answers when a rate admits the next job."
pub async fn a_waiting_claim_answers_when_a_rate_admits_the_next_job(fx: &Fixture) {
    set_rate(fx, "provider", 1, 1).await;
    enqueue(fx, &["a", "b"], &["provider"]).await;
    assert_eq!(fx.claim_ids().await, ids(["a"]));
    let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
    park(fx, waiting.as_mut()).await;
    fx.clock.advance(secs(1));
    let claimed = ok("claim", within("the next start", waiting).await);
    assert_eq!((claimed.len(), &claimed[0].lease.id), (1, &id("b")));
}

/// "A key has its own limits or those of its longest prefix."
pub async fn a_key_has_its_own_limits_or_those_of_its_longest_prefix(fx: &Fixture) {
    for (name, slots) in [("*", 1), ("tenant:*", 2), ("tenant:4*", 3), ("tenant:42", 4)] {
        set_slots(fx, name, slots).await;
    }
    for (name, slots) in [("other", 1), ("tenant:7", 2), ("tenant:4", 3), ("tenant:42", 4)] {
        for n in 0..5 {
            fx.enqueue(limited(&format!("{name}.{n}"), &[name])).await;
        }
        let leases = fx.claim_leases().await;
        assert_eq!(leases.len(), slots, "{name}");
        assert_eq!(key(fx, name).await.limits.slots, Some(slots as u32));
    }
    assert_eq!((key(fx, "tenant:7").await.config, key(fx, "tenant:42").await.config.is_some()), (None, true));
    ok("take limits away", fx.store.set_key("tenant:42", None).await);
    assert_eq!(key(fx, "tenant:42").await.limits.slots, Some(3));
}

/// "Limits that are raised or taken away let waiting jobs go."
pub async fn limits_that_are_raised_or_taken_away_let_waiting_jobs_go(fx: &Fixture) {
    set_slots(fx, "tenant:*", 1).await;
    enqueue(fx, &["a", "b", "c", "d"], &["tenant:1"]).await;
    assert_eq!(fx.claim_ids().await, ids(["a"]));
    for (set, expected) in [(Some(2), vec![id("b")]), (None, ids(["c", "d"]).to_vec())] {
        let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
        park(fx, waiting.as_mut()).await;
        let config = set.map(|slots| KeyConfig { slots: Some(slots), ..KeyConfig::default() });
        ok("configure", fx.store.set_key("tenant:*", config.as_ref()).await);
        let claimed = ok("claim", within("other limits", waiting).await);
        assert_eq!(claimed.into_iter().map(|job| job.lease.id).collect::<Vec<_>>(), expected);
    }
    set_rate(fx, "slow", 1, 1).await;
    enqueue(fx, &["e", "f"], &["slow"]).await;
    assert_eq!(fx.claim_ids().await, ids(["e"]));
    set_rate(fx, "slow", 2, 1).await;
    assert_eq!(fx.claim_ids().await, ids(["f"]), "a rate that is set anew begins at rest");
}

/// "Limits that are set count what runs already."
pub async fn limits_that_are_set_count_what_runs_already(fx: &Fixture) {
    enqueue(fx, &["a", "b", "c"], &["provider"]).await;
    let leases = fx.claim_leases().await;
    assert_eq!((leases.len(), key(fx, "provider").await.used), (3, 3));
    set_slots(fx, "provider", 2).await;
    enqueue(fx, &["d"], &["provider"]).await;
    fx.end(&leases[0], completed()).await;
    assert!(fx.claim_ids().await.is_empty(), "two run on");
    fx.end(&leases[1], completed()).await;
    assert_eq!(fx.claim_ids().await, ids(["d"]));
}

/// "A key that no job can have is not configured."
pub async fn a_key_that_no_job_can_have_is_not_configured(fx: &Fixture) {
    for name in ["", "a b", "a,b", "*a", "a**", "nul\0"] {
        let refused = fx.store.set_key(name, Some(&KeyConfig::default())).await;
        assert!(
            matches!(&refused, Err(Error::Invalid { field, .. }) if field == "key"),
            "{name:?} {refused:?}"
        );
    }
    let rate = |n, per| Some(Rate { n, per, burst: None });
    for (field, config) in [
        ("slots", KeyConfig { slots: Some(0), ..KeyConfig::default() }),
        ("weight", KeyConfig { weight: Some(1_001), ..KeyConfig::default() }),
        ("rate.n", KeyConfig { rate: rate(0, secs(1)), ..KeyConfig::default() }),
        ("rate.per", KeyConfig { rate: rate(1, Duration::ZERO), ..KeyConfig::default() }),
    ] {
        let refused = fx.store.set_key("key", Some(&config)).await;
        assert!(matches!(&refused, Err(Error::Invalid { field: f, .. }) if f == field), "{refused:?}");
    }
    assert!(keys(fx, KeyFilter { limit: 9, ..KeyFilter::default() }).await.is_empty());
}

/// "Jobs of a paused key stay available."
pub async fn jobs_of_a_paused_key_stay_available(fx: &Fixture) {
    enqueue(fx, &["a", "b"], &["provider"]).await;
    ok("pause", fx.store.pause_key("provider", secs(60)).await);
    ok("pause for less", fx.store.pause_key("provider", secs(10)).await);
    assert!(fx.claim_ids().await.is_empty());
    let job = fx.job(&id("a")).await;
    assert_eq!((job.state, job.run_at, job.last_event), (State::Available, fx.now(), 1));
    assert_eq!(fx.queue(QUEUE).await.counts.get(&State::Available), Some(&2));
    fx.clock.advance(secs(59));
    assert!(fx.claim_ids().await.is_empty(), "a longer pause stays");
    fx.clock.advance(secs(1));
    assert_eq!(fx.claim_ids().await, ids(["a", "b"]));
    ok("pause for ever", fx.store.pause_key("provider", Duration::MAX).await);
    enqueue(fx, &["c"], &["provider"]).await;
    fx.clock.advance(24 * 365 * HOUR);
    assert!(fx.claim_ids().await.is_empty());
}

/// "A key that no job can have is not paused."
pub async fn a_key_that_no_job_can_have_is_not_paused(fx: &Fixture) {
    for name in ["", "a b", "tenant:*"] {
        let refused = fx.store.pause_key(name, HOUR).await;
        assert!(
            matches!(&refused, Err(Error::Invalid { field, .. }) if field == "key"),
            "{name:?} {refused:?}"
        );
    }
}

/// "A waiting claim answers when its key is resumed."
pub async fn a_waiting_claim_answers_when_its_key_is_resumed(fx: &Fixture) {
    ok("pause", fx.store.pause_key("provider", Duration::MAX).await);
    enqueue(fx, &["a"], &["provider", "tenant"]).await;
    let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
    park(fx, waiting.as_mut()).await;
    ok("resume", fx.store.resume_key("provider").await);
    let claimed = ok("claim", within("a key that is resumed", waiting).await);
    assert_eq!((claimed.len(), &claimed[0].lease.id), (1, &id("a")));
}

/// "Resuming a key that is not paused changes nothing."
pub async fn resuming_a_key_that_is_not_paused_changes_nothing(fx: &Fixture) {
    ok("resume", fx.store.resume_key("provider").await);
    assert!(keys(fx, KeyFilter { limit: 9, ..KeyFilter::default() }).await.is_empty());
    set_slots(fx, "provider", 1).await;
    enqueue(fx, &["a", "b"], &["provider"]).await;
    assert_eq!(fx.claim_ids().await, ids(["a"]));
    ok("resume", fx.store.resume_key("provider").await);
    assert!(fx.claim_ids().await.is_empty(), "it is full all the same");
}

/// "Keys tell their limits, what waits and what runs."
pub async fn keys_tell_their_limits_what_waits_and_what_runs(fx: &Fixture) {
    set_slots(fx, "tenant:*", 2).await;
    set_rate(fx, "provider", 1, 3).await;
    enqueue(fx, &["a", "b", "c"], &["tenant:1", "provider"]).await;
    enqueue(fx, &["d"], &["tenant:2"]).await;
    fx.enqueue(NewJob { queue: "mail".into(), ..limited("e", &["tenant:2"]) }).await;
    assert_eq!(fx.claim_ids().await.len(), 3);
    let told = keys(fx, KeyFilter { limit: 9, ..KeyFilter::default() }).await;
    let facts: Vec<_> = told.iter().map(|key| (key.key.as_str(), key.waiting, key.used)).collect();
    assert_eq!(facts, [("provider", 1, 2), ("tenant:*", 0, 0), ("tenant:1", 1, 2), ("tenant:2", 1, 1)]);
    let rate = Some(Rate { n: 1, per: secs(1), burst: Some(3) });
    assert_eq!(told[0].config, Some(KeyConfig { rate, ..KeyConfig::default() }));
    assert_eq!((told[2].config, told[2].limits.slots), (None, Some(2)));
    assert_eq!((told[0].closed_until, told[0].rate_free_at), (None, None), "one of a burst is left");
    let cost = Cost { slots: 1, rate: 3 };
    let names = vec!["provider".to_owned()];
    let all_three = keys(fx, KeyFilter { names, limit: 1, cost, ..KeyFilter::default() }).await;
    assert_eq!(all_three[0].rate_free_at, Some(fx.now().plus(secs(2))), "for the job that is asked for");
}

/// "A pause of a limit key is listed until it ends."
pub async fn a_pause_of_a_limit_key_is_listed_until_it_ends(fx: &Fixture) {
    let paused = async || {
        let all = keys(fx, KeyFilter { limit: 9, ..KeyFilter::default() }).await;
        let paused = all.into_iter().filter_map(|key| Some((key.key, key.closed_until?)));
        paused.collect::<Vec<_>>()
    };
    let lease = fx.running_from(limited("a", &["github"])).await.lease;
    fx.end(&lease, Outcome::RateLimited { delay: secs(60) }).await;
    ok("pause", fx.store.pause_key("openai", HOUR).await);
    let until = |delay| fx.now().plus(delay);
    let openai = ("openai".to_owned(), until(HOUR));
    assert_eq!(paused().await, [("github".to_owned(), until(secs(60))), openai.clone()]);
    fx.clock.advance(secs(60));
    let rest = vec![openai];
    assert_eq!(paused().await, rest, "before a sweep and after it");
    fx.sweep().await;
    assert_eq!(paused().await, rest);
    ok("resume", fx.store.resume_key("openai").await);
    assert!(paused().await.is_empty());
}

/// "Keys are listed by name and page by page."
pub async fn keys_are_listed_by_name_and_page_by_page(fx: &Fixture) {
    let mut names: Vec<String> = (0..7).map(|n| format!("tenant:{n}")).collect();
    for name in names.iter().rev() {
        fx.enqueue(limited(&format!("of-{name}"), &[name, "provider"])).await;
    }
    let mut told = Vec::new();
    loop {
        let filter = KeyFilter { after: told.last().cloned(), limit: 3, ..KeyFilter::default() };
        let page = keys(fx, filter).await;
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 3);
        told.extend(page.into_iter().map(|key| key.key));
    }
    names.insert(0, "provider".into());
    assert_eq!(told, names);
    let prefix = KeyFilter { prefix: "tenant:".into(), limit: 9, ..KeyFilter::default() };
    assert_eq!(keys(fx, prefix).await.len(), 7);
    let asked =
        KeyFilter { names: vec!["unknown".into(), "tenant:3".into()], limit: 9, ..KeyFilter::default() };
    let asked = keys(fx, asked).await;
    assert_eq!(
        asked.iter().map(|key| (&*key.key, key.waiting)).collect::<Vec<_>>(),
        [("tenant:3", 1), ("unknown", 0)]
    );
}

/// "Keys of a queue are those of which jobs wait in it."
pub async fn keys_of_a_queue_are_those_of_which_jobs_wait_in_it(fx: &Fixture) {
    set_slots(fx, "tenant:*", 9).await;
    enqueue(fx, &["a"], &["tenant:1", "provider"]).await;
    fx.enqueue(NewJob { queue: "mail".into(), ..limited("b", &["tenant:2"]) }).await;
    let of = async |queue: &str| {
        let filter = KeyFilter { queue: Some(queue.to_owned()), limit: 9, ..KeyFilter::default() };
        keys(fx, filter).await.into_iter().map(|key| key.key).collect::<Vec<_>>()
    };
    assert_eq!(of(QUEUE).await, ["provider", "tenant:1"]);
    assert_eq!(of("mail").await, ["tenant:2"]);
    fx.claim_ids().await;
    assert!(of(QUEUE).await.is_empty(), "what runs does not wait");
}
