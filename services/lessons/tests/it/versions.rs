//! Every lesson is a version, none is skipped and none is there twice.

use std::collections::BTreeSet;
use std::time::Duration;

use fakes::Double;
use serde_json::json;

use crate::fixture::{CHAT, Fixture, both, job_id, text, wikipedia};

#[tokio::test]
async fn every_request_makes_a_new_version() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let _worker = f.work();
    for number in 0..12 {
        // Case and white space around do not make another topic.
        let task = f.start(if number % 2 == 0 { "English" } else { " ENGLISH " }, "Verbs").await;
        assert_eq!(f.ended(&task).await["status"], "completed");
        f.clock.advance(Duration::from_secs(1));
        let newest = f.get("/lessons/english/verbs").await.body;
        assert_eq!(newest["version"], format!("1.{number}"));
    }
    let expected: Vec<String> = (0..12).map(|number| format!("1.{number}")).collect();
    assert_eq!(f.versions("english", "verbs").await, expected);
    let third = f.get("/lessons/english/verbs?version=1.3").await.body;
    assert_eq!(third["version"], "1.3");
    let made = f.get("/lessons/english/verbs/versions").await.body;
    assert_eq!(made["versions"][0], json!({ "version": "1.11", "created_at": "2026-01-01T00:00:11.000000" }));
}

#[tokio::test]
async fn subject_and_topic_are_two_things() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let _worker = f.work();
    for (subject, topic) in [("a/b", "c"), ("a", "b/c"), ("A", "b/C"), ("status", "tasks")] {
        f.ended(&f.start(subject, topic).await).await;
    }
    assert_eq!(f.versions("a%2Fb", "c").await, ["1.0"]);
    assert_eq!(f.versions("a", "b%2Fc").await, ["1.0", "1.1"]);
    assert_eq!(f.versions("status", "tasks").await, ["1.0"]);
    // Encoded, a subject is reached that is called as the route of tasks.
    assert_eq!(f.get("/lessons/%73tatus/tasks").await.body["version"], "1.0");
}

#[tokio::test]
async fn lessons_that_end_together_get_versions_of_their_own() {
    let double = Double::start().await;
    let f = Fixture::with(both(&double)).await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        tasks.push(f.start("english", "verbs").await);
    }
    double.hold();
    // Two servers on one file, so that not even one writer's order keeps them apart.
    let (_one, _two) = (f.work(), f.work());
    double.wait_for(CHAT, 16).await;
    double.release_all();
    let mut versions = BTreeSet::new();
    for task in &tasks {
        let job = f.job_ended(task).await;
        versions.insert(text(&job.output.unwrap().to_value()["version"]));
    }
    let expected: BTreeSet<String> = (0..20).map(|number| format!("1.{number}")).collect();
    assert_eq!(versions, expected);
    assert_eq!(f.versions("english", "verbs").await.len(), 20);
}

#[tokio::test]
async fn a_task_that_saves_again_finds_what_it_saved() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let _worker = f.work();
    let first = f.start("english", "verbs").await;
    let lesson = f.ended(&first).await;
    f.ended(&f.start("english", "verbs").await).await;
    // A completed job that is run again has forgotten its steps: it does all its work, and saves, once more.
    f.longhaul.retry(&job_id(&first)).await.unwrap();
    let again = f.ended(&first).await;
    assert_eq!(again["lesson_data"], lesson["lesson_data"]);
    let output = f.job_ended(&first).await.output.unwrap().to_value();
    assert_eq!(output["version"], "1.0");
    assert_eq!(f.versions("english", "verbs").await, ["1.0", "1.1"]);
}

#[tokio::test]
async fn how_long_it_takes_is_measured() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let estimate = async || {
        let body = json!({ "subject": "a", "topic": "b", "user_id": "c" });
        let reply = f.post(&body).await;
        (text(&reply.body["task_id"]), text(&reply.body["estimated_completion_time"]))
    };
    for number in 1..=10 {
        let (task, told) = estimate().await;
        assert_eq!(told, "30-60 seconds");
        f.clock.advance(Duration::from_secs(number));
        let worker = f.work();
        f.job_ended(&task).await;
        worker.shutdown(crate::fixture::PATIENCE).await;
    }
    f.clock.advance(Duration::from_secs(10));
    assert_eq!(estimate().await.1, "5-9 seconds");
    // The times of the outline do not count for a model.
    let f = f.reopen(both(&double)).await;
    let body = json!({ "subject": "a", "topic": "b", "user_id": "c" });
    assert_eq!(f.post(&body).await.body["estimated_completion_time"], "30-60 seconds");
}

#[tokio::test]
async fn lessons_are_found_by_their_words() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let _worker = f.work();
    for (subject, topic) in [
        ("biology", "photosynthesis"),
        ("english", "verbs"),
        ("english", "nouns"),
        ("verbs", "history"),
        ("math", "50% off"),
    ] {
        f.ended(&f.start(subject, topic).await).await;
    }
    f.ended(&f.start("english", "verbs").await).await;
    let search = async |query: &str| {
        let body = f.get(&format!("/search_lessons?query={query}")).await.body;
        assert_eq!(
            (&body["status"], body["count"].as_u64()),
            (&json!("success"), body["results"].as_array().map(|r| r.len() as u64))
        );
        let hits = body["results"].as_array().unwrap().iter();
        hits.map(|hit| {
            format!(
                "{}/{} {}",
                hit["subject"].as_str().unwrap(),
                hit["topic"].as_str().unwrap(),
                hit["version"].as_str().unwrap()
            )
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(search("chlorophyll").await, ["biology/photosynthesis 1.0"]);
    assert_eq!(search("VERBS").await, ["english/verbs 1.1", "verbs/history 1.0"], "the topic counts most");
    assert_eq!(search("english%20nouns").await, ["english/nouns 1.0"]);
    assert_eq!(search("50%25").await, ["math/50% off 1.0"], "a percent sign is one");
    assert_eq!(search("e&limit=2").await.len(), 2);
    assert!(search("nowhere").await.is_empty());
}
