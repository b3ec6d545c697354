//! Jobs that wait for others, as far as only this store has something to keep or to tell for them.

use longhaul::{
    Action, Clock, DEPENDANTS_AT_ONCE, Dependency, JobFilter, Json, NewJob, OnClash, Outcome, PREFER_FOR,
    Prefer, State, Store, Unique, WaitsFor,
};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{HOUR, claim, completed, failed, finish, id, json, named, secs, slots};
use longhaul_redis::{RedisOptions, RedisStore};

use crate::alike::kept;
use crate::changes::{ChangeLog, moves};
use crate::server::shared;

async fn fixture() -> (Fixture, RedisOptions) {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    (Fixture::new(store, clock), options)
}

fn after(name: &str, dependency: &str) -> NewJob {
    NewJob { depends_on: vec![Dependency::on(id(dependency))], ..named(name) }
}

fn waits(on: WaitsFor, timeout: Option<std::time::Duration>) -> Outcome {
    Outcome::Waits { on, timeout, error: None }
}

/// The keys that are there for dependencies and waits.
fn kept_for_waits(options: &RedisOptions) -> Vec<String> {
    let is_for_waits = |key: &String| {
        ["dependants", "unsettled", "uncounted", "awaited", "settling", "waking"]
            .iter()
            .any(|word| key.starts_with(word))
    };
    kept(options).into_keys().filter(is_for_waits).collect()
}

#[tokio::test]
async fn nothing_is_kept_of_dependencies_whose_jobs_are_gone() {
    let (fx, options) = fixture().await;
    let first = fx.running_from(named("a")).await.lease;
    fx.enqueue_all(vec![after("b", "a"), after("c", "b")]).await;
    // One that goes before the job that it depends on has ended.
    fx.enqueue(after("gone", "a")).await;
    fx.act(&id("gone"), Action::cancel(secs(1))).await;
    fx.act(&id("gone"), Action::Delete).await;
    fx.end(&first, completed()).await;
    let kept: Vec<_> = kept_for_waits(&options).iter().map(|key| key[..6].to_owned()).collect();
    assert_eq!(kept, ["awaite", "depend", "depend", "unsett"], "b is still to end");
    let second = fx.claim_one().await.lease;
    fx.end(&second, failed()).await;
    for name in ["c", "a", "b"] {
        assert_eq!(fx.act(&id(name), Action::Delete).await, 1);
    }
    assert!(kept_for_waits(&options).is_empty(), "{:?}", kept_for_waits(&options));
}

#[tokio::test]
async fn nothing_is_kept_of_the_end_of_a_wait_that_was_over_before() {
    let (fx, options) = fixture().await;
    let on = WaitsFor::Signal("go".into());
    for name in ["a", "b"] {
        let lease = fx.running_from(named(name)).await.lease;
        fx.end(&lease, waits(on.clone(), Some(HOUR))).await;
    }
    assert_eq!(kept_for_waits(&options), ["waking"]);
    fx.store.signal(&id("a"), "go", &Json::null()).await.unwrap();
    fx.act(&id("b"), Action::cancel(secs(1))).await;
    assert!(kept_for_waits(&options).is_empty());
}

#[tokio::test]
async fn a_claim_that_finds_nothing_has_dependants_count_an_end_until_there_is_something() {
    let (fx, options) = fixture().await;
    let many = DEPENDANTS_AT_ONCE + 1;
    let lease = fx.running_from(named("a")).await.lease;
    fx.enqueue_all((0..many).map(|n| after(&format!("d{n}"), "a")).collect()).await;
    fx.end(&lease, completed()).await;
    let mut freed = 0;
    while freed < many {
        let claimed = fx.claim(longhaul::Claim { queues: vec![slots("images", 10_000)], ..claim() }).await;
        assert!(!claimed.is_empty(), "{freed} of {many} were freed without a sweep");
        freed += claimed.len();
    }
    assert!(!kept_for_waits(&options).iter().any(|key| key.starts_with("settling")));
}

