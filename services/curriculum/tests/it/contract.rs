//! The original document of this service (docs/services/curriculum.md) in its order: start, status, data, and every error.

use std::time::Duration;

use longhaul::State;
use serde_json::{Value, json};

use crate::fixture::Fixture;

const TITLES: [&str; 8] =
    ["Databases", "Networks", "Algorithms", "Security", "Systems", "Testing", "Ethics", "Project"];

/// Eight modules, 150 hours, as in the original document.
fn original() -> Value {
    let hours = [18, 18, 18, 18, 18, 18, 21, 21];
    let modules: Vec<Value> = hours
        .iter()
        .enumerate()
        .map(|(index, hours)| {
            json!({
                "code": format!("MOD{}", index + 1),
                "title": TITLES[index],
                "description": "Concepts, methods and practice.",
                "contactHours": hours,
                "outcomes": ["Explain the main ideas", "Apply the methods to a new case", "Evaluate the results"],
            })
        })
        .collect();
    json!({ "title": "Applied Computing", "level": "Diploma", "modules": modules, "step1": { "approved": true } })
}

#[tokio::test]
async fn the_original_document_is_answered_in_its_order() {
    let f = Fixture::alone().await;

    let created = f.send("POST", "/api/v3/workflow", original().to_string()).await;
    assert_eq!(created.status, 201);
    insta::assert_json_snapshot!("workflow_created", created.body, { ".data._id" => "[id]" });
    let id = created.body["data"]["_id"].as_str().unwrap().to_owned();
    assert!(id.len() == 24 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{id}");
    assert_eq!(f.get(&format!("/api/v3/workflow/{id}")).await.body, created.body);
    let listed = f.get("/api/v3/workflow").await.body;
    assert_eq!(
        listed,
        json!({ "success": true, "data": [created.body["data"]], "total": 1, "page": 1, "limit": 20 })
    );

    let named =
        |value: Value| -> Value { serde_json::from_str(&value.to_string().replace(&id, "[id]")).unwrap() };
    insta::assert_json_snapshot!("status_pending", named(f.step10("GET", &id, "/status").await.body));
    assert_eq!(f.step10("GET", &id, "").await.error(), (404, "Step 10 has not been generated yet"));
    insta::assert_json_snapshot!("started", f.start(&id).await);
    insta::assert_json_snapshot!("already_in_progress", f.start(&id).await);
    insta::assert_json_snapshot!("status_waiting", named(f.step10("GET", &id, "/status").await.body));

    let worker = f.work();
    f.completes(&id, 8).await;
    drop(worker);
    insta::assert_json_snapshot!("status_complete", named(f.step10("GET", &id, "/status").await.body));
    insta::assert_json_snapshot!("all_complete", f.start(&id).await);
    assert_eq!(f.get(&format!("/api/v3/workflow/{id}")).await.body["data"]["currentStep"], 10);

    let data = f.step10("GET", &id, "").await;
    assert_eq!(data.status, 200);
    let mut data = data.body;
    let plans = data["data"]["step10"]["moduleLessonPlans"].as_array_mut().unwrap();
    assert_eq!(plans.len(), 8);
    for (plan, hours) in plans.iter().zip([12, 12, 12, 12, 12, 12, 14, 14]) {
        assert_eq!(
            (&plan["totalLessons"], plan["lessons"].as_array().unwrap().len()),
            (&json!(hours), hours)
        );
    }
    // One module and two of its lessons are looked at field by field.
    plans.truncate(1);
    plans[0]["lessons"].as_array_mut().unwrap().truncate(2);
    insta::assert_json_snapshot!("data", data);
}

#[tokio::test]
async fn a_running_module_is_shown_in_bulls_words() {
    let double = fakes::Double::start().await;
    double.fail(crate::fixture::CHAT, fakes::Fault::Hang);
    let f = Fixture::with(&double).await;
    let id = f.workflow(&crate::fixture::modules(2, 3.0)).await;
    f.start(&id).await;
    let worker = f.work();
    double.wait_for(crate::fixture::CHAT, 1).await;
    let status = f.status(&id).await;
    assert_eq!(
        status["jobs"],
        json!({
            "total": 1, "active": 1, "completed": 0, "failed": 0,
            "details": [{
                "jobId": format!("step10-{id}-module-0"), "moduleIndex": 0, "state": "active", "progress": 0,
                "attemptsMade": 0, "processedOn": f.clock.now().0,
            }],
        })
    );
    assert_eq!(status["status"], "in_progress");
    drop(worker);
}

#[tokio::test]
async fn a_module_that_fails_is_delayed_and_then_failed() {
    let double = fakes::Double::start().await;
    let f = Fixture::with(&double).await;
    let id = f.workflow(&crate::fixture::modules(1, 3.0)).await;
    f.start(&id).await;
    for _ in 0..3 {
        double.fail(crate::fixture::CHAT, fakes::Fault::Status(500));
    }
    let _worker = f.work();
    for attempt in 1..=3 {
        if attempt < 3 {
            let job = f.fails_once_more(&id, 0, attempt).await;
            let minutes = u64::from(attempt);
            assert_eq!(job.run_at, f.clock.now().plus(Duration::from_secs(60 * minutes)), "1 minute, then 2");
            let detail = f.status(&id).await["jobs"]["details"][0].clone();
            assert_eq!((&detail["state"], &detail["attemptsMade"]), (&json!("delayed"), &json!(attempt)));
            assert_eq!(f.status(&id).await["status"], "in_progress");
            assert_eq!(f.start(&id).await["data"]["message"], "Generation already in progress");
            f.clock.advance(Duration::from_secs(60 * minutes));
        }
    }
    f.reaches(&id, 0, State::Failed).await;
    let status = f.status(&id).await;
    assert_eq!((&status["status"], &status["jobs"]["failed"]), (&json!("failed"), &json!(1)));
    let detail = &status["jobs"]["details"][0];
    assert_eq!((&detail["state"], &detail["attemptsMade"]), (&json!("failed"), &json!(3)));
    assert_eq!(
        detail["failedReason"],
        "LLM failed: 500 Internal Server Error: the double refuses with 500 Internal Server Error"
    );
    assert_eq!(detail["finishedOn"], f.clock.now().0);
}

#[tokio::test]
async fn step_9_must_be_complete() {
    let f = Fixture::alone().await;
    for body in [
        json!({ "title": "Nothing yet", "modules": [] }),
        json!({ "title": "Not yet", "modules": crate::fixture::modules(1, 3.0), "step9Complete": false }),
    ] {
        let created = f.send("POST", "/api/v3/workflow", body.to_string()).await;
        assert_eq!(created.status, 201);
        let id = created.body["data"]["_id"].as_str().unwrap();
        let refused = f.step10("POST", id, "").await;
        assert_eq!(refused.error(), (400, "Step 9 must be completed before generating lesson plans"));
        assert_eq!(f.status(id).await["status"], "pending");
        assert!(f.jobs().await.is_empty());
    }
}

#[tokio::test]
async fn an_unknown_workflow_is_404_everywhere() {
    let f = Fixture::alone().await;
    for id in ["6925b2aa0123456789abcdef", "1", "6925B2AA0123456789ABCDEF", "%00", "%ff", "a%2Fb"] {
        for (method, below) in
            [("GET", ""), ("POST", "/step10"), ("GET", "/step10"), ("GET", "/step10/status")]
        {
            let reply = f.send(method, &format!("/api/v3/workflow/{id}{below}"), "").await;
            assert_eq!(reply.error(), (404, "Workflow not found"), "{method} {id}{below}");
        }
    }
    let reply = f.send("DELETE", "/api/v3/workflow/6925b2aa0123456789abcdef/step10", "").await;
    assert_eq!(reply.error(), (405, "Method not allowed"));
}
