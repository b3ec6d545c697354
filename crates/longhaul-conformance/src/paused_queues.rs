//! The contracts of [`Store::pause_queue`](longhaul::Store::pause_queue) and
//! [`Store::resume_queue`](longhaul::Store::resume_queue).

use std::pin::pin;

use longhaul::{Claim, Keep, NewJob, QueueConfig, Retention, State};

use crate::Fixture;
use crate::fixture::{ok, park, within};
use crate::jobs::{HOUR, QUEUE, claim, completed, delayed, id, job, named, retry, secs, slots};

async fn pause(fx: &Fixture, queue: &str) {
    ok("pause a queue", fx.store.pause_queue(queue).await);
}

async fn resume(fx: &Fixture, queue: &str) {
    ok("resume a queue", fx.store.resume_queue(queue).await);
}

/// "A claim takes no job of a paused queue."
pub async fn a_claim_takes_no_job_of_a_paused_queue(fx: &Fixture) {
    fx.enqueue(named("before")).await;
    pause(fx, QUEUE).await;
    fx.enqueue(named("after")).await;
    assert!(fx.claim_ids().await.is_empty());
    assert!(fx.queue(QUEUE).await.paused);
    let turn = fx.finish_and_claim(Vec::new(), claim()).await;
    assert!(turn.claimed.is_empty(), "nor does a turn");
    resume(fx, QUEUE).await;
    assert!(!fx.queue(QUEUE).await.paused);
    assert_eq!(fx.claim_ids().await, [id("before"), id("after")]);
}

/// "A claim of several queues passes over a paused one."
pub async fn a_claim_of_several_queues_passes_over_a_paused_one(fx: &Fixture) {
    pause(fx, QUEUE).await;
    fx.enqueue(named("held")).await;
    fx.enqueue(NewJob { queue: "mail".into(), ..named("free") }).await;
    let both = Claim { queues: vec![slots(QUEUE, 5), slots("mail", 5)], ..claim() };
    let ids: Vec<_> = fx.claim(both.clone()).await.into_iter().map(|claimed| claimed.lease.id).collect();
    assert_eq!(ids, [id("free")]);
    // With a finish beside the claim, which takes another way in some stores.
    fx.enqueue(NewJob { queue: "mail".into(), ..named("next") }).await;
    let mail = Claim { queues: vec![slots("mail", 1)], ..claim() };
    let lease = fx.claim(mail).await.remove(0).lease;
    fx.enqueue(NewJob { queue: "mail".into(), ..named("last") }).await;
    let turn = fx.finish_and_claim(vec![crate::jobs::finish(&lease, completed())], both).await;
    let ids: Vec<_> = turn.claimed.into_iter().map(|claimed| claimed.lease.id).collect();
    assert_eq!(ids, [id("last")]);
}

/// "A waiting claim answers when its queue is resumed."
pub async fn a_waiting_claim_answers_when_its_queue_is_resumed(fx: &Fixture) {
    pause(fx, QUEUE).await;
    fx.enqueue(named("held")).await;
    let mut waiting = pin!(fx.store.claim(Claim { wait: HOUR, ..claim() }));
    park(fx, waiting.as_mut()).await;
    fx.enqueue(named("another")).await;
    assert!(futures::poll!(waiting.as_mut()).is_pending(), "a job of a paused queue is no answer");
    resume(fx, QUEUE).await;
    let claimed = ok("claim", within("a claim of a queue that is resumed", waiting).await);
    assert_eq!(claimed.len(), 2);
}

/// "Jobs of a paused queue keep their states and their order."
pub async fn jobs_of_a_paused_queue_keep_their_states_and_their_order(fx: &Fixture) {
    for name in ["a", "b", "c"] {
        fx.enqueue(named(name)).await;
    }
    fx.enqueue(NewJob { id: Some(id("later")), ..delayed(secs(10)) }).await;
    let before = fx.seen(&id("b")).await;
    pause(fx, QUEUE).await;
    assert!(fx.claim_ids().await.is_empty());
    assert_eq!(fx.seen(&id("b")).await, before, "nothing is written to the jobs");
    fx.clock.advance(secs(10));
    fx.sweep().await;
    assert_eq!(fx.state(&id("later")).await, State::Available, "a scheduled job falls due all the same");
    fx.enqueue(named("d")).await;
    resume(fx, QUEUE).await;
    assert_eq!(fx.claim_ids().await, ["a", "b", "c", "later", "d"].map(id));
}

/// "A job that runs while its queue is paused goes on."
pub async fn a_job_that_runs_while_its_queue_is_paused_goes_on(fx: &Fixture) {
    let (first, second) = (fx.running().await.lease, fx.running().await.lease);
    pause(fx, QUEUE).await;
    fx.heartbeat(&first).await;
    fx.end(&first, completed()).await;
    assert_eq!(fx.state(&first.id).await, State::Completed);
    fx.end(&second, retry(secs(0))).await;
    assert!(fx.claim_ids().await.is_empty(), "its next attempt waits with the others");
    resume(fx, QUEUE).await;
    assert_eq!(fx.claim_ids().await, [second.id]);
}

/// "A paused queue is listed though no job is in it."
pub async fn a_paused_queue_is_listed_though_no_job_is_in_it(fx: &Fixture) {
    pause(fx, "empty").await;
    pause(fx, "empty").await;
    let listed = ok("list queues", fx.store.queues().await);
    assert_eq!(
        listed.iter().map(|queue| (queue.name.as_str(), queue.paused)).collect::<Vec<_>>(),
        [("empty", true)]
    );
    fx.sweep().await;
    assert!(fx.queue("empty").await.paused, "and a sweep leaves it so");
    resume(fx, "empty").await;
    assert!(ok("list queues", fx.store.queues().await).is_empty());
}

/// "A configuration leaves a pause as it is."
pub async fn a_configuration_leaves_a_pause_as_it_is(fx: &Fixture) {
    let keep = Keep { age: None, count: Some(7) };
    let config = QueueConfig {
        retention: Retention { failed: keep, ..Retention::default() },
        ..QueueConfig::default()
    };
    pause(fx, QUEUE).await;
    fx.set_queue(QUEUE, &config).await;
    let queue = fx.queue(QUEUE).await;
    assert_eq!((queue.paused, &queue.config), (true, &config));
    resume(fx, QUEUE).await;
    let queue = fx.queue(QUEUE).await;
    assert_eq!((queue.paused, &queue.config), (false, &config), "and a pause leaves the configuration");
}

/// "Resuming a queue that is not paused changes nothing."
pub async fn resuming_a_queue_that_is_not_paused_changes_nothing(fx: &Fixture) {
    resume(fx, "unheard-of").await;
    resume(fx, "no queue\0").await;
    assert!(ok("list queues", fx.store.queues().await).is_empty());
    fx.enqueue(job()).await;
    resume(fx, QUEUE).await;
    assert_eq!(fx.claim_ids().await.len(), 1);
}
