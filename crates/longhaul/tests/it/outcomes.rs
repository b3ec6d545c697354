//! The outcome of a job for each way in which its code ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use longhaul::{EnqueueOptions, ErrorKind, JobError, JobId, Json, NewJob, State};
use serde_json::json;

use crate::script::{
    Script, Scripted, enqueue, enqueue_with, longhaul, record, until, until_record, within, worker,
};

/// A wait that no default backoff, snooze or retry of these tests exceeds.
const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_job_completes_with_its_output() {
    let (longhaul, _clock) = longhaul();
    let worker = worker(&longhaul, Script::new(async |number, _| Ok(json!(number + 1)))).start();
    let id = enqueue(&longhaul, 41).await;
    let done = until(&longhaul, &id, State::Completed).await;
    assert_eq!(done.output.unwrap().to_value(), json!(42));
    assert_eq!((done.attempt, done.crashes, done.interruptions), (1, 0, 0));
    assert!(done.errors.is_empty());
    worker.shutdown(LONG).await;
}

#[tokio::test]
async fn an_error_is_retried_until_no_attempt_is_left() {
    let (longhaul, clock) = longhaul();
    let script = Script::new(async |_, cx| Err(JobError::retry(format!("no luck on try {}", cx.attempt()))));
    let worker = worker(&longhaul, script).start();
    let options = EnqueueOptions { max_attempts: Some(2), ..EnqueueOptions::default() };
    let id = enqueue_with(&longhaul, 1, options).await;

    let waiting = until(&longhaul, &id, State::Scheduled).await;
    assert_eq!(waiting.attempt, 1);
    assert!(waiting.run_at > clock.now(), "the retry must wait for its backoff");

    clock.advance(LONG);
    let failed = until(&longhaul, &id, State::Failed).await;
    assert_eq!(failed.attempt, 2);
    let errors: Vec<_> = failed.errors.iter().map(|e| (e.attempt, e.kind, e.message.as_str())).collect();
    assert_eq!(
        errors,
        [(1, ErrorKind::Error, "no luck on try 1"), (2, ErrorKind::Error, "no luck on try 2")]
    );
    worker.shutdown(LONG).await;
}

#[tokio::test]
async fn an_error_may_set_its_own_delay() {
    let (longhaul, clock) = longhaul();
    const DELAY: Duration = Duration::from_secs(77);
    let worker =
        worker(&longhaul, Script::new(async |_, _| Err(JobError::retry_after(DELAY, "later")))).start();
    let id = enqueue(&longhaul, 1).await;
    let waiting = until(&longhaul, &id, State::Scheduled).await;
    assert_eq!(waiting.run_at, clock.now().plus(DELAY));
    worker.shutdown(LONG).await;
}

#[tokio::test]
async fn a_fatal_error_is_not_retried() {
    let (longhaul, _clock) = longhaul();
    let worker = worker(&longhaul, Script::new(async |_, _| Err(JobError::fatal("no address")))).start();
    let id = enqueue(&longhaul, 1).await;
    let failed = until(&longhaul, &id, State::Failed).await;
    assert_eq!((failed.attempt, failed.max_attempts), (1, 3));
    assert_eq!(failed.errors[0].kind, ErrorKind::Fatal);
    worker.shutdown(LONG).await;
}

#[tokio::test]
async fn args_of_another_form_fail_the_job_at_once() {
    let (longhaul, _clock) = longhaul();
    let worker = worker(&longhaul, Script::new(async |_, _| Ok(json!(null)))).start();
    let mut job = NewJob::of(&Scripted { number: 1 }).unwrap();
    job.args = Json::new(&json!({ "number": "one" })).unwrap();
    let id = longhaul.enqueue_one(job).await.unwrap().id;
    let failed = until(&longhaul, &id, State::Failed).await;
    assert!(failed.errors[0].message.starts_with("failed to read args: "), "{:?}", failed.errors);
    worker.shutdown(LONG).await;
}

