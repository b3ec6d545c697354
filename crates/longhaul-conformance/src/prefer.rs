//! The contract of what jobs prefer of workers.

use std::pin::pin;
use std::time::Duration;

use longhaul::{
    Action, CancelReason, Claim, Claimed, JobId, KeyConfig, NewJob, Outcome, PREFER_FOR, Prefer, QueueConfig,
    WorkerInfo,
};

use crate::Fixture;
use crate::fixture::{ok, park, within};
use crate::jobs::{
    HOUR, QUEUE, claim, completed, delayed, id, ids, kind, limited, named, secs, slots, worker,
};

const MILLI: Duration = Duration::from_millis(1);

/// A claim by a worker with these labels.
fn claim_with(labels: &[(&str, &str)]) -> Claim {
    let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
    Claim { worker: WorkerInfo { labels, ..worker("w1") }, ..claim() }
}

/// A claim by a worker that has a graphics card.
fn preferred() -> Claim {
    claim_with(&[("gpu", "a100"), ("zone", "eu")])
}

fn soft(name: &str) -> NewJob {
    NewJob { prefer: Some(Prefer::soft([("gpu", "a100")])), ..named(name) }
}

fn hard(name: &str) -> NewJob {
    NewJob { prefer: Some(Prefer::hard([("gpu", "a100")])), ..named(name) }
}

fn ids_of(claimed: Vec<Claimed>) -> Vec<JobId> {
    claimed.into_iter().map(|claimed| claimed.lease.id).collect()
}

/// Claims with a worker that has none of the preferred labels.
async fn claim_without_labels(fx: &Fixture) -> Vec<JobId> {
    ids_of(fx.claim(claim_with(&[("gpu", "h100"), ("zone", "eu")])).await)
}

/// "A worker that has all the labels claims a job that prefers them at once."
pub async fn a_worker_that_has_all_the_labels_claims_a_job_that_prefers_them_at_once(fx: &Fixture) {
    let both = Prefer::soft([("zone", "eu"), ("gpu", "a100")]);
    let all = vec![soft("a"), hard("b"), NewJob { prefer: Some(both), ..named("c") }, named("d")];
    fx.enqueue_all(all).await;
    assert_eq!(
        ids_of(fx.claim(claim_with(&[("gpu", "a100")])).await),
        ids(["a", "b", "d"]),
        "in their order"
    );
    assert_eq!(ids_of(fx.claim(preferred()).await), ids(["c"]));
    assert_eq!(fx.job(&id("b")).await.prefer, Some(Prefer::hard([("gpu", "a100")])));
}

/// "A worker without the labels claims a job once it has been due for a second."
pub async fn a_worker_without_the_labels_claims_a_job_once_it_has_been_due_for_a_second(fx: &Fixture) {
    fx.enqueue(soft("a")).await;
    fx.enqueue(NewJob { id: Some(id("later")), prefer: soft("b").prefer, ..delayed(secs(5)) }).await;
    assert!(claim_without_labels(fx).await.is_empty());
    fx.clock.advance(PREFER_FOR - MILLI);
    assert!(claim_without_labels(fx).await.is_empty());
    fx.clock.advance(MILLI);
    assert_eq!(claim_without_labels(fx).await, ids(["a"]));
    fx.clock.advance(secs(4));
    assert!(claim_without_labels(fx).await.is_empty(), "it counts from when a job falls due");
    fx.clock.advance(PREFER_FOR);
    assert_eq!(claim_without_labels(fx).await, ids(["later"]));
}

/// "A job that prefers labels hard is claimed by workers alone that have them."
pub async fn a_job_that_prefers_labels_hard_is_claimed_by_workers_alone_that_have_them(fx: &Fixture) {
    fx.enqueue(hard("a")).await;
    fx.clock.advance(24 * HOUR);
    assert!(claim_without_labels(fx).await.is_empty());
    assert!(fx.finish_and_claim(Vec::new(), claim()).await.claimed.is_empty());
    assert_eq!(ids_of(fx.claim(preferred()).await), ids(["a"]));
}