#[tokio::test]
async fn a_completion_of_a_run_that_was_claimed_here_reports_the_freed_jobs_once() {
    let store = RedisStore::open(shared().options()).await.unwrap();
    let log = ChangeLog::of(&store);
    store.enqueue(vec![named("a")]).await.unwrap();
    let lease = store.claim(claim()).await.unwrap().remove(0).lease;
    store.enqueue(vec![after("b", "a")]).await.unwrap();
    log.take_some(&store).await;
    store.finish(vec![finish(&lease, completed())]).await.unwrap();
    let mut received = log.take_some(&store).await;
    received.sort();
    let (blocked, available) = (Some(State::Blocked), Some(State::Available));
    let expected = [("a", Some(State::Running), Some(State::Completed)), ("b", blocked, available)];
    assert_eq!(received, moves(expected));
}

#[tokio::test]
async fn runs_that_end_in_one_call_see_what_the_others_of_it_have_become() {
    let (fx, _) = fixture().await;
    fx.enqueue_all(vec![named("plain"), named("other")]).await;
    let leases: Vec<_> = fx.claim(claim()).await.into_iter().map(|claimed| claimed.lease).collect();
    // The first is complete by the time at which a follow-up of the second depends on it, and another names it as its parent.
    let follow_ups = vec![after("next", "plain"), NewJob { parent: Some(id("plain")), ..named("child") }];
    let second = longhaul::Finish { follow_ups, ..finish(&leases[1], completed()) };
    fx.finish_all(vec![finish(&leases[0], completed()), second]).await;
    let plain = fx.job(&id("plain")).await;
    assert_eq!((plain.state, plain.children), (State::Completed, None));
    assert_eq!(fx.claim_ids().await, [id("next"), id("child")]);
}

#[tokio::test]
async fn a_holder_that_is_replaced_in_the_call_that_brought_its_steps_has_none() {
    let (fx, _) = fixture().await;
    let unique = Unique { key: "k".into(), period: None, states: None, on_clash: OnClash::Replace };
    let keyed = NewJob { unique: Some(unique), ..named("a") };
    let fork = NewJob { steps: vec![("ocr".into(), json("1"))], ..keyed.clone() };
    fx.enqueue_all(vec![fork, NewJob { id: None, ..keyed }]).await;
    assert_eq!(fx.store.steps(&id("a")).await.unwrap().unwrap(), []);
    assert!(fx.claim_one().await.steps.is_empty());
}

#[tokio::test]
async fn jobs_behind_very_many_keys_whose_jobs_wait_for_other_workers_are_claimed_at_once() {
    let (fx, _) = fixture().await;
    let soft = |n: usize| NewJob {
        limit_keys: vec![format!("tenant:{n}")],
        prefer: Some(Prefer::soft([("gpu", "a100")])),
        ..named(&format!("soft-{n}"))
    };
    fx.enqueue_all((0..1_200).map(soft).collect()).await;
    fx.enqueue_all(vec![NewJob { limit_keys: vec!["tenant:7".into()], ..named("keyed") }, named("plain")])
        .await;
    assert_eq!(fx.claim_ids().await, [id("keyed"), id("plain")]);
    fx.clock.advance(PREFER_FOR);
    assert!(!fx.claim_ids().await.is_empty(), "and these as soon as they wait no more");
}

#[tokio::test]
async fn a_dependency_that_a_newcomer_supersedes_is_no_longer_waited_for() {
    let (fx, _) = fixture().await;
    let unique = Unique { key: "k".into(), period: None, states: None, on_clash: OnClash::Supersede };
    let keyed = |job: NewJob| NewJob { unique: Some(unique.clone()), ..job };
    fx.enqueue(keyed(named("a"))).await;
    let mut newcomer = keyed(after("b", "a"));
    newcomer.depends_on[0].on_failure = longhaul::OnFailure::Run;
    fx.enqueue(newcomer).await;
    assert_eq!(fx.state(&id("a")).await, State::Cancelled);
    assert_eq!(fx.claim_ids().await, [id("b")], "which would wait for ever");
    let all = JobFilter { states: vec![State::Blocked], ..JobFilter::default() };
    assert!(fx.list(&all).await.is_empty());
}