#[tokio::test]
async fn a_snoozed_job_runs_again_at_no_cost_of_an_attempt() {
    let (longhaul, clock) = longhaul();
    let runs = Arc::new(AtomicU32::new(0));
    let script = Script::new({
        let runs = Arc::clone(&runs);
        move |_, cx| {
            let run = runs.fetch_add(1, Ordering::SeqCst);
            async move { if run < 2 { Err(JobError::snooze(LONG, "not yet")) } else { Ok(json!(cx.attempt())) } }
        }
    });
    let worker = worker(&longhaul, script).start();
    let options = EnqueueOptions { max_attempts: Some(1), ..EnqueueOptions::default() };
    let id = enqueue_with(&longhaul, 1, options).await;
    for snoozes in 1..=2 {
        let has_snoozed = |record: &longhaul::JobRecord| {
            record.state == State::Scheduled && runs.load(Ordering::SeqCst) == snoozes
        };
        let snoozed = until_record(&longhaul, &id, "snoozed", has_snoozed).await;
        assert_eq!((snoozed.attempt, snoozed.run_at), (0, clock.now().plus(LONG)));
        clock.advance(LONG);
    }
    let done = until(&longhaul, &id, State::Completed).await;
    assert_eq!(done.output.unwrap().to_value(), json!(1), "every run was the first attempt");
    assert!(done.errors.is_empty());
    worker.shutdown(LONG).await;
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_cut_off() {
    let (longhaul, _clock) = longhaul();
    let worker = worker(&longhaul, Script::new(async |_, _| std::future::pending().await)).start();
    let options = EnqueueOptions {
        timeout: Some(Duration::from_millis(20)),
        max_attempts: Some(1),
        ..EnqueueOptions::default()
    };
    let id = enqueue_with(&longhaul, 1, options).await;
    let failed = until(&longhaul, &id, State::Failed).await;
    assert_eq!(failed.errors[0].kind, ErrorKind::Timeout);
    worker.shutdown(LONG).await;
}

/// The times at which a timer of 32 bits of milliseconds, and one of 64, begins anew.
#[tokio::test]
async fn a17_a_timeout_of_years_cuts_nothing_off() {
    let (longhaul, _clock) = longhaul();
    let script = Script::new(async |_, _| {
        tokio::task::yield_now().await;
        Ok(json!("done"))
    });
    let worker = worker(&longhaul, script).start();
    let ten_years = Duration::from_secs(315_360_000);
    for timeout in [Duration::from_secs(2_147_484), Duration::from_secs(4_294_968), ten_years, Duration::MAX]
    {
        let options =
            EnqueueOptions { timeout: Some(timeout), max_attempts: Some(1), ..EnqueueOptions::default() };
        let id = enqueue_with(&longhaul, 1, options).await;
        let done = until(&longhaul, &id, State::Completed).await;
        assert_eq!(done.errors, [], "{timeout:?}");
    }
    worker.shutdown(LONG).await;
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_worker_lives_on() {
    let (longhaul, _clock) = longhaul();
    let script = Script::new(async |number, _| match number {
        0 => panic!("division by zero"),
        number => Ok(json!(10 / number)),
    });
    let worker = worker(&longhaul, script).start();
    let bad = enqueue(&longhaul, 0).await;
    let waiting = until(&longhaul, &bad, State::Scheduled).await;
    assert_eq!(waiting.errors[0].kind, ErrorKind::Panic);
    assert_eq!(waiting.errors[0].message, "panicked: division by zero");
    let good = enqueue(&longhaul, 5).await;
    until(&longhaul, &good, State::Completed).await;
    worker.shutdown(LONG).await;
}

#[tokio::test]
async fn a_step_that_is_done_is_not_run_by_a_later_attempt() {
    let (longhaul, clock) = longhaul();
    let paid = Arc::new(AtomicU32::new(0));
    let script = Script::new({
        let paid = Arc::clone(&paid);
        move |_, cx| {
            let paid = Arc::clone(&paid);
            async move {
                let pay = async || Ok(paid.fetch_add(1, Ordering::SeqCst) + 100);
                let receipt: u32 = cx.step("pay", pay).await?;
                if cx.attempt() < 3 {
                    return Err(JobError::retry("the line broke after the payment"));
                }
                Ok(json!(receipt))
            }
        }
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    for attempt in 1..=2 {
        let is_waiting = |r: &longhaul::JobRecord| r.state == State::Scheduled && r.attempt == attempt;
        until_record(&longhaul, &id, "waiting for a retry", is_waiting).await;
        clock.advance(LONG);
    }
    let done = until(&longhaul, &id, State::Completed).await;
    assert_eq!(done.output.unwrap().to_value(), json!(100));
    assert_eq!(paid.load(Ordering::SeqCst), 1);
    worker.shutdown(LONG).await;
}

#[tokio::test]
async fn follow_ups_are_enqueued_by_a_completion_and_by_nothing_else() {
    let (longhaul, _clock) = longhaul();
    let script = Script::new(async |number, cx| {
        let mut next = NewJob::of(&Scripted { number: number + 10 })?;
        next.id = Some(JobId::new(format!("after-{number}"))?);
        next.parent = Some(cx.id().clone());
        next.queue = "later".into();
        cx.follow_up(next)?;
        if number == 1 { Ok(json!(null)) } else { Err(JobError::fatal("no")) }
    });
    let worker = worker(&longhaul, script).start();
    let (good, bad) = (enqueue(&longhaul, 1).await, enqueue(&longhaul, 2).await);
    until(&longhaul, &good, State::Completed).await;
    until(&longhaul, &bad, State::Failed).await;
    let next = record(&longhaul, &JobId::new("after-1").unwrap()).await;
    assert_eq!((next.state, next.parent), (State::Available, Some(good)));
    let other = longhaul.get(&JobId::new("after-2").unwrap()).await.unwrap();
    assert_eq!(other, longhaul::Lookup::Unknown);
    worker.shutdown(LONG).await;
}

#[tokio::test]
async fn waiting_for_a_job_answers_with_its_end() {
    let (longhaul, _clock) = longhaul();
    let worker = worker(&longhaul, Script::new(async |number, _| Ok(json!(number)))).start();
    let id = enqueue(&longhaul, 7).await;
    let done = within("the job", longhaul.wait(&id, LONG)).await.unwrap().found().unwrap();
    assert_eq!((done.state, done.output.unwrap().to_value()), (State::Completed, json!(7)));
    worker.shutdown(LONG).await;
}
