//! `POST …/step10` again and again: while it runs, after it failed, after it is done, and many at once.

use std::time::Duration;

use fakes::{Double, Fault};
use longhaul::State;
use serde_json::{Value, json};

use crate::fixture::{CHAT, Fixture, job_id, modules};

/// So many calls at once, and their answers.
async fn calls(f: &Fixture, id: &str, count: usize) -> Vec<Value> {
    futures::future::join_all((0..count).map(|_| f.start(id))).await
}

fn queued(answers: &[Value]) -> usize {
    answers.iter().filter(|answer| answer["data"]["jobsQueued"] == 1).count()
}

#[tokio::test]
async fn fifty_calls_at_once_queue_one_job() {
    let f = Fixture::alone().await;
    let id = f.workflow(&modules(3, 3.0)).await;
    let answers = calls(&f, &id, 50).await;
    assert_eq!(queued(&answers), 1);
    assert!(answers.iter().all(|answer| answer["data"]["jobsQueued"] == 1
        || answer["data"]["message"] == "Generation already in progress"));
    assert_eq!(f.jobs().await.len(), 1);
}

#[tokio::test]
async fn calls_while_the_chain_runs_neither_break_nor_double_it() {
    let f = Fixture::alone().await;
    let id = f.workflow(&modules(20, 3.0)).await;
    f.start(&id).await;
    let _worker = f.work();
    let mut answers = Vec::new();
    while f.status(&id).await["status"] != "complete" {
        answers.extend(calls(&f, &id, 4).await);
    }
    // The answers that come after the last module say that all is done.
    assert_eq!(queued(&answers), 0, "{answers:?}");
    f.completes(&id, 20).await;
    let jobs = f.jobs().await;
    assert_eq!(jobs.len(), 20);
    assert!(jobs.iter().all(|job| job.attempt == 1), "none ran twice");
    assert_eq!(f.status(&id).await["totalLessons"], 40);
    let done = f.start(&id).await;
    assert_eq!(done["data"]["jobsQueued"], 0);
    assert_eq!(done["message"], "All modules already have their lesson plans.");
}

#[tokio::test]
async fn a_call_after_a_failure_goes_on_at_the_lesson_that_failed() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(2, 3.0)).await;
    f.start(&id).await;
    // The list and the first lesson are written; the second fails three times.
    for good in [2, 0, 0] {
        double.fail_after(CHAT, good, Fault::Status(500));
    }
    let worker = f.work();
    for attempt in [1, 2] {
        f.fails_once_more(&id, 0, attempt).await;
        f.clock.advance(Duration::from_secs(60 * 2));
    }
    f.reaches(&id, 0, State::Failed).await;
    assert_eq!(f.status(&id).await["status"], "failed");
    assert_eq!(double.seen(CHAT).len(), 5);
    drop(worker);

    let answers = calls(&f, &id, 50).await;
    assert_eq!(queued(&answers), 1, "one of them tries again");
    let status = f.status(&id).await;
    assert_eq!(status["status"], "in_progress");
    let detail = &status["jobs"]["details"][0];
    assert_eq!((&detail["state"], &detail["attemptsMade"]), (&json!("waiting"), &json!(0)));
    assert_eq!(detail["failedReason"], json!(null));

    let _worker = f.work();
    f.completes(&id, 2).await;
    assert_eq!(double.seen(CHAT).len(), 5 + 1 + 3, "of the first module only the second lesson was left");
    assert_eq!(f.status(&id).await["status"], "complete");
}

#[tokio::test]
async fn a_failed_job_that_was_cleared_away_is_queued_anew() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(1, 3.0)).await;
    f.start(&id).await;
    double.fail(CHAT, Fault::Status(404));
    let _worker = f.work();
    f.reaches(&id, 0, State::Failed).await;
    f.longhaul.delete(&job_id(&id, 0)).await.unwrap();
    assert_eq!(f.status(&id).await["status"], "pending");
    assert_eq!(f.start(&id).await["data"]["jobsQueued"], 1);
    f.completes(&id, 1).await;
}

#[tokio::test]
async fn a_cancelled_module_counts_as_failed_and_can_be_begun_again() {
    let f = Fixture::alone().await;
    let id = f.workflow(&modules(2, 3.0)).await;
    f.start(&id).await;
    f.longhaul.cancel(&job_id(&id, 0)).await.unwrap();
    let status = f.status(&id).await;
    assert_eq!(status["status"], "failed");
    let detail = &status["jobs"]["details"][0];
    assert_eq!((&detail["state"], &status["jobs"]["failed"]), (&json!("failed"), &json!(1)));
    assert!(detail["failedReason"].is_string(), "{detail}");
    assert_eq!(f.start(&id).await["data"]["jobsQueued"], 1);
    let _worker = f.work();
    f.completes(&id, 2).await;
}

#[tokio::test]
async fn retry_all_wakes_what_failed_and_nothing_that_is_done() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(5, 1.5)).await;
    f.start(&id).await;
    // Two requests a module; the third module fails for good.
    double.fail_after(CHAT, 4, Fault::Status(404));
    let _worker = f.work();
    f.reaches(&id, 2, State::Failed).await;
    let status = f.status(&id).await;
    assert_eq!((&status["status"], &status["modulesGenerated"]), (&json!("failed"), &json!(2)));
    let failed = longhaul::JobFilter { states: vec![State::Failed], ..longhaul::JobFilter::default() };
    let all = async || f.longhaul.store().act(&failed, longhaul::Action::Retry, 100).await.unwrap();
    assert_eq!(all().await.done, 1);
    // Clicked five times besides.
    assert_eq!(queued(&calls(&f, &id, 5).await), 0);
    f.completes(&id, 5).await;
    assert_eq!(all().await.matched, 0);
    let jobs = f.jobs().await;
    assert_eq!(jobs.len(), 5);
    let status = f.status(&id).await;
    assert_eq!((&status["status"], &status["totalLessons"]), (&json!("complete"), &json!(5)));
    assert_eq!(double.seen(CHAT).len(), 4 + 1 + 3 * 2, "each lesson was written once");
}