/// "A job that prefers others keeps no other back."
pub async fn a_job_that_prefers_others_keeps_no_other_back(fx: &Fixture) {
    fx.enqueue_all(vec![
        NewJob { priority: 9, ..hard("hard") },
        NewJob { priority: 9, ..soft("soft") },
        NewJob { limit_keys: vec!["tenant".into()], priority: 9, ..hard("hard-tenant") },
        limited("tenant", &["tenant"]),
        named("plain"),
    ])
    .await;
    assert_eq!(claim_without_labels(fx).await, ids(["tenant", "plain"]));
    let more = NewJob { limit_keys: vec!["tenant".into()], ..soft("soft-tenant") };
    fx.enqueue_all(vec![more, limited("next", &["tenant"])]).await;
    assert_eq!(claim_without_labels(fx).await, ids(["next"]), "nor those of its own limit keys");
    assert_eq!(ids_of(fx.claim(preferred()).await), ids(["hard", "soft", "hard-tenant", "soft-tenant"]));
}

/// "A job that prefers others is next once its second is over."
pub async fn a_job_that_prefers_others_is_next_once_its_second_is_over(fx: &Fixture) {
    fx.enqueue(NewJob { priority: 1, ..soft("soft") }).await;
    fx.enqueue_all(vec![named("a"), named("b")]).await;
    let one = Claim { queues: vec![slots(QUEUE, 1)], ..claim() };
    assert_eq!(ids_of(fx.claim(one.clone()).await), ids(["a"]));
    fx.clock.advance(PREFER_FOR);
    assert_eq!(ids_of(fx.claim(one.clone()).await), ids(["soft"]));
    assert_eq!(ids_of(fx.claim(one).await), ids(["b"]));
}

/// "A job that was given back has waited already for those that it prefers."
pub async fn a_job_that_was_given_back_has_waited_already_for_those_that_it_prefers(fx: &Fixture) {
    fx.enqueue(soft("a")).await;
    let lease = fx.claim(preferred()).await.remove(0).lease;
    fx.clock.advance(secs(5));
    fx.end(&lease, Outcome::Released).await;
    assert_eq!(claim_without_labels(fx).await, ids(["a"]));
}

/// "Jobs that prefer the same keep their order."
pub async fn jobs_that_prefer_the_same_keep_their_order(fx: &Fixture) {
    fx.enqueue(soft("old")).await;
    fx.clock.advance(PREFER_FOR);
    fx.enqueue(NewJob { priority: 1, ..soft("new") }).await;
    assert!(claim_without_labels(fx).await.is_empty(), "the first of them has not waited yet");
    // Of another kind, version or preference it would not be before it.
    fx.enqueue(NewJob { kind: "render".into(), priority: 9, ..soft("render") }).await;
    fx.clock.advance(PREFER_FOR - MILLI);
    assert!(claim_without_labels(fx).await.is_empty());
    fx.clock.advance(MILLI);
    assert_eq!(claim_without_labels(fx).await, ids(["new", "old"]));
    let kinds = vec![kind("render", 1)];
    assert_eq!(ids_of(fx.claim(Claim { kinds, ..preferred() }).await), ids(["render"]));
}

/// "Jobs with a preference take the turns of their keys."
pub async fn jobs_with_a_preference_take_the_turns_of_their_keys(fx: &Fixture) {
    fx.set_queue(QUEUE, &QueueConfig { fair: true, ..QueueConfig::default() }).await;
    for n in 0..3 {
        let key = |name: &str, job: NewJob| NewJob { limit_keys: vec![name.to_owned()], ..job };
        fx.enqueue_all(vec![
            key("a", soft(&format!("a{n}-soft"))),
            key("a", named(&format!("a{n}"))),
            key("b", named(&format!("b{n}"))),
            soft(&format!("c{n}-soft")),
            named(&format!("c{n}")),
        ])
        .await;
    }
    let mut order = String::new();
    for _ in 0..9 {
        let claimed = fx.claim(Claim { queues: vec![slots(QUEUE, 1)], ..preferred() }).await.remove(0);
        order.push_str(&claimed.lease.id.as_str()[..1]);
        fx.end(&claimed.lease, completed()).await;
    }
    assert_eq!(order, "cabcabcab", "a key has no more turns by what it prefers");
}

/// "Jobs with a preference and limit keys keep to their limits."
pub async fn jobs_with_a_preference_and_limit_keys_keep_to_their_limits(fx: &Fixture) {
    let config = KeyConfig { slots: Some(2), ..KeyConfig::default() };
    ok("configure a key", fx.store.set_key("tenant", Some(&config)).await);
    let keyed = |job: NewJob| NewJob { limit_keys: vec!["other".into(), "tenant".into()], ..job };
    fx.enqueue_all(vec![keyed(soft("a")), keyed(hard("b")), keyed(soft("c")), keyed(named("d"))]).await;
    let first = fx.claim(preferred()).await;
    assert_eq!(ids_of(first.clone()), ids(["a", "b"]));
    fx.clock.advance(PREFER_FOR);
    assert!(claim_without_labels(fx).await.is_empty());
    fx.end(&first[0].lease, completed()).await;
    assert_eq!(claim_without_labels(fx).await, ids(["c"]));
    fx.end(&first[1].lease, completed()).await;
    assert_eq!(ids_of(fx.claim(preferred()).await), ids(["d"]));
}

