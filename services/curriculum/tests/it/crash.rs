//! A worker that dies, at every place where that could matter.

use std::time::Duration;

use fakes::{Double, Fault};
use longhaul::{Clock, State};
use serde_json::json;

use crate::fixture::{CHAT, Fixture, job_id, modules};

/// The number of times that the model was asked for this lesson.
fn asked(double: &Double, lesson: u32) -> usize {
    let words = format!("Write the plan of lesson {lesson},");
    let seen = double.seen(CHAT);
    seen.iter().filter(|seen| String::from_utf8_lossy(&seen.body).contains(&words)).count()
}

#[tokio::test]
async fn a_crash_in_lesson_7_resumes_at_lesson_7() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(1, 15.0)).await;
    f.start(&id).await;
    // The list of lessons and six of them are written; the seventh hangs.
    double.fail_after(CHAT, 1 + 6, Fault::Hang);
    // A runtime of its own, which can be torn down as a kill would: nothing is handed back.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let worker = {
        let _within = runtime.enter();
        f.work()
    };
    double.wait_for(CHAT, 1 + 7).await;
    f.becomes(&id, 0, |job| job.progress.as_ref().is_some_and(|p| p.percent == 60.0)).await;
    runtime.shutdown_background();
    drop(worker);
    assert_eq!(f.job(&id, 0).await.unwrap().state, State::Running, "nobody has heard of the crash yet");

    let f = f.reopen(Some(&double)).await;
    f.clock.advance(Duration::from_secs(60));
    let _worker = f.work();
    let job = f.reaches(&id, 0, State::Completed).await;
    assert_eq!((job.crashes, job.attempt), (1, 1), "a crash costs no attempt");
    for lesson in 1..=10 {
        assert_eq!(asked(&double, lesson), if lesson == 7 { 2 } else { 1 }, "lesson {lesson}");
    }
    assert_eq!(double.seen(CHAT).len(), 1 + 10 + 1);
    let step10 = f.step10("GET", &id, "").await.body["data"]["step10"].clone();
    let lessons = step10["moduleLessonPlans"][0]["lessons"].as_array().unwrap();
    let ids: Vec<&str> = lessons.iter().map(|lesson| lesson["lessonId"].as_str().unwrap()).collect();
    assert_eq!(ids, (1..=10).map(|n| format!("CS001-L{n}")).collect::<Vec<_>>());
    assert!(lessons.iter().all(|lesson| lesson["generator"] == "double-1"));
    assert_eq!(f.status(&id).await["status"], "complete");
}

#[tokio::test]
async fn a_crash_at_any_request_costs_that_request_and_no_other() {
    // Two modules: of each the list of lessons and two lessons.
    for good in 0..6 {
        let double = Double::start().await;
        let f = Fixture::with(&double).await;
        let id = f.workflow(&modules(2, 3.0)).await;
        f.start(&id).await;
        double.fail_after(CHAT, good, Fault::Hang);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let worker = {
            let _within = runtime.enter();
            f.work()
        };
        double.wait_for(CHAT, good + 1).await;
        runtime.shutdown_background();
        drop(worker);

        let f = f.reopen(Some(&double)).await;
        f.clock.advance(Duration::from_secs(60));
        let _worker = f.work();
        f.completes(&id, 2).await;
        assert_eq!(double.seen(CHAT).len(), 6 + 1, "after {good}");
        let status = f.status(&id).await;
        assert_eq!((&status["status"], &status["totalLessons"]), (&json!("complete"), &json!(4)));
        assert_eq!(f.jobs().await.len(), 2);
    }
}

#[tokio::test]
async fn a_module_that_was_saved_and_not_ended_only_has_to_end() {
    let double = Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(2, 3.0)).await;
    f.start(&id).await;
    // Three requests for the first module, and then the model refuses for good.
    double.fail_after(CHAT, 3, Fault::Status(404));
    let worker = f.work();
    f.reaches(&id, 1, State::Failed).await;
    drop(worker);
    // As it is when the worker dies between the save and the end: saved, not ended, nothing queued after it.
    f.longhaul.delete(&job_id(&id, 1)).await.unwrap();
    f.longhaul.retry(&job_id(&id, 0)).await.unwrap();
    assert_eq!(f.status(&id).await["modulesGenerated"], 1);

    let asked_again = f.start(&id).await;
    assert_eq!(asked_again["data"]["message"], "Generation already in progress");
    assert_eq!(asked_again["data"]["jobsQueued"], 0);
    assert!(f.job(&id, 1).await.is_none(), "the first module's end will queue it");

    let _worker = f.work();
    f.completes(&id, 2).await;
    assert_eq!(double.seen(CHAT).len(), 3 + 1 + 3, "the first module was not written again");
    assert_eq!(f.job(&id, 0).await.unwrap().output.unwrap().to_value()["lessons"], json!(null));
    assert_eq!(f.status(&id).await["totalLessons"], 4);
}

#[tokio::test]
async fn a_module_run_again_by_hand_changes_nothing() {
    let f = Fixture::alone().await;
    let id = f.workflow(&modules(3, 3.0)).await;
    f.start(&id).await;
    let worker = f.work();
    f.completes(&id, 3).await;
    drop(worker);
    let before = f.step10("GET", &id, "").await.body;
    f.longhaul.retry(&job_id(&id, 0)).await.unwrap();
    let _worker = f.work();
    f.reaches(&id, 0, State::Completed).await;
    assert_eq!(f.step10("GET", &id, "").await.body, before);
    assert_eq!(f.jobs().await.len(), 3);
}

#[tokio::test]
async fn a_module_is_never_made_before_those_ahead_of_it() {
    let f = Fixture::alone().await;
    let id = f.workflow(&modules(3, 3.0)).await;
    let job = curriculum::GenerateModule { workflow_id: id.clone(), module_index: 2 };
    let early = f.longhaul.enqueue(job).await.unwrap().id;
    let none = curriculum::GenerateModule { workflow_id: "0".repeat(24), module_index: 0 };
    let none = f.longhaul.enqueue(none).await.unwrap().id;
    let _worker = f.work();
    for (job, reason) in [(early, "module 0 comes first"), (none, "Workflow not found")] {
        let job = f.longhaul.wait(&job, Duration::from_secs(60)).await.unwrap().found().unwrap();
        assert_eq!((job.state, job.errors[0].message.as_str()), (State::Failed, reason));
    }
    assert_eq!(f.status(&id).await["status"], "pending");
}

#[tokio::test]
async fn a_server_that_starts_anew_goes_on_where_the_last_one_was() {
    let f = Fixture::open(tempfile::tempdir().unwrap(), Clock::system(), None).await;
    let id = f.workflow(&modules(6, 3.0)).await;
    f.start(&id).await;
    let worker = f.work();
    f.reaches(&id, 1, State::Completed).await;
    worker.shutdown(Duration::ZERO).await;
    let f = f.reopen(None).await;
    let _worker = f.work();
    f.completes(&id, 6).await;
    assert_eq!(f.status(&id).await["modulesGenerated"], 6);
    assert!(f.jobs().await.iter().all(|job| job.attempt == 1));
}
