//! Jobs that are asked to stop.

use std::time::Duration;

use longhaul::{CANCEL_GRACE, Done, JobError, State};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::script::{OnDrop, Script, enqueue, longhaul, record, until, within, worker};

const GRACE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_cancel_reaches_a_running_job_with_its_next_heartbeat() {
    let (longhaul, _clock) = longhaul();
    let script = Script::new(async |_, cx| {
        cx.cancelled().await;
        assert!(cx.is_cancelled());
        Err(JobError::retry("stopped in the middle"))
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    until(&longhaul, &id, State::Running).await;
    assert_eq!(longhaul.cancel(&id).await.unwrap(), Done::Yes);
    let ended = until(&longhaul, &id, State::Cancelled).await;
    assert_eq!(ended.errors.last().unwrap().message, "stopped in the middle");
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_cancel_reaches_a_job_that_reports_without_waiting_for_a_heartbeat() {
    let (longhaul, _clock) = longhaul();
    let (told, mut hears) = mpsc::unbounded_channel();
    let script = Script::new(move |_, cx| {
        let told = told.clone();
        async move {
            cx.longhaul().cancel(cx.id()).await?;
            // The answer to this record carries the request.
            cx.step("first", async || Ok(())).await?;
            told.send(cx.is_cancelled())?;
            Ok(Value::Null)
        }
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    assert_eq!(within("the job", hears.recv()).await, Some(true));
    until(&longhaul, &id, State::Completed).await;
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_job_that_completes_in_spite_of_a_cancel_is_completed() {
    let (longhaul, _clock) = longhaul();
    let script = Script::new(async |_, cx| {
        cx.cancelled().await;
        Ok(json!("it was too late"))
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    until(&longhaul, &id, State::Running).await;
    longhaul.cancel(&id).await.unwrap();
    let done = until(&longhaul, &id, State::Completed).await;
    assert_eq!(done.output.unwrap().to_value(), json!("it was too late"));
    worker.shutdown(GRACE).await;
}

#[tokio::test]
async fn a_job_that_ignores_a_cancel_is_fenced_off_and_stopped() {
    let (longhaul, clock) = longhaul();
    let (dropped, mut drops) = mpsc::unbounded_channel();
    let script = Script::new(move |_, _| {
        let guard = OnDrop(dropped.clone());
        async move {
            let _guard = guard;
            std::future::pending().await
        }
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    until(&longhaul, &id, State::Running).await;
    longhaul.cancel(&id).await.unwrap();
    assert!(record(&longhaul, &id).await.cancel_requested);
    clock.advance(CANCEL_GRACE);
    // The worker's own upkeep may have swept before; either way the job is fenced off now.
    longhaul.store().sweep(10).await.unwrap();
    assert_eq!(record(&longhaul, &id).await.state, State::Cancelled);
    within("the job's code to be stopped", drops.recv()).await.unwrap();
    // What stopped it was the lost lease, so that nothing was said about it any more.
    worker.shutdown(GRACE).await;
    assert_eq!(record(&longhaul, &id).await.state, State::Cancelled);
}
