//! The contract of the slots and the rate of a queue.

use std::pin::pin;
use std::time::Duration;

use longhaul::{
    Action, CancelReason, Claim, Cost, Finish, JobId, KeyConfig, KeyFilter, Lease, LeaseStatus, NewJob,
    Outcome, Policy, QueueConfig, QueueInfo, Rate, State,
};

use crate::Fixture;
use crate::fixture::{ok, park, within};
use crate::jobs::{
    HOUR, LEASE, QUEUE, cancelled, claim, completed, failed, finish, id, ids, limited, named, retry, secs,
    slots,
};

async fn set_slots(fx: &Fixture, slots: u32) {
    fx.set_queue(QUEUE, &QueueConfig { slots: Some(slots), ..QueueConfig::default() }).await;
}

/// Limits the starts of the queue in a second.
async fn set_rate(fx: &Fixture, n: u32, burst: u32) {
    let rate = Some(Rate { n, per: secs(1), burst: Some(burst) });
    fx.set_queue(QUEUE, &QueueConfig { rate, ..QueueConfig::default() }).await;
}

async fn set_key_slots(fx: &Fixture, key: &str, slots: u32) {
    let config = KeyConfig { slots: Some(slots), ..KeyConfig::default() };
    ok("configure a key", fx.store.set_key(key, Some(&config)).await);
}

async fn used(fx: &Fixture) -> Option<u64> {
    fx.queue(QUEUE).await.used
}

async fn rested_in(fx: &Fixture) -> Option<Duration> {
    fx.queue(QUEUE).await.rate_free_at.map(|at| at.since(fx.now()))
}

fn costing(name: &str, slots: u32, rate: u32) -> NewJob {
    NewJob { policy: Policy { cost: Cost { slots, rate }, ..Policy::default() }, ..named(name) }
}

async fn enqueue(fx: &Fixture, names: &[&str]) {
    fx.enqueue_all(names.iter().map(|name| named(name)).collect()).await;
}

/// "No more jobs of a queue run than it has slots."
pub async fn no_more_jobs_of_a_queue_run_than_it_has_slots(fx: &Fixture) {
    set_slots(fx, 2).await;
    enqueue(fx, &["a", "b", "c"]).await;
    fx.enqueue(limited("d", &["provider"])).await;
    let first = fx.claim_leases().await;
    assert_eq!(first.iter().map(|lease| lease.id.clone()).collect::<Vec<_>>(), ids(["a", "b"]));
    assert!(fx.claim_ids().await.is_empty());
    assert_eq!(fx.state(&id("c")).await, State::Available);
    let turn = fx.finish_and_claim(vec![finish(&first[0], completed())], claim()).await;
    assert_eq!(turn.claimed.iter().map(|claimed| &claimed.lease.id).collect::<Vec<_>>(), [&id("c")]);
    let turn = fx.finish_and_claim(Vec::new(), claim()).await;
    assert!(turn.claimed.is_empty(), "nor does a turn take more");
    fx.end(&first[1], completed()).await;
    assert_eq!(fx.claim_ids().await, ids(["d"]), "with limit keys or without");
}

/// "A job takes as many slots of its queue as it costs."
pub async fn a_job_takes_as_many_slots_of_its_queue_as_it_costs(fx: &Fixture) {
    set_slots(fx, 4).await;
    fx.enqueue_all(vec![costing("a", 3, 1), costing("b", 2, 1), costing("c", 1, 1)]).await;
    let leases = fx.claim_leases().await;
    assert_eq!((leases.len(), &leases[0].id, used(fx).await), (1, &id("a"), Some(3)));
    fx.end(&leases[0], completed()).await;
    assert_eq!(fx.claim_ids().await, ids(["b", "c"]));
    assert_eq!(used(fx).await, Some(3));
}

/// "A job that costs more than all slots of its queue runs alone."
pub async fn a_job_that_costs_more_than_all_slots_of_its_queue_runs_alone(fx: &Fixture) {
    set_slots(fx, 2).await;
    fx.enqueue_all(vec![costing("large", 9, 1), costing("small", 1, 1)]).await;
    let large = fx.claim_leases().await;
    assert_eq!((large.len(), &large[0].id), (1, &id("large")));
    fx.end(&large[0], completed()).await;
    let small = fx.claim_leases().await;
    fx.enqueue(costing("again", 9, 1)).await;
    assert!(fx.claim_ids().await.is_empty(), "not beside another");
    fx.end(&small[0], completed()).await;
    assert_eq!(fx.claim_ids().await, ids(["again"]));
}

