//! The original document of this service (docs/services/lessons.md) from its beginning to its end, over HTTP.

use std::time::Duration;

use fakes::Double;
use insta::assert_json_snapshot;
use longhaul::Lookup;
use serde_json::{Value, json};

use crate::fixture::{CHAT, Fixture, both, job_id, text};

/// The original document's documents, as they stand there.
const SEED: &str = include_str!("seed.md");

/// The JSON documents of the original document in order: a request, its answer, a task in progress and completed, the list.
fn documents() -> Vec<Value> {
    let blocks = SEED.split("```json").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|block| serde_json::from_str(&block.replace("{...}", "{}")).unwrap()).collect()
}

#[track_caller]
fn assert_same_keys(answer: &Value, seed: &Value) {
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(answer), keys(seed), "{answer:#}");
}

#[tokio::test]
async fn a_lesson_is_asked_for_made_shown_and_forgotten() {
    let documents = documents();
    let [request, started, in_progress, completed, list] = &documents[..] else { panic!("{documents:?}") };
    let double = Double::start().await;
    double.hold();
    let f = Fixture::with(both(&double)).await;

    let nothing = f.get("/lessons/tasks").await;
    assert_json_snapshot!("no_tasks", nothing.body);
    assert_same_keys(&nothing.body, list);
    let none = f.get("/lessons/english/verbs").await;
    assert_eq!(none.status, 404);
    assert_json_snapshot!("no_lesson", none.body);

    let reply = f.post(request).await;
    assert_eq!(reply.status, 200);
    assert_same_keys(&reply.body, started);
    let task = text(&reply.body["task_id"]);
    assert_eq!(reply.body["poll_url"], format!("/lessons/status/{task}"));
    assert_json_snapshot!("started", reply.body, { ".task_id" => "[task]", ".poll_url" => "[poll url]" });
    let shaped = |id: &str| id.split('-').map(str::len).collect::<Vec<_>>();
    assert_eq!(shaped(&task), shaped(&text(&started["task_id"])), "a UUID");
    for field in ["status", "message", "estimated_completion_time"] {
        assert_eq!(reply.body[field], started[field]);
    }

    let pending = f.status(&task).await;
    assert_same_keys(&pending, in_progress);
    assert_json_snapshot!("pending", pending, { ".task_id" => "[task]" });

    let worker = f.work();
    double.wait_for(CHAT, 1).await;
    let is_writing = |message: &str| message == "writing the lesson";
    f.becomes(&task, |job| job.progress.as_ref().is_some_and(|p| is_writing(&p.message))).await;
    let running = f.status(&task).await;
    assert_same_keys(&running, in_progress);
    assert!(text(&running["progress_message"]).starts_with(&text(&in_progress["progress_message"])));
    assert_json_snapshot!("in_progress", running, { ".task_id" => "[task]" });

    f.clock.advance(Duration::from_secs(55));
    double.release_all();
    let done = f.ended(&task).await;
    assert_same_keys(&done, completed);
    assert_same_keys(&done["lesson_data"], &completed["lesson_data"]);
    assert_eq!(done["progress_message"], completed["progress_message"]);
    let url = double.url();
    let public = |value: &Value| -> Value {
        serde_json::from_str(&value.to_string().replace(&url, "[wikipedia]")).unwrap()
    };
    assert_json_snapshot!("completed", public(&done), { ".task_id" => "[task]" });

    let lesson = f.get("/lessons/english/verbs").await;
    assert_eq!((lesson.status, lesson.headers["lesson-generator"].to_str().unwrap()), (200, "double-1"));
    let mut expected = done["lesson_data"].clone();
    expected["version"] = json!("1.0");
    assert_eq!(lesson.body, expected);
    assert_json_snapshot!("versions", f.get("/lessons/English/VERBS/versions").await.body);
    assert_json_snapshot!("found", f.get("/search_lessons?query=Verbs").await.body);

    // A second task waits while the first one's end is shown, as in the original document's list.
    double.hold();
    let second = text(&f.post(request).await.body["task_id"]);
    double.wait_for(CHAT, 2).await;
    let tasks = f.get("/lessons/tasks").await.body;
    assert_same_keys(&tasks, list);
    assert_same_keys(&tasks["tasks"][0], &list["tasks"][0]);
    assert_eq!(tasks["tasks"][0]["task_id"], second);
    assert_eq!(tasks["tasks"][1]["task_id"], task);
    assert_eq!(tasks["status_counts"], list["status_counts"]);
    assert_json_snapshot!("tasks", tasks, { ".tasks[].task_id" => "[task]" });
    double.release_all();
    f.job_ended(&second).await;
    worker.shutdown(crate::fixture::PATIENCE).await;

    // The task is forgotten after its time, and its lesson is not. The engine remembers the job for longer.
    f.clock.advance(Duration::from_secs(3_599));
    assert_eq!(f.status(&task).await["status"], "completed");
    f.clock.advance(Duration::from_secs(1));
    let gone = f.get(&format!("/lessons/status/{task}")).await;
    assert_eq!(gone.status, 404);
    assert_json_snapshot!("expired", public_task(&gone.body, &task));
    assert_eq!(f.get("/lessons/tasks").await.body, nothing.body);
    assert!(matches!(f.longhaul.get(&job_id(&task)).await.unwrap(), Lookup::Found(_)));
    assert_eq!(f.versions("english", "verbs").await, ["1.0", "1.1"]);
}

fn public_task(body: &Value, task: &str) -> Value {
    serde_json::from_str(&body.to_string().replace(task, "[task]")).unwrap()
}

#[tokio::test]
async fn a_lesson_that_fails_is_told_in_the_original_words() {
    let double = Double::start().await;
    let f = Fixture::with(both(&double)).await;
    let task = f.start("english", "verbs").await;
    let _worker = f.work();
    for attempt in 1..=3 {
        double.fail(CHAT, fakes::Fault::Status(503));
        if attempt > 1 {
            f.clock.advance(Duration::from_secs(2 * attempt));
        }
        if attempt < 3 {
            f.fails_once_more(&task, u32::try_from(attempt).unwrap()).await;
            let waiting = f.status(&task).await;
            assert_eq!(waiting["status"], "in_progress");
            let told = format!(
                "Lesson generation is in progress... (attempt {attempt} of 3 failed, waiting to try again)"
            );
            assert_eq!(waiting["progress_message"], told);
            assert_eq!(waiting["error_message"], Value::Null);
        }
    }
    let failed = f.ended(&task).await;
    assert_json_snapshot!("failed", failed, { ".task_id" => "[task]", ".completed_at" => "[time]" });
    assert_eq!(double.seen(CHAT).len(), 3);
    let tasks = f.get("/lessons/tasks").await.body;
    assert_eq!(
        tasks["status_counts"],
        json!({ "pending": 0, "in_progress": 0, "completed": 0, "failed": 1 })
    );
    assert_eq!(tasks["tasks"][0]["error_message"], failed["error_message"]);
    assert_eq!(f.get("/lessons/english/verbs").await.status, 404);
}
