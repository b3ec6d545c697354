//! One call, and every module follows from the one before it.

use longhaul::{Clock, State};

use crate::fixture::{Fixture, modules};

#[tokio::test]
async fn thirty_modules_need_one_call_and_run_one_at_a_time() {
    // On the system's clock, so that the times of the jobs say something.
    let f = Fixture::open(tempfile::tempdir().unwrap(), Clock::system(), None).await;
    let id = f.workflow(&modules(30, 3.0)).await;
    assert_eq!(f.start(&id).await["data"]["jobsQueued"], 1);
    let _worker = f.work();
    f.completes(&id, 30).await;

    let mut jobs = f.jobs().await;
    assert_eq!(jobs.len(), 30, "a job for each module and no more");
    jobs.sort_by_key(|job| job.labels["module"].parse::<usize>().unwrap());
    for pair in jobs.windows(2) {
        let (job, next) = (&pair[0], &pair[1]);
        assert_eq!(next.created_at, job.finished_at.unwrap(), "one transaction has one time: {}", next.id);
        assert!(next.started_at.unwrap() >= job.finished_at.unwrap(), "two ran at once: {}", next.id);
    }
    assert!(jobs.iter().all(|job| job.attempt == 1 && job.state == State::Completed));

    let status = f.status(&id).await;
    assert_eq!(status["status"], "complete");
    assert_eq!(status["totalLessons"], 60);
    let data = f.step10("GET", &id, "").await.body["data"]["step10"].clone();
    assert_eq!(data["validation"]["valid"], true, "{}", data["validation"]);
    let codes: Vec<&str> = data["moduleLessonPlans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| plan["moduleCode"].as_str().unwrap())
        .collect();
    assert_eq!(codes.len(), 30);
    assert!(codes.is_sorted(), "{codes:?}");
}

#[tokio::test]
async fn the_next_module_is_not_queued_before_the_one_before_it_has_ended() {
    let double = fakes::Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&modules(2, 3.0)).await;
    f.start(&id).await;
    // The list of lessons, and two lessons: the second one never ends.
    double.fail_after(crate::fixture::CHAT, 2, fakes::Fault::Hang);
    let _worker = f.work();
    double.wait_for(crate::fixture::CHAT, 3).await;
    assert_eq!(f.jobs().await.len(), 1);
    let status = f.status(&id).await;
    assert_eq!((&status["modulesGenerated"], &status["totalLessons"]), (&0.into(), &0.into()));
    assert_eq!(f.step10("GET", &id, "").await.error(), (404, "Step 10 has not been generated yet"));
}

#[tokio::test]
async fn the_chain_holds_with_the_jobs_in_another_store() {
    let (f, _) = Fixture::apart().await;
    let id = f.workflow(&modules(5, 3.0)).await;
    let answers = futures::future::join_all((0..50).map(|_| f.start(&id))).await;
    assert_eq!(answers.iter().filter(|answer| answer["data"]["jobsQueued"] == 1).count(), 1);
    assert_eq!(f.jobs().await.len(), 1);
    let _worker = f.work();
    f.completes(&id, 5).await;
    assert_eq!(f.jobs().await.len(), 5);
    let status = f.status(&id).await;
    assert_eq!((&status["status"], &status["totalLessons"]), (&"complete".into(), &10.into()));
}