/// "The next job of a full queue keeps those behind it back."
pub async fn the_next_job_of_a_full_queue_keeps_those_behind_it_back(fx: &Fixture) {
    set_slots(fx, 3).await;
    let holder = fx.running_from(costing("holder", 2, 1)).await.lease;
    let large = NewJob { limit_keys: vec!["gpu".into()], ..costing("large", 2, 1) };
    fx.enqueue_all(vec![large, costing("small", 1, 1), limited("other", &["tenant"])]).await;
    assert!(fx.claim_ids().await.is_empty(), "small ones would keep the large one waiting for ever");
    fx.enqueue(NewJob { priority: 1, ..costing("first", 1, 1) }).await;
    assert_eq!(fx.claim_ids().await, ids(["first"]), "one that goes before it need not wait");
    fx.end(&holder, completed()).await;
    assert_eq!(fx.claim_ids().await, ids(["large"]));
}

/// "A job that its key keeps back keeps no other of a limited queue back."
pub async fn a_job_that_its_key_keeps_back_keeps_no_other_of_a_limited_queue_back(fx: &Fixture) {
    set_slots(fx, 2).await;
    ok("pause", fx.store.pause_key("tenant", HOUR).await);
    fx.enqueue_all(vec![limited("paused", &["tenant"]), named("a"), named("b"), named("c")]).await;
    assert_eq!(fx.claim_ids().await, ids(["a", "b"]));
}

/// "A queue that keeps a job back takes nothing of its keys."
pub async fn a_queue_that_keeps_a_job_back_takes_nothing_of_its_keys(fx: &Fixture) {
    set_slots(fx, 1).await;
    set_key_slots(fx, "provider", 1).await;
    fx.enqueue_all(vec![named("a"), limited("b", &["provider"])]).await;
    assert_eq!(fx.claim_ids().await, ids(["a"]));
    let filter = KeyFilter { names: vec!["provider".into()], limit: 1, ..KeyFilter::default() };
    assert_eq!(ok("list keys", fx.store.keys(&filter).await)[0].used, 0);
    fx.enqueue(NewJob { queue: "mail".into(), ..limited("c", &["provider"]) }).await;
    let mail = Claim { queues: vec![slots("mail", 9)], ..claim() };
    assert_eq!(fx.claim(mail).await.len(), 1);
}

/// "A full queue keeps no other queue back."
pub async fn a_full_queue_keeps_no_other_queue_back(fx: &Fixture) {
    set_slots(fx, 1).await;
    enqueue(fx, &["a", "b"]).await;
    fx.enqueue(NewJob { queue: "mail".into(), ..named("c") }).await;
    let both = Claim { queues: vec![slots(QUEUE, 9), slots("mail", 9)], ..claim() };
    let taken: Vec<JobId> = fx.claim(both.clone()).await.into_iter().map(|job| job.lease.id).collect();
    assert_eq!(taken, ids(["a", "c"]));
    fx.enqueue(NewJob { queue: "mail".into(), ..named("d") }).await;
    assert_eq!(fx.claim(both).await.len(), 1, "and so it goes on");
    assert_eq!(used(fx).await, Some(1));
    assert_eq!(fx.queue("mail").await.used, None, "of slots that are not limited nothing is told");
}

/// "The rate of a queue admits a burst and then its share."
pub async fn the_rate_of_a_queue_admits_a_burst_and_then_its_share(fx: &Fixture) {
    set_rate(fx, 4, 2).await;
    for n in 0..8 {
        let keys: &[&str] = if n % 2 == 0 { &[] } else { &["provider"] };
        fx.enqueue(limited(&format!("job-{n}"), keys)).await;
    }
    assert_eq!(fx.claim_ids().await.len(), 2, "a burst");
    assert!(fx.claim_ids().await.is_empty());
    for _ in 0..4 {
        fx.clock.advance(Duration::from_millis(249));
        assert!(fx.claim_ids().await.is_empty());
        fx.clock.advance(Duration::from_millis(1));
        assert_eq!(fx.claim_ids().await.len(), 1, "a quarter of a second");
    }
    fx.clock.advance(HOUR);
    assert_eq!(fx.claim_ids().await.len(), 2, "no more than a burst after a rest");
}

