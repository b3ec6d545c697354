//! Batches with real workers: a closing job and its children.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use longhaul::{
    Children, Done, Error, Idempotency, JobError, JobId, Longhaul, NewJob, Outcome, Start, State, Unique,
};
use serde_json::{Value, json};

use crate::script::{OnDrop, Script, Scripted, longhaul, record, until, within, worker};

const GRACE: Duration = Duration::from_secs(60);

fn job(number: u32) -> NewJob {
    NewJob::of(&Scripted { number }).unwrap()
}

/// The closing job, number 0.
fn closing(id: &str) -> NewJob {
    NewJob { id: Some(JobId::new(id).unwrap()), ..job(0) }
}

/// Children return ten times their number, and number 13 fails; the closing job returns what it finds of them.
fn script(closed: &Arc<AtomicU32>) -> Script {
    let closed = Arc::clone(closed);
    Script::new(move |number, cx| {
        let closed = Arc::clone(&closed);
        async move {
            match number {
                0 => {
                    closed.fetch_add(1, Ordering::SeqCst);
                    let children = cx.longhaul().children(cx.id()).await?;
                    let output = |child: longhaul::JobRecord| child.output.map(|output| output.to_value());
                    Ok(json!(children.into_iter().map(output).collect::<Vec<_>>()))
                }
                13 => Err(JobError::fatal("bad luck")),
                number => Ok(json!(10 * number)),
            }
        }
    })
}