/// "Very many jobs that prefer others keep no other back."
pub async fn very_many_jobs_that_prefer_others_keep_no_other_back(fx: &Fixture) {
    for hundreds in 0..10 {
        let jobs = (0..100).map(|n| match n % 2 {
            0 => hard(&format!("hard-{hundreds}-{n}")),
            _ => NewJob {
                limit_keys: vec![format!("tenant:{hundreds}-{n}")],
                ..hard(&format!("keyed-{hundreds}-{n}"))
            },
        });
        fx.enqueue_all(jobs.collect()).await;
    }
    fx.enqueue(limited("keyed", &["tenant:0-1"])).await;
    fx.enqueue(named("plain")).await;
    let waiting = fx.store.claim(Claim { wait: HOUR, ..claim() });
    let claimed = ok("claim", within("jobs behind very many that prefer others", waiting).await);
    assert_eq!(ids_of(claimed), ids(["keyed", "plain"]));
    let mut taken = 0;
    while taken < 1_000 {
        let waiting = fx.store.claim(Claim { wait: HOUR, ..preferred() });
        taken += ok("claim", within("jobs that prefer the worker", waiting).await).len();
    }
    assert_eq!(taken, 1_000);
}

/// "A waiting claim answers when a job comes that prefers its worker."
pub async fn a_waiting_claim_answers_when_a_job_comes_that_prefers_its_worker(fx: &Fixture) {
    let mut stranger = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
    park(fx, stranger.as_mut()).await;
    let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..preferred() }));
    park(fx, waiting.as_mut()).await;
    fx.enqueue(hard("a")).await;
    let claimed = ok("claim", within("a job for this worker", waiting).await);
    assert_eq!(ids_of(claimed), ids(["a"]), "though one that waits longer looks for the same kinds");
    park(fx, stranger.as_mut()).await;
    // Of those that prefer the same, only the first comes into question.
    fx.enqueue(NewJob { priority: 1, ..soft("first") }).await;
    fx.clock.advance(PREFER_FOR - MILLI);
    let mut second = pin!(fx.store.claim(Claim { wait: HOUR, kinds: vec![kind("render", 1)], ..claim() }));
    fx.enqueue(NewJob { kind: "render".into(), ..soft("old") }).await;
    fx.clock.advance(MILLI);
    assert_eq!(ids_of(ok("claim", within("a second", stranger).await)), ids(["first"]));
    fx.enqueue(NewJob { kind: "render".into(), priority: 1, ..soft("young") }).await;
    fx.clock.advance(PREFER_FOR - 2 * MILLI);
    park(fx, second.as_mut()).await;
    let cancel = Action::Cancel { grace: secs(1), reason: CancelReason::Asked };
    fx.clock.advance(MILLI);
    assert_eq!(fx.act(&id("young"), cancel).await, 1);
    assert_eq!(ids_of(ok("claim", within("the one behind it", second).await)), ids(["old"]));
}

/// "A waiting claim of a worker without the labels answers when the second is over."
pub async fn a_waiting_claim_of_a_worker_without_the_labels_answers_when_the_second_is_over(fx: &Fixture) {
    // Before the claim waits, and while it does.
    for name in ["before", "while"] {
        let job = NewJob { limit_keys: vec!["tenant".into()], ..soft(name) };
        if name == "before" {
            fx.enqueue(job.clone()).await;
        }
        let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
        park(fx, waiting.as_mut()).await;
        if name == "while" {
            fx.enqueue(job).await;
            park(fx, waiting.as_mut()).await;
        }
        fx.clock.advance(PREFER_FOR);
        let claimed = ok("claim", within("the end of the second", waiting).await);
        assert_eq!(ids_of(claimed), [id(name)]);
    }
    fx.enqueue(soft("plain")).await;
    let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
    park(fx, waiting.as_mut()).await;
    fx.clock.advance(PREFER_FOR);
    assert_eq!(ids_of(ok("claim", within("a second", waiting).await)), ids(["plain"]));
}