/// "The rate of a queue counts what jobs cost."
pub async fn the_rate_of_a_queue_counts_what_jobs_cost(fx: &Fixture) {
    set_rate(fx, 1_000, 1_000).await;
    fx.enqueue_all(vec![costing("a", 1, 700), costing("b", 1, 400), costing("c", 1, 0)]).await;
    assert_eq!(fx.claim_ids().await, ids(["a"]));
    fx.clock.advance(Duration::from_millis(99));
    assert!(fx.claim_ids().await.is_empty(), "the one behind it needs no unit, and waits with it");
    fx.clock.advance(Duration::from_millis(1));
    assert_eq!(fx.claim_ids().await, ids(["b", "c"]));
}

/// "A waiting claim answers when the rate of its queue admits the next job."
pub async fn a_waiting_claim_answers_when_the_rate_of_its_queue_admits_the_next_job(fx: &Fixture) {
    set_rate(fx, 1, 1).await;
    enqueue(fx, &["a", "b"]).await;
    assert_eq!(fx.claim_ids().await, ids(["a"]));
    fx.enqueue(NewJob { priority: 1, ..limited("first", &["provider"]) }).await;
    for expected in ["first", "b"] {
        let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
        park(fx, waiting.as_mut()).await;
        fx.clock.advance(secs(1));
        let claimed = ok("claim", within("the next start", waiting).await);
        assert_eq!((claimed.len(), &claimed[0].lease.id), (1, &id(expected)));
    }
}

/// "A waiting claim answers when a job goes that kept back others of its limited queue."
pub async fn a_waiting_claim_answers_when_a_job_goes_that_kept_back_others_of_its_limited_queue(
    fx: &Fixture,
) {
    set_slots(fx, 3).await;
    fx.running_from(costing("holder", 1, 1)).await;
    for (way, cancels) in [("cancel", true), ("expiry", false)] {
        let large = NewJob { expires_in: Some(secs(5)), ..costing(&format!("large-{way}"), 3, 1) };
        let small = format!("small-{way}");
        let large = fx.enqueue_all(vec![large, costing(&small, 1, 1)]).await.remove(0).id;
        let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
        park(fx, waiting.as_mut()).await;
        if cancels {
            let cancel = Action::Cancel { grace: secs(1), reason: CancelReason::Asked };
            assert_eq!(fx.act(&large, cancel).await, 1);
        } else {
            fx.clock.advance(secs(5));
            assert_eq!(fx.sweep().await.expired, 1);
        }
        let claimed = ok("claim", within(way, waiting).await);
        assert_eq!(claimed.iter().map(|job| job.lease.id.clone()).collect::<Vec<_>>(), [id(&small)], "{way}");
        fx.end(&claimed[0].lease, completed()).await;
    }
}

/// "A limited queue that is fair takes turns as any other does."
pub async fn a_limited_queue_that_is_fair_takes_turns_as_any_other_does(fx: &Fixture) {
    let config = QueueConfig { slots: Some(1), fair: true, ..QueueConfig::default() };
    fx.set_queue(QUEUE, &config).await;
    for key in ["a", "b"] {
        let jobs = (0..3).map(|n| limited(&format!("{key}{n}"), &[key])).collect();
        fx.enqueue_all(jobs).await;
    }
    fx.enqueue(named("plain")).await;
    let mut order = Vec::new();
    for _ in 0..7 {
        let leases = fx.claim_leases().await;
        assert_eq!(leases.len(), 1);
        assert!(fx.claim_ids().await.is_empty(), "a claim of a full queue takes nobody's turn");
        fx.end(&leases[0], completed()).await;
        order.push(leases[0].id.to_string());
    }
    assert_eq!(order, ["plain", "a0", "b0", "a1", "b1", "a2", "b2"]);
}

