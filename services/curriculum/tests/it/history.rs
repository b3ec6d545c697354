//! The last 100 completed and 200 failed jobs are kept; the plans stay.

use longhaul::{Keep, QueueConfig, Retention};

use crate::fixture::{Fixture, job_id, modules};

async fn config(f: &Fixture) -> QueueConfig {
    let queues = f.longhaul.store().queues().await.unwrap();
    queues.into_iter().find(|queue| queue.name == curriculum::QUEUE).unwrap().config
}

#[tokio::test]
async fn what_is_kept_is_set_once_and_then_the_operators() {
    let f = Fixture::alone().await;
    let newest = |count| Keep { age: None, count: Some(count) };
    let ours = Retention { completed: newest(100), failed: newest(200), cancelled: newest(200) };
    assert_eq!(config(&f).await.retention, ours);
    let theirs = Retention { completed: newest(7), ..ours };
    let mut changed = config(&f).await;
    changed.retention = theirs.clone();
    f.longhaul.store().set_queue(curriculum::QUEUE, &changed).await.unwrap();
    let f = f.reopen(None).await;
    assert_eq!(config(&f).await.retention, theirs);
}

#[tokio::test]
async fn jobs_beyond_the_last_hundred_go_and_their_plans_stay() {
    let f = Fixture::alone().await;
    let id = f.workflow(&modules(105, 1.0)).await;
    f.start(&id).await;
    let worker = f.work();
    f.becomes(&id, 104, |job| job.state.is_finished()).await;
    drop(worker);
    while !f.longhaul.store().sweep(1_000).await.unwrap().is_empty() {}
    let status = f.status(&id).await;
    assert_eq!((&status["jobs"]["total"], &status["jobs"]["completed"]), (&100.into(), &100.into()));
    assert_eq!(status["jobs"]["details"][0]["moduleIndex"], 5, "the oldest went");
    assert_eq!((&status["status"], &status["modulesGenerated"]), (&"complete".into(), &105.into()));
    let step10 = f.step10("GET", &id, "").await.body["data"]["step10"].clone();
    assert_eq!(step10["moduleLessonPlans"].as_array().unwrap().len(), 105);
    // The id of a job that was cleared away is free; nothing asks for it again.
    assert_eq!(f.start(&id).await["data"]["jobsQueued"], 0);
    assert!(f.longhaul.get(&job_id(&id, 0)).await.unwrap().found().is_none());
}
