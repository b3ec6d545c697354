//! A store that fails for a while: nothing is lost, and nothing is done twice that was done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use longhaul::{Clock, EventBody, State};
use serde_json::{Value, json};

use crate::faulty::{Fault, Faults, Operation};
use crate::script::{Script, enqueue, events, until, worker};

const GRACE: Duration = Duration::from_secs(60);

/// A script that counts its runs.
fn counted() -> (Script, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&runs);
    let script = Script::new(move |number, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move { Ok(json!(number)) }
    });
    (script, runs)
}

#[tokio::test]
async fn a_finish_that_the_store_refuses_is_sent_again() {
    let (longhaul, store) = Faults::start(Clock::manual());
    store.inflict(Operation::Finish, Fault::Refuse, 3);
    let (script, runs) = counted();
    let worker = worker(&longhaul, script).start();
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(enqueue(&longhaul, number).await);
    }
    for id in &ids {
        assert_eq!(until(&longhaul, id, State::Completed).await.attempt, 1);
    }
    assert_eq!(store.left(Operation::Finish), 0);
    assert_eq!(runs.load(Ordering::SeqCst), 10);
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_finish_whose_answer_was_lost_stands() {
    let (longhaul, store) = Faults::start(Clock::manual());
    store.inflict(Operation::Finish, Fault::LoseAnswer, 1);
    let (script, runs) = counted();
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 5).await;
    let done = until(&longhaul, &id, State::Completed).await;
    assert_eq!(done.output.unwrap().to_value(), json!(5));
    // The worker sends it again, hears that the lease is lost, and goes on.
    let next = enqueue(&longhaul, 6).await;
    until(&longhaul, &next, State::Completed).await;
    worker.shutdown(GRACE).await;
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_claim_that_the_store_refuses_is_sent_again() {
    let (longhaul, store) = Faults::start(Clock::manual());
    store.inflict(Operation::Claim, Fault::Refuse, 3);
    let (script, _) = counted();
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    until(&longhaul, &id, State::Completed).await;
    assert_eq!(store.left(Operation::Claim), 0);
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn jobs_whose_claim_was_lost_on_the_way_are_rescued_at_no_cost_of_an_attempt() {
    let clock = Clock::manual();
    let (longhaul, store) = Faults::start(clock.clone());
    store.inflict(Operation::Claim, Fault::LoseAnswer, 1);
    let id = enqueue(&longhaul, 1).await;
    let (script, runs) = counted();
    let worker = worker(&longhaul, script).start();
    until(&longhaul, &id, State::Running).await;
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    clock.advance(GRACE);
    longhaul.store().sweep(10).await.unwrap();
    let done = until(&longhaul, &id, State::Completed).await;
    assert_eq!((done.attempt, done.crashes), (1, 1));
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn what_a_job_says_while_the_store_refuses_it_arrives_later_and_in_order() {
    let (longhaul, store) = Faults::start(Clock::manual());
    store.inflict(Operation::Record, Fault::Refuse, 2);
    let script = Script::new({
        let store = Arc::clone(&store);
        move |_, cx| {
            let store = Arc::clone(&store);
            async move {
                for n in 0..5 {
                    cx.emit(n).await?;
                }
                // Goes on talking until the store has refused what was said twice, and taken it the third time.
                let mut seen = 0;
                while seen < 5 {
                    let news = cx.longhaul().events(cx.id(), 0, 100, Duration::ZERO).await?;
                    seen = chunks(news.unwrap_or_default()).len();
                    tokio::task::yield_now().await;
                }
                assert_eq!(store.left(Operation::Record), 0);
                cx.emit(5).await?;
                Ok(Value::Null)
            }
        }
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    until(&longhaul, &id, State::Completed).await;
    assert_eq!(chunks(events(&longhaul, &id).await), [0, 1, 2, 3, 4, 5]);
    worker.shutdown(GRACE).await;
}

fn chunks(events: Vec<longhaul::Event>) -> Vec<u32> {
    let chunk = |event: longhaul::Event| match event.body {
        EventBody::Chunk { data } => data.to().ok(),
        _ => None,
    };
    events.into_iter().filter_map(chunk).collect()
}