/// "A slot of a queue is given back when its run ends, however it ends."
pub async fn a_slot_of_a_queue_is_given_back_when_its_run_ends_however_it_ends(fx: &Fixture) {
    set_slots(fx, 2).await;
    let outcomes = [
        completed(),
        retry(HOUR),
        retry(Duration::ZERO),
        failed(),
        cancelled(),
        Outcome::Snoozed { delay: HOUR },
        Outcome::RateLimited { delay: HOUR },
        Outcome::Released,
    ];
    for (n, outcome) in outcomes.into_iter().enumerate() {
        let name = format!("job-{n}");
        let lease = fx.running_from(costing(&name, 2, 1)).await.lease;
        assert_eq!(used(fx).await, Some(2), "{outcome:?}");
        fx.end(&lease, outcome.clone()).await;
        assert_eq!(used(fx).await, Some(0), "{outcome:?}");
        assert_eq!(
            fx.finish(&lease, completed()).await == LeaseStatus::Held,
            fx.state(&id(&name)).await.is_finished()
        );
        assert_eq!(used(fx).await, Some(0), "once: {outcome:?}");
        fx.act(&id(&name), Action::cancel(LEASE)).await;
    }
    fx.running_from(named("fenced")).await;
    fx.act(&id("fenced"), Action::cancel(secs(1))).await;
    assert_eq!(used(fx).await, Some(1), "it runs on");
    fx.clock.advance(secs(1));
    fx.sweep().await;
    assert_eq!((fx.state(&id("fenced")).await, used(fx).await), (State::Cancelled, Some(0)));
    let old = fx.running_from(named("rescued")).await.lease;
    fx.crash_workers().await;
    assert_eq!(used(fx).await, Some(0));
    let new = fx.claim_one().await.lease;
    assert_eq!(fx.finish(&old, completed()).await, LeaseStatus::Lost);
    assert_eq!(used(fx).await, Some(1), "the end of a lost lease gives nothing back");
    fx.end(&new, completed()).await;
    // With a unique key, dependants or steps, a job ends in another way in some stores.
    let unique = NewJob { limit_keys: vec!["key".into()], ..crate::jobs::unique("once", None) };
    let lease = fx.running_from(unique).await.lease;
    fx.record(&lease, vec![crate::jobs::step("ocr", "1")]).await;
    fx.end(&lease, completed()).await;
    assert_eq!(used(fx).await, Some(0));
}

/// "A waiting claim answers when a slot of its queue is given back."
pub async fn a_waiting_claim_answers_when_a_slot_of_its_queue_is_given_back(fx: &Fixture) {
    set_slots(fx, 1).await;
    let mut lease = fx.running_from(named("first")).await.lease;
    for (n, outcome) in [completed(), failed(), retry(HOUR)].into_iter().enumerate() {
        let next = id(&format!("next-{n}"));
        fx.enqueue(named(next.as_str())).await;
        let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
        park(fx, waiting.as_mut()).await;
        fx.end(&lease, outcome).await;
        let claimed = ok("claim", within("a slot", waiting).await);
        assert_eq!((claimed.len(), &claimed[0].lease.id), (1, &next));
        lease = claimed[0].lease.clone();
    }
}

/// "A run that settles its cost moves the rate of its queue by the difference."
pub async fn a_run_that_settles_its_cost_moves_the_rate_of_its_queue_by_the_difference(fx: &Fixture) {
    set_rate(fx, 10, 40).await;
    let settle = async |lease: &Lease, cost| {
        fx.finish_all(vec![Finish { cost: Some(cost), ..finish(lease, completed()) }]).await[0]
    };
    let first = fx.running_from(costing("first", 1, 20)).await.lease;
    assert_eq!(rested_in(fx).await, Some(secs(2)));
    assert_eq!(settle(&first, 50).await, LeaseStatus::Held);
    assert_eq!(rested_in(fx).await, Some(secs(5)));
    fx.enqueue(NewJob { limit_keys: vec!["key".into()], ..costing("second", 1, 20) }).await;
    assert!(fx.claim_ids().await.is_empty(), "later runs wait for it");
    fx.clock.advance(secs(3));
    let second = fx.claim_one().await.lease;
    assert_eq!(rested_in(fx).await, Some(secs(4)));
    settle(&second, 0).await;
    assert_eq!(rested_in(fx).await, Some(secs(2)), "what was reserved in vain is free at once");
    settle(&second, 0).await;
    assert_eq!(rested_in(fx).await, Some(secs(2)), "once");
}

