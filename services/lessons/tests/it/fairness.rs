//! Users take turns, and a task that waits for its store is there.

use longhaul::{QueueConfig, State};
use serde_json::json;

use crate::fixture::{Fixture, Reply, job_id, text};

async fn ask(f: &Fixture, user: &str, topic: usize) -> String {
    let topic = format!("topic {topic}");
    let body = json!({ "subject": "history", "topic": topic, "user_id": user, "include_wikipedia": false });
    let reply = f.post(&body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    text(&reply.body["task_id"])
}

#[tokio::test]
async fn one_users_many_tasks_leave_a_turn_to_another_who_comes_behind_them() {
    let f = Fixture::with(vec![]).await;
    let mut tasks = Vec::new();
    for topic in 0..30 {
        tasks.push(ask(&f, "eve", topic).await);
    }
    tasks.push(ask(&f, "ada", 0).await);
    let _worker = f.work_at(1);
    for task in &tasks {
        assert_eq!(f.job_ended(task).await.state, State::Completed);
    }
    let rows = f.db.read("SELECT user_id FROM lessons ORDER BY rowid", vec![]).await.unwrap();
    let users: Vec<String> = rows.iter().map(|row| row.get("user_id").unwrap()).collect();
    assert_eq!(users.len(), 31);
    assert!(users[..2].contains(&"ada".to_owned()), "{users:?}");
}

#[tokio::test]
async fn an_operator_who_takes_the_turns_back_is_not_overruled_by_the_next_start() {
    let f = Fixture::with(vec![]).await;
    let is_fair = async |f: &Fixture| {
        let queues = f.longhaul.store().queues().await.unwrap();
        queues.iter().any(|queue| queue.name == lessons::QUEUE && queue.config.fair)
    };
    assert!(is_fair(&f).await);
    f.longhaul.store().set_queue(lessons::QUEUE, &QueueConfig::default()).await.unwrap();
    let f = f.reopen(vec![]).await;
    assert!(!is_fair(&f).await);
}

#[tokio::test]
async fn a_task_whose_job_waits_for_its_store_is_pending_until_it_is_there() {
    let (f, away) = Fixture::apart().await;
    away.leave();
    let task = ask(&f, "ada", 0).await;
    let waiting = f.status(&task).await;
    assert_eq!(
        (&waiting["status"], &waiting["progress_message"], &waiting["lesson_data"]),
        (&json!("pending"), &json!("Lesson generation is queued and will start shortly"), &json!(null))
    );
    assert_eq!(waiting.as_object().unwrap().len(), 7, "{waiting}");
    let cancelled: Reply = f.send("POST", &format!("/lessons/status/{task}/cancel"), None).await;
    assert_eq!((cancelled.status, &cancelled.headers["retry-after"]), (503, &"5".parse().unwrap()));
    let other = f.get("/lessons/status/another").await;
    assert_eq!(other.status, 503, "nobody knows whether it is there: {other:?}");

    away.come_back();
    assert_eq!(f.get("/lessons/status/another").await.status, 404);
    assert_eq!(f.status(&task).await["status"], "pending", "its store does not know it yet");
    assert_eq!(f.db.deliver().await.unwrap(), 1);
    assert!(f.longhaul.get(&job_id(&task)).await.unwrap().found().is_some());
    let _worker = f.work();
    assert_eq!(f.ended(&task).await["status"], "completed");
}
