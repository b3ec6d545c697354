//! The faults that break systems like this one, by public reports, where the HTTP contract is what shows it. The letter and number
//! are the symptom's in `docs/conformance.md`.

use serde_json::{Value, json};

use crate::app::App;

async fn enqueue(app: &App, args: &str, more: &str) -> (u16, Value) {
    let body = format!(r#"{{"kind":"greet","args":{args}{more}}}"#);
    let answer = app.post("/api/jobs", &body).await;
    (answer.status.as_u16(), answer.json())
}

/// Equal is what means the same in JSON, whatever the order and the spelling; numbers and letters count as they are
/// written.
#[tokio::test]
async fn a11_args_that_differ_anywhere_are_two_jobs_and_args_in_another_order_are_one() {
    let app = App::new();
    let name = |rest: &str| format!(r#"{{"name":"Ada",{rest}}}"#);
    let jobs = [
        r#""a":{"b":{"c":1,"d":[{"e":1}]}}"#,
        r#""a":{"b":{"c":2,"d":[{"e":1}]}}"#,
        r#""a":{"b":{"c":1,"d":[{"e":2}]}}"#,
        r#""a":{"b":{"c":1.0,"d":[{"e":1}]}}"#,
        r#""a":null"#,
        r#""b":null"#,
        r#""a":{}"#,
        r#""a":[]"#,
        r#""a":[1,2]"#,
        r#""a":[2,1]"#,
        r#""a":"é""#,
        r#""a":"e\u0301""#,
        r#""a":"1""#,
        r#""a":1"#,
        r#""a":true"#,
    ];
    let mut ids = Vec::new();
    for rest in jobs {
        let (status, job) = enqueue(&app, &name(rest), r#","unique":{}"#).await;
        assert_eq!(status, 202, "{rest} is its own: {job}");
        ids.push(job["id"].clone());
    }
    let again = [
        (0, r#"{ "a" : {"b":{"d":[{"e":1}],"c":1}}, "name":"\u0041da" }"#.to_owned()),
        (10, name(r#""\u0061":"\u00e9""#)),
    ];
    for (first, args) in again {
        let (status, job) = enqueue(&app, &args, r#","unique":{}"#).await;
        assert_eq!((status, &job["id"]), (200, &ids[first]), "{args}");
    }
}

/// A worker in another language sends what its own strings may hold.
#[tokio::test]
async fn a23_half_of_a_surrogate_pair_from_a_remote_worker_ends_its_own_run() {
    let app = App::new();
    let outcomes = [
        r#""failed":{"error":{"message":"bad \ud800"}}"#,
        r#""retry":{"error":{"message":"bad \ud800"},"delay":0}"#,
        r#""cancelled":{"reason":"\udc00"}"#,
        r#""completed":{"output":{"s":"\ud800"}}"#,
    ];
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let ids = [format!("bad-{number}"), format!("good-{number}")];
        for id in &ids {
            enqueue(&app, r#"{"name":"x"}"#, &format!(r#","id":"{id}""#)).await;
        }
        let claim =
            r#"{"worker":{"id":"w"},"queues":[{"queue":"default","slots":5}],"kinds":[{"kind":"greet"}]}"#;
        let claimed = app.post("/api/worker/claim", claim).await.json()["claimed"].clone();
        let [bad, good] = [0, 1].map(|place| claimed[place]["lease"].to_string());
        let good = format!(r#"{{"lease":{good},"outcome":{{"completed":{{"output":1}}}}}}"#);
        let finishes = format!(r#"{{"finishes":[{{"lease":{bad},"outcome":{{{outcome}}}}},{good}]}}"#);
        let answer = app.post("/api/worker/finish", &finishes).await;
        assert_eq!(answer.json(), json!({"statuses": ["held", "held"]}), "{outcome}");

        let ended = app.get(&format!("/api/jobs/{}", ids[0])).await.json();
        assert_eq!(ended["state"], "failed", "{ended}");
        let told = ended["errors"][0]["message"].as_str().unwrap();
        assert!(told.starts_with("failed to keep what the job returned: "), "{told}");
        assert_eq!(app.get(&format!("/api/jobs/{}", ids[1])).await.json()["state"], "completed");
        assert_eq!(app.get(&format!("/api/jobs/{}/events", ids[0])).await.status, 200);
        let listed = app.get("/api/jobs?state=failed").await.json();
        assert_eq!(listed["jobs"].as_array().unwrap().len(), number + 1);
    }
}

/// A job that has failed is not the answer to a key, and is the answer to its id, which says how it ended.
#[tokio::test]
async fn a32_a_failed_job_stands_for_its_id_and_not_for_its_key_singly_and_in_a_batch() {
    let app = App::new();
    let worker = app.work();
    let by_id = r#"{"kind":"greet","args":{"name":""},"id":"x"}"#;
    let by_key = r#"{"kind":"greet","args":{"name":""},"unique":{"key":"k","period":3600}}"#;
    let first = app.post_with("/api/jobs", by_id, &[("prefer", "wait=60")]).await.json();
    assert_eq!(first["state"], "failed", "{first}");
    let keyed = app.post_with("/api/jobs", by_key, &[("prefer", "wait=60")]).await.json();
    assert_eq!(keyed["state"], "failed", "{keyed}");
    worker.shutdown(std::time::Duration::ZERO).await;

    let single = app.post("/api/jobs", by_id).await;
    assert_eq!((single.status.as_u16(), &single.json()["state"]), (200, &json!("failed")));
    let batch = app.post("/api/jobs/batch", &format!("[{by_id},{by_key},{by_key}]")).await.json();
    assert_eq!((&batch[0]["duplicate"], &batch[0]["id"]), (&json!(true), &single.json()["id"]), "{batch}");
    assert_ne!(batch[1]["id"], keyed["id"], "a key is free once its job has failed");
    assert_eq!((&batch[2]["duplicate"], &batch[2]["id"]), (&json!(true), &batch[1]["id"]), "{batch}");
}

/// A client resolves `.` and `..` away before it asks.
#[tokio::test]
async fn a34_an_id_that_a_path_cannot_carry_is_refused_and_every_other_is_found() {
    let app = App::new();
    for id in [".", "..", "a/b", "a?b", "a b", "é", ""] {
        let body = json!({"kind": "greet", "args": {"name": "x"}, "id": id}).to_string();
        assert_eq!(app.post("/api/jobs", &body).await.code(), "invalid", "{id:?}");
    }
    for id in ["a:b", "...", "-", ":", "_", "-".repeat(128).as_str()] {
        enqueue(&app, r#"{"name":"x"}"#, &format!(r#","id":"{id}""#)).await;
        assert_eq!(app.get(&format!("/api/jobs/{id}")).await.json()["id"], id);
        assert_eq!(app.post(&format!("/api/jobs/{id}/cancel"), "").await.status, 200);
        assert_eq!(app.delete(&format!("/api/jobs/{id}")).await.status, 204);
        assert_eq!(app.get(&format!("/api/jobs/{id}")).await.status, 410);
    }
}