/// "Limits of a queue that are set count what runs already."
pub async fn limits_of_a_queue_that_are_set_count_what_runs_already(fx: &Fixture) {
    fx.enqueue_all(vec![costing("a", 2, 1), named("b"), limited("c", &["provider"]), named("d")]).await;
    let leases = fx.claim_leases().await;
    assert_eq!((leases.len(), used(fx).await), (4, None));
    set_slots(fx, 3).await;
    assert_eq!(used(fx).await, Some(5));
    enqueue(fx, &["e"]).await;
    for lease in &leases[..2] {
        assert!(fx.claim_ids().await.is_empty(), "those run on");
        fx.end(lease, completed()).await;
    }
    assert_eq!(used(fx).await, Some(2));
    assert_eq!(fx.claim_ids().await, ids(["e"]));
    // While they are not limited, runs begin and end all the same.
    fx.set_queue(QUEUE, &QueueConfig::default()).await;
    fx.end(&leases[2], completed()).await;
    fx.running_from(costing("f", 4, 1)).await;
    set_slots(fx, 9).await;
    assert_eq!(used(fx).await, Some(6));
}

/// "Limits of a queue that are raised or taken away let waiting jobs go."
pub async fn limits_of_a_queue_that_are_raised_or_taken_away_let_waiting_jobs_go(fx: &Fixture) {
    set_slots(fx, 1).await;
    enqueue(fx, &["a", "b", "c", "d"]).await;
    assert_eq!(fx.claim_ids().await, ids(["a"]));
    for (slots, expected) in [(Some(2), vec![id("b")]), (None, ids(["c", "d"]).to_vec())] {
        let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
        park(fx, waiting.as_mut()).await;
        fx.set_queue(QUEUE, &QueueConfig { slots, ..QueueConfig::default() }).await;
        let claimed = ok("claim", within("other limits", waiting).await);
        assert_eq!(claimed.into_iter().map(|job| job.lease.id).collect::<Vec<_>>(), expected);
    }
    set_rate(fx, 1, 1).await;
    enqueue(fx, &["e", "f"]).await;
    assert_eq!(fx.claim_ids().await, ids(["e"]));
    set_rate(fx, 2, 1).await;
    assert_eq!(fx.claim_ids().await, ids(["f"]), "a rate that is set anew begins at rest");
}

/// "A queue tells what is taken of its limits."
pub async fn a_queue_tells_what_is_taken_of_its_limits(fx: &Fixture) {
    let told = |queue: QueueInfo| (queue.used, queue.rate_left, queue.rate_free_at);
    assert_eq!(told(fx.queue(QUEUE).await), (None, None, None));
    let rate = Some(Rate { n: 2, per: secs(1), burst: Some(3) });
    let config = QueueConfig { slots: Some(7), rate, ..QueueConfig::default() };
    fx.set_queue(QUEUE, &config).await;
    assert_eq!(told(fx.queue(QUEUE).await), (Some(0), Some(3), None));
    fx.enqueue_all(vec![costing("a", 2, 1), limited("b", &["provider"])]).await;
    assert_eq!(fx.claim_ids().await.len(), 2);
    assert_eq!(told(fx.queue(QUEUE).await), (Some(3), Some(1), Some(fx.now().plus(secs(1)))));
    fx.clock.advance(secs(1));
    assert_eq!(told(fx.queue(QUEUE).await), (Some(3), Some(3), None));
}

/// "Limits of a queue that are set again as they are forget nothing."
pub async fn limits_of_a_queue_that_are_set_again_as_they_are_forget_nothing(fx: &Fixture) {
    let rate = Some(Rate { n: 1, per: secs(60), burst: Some(2) });
    let config = QueueConfig { slots: Some(3), rate, ..QueueConfig::default() };
    fx.set_queue(QUEUE, &config).await;
    enqueue(fx, &["a", "b", "c"]).await;
    assert_eq!(fx.claim_ids().await, ids(["a", "b"]));
    let rested = rested_in(fx).await;
    fx.set_queue(QUEUE, &QueueConfig { fair: true, ..config.clone() }).await;
    fx.set_queue(QUEUE, &config).await;
    assert_eq!((used(fx).await, rested_in(fx).await), (Some(2), rested));
    assert!(fx.claim_ids().await.is_empty());
    fx.sweep().await;
    assert_eq!((used(fx).await, rested_in(fx).await), (Some(2), rested), "nor does a sweep");
    fx.set_queue(QUEUE, &QueueConfig { rate: None, ..config.clone() }).await;
    fx.set_queue(QUEUE, &config).await;
    assert_eq!((used(fx).await, rested_in(fx).await), (Some(2), None), "a rate begins at rest");
}