#[tokio::test]
async fn a_closing_job_runs_once_and_reads_its_childrens_outputs() {
    let (longhaul, _clock) = longhaul();
    let closed = Arc::new(AtomicU32::new(0));
    let worker = worker(&longhaul, script(&closed)).start();
    let children = || [7, 13, 9].map(job).to_vec();
    let batch = longhaul.enqueue_batch(closing("all"), children()).await.unwrap();
    assert!(batch.is_created());
    let done = until(&longhaul, &batch.id, State::Completed).await;
    assert_eq!(done.output.unwrap().to_value(), json!([70, Value::Null, 90]));
    assert_eq!(done.children, Some(Children { total: 3, completed: 2, failed: 1, cancelled: 0 }));

    let again = longhaul.enqueue_batch(closing("all"), children()).await.unwrap();
    assert!(again.is_duplicate(), "a batch that is enqueued again is the same batch");
    assert_eq!(longhaul.children(&batch.id).await.unwrap().len(), 3);
    worker.shutdown(GRACE).await;
    assert_eq!(closed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_batch_without_children_is_closed_at_once() {
    let (longhaul, _clock) = longhaul();
    let worker = worker(&longhaul, script(&Arc::default())).start();
    let batch = longhaul.enqueue_batch(closing("all"), Vec::new()).await.unwrap();
    let done = until(&longhaul, &batch.id, State::Completed).await;
    assert_eq!(done.output.unwrap().to_value(), json!([]));
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_closing_job_for_which_another_might_stand_is_refused() {
    let (longhaul, _clock) = longhaul();
    let unique = Unique::new("k");
    let idempotency = Idempotency { key: "k".into(), fingerprint: "f".into(), keep_for: GRACE };
    let refused = [
        (NewJob { unique: Some(unique), ..closing("all") }, "closing.unique"),
        (NewJob { idempotency: Some(idempotency), ..closing("all") }, "closing.idempotency"),
    ];
    for (closing, expected) in refused {
        match longhaul.enqueue_batch(closing, vec![job(1)]).await {
            Err(Error::Invalid { field, .. }) => assert_eq!(field, expected),
            other => panic!("it was to be refused, not {other:?}"),
        }
    }
    assert!(longhaul.store().queues().await.unwrap().is_empty(), "nothing was created");
}

#[tokio::test]
async fn cancelling_a_closing_job_cancels_its_children_and_theirs() {
    let (longhaul, _clock) = longhaul();
    // More than one call to the store reads.
    let children = (1..=1_200).map(|_| job(1)).collect();
    let batch = longhaul.enqueue_batch(closing("all"), children).await.unwrap().id;
    let inner = NewJob { parent: Some(batch.clone()), ..closing("inner") };
    longhaul.enqueue_batch(inner, vec![job(1), job(2)]).await.unwrap();
    let other = longhaul.enqueue_one(job(3)).await.unwrap().id;

    assert_eq!(longhaul.cancel(&batch).await.unwrap(), Done::Yes);
    assert_eq!(record(&longhaul, &batch).await.state, State::Cancelled, "their ends did not set it free");
    let children = longhaul.children(&batch).await.unwrap();
    assert_eq!(children.len(), 1_201);
    assert!(children.iter().all(|child| child.state == State::Cancelled));
    let grandchildren = longhaul.children(&children[1_200].id).await.unwrap();
    assert_eq!(grandchildren.iter().map(|child| child.state).collect::<Vec<_>>(), [State::Cancelled; 2]);
    assert_eq!(record(&longhaul, &other).await.state, State::Available);
    assert_eq!(
        longhaul.cancel(&batch).await.unwrap(),
        Done::NotApplicable,
        "there is nothing left to cancel"
    );
}

#[tokio::test]
async fn cancelling_a_closing_job_that_was_cancelled_alone_cancels_what_was_left() {
    let (longhaul, _clock) = longhaul();
    let batch = longhaul.enqueue_batch(closing("all"), vec![job(1)]).await.unwrap().id;
    cancel_alone(&longhaul, &batch).await;
    assert_eq!(longhaul.children(&batch).await.unwrap()[0].state, State::Available);
    assert_eq!(longhaul.cancel(&batch).await.unwrap(), Done::Yes);
    assert_eq!(longhaul.children(&batch).await.unwrap()[0].state, State::Cancelled);
}

/// Cancels the closing job alone, as a process does that ends in the middle of cancelling a batch.
async fn cancel_alone(longhaul: &Longhaul, id: &JobId) {
    let action = longhaul::Action::cancel(GRACE);
    assert_eq!(longhaul.store().act(&longhaul::JobFilter::id(id.clone()), action, 1).await.unwrap().done, 1);
}

#[tokio::test]
async fn jobs_that_name_each_other_are_cancelled_all_the_same() {
    let (longhaul, _clock) = longhaul();
    let waits = |id: &str, parent: &str| NewJob {
        parent: Some(JobId::new(parent).unwrap()),
        start: Start::AfterChildren,
        ..closing(id)
    };
    longhaul.enqueue_many(vec![waits("a", "b"), waits("b", "a"), waits("own", "own")]).await.unwrap();
    for id in ["a", "own"] {
        within("the cancel", longhaul.cancel(&JobId::new(id).unwrap())).await.unwrap();
    }
    for id in ["a", "b", "own"] {
        assert_eq!(record(&longhaul, &JobId::new(id).unwrap()).await.state, State::Cancelled, "{id}");
    }
}

#[tokio::test]
async fn a_running_child_is_asked_to_stop_with_its_batch() {
    let (longhaul, _clock) = longhaul();
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let script = Script::new(move |_, cx| {
        let guard = OnDrop(told.clone());
        async move {
            let _guard = guard;
            cx.cancelled().await;
            Err(JobError::cancel("the batch was cancelled"))
        }
    });
    let worker = worker(&longhaul, script).start();
    let batch = longhaul.enqueue_batch(closing("all"), vec![job(1)]).await.unwrap().id;
    let child = longhaul.children(&batch).await.unwrap().remove(0).id;
    until(&longhaul, &child, State::Running).await;
    assert_eq!(longhaul.cancel(&batch).await.unwrap(), Done::Yes);
    within("the child to stop", hears.recv()).await.unwrap();
    until(&longhaul, &child, State::Cancelled).await;
    assert_eq!(record(&longhaul, &batch).await.state, State::Cancelled);
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_rate_limited_job_pauses_its_key_for_all_workers() {
    let (longhaul, clock) = longhaul();
    let runs = Arc::new(AtomicU32::new(0));
    let script = Script::new({
        let runs = Arc::clone(&runs);
        move |number, _| {
            let run = runs.fetch_add(1, Ordering::SeqCst);
            async move { if run == 0 { Err(JobError::rate_limited(GRACE, "429")) } else { Ok(json!(number)) } }
        }
    });
    let limited = |number| NewJob { limit_keys: vec!["provider".into()], max_attempts: 1, ..job(number) };
    let first_worker = worker(&longhaul, script.clone()).start();
    let first = longhaul.enqueue_one(limited(1)).await.unwrap().id;
    until(&longhaul, &first, State::Scheduled).await;
    let second_worker = worker(&longhaul, script).start();
    let second = longhaul.enqueue_one(limited(2)).await.unwrap().id;
    let free = longhaul.enqueue_one(job(3)).await.unwrap().id;
    until(&longhaul, &free, State::Completed).await;
    assert_eq!(record(&longhaul, &second).await.state, State::Available);
    assert_eq!(runs.load(Ordering::SeqCst), 2, "the second did not run");

    clock.advance(GRACE);
    for id in [&first, &second] {
        let done = until(&longhaul, id, State::Completed).await;
        assert_eq!((done.attempt, done.errors.len()), (1, 0));
    }
    first_worker.shutdown(GRACE).await;
    second_worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_drain_runs_a_batch_and_what_a_limit_lets_through() {
    let mut harness = longhaul::testing::Harness::new();
    let closed = Arc::new(AtomicU32::new(0));
    let inner = script(&closed);
    let is_limited = Arc::new(AtomicU32::new(1));
    harness.register::<Scripted>(Script::new(move |number, cx| {
        let (inner, is_limited) = (inner.clone(), Arc::clone(&is_limited));
        async move {
            if number == 7 && is_limited.swap(0, Ordering::SeqCst) == 1 {
                return Err(JobError::rate_limited(GRACE, "429"));
            }
            inner.play(number, cx).await
        }
    }));
    let limited = |number| NewJob { limit_keys: vec!["provider".into()], ..job(number) };
    let children = vec![limited(7), job(8), limited(9)];
    let batch = harness.longhaul().enqueue_batch(closing("all"), children).await.unwrap().id;
    let ran = harness.drain().await;
    assert_eq!(ran.len(), 2, "7 comes to the limit, 8 has none, 9 waits: {ran:?}");
    assert_eq!(ran[0].outcome, Outcome::RateLimited { delay: GRACE });
    assert_eq!(harness.job(&batch).state, State::Blocked);

    harness.advance(GRACE);
    let ran = harness.drain().await;
    assert_eq!(
        ran.iter().map(|ran| &ran.id).skip(2).collect::<Vec<_>>(),
        [&batch],
        "it closes the batch: {ran:?}"
    );
    assert_eq!(harness.job(&batch).output.unwrap().to_value(), json!([70, 80, 90]));
    assert_eq!(closed.load(Ordering::SeqCst), 1);
}
