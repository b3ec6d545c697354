//! Jobs that wait for others, for signals and for people, and jobs that run again.

use std::time::Duration;

use axum::http::StatusCode;
use longhaul::{EventBody, JobId, Json, Longhaul, NewJob, State, Unique};
use longhaul_http::{HttpConfig, Secret};
use serde_json::{Value, json};

use crate::access::guarded;
use crate::app::{Answer, App};
use crate::kinds::Ask;

async fn job(app: &App, id: &str) -> Value {
    app.get(&format!("/api/jobs/{id}")).await.json()
}

async fn enqueue(app: &App, id: &str, rest: Value) -> Answer {
    let mut body = json!({"kind": "greet", "args": {"name": id}, "id": id});
    body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    app.post("/api/jobs", &body.to_string()).await
}

#[tokio::test]
async fn a_job_that_depends_on_another_is_blocked_until_that_has_ended() {
    let app = App::new();
    enqueue(&app, "first", json!({})).await;
    let accepted = enqueue(&app, "second", json!({"depends_on": ["first"]})).await;
    assert_eq!((accepted.status, &accepted.json()["state"]), (StatusCode::ACCEPTED, &json!("blocked")));
    let second = job(&app, "second").await;
    assert_eq!(second, accepted.json(), "what is accepted is what is found");
    assert_eq!(second["depends_on"], json!([{"id": "first", "on_failure": "cancel"}]));
    assert_eq!((&second["waits_for"], &second["wakes_at"]), (&json!("dependencies"), &json!(null)));
    app.post("/api/jobs/first/cancel", "").await;
    let second = job(&app, "second").await;
    assert_eq!((&second["state"], &second["cancel_reason"]), (&json!("cancelled"), &json!("dependency")));
    let late = enqueue(&app, "late", json!({"depends_on": ["first"]})).await.json();
    assert_eq!((&late["state"], &late["cancel_reason"]), (&json!("cancelled"), &json!("dependency")));
    let on = json!({"depends_on": [{"id": "first", "on_failure": "run"}]});
    let any = enqueue(&app, "any", on.clone()).await.json();
    assert_eq!((&any["state"], &any["depends_on"]), (&json!("available"), &on["depends_on"]));
}

#[tokio::test]
async fn jobs_of_a_batch_may_depend_on_those_before_them_and_on_no_others() {
    let app = App::new();
    let job = |id: &str, on: &str| {
        let on: Vec<&str> = on.split_whitespace().collect();
        json!({"kind": "greet", "args": {"name": id}, "id": id, "depends_on": on})
    };
    let batch = json!([job("a", ""), job("b", "a"), job("c", "a b")]).to_string();
    assert_eq!(app.post("/api/jobs/batch", &batch).await.status, StatusCode::ACCEPTED);
    assert_eq!(app.get("/api/jobs/c").await.json()["state"], "blocked");
    let circle = json!([job("d", "e"), job("e", "d")]).to_string();
    let refused = app.post("/api/jobs/batch", &circle).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid".into()));
    assert_eq!(refused.json()["errors"][0]["field"], "[0].depends_on[0]");
    assert_eq!(app.get("/api/jobs/d").await.status, StatusCode::NOT_FOUND, "nothing of the call was created");
}

#[tokio::test]
async fn dependencies_that_cannot_be_are_refused_with_their_place() {
    let app = App::new();
    for (on, field, word) in [
        (json!(["nobody"]), "depends_on[0]", "nobody"),
        (json!([{"id": "no good id"}]), "depends_on[0]", "128"),
        (json!(["me"]), "depends_on[0]", "another job"),
        (json!([{"id": "x", "on_failure": "wait"}]), "depends_on[0].on_failure", "cancel"),
        (json!([{"on_failure": "run"}]), "depends_on[0]", "id"),
        (json!([{"id": "x", "when": 1}]), "depends_on[0].when", "unknown field"),
        (json!([7]), "depends_on[0]", "a job's id"),
        (json!("x"), "depends_on", "sequence"),
    ] {
        let refused = enqueue(&app, "me", json!({ "depends_on": on })).await;
        assert_eq!(refused.code(), "invalid", "{on}");
        let error = refused.json()["errors"][0].clone();
        assert_eq!(error["field"], field, "{error}");
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
    }
    assert_eq!(app.get("/api/jobs/me").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_job_that_names_an_unfinished_ancestor_is_refused_with_its_place() {
    let app = App::new();
    enqueue(&app, "a", json!({})).await;
    enqueue(&app, "b", json!({"parent": "a"})).await;
    for (parent, on, field) in [
        ("a", json!(["a"]), "depends_on[0]"),
        ("b", json!(["a"]), "depends_on[0]"),
        ("b", json!([{"id": "a", "on_failure": "run"}]), "depends_on[0]"),
    ] {
        let refused = enqueue(&app, "c", json!({"parent": parent, "depends_on": on})).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid".into()));
        let error = refused.json()["errors"][0].clone();
        assert_eq!(error["field"], field, "{error}");
        let message = "must not be an ancestor that has not ended, and 'a' is one: it may wait for its children, and both would wait \
                       for ever; a follow-up runs after it";
        assert_eq!(error["message"], message);
    }
    let job = |id: &str, parent: &str, on: &[&str]| json!({"kind": "greet", "args": {"name": id}, "id": id, "parent": parent, "depends_on": on});
    let batch = json!([job("c", "b", &[]), job("d", "c", &["a"])]).to_string();
    let refused = app.post("/api/jobs/batch", &batch).await;
    assert_eq!(refused.json()["errors"][0]["field"], "[1].depends_on[0]");
    assert_eq!(app.get("/api/jobs/c").await.status, StatusCode::NOT_FOUND, "nothing of the call was created");
    app.post("/api/jobs/a/cancel", "").await;
    let ended = json!({"parent": "b", "depends_on": [{"id": "a", "on_failure": "run"}]});
    assert_eq!(enqueue(&app, "c", ended).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_job_tells_what_becomes_of_it_when_its_attempts_are_used_up() {
    let app = App::new();
    assert_eq!(enqueue(&app, "a", json!({"on_exhausted": "pause"})).await.json()["on_exhausted"], "pause");
    assert_eq!(job(&app, "a").await["on_exhausted"], "pause");
    assert_eq!(enqueue(&app, "b", json!({})).await.json()["on_exhausted"], "fail");
    let refused = enqueue(&app, "c", json!({"on_exhausted": "stop"})).await;
    assert_eq!(refused.json()["errors"][0]["field"], "on_exhausted");
}

/// Claims one job by hand and answers its lease and the job.
async fn claim(app: &App) -> (Value, Value) {
    let body = r#"{"worker":{"id":"w"},"queues":[{"queue":"default","slots":1}],"kinds":[{"kind":"greet"}]}"#;
    let job = app.post("/api/worker/claim", body).await.json()["claimed"][0].clone();
    (job["lease"].clone(), job)
}

async fn record(app: &App, lease: &Value, steps: &[&str]) {
    let entries: Vec<Value> =
        steps.iter().map(|name| json!({"step": {"name": name, "output": format!("{name}!")}})).collect();
    let body = json!({"records": [{"lease": lease, "entries": entries}]}).to_string();
    assert_eq!(app.post("/api/worker/record", &body).await.json()["statuses"], json!(["held"]));
}

async fn finish(app: &App, lease: &Value, outcome: Value) {
    let body = json!({"finishes": [{"lease": lease, "outcome": outcome}]}).to_string();
    let answer = app.post("/api/worker/finish", &body).await;
    assert_eq!(answer.json()["statuses"], json!(["held"]), "{answer:?}");
}

async fn steps(app: &App, id: &str) -> Vec<String> {
    let steps = app.get(&format!("/api/jobs/{id}/steps")).await.json();
    steps.as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap().to_owned()).collect()
}

fn failed() -> Value {
    json!({"failed": {"error": {"message": "the page is torn"}}})
}

/// Runs a job until it has failed after these steps.
async fn fail_after(app: &App, id: &str, done: &[&str]) {
    enqueue(app, id, json!({"labels": {"team": "red"}, "limit_keys": ["k"], "priority": 5})).await;
    let (lease, _) = claim(app).await;
    record(app, &lease, done).await;
    finish(app, &lease, failed()).await;
}

#[tokio::test]
async fn a_signal_lets_the_job_that_waits_for_it_go_on_and_the_first_one_wins() {
    let app = App::new();
    enqueue(&app, "a", json!({})).await;
    let (lease, _) = claim(&app).await;
    finish(&app, &lease, json!({"waits": {"on": "signal:approve", "timeout": 60}})).await;
    let waiting = job(&app, "a").await;
    assert_eq!((&waiting["state"], &waiting["waits_for"]), (&json!("blocked"), &json!("signal:approve")));
    assert_eq!((&waiting["wakes_at"], &waiting["attempt"]), (&json!("2026-01-01T00:01:00.000Z"), &json!(0)));
    let first = app.post("/api/jobs/a/signals/approve", r#"{"by": "ada"}"#).await;
    assert_eq!((first.status, first.json()), (StatusCode::ACCEPTED, json!({"accepted": true})));
    let second = app.post("/api/jobs/a/signals/approve", r#"{"by": "bob"}"#).await;
    assert_eq!((second.status, second.json()), (StatusCode::ACCEPTED, json!({"accepted": false})));
    let (lease, claimed) = claim(&app).await;
    assert_eq!(claimed["steps"], json!({"signal:approve": {"value": {"by": "ada"}}}));
    assert_eq!(claimed["attempt"], 1);
    finish(&app, &lease, json!({"completed": {"output": 1}})).await;
    let late = app.post("/api/jobs/a/signals/other", "1").await;
    assert_eq!((late.status, late.code()), (StatusCode::CONFLICT, "ended".into()));
}

#[tokio::test]
async fn a_signal_without_a_value_is_null_and_its_name_may_be_any_text() {
    let app = App::new();
    enqueue(&app, "a", json!({})).await;
    assert_eq!(app.post("/api/jobs/a/signals/go%20on%2Fnow", "").await.json()["accepted"], true);
    assert_eq!(steps(&app, "a").await, ["signal:go on/now"]);
    let (_, claimed) = claim(&app).await;
    assert_eq!(claimed["steps"], json!({"signal:go on/now": {"value": null}}));
}

#[tokio::test]
async fn a_signal_that_cannot_be_kept_is_refused() {
    let app = App::new();
    enqueue(&app, "a", json!({})).await;
    let largest = format!("\"{}\"", "x".repeat(64 * 1024 - 2));
    assert_eq!(app.post("/api/jobs/a/signals/large", &largest).await.status, StatusCode::ACCEPTED);
    for (name, value, field) in [
        ("s", format!("{}x\"", &largest[..largest.len() - 1]), "value"),
        (&*"s".repeat(506), "1".into(), "signal name"),
        ("a%00", "1".into(), "signal name"),
    ] {
        let refused = app.post(&format!("/api/jobs/a/signals/{name}"), &value).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid".into()));
        assert_eq!(refused.json()["errors"][0]["field"], field);
    }
    assert_eq!(app.post("/api/jobs/a/signals/s", "{").await.code(), "malformed_json");
    assert_eq!(app.post("/api/jobs/nobody/signals/s", "1").await.code(), "no_such_job");
    app.post("/api/jobs/a/cancel", "").await;
    app.delete("/api/jobs/a").await;
    assert_eq!(app.post("/api/jobs/a/signals/s", "1").await.code(), "job_gone");
}

#[tokio::test]
async fn a_token_gives_one_job_one_signal_once_and_nothing_else() {
    let app = App::with(guarded());
    let operator = [("authorization", "Bearer operator-ada")];
    let post = async |path: &str, body: &str| app.post_with(path, body, &operator).await;
    let create = r#"{"kind":"greet","args":{"name":"x"},"id":"a"}"#;
    assert_eq!(post("/api/jobs", create).await.status, StatusCode::ACCEPTED);
    let made = post("/api/jobs/a/signals/approve/token", r#"{"expires_in": 60}"#).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = made.json();
    assert_eq!(made["expires_at"], "2026-01-01T00:01:00.000Z");
    let path = made["path"].as_str().unwrap();
    assert_eq!(path, format!("/api/signals/{}", made["token"].as_str().unwrap()));
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    for other in ["/api/jobs/a", "/api/me"] {
        let refused = app.get_with(other, &[("authorization", &bearer)]).await;
        assert_eq!(refused.code(), "invalid_token", "{other}");
    }
    let given = app.post(path, r#""yes""#).await;
    assert_eq!((given.status, given.json()), (StatusCode::ACCEPTED, json!({"accepted": true})));
    assert_eq!(app.post(path, r#""no""#).await.json(), json!({"accepted": false}));
    let steps = app.get_with("/api/jobs/a/steps", &operator).await.json();
    assert_eq!(
        (&steps[0]["name"], &steps[0]["output"]),
        (&json!("signal:approve"), &json!({"value": "yes"}))
    );
    let read = post("/api/jobs/a/token", "").await.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(app.post(&format!("/api/signals/{read}"), "1").await.code(), "no_such_token");
    app.clock.advance(Duration::from_secs(60));
    assert_eq!(app.post(path, "1").await.code(), "no_such_token", "it is no longer good");
}

#[tokio::test]
async fn a_token_is_for_the_job_that_it_was_made_for() {
    let app = App::with(with_secret());
    enqueue(&app, "a", json!({})).await;
    let path = "/api/jobs/a/signals/go/token";
    let token = app.post(path, "").await.json();
    let by_worker = json!({"id": "a", "name": "go"}).to_string();
    let by_worker = app.post("/api/worker/signal-token", &by_worker).await;
    assert_eq!((by_worker.status, by_worker.json()), (StatusCode::CREATED, token.clone()));
    for wrong in [r#"{"expires_in": 0}"#, r#"{"expires_in": 31536001}"#] {
        assert_eq!(app.post(path, wrong).await.json()["errors"][0]["field"], "expires_in");
    }
    app.post("/api/jobs/a/cancel", "").await;
    assert_eq!(app.post(path, "").await.code(), "ended");
    let redeem = token["path"].as_str().unwrap();
    assert_eq!(app.post(redeem, "1").await.code(), "ended");
    app.delete("/api/jobs/a").await;
    assert_eq!(app.post(redeem, "1").await.code(), "job_gone");
    app.clock.advance(Duration::from_secs(25 * 3600));
    enqueue(&app, "a", json!({})).await;
    assert_eq!(app.post(redeem, "1").await.code(), "no_such_token", "another job has the id");
    assert_eq!(App::new().post(path, "").await.code(), "read_tokens_off");
}

#[tokio::test]
async fn a_failed_job_runs_again_from_a_step_and_keeps_those_before_it() {
    let app = App::new();
    fail_after(&app, "a", &["fetch", "ocr", "summary"]).await;
    let unknown = app.post("/api/jobs/a/retry", r#"{"from_step": "print"}"#).await;
    assert_eq!((unknown.status, unknown.code()), (StatusCode::NOT_FOUND, "no_such_step".into()));
    let detail = unknown.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail, "the job has done no step 'print'; its steps are fetch, ocr, summary");
    assert_eq!(job(&app, "a").await["state"], "failed", "nothing was done to it");
    let retried = app.post("/api/jobs/a/retry", r#"{"from_step": "ocr", "args": {"name": "b"}}"#).await;
    assert_eq!((retried.status, &retried.json()["args"]), (StatusCode::ACCEPTED, &json!({"name": "b"})));
    assert_eq!(steps(&app, "a").await, ["fetch"]);
    assert_eq!(app.post("/api/jobs/a/retry", r#"{"from_step": "fetch"}"#).await.code(), "not_finished");
    let (lease, claimed) = claim(&app).await;
    assert_eq!(claimed["steps"], json!({"fetch": "fetch!"}));
    finish(&app, &lease, json!({"completed": {"output": 1}})).await;
    for route in ["retry", "fork"] {
        let path = format!("/api/jobs/a/{route}");
        let completed = app.post(&path, r#"{"from_step": "fetch"}"#).await;
        assert_eq!((completed.status, completed.code()), (StatusCode::CONFLICT, "steps_forgotten".into()));
        assert_eq!(app.post(&path, r#"{"from_step": "print"}"#).await.code(), "no_such_step");
        assert_eq!(app.post("/api/jobs/nobody/retry", r#"{"from_step": "ocr"}"#).await.code(), "no_such_job");
    }
    enqueue(&app, "b", json!({})).await;
    let (lease, _) = claim(&app).await;
    finish(&app, &lease, failed()).await;
    let none = app.post("/api/jobs/b/retry", r#"{"from_step": "ocr"}"#).await.json();
    assert_eq!(none["detail"], "the job has done no step 'ocr', nor any other");
}

#[tokio::test]
async fn a_fork_is_a_new_job_with_what_was_done_before_its_step() {
    let app = App::new();
    fail_after(&app, "a", &["fetch", "ocr", "summary"]).await;
    let fork = app.post("/api/jobs/a/fork", r#"{"from_step": "summary"}"#).await;
    assert_eq!(fork.status, StatusCode::ACCEPTED, "{fork:?}");
    let body = fork.json();
    assert_eq!(
        (&body["forked_from"], &body["state"], &body["attempt"]),
        (&json!("a"), &json!("available"), &json!(0))
    );
    assert_eq!(
        (&body["labels"], &body["limit_keys"], &body["priority"]),
        (&json!({"team": "red"}), &json!(["k"]), &json!(5))
    );
    let id = body["id"].as_str().unwrap();
    assert_eq!(fork.header("location"), format!("/api/jobs/{id}"));
    assert_eq!(job(&app, id).await["forked_from"], "a");
    assert_eq!(job(&app, "a").await["state"], "failed", "the job itself stays as it is");
    let (_, claimed) = claim(&app).await;
    assert_eq!(
        (&claimed["lease"]["id"], &claimed["steps"]),
        (&json!(id), &json!({"fetch": "fetch!", "ocr": "ocr!"}))
    );
    let whole = app.post("/api/jobs/a/fork", "").await.json();
    assert_eq!(steps(&app, whole["id"].as_str().unwrap()).await, ["fetch", "ocr", "summary"]);
    let other = app.post("/api/jobs/a/fork", r#"{"args": {"name": "b"}}"#).await.json();
    assert_eq!(
        (&other["args"], steps(&app, other["id"].as_str().unwrap()).await.len()),
        (&json!({"name": "b"}), 0)
    );
    assert_eq!(app.post("/api/jobs/a/fork", r#"{"from_step": "print"}"#).await.code(), "no_such_step");
    assert_eq!(app.post("/api/jobs/nobody/fork", "").await.code(), "no_such_job");
}

#[tokio::test]
async fn a_fork_that_is_asked_for_twice_with_one_key_is_one_job() {
    let app = App::new();
    fail_after(&app, "a", &["fetch"]).await;
    let key = [("idempotency-key", "k")];
    let first = app.post_with("/api/jobs/a/fork", r#"{"from_step":"fetch"}"#, &key).await;
    let again = app.post_with("/api/jobs/a/fork", r#"{ "from_step": "fetch" }"#, &key).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::ACCEPTED, "true"));
    assert_eq!(again.json()["id"], first.json()["id"]);
    let other = app.post_with("/api/jobs/a/fork", "", &key).await;
    assert_eq!(other.code(), "idempotency_key_reused");
}

#[tokio::test]
async fn a_job_out_of_attempts_waits_for_a_person_who_runs_it_again() {
    let app = App::new();
    enqueue(&app, "a", json!({"on_exhausted": "pause", "max_attempts": 1})).await;
    let (lease, claimed) = claim(&app).await;
    assert_eq!((&claimed["on_exhausted"], &claimed["retry_in"]), (&json!("pause"), &json!(null)));
    record(&app, &lease, &["fetch", "ocr"]).await;
    let error = json!({"message": "the page is torn"});
    finish(&app, &lease, json!({"waits": {"on": "person", "error": error}})).await;
    let waiting = job(&app, "a").await;
    assert_eq!((&waiting["state"], &waiting["waits_for"]), (&json!("blocked"), &json!("person")));
    assert_eq!((&waiting["attempt"], &waiting["errors"][0]["message"]), (&json!(1), &error["message"]));
    assert_eq!(app.delete("/api/jobs/a").await.code(), "not_finished");
    assert_eq!(app.post("/api/jobs/a/retry", r#"{"from_step": "print"}"#).await.code(), "no_such_step");
    let retried = app.post("/api/jobs/a/retry", r#"{"from_step": "ocr"}"#).await;
    let body = retried.json();
    assert_eq!(
        (retried.status, &body["state"], &body["attempt"]),
        (StatusCode::ACCEPTED, &json!("available"), &json!(0))
    );
    assert_eq!(steps(&app, "a").await, ["fetch"]);
    let (lease, _) = claim(&app).await;
    finish(&app, &lease, json!({"waits": {"on": "person", "error": error}})).await;
    assert_eq!(app.post("/api/jobs/a/cancel", "").await.json()["cancel_reason"], "asked");
}

#[tokio::test]
async fn a_remote_run_waits_for_the_children_that_it_has_enqueued() {
    let app = App::new();
    enqueue(&app, "a", json!({})).await;
    let (lease, _) = claim(&app).await;
    enqueue(&app, "child", json!({"parent": "a"})).await;
    finish(&app, &lease, json!({"waits": {"on": "children"}})).await;
    let waiting = job(&app, "a").await;
    assert_eq!((&waiting["state"], &waiting["waits_for"]), (&json!("blocked"), &json!("children")));
    assert_eq!(waiting["children"]["total"], 1);
    let (lease, claimed) = claim(&app).await;
    assert_eq!(claimed["lease"]["id"], "child");
    finish(&app, &lease, json!({"completed": {"output": 7}})).await;
    let (_, claimed) = claim(&app).await;
    assert_eq!((&claimed["lease"]["id"], &claimed["attempt"]), (&json!("a"), &json!(1)));
    let outputs = app.get("/api/jobs?q=parent:a&full=true").await.json();
    assert_eq!(outputs["jobs"][0]["output"], 7);
}

#[tokio::test]
async fn a_wait_that_cannot_be_is_refused_to_its_worker() {
    let app = App::new();
    enqueue(&app, "a", json!({})).await;
    let (lease, _) = claim(&app).await;
    let body = json!({"finishes": [{"lease": lease, "outcome": {"waits": {"on": "rain"}}}]}).to_string();
    let refused = app.post("/api/worker/finish", &body).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid".into()));
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("use dependencies, children, signal:NAME or person")
    );
    assert_eq!(job(&app, "a").await["state"], "running");
}

#[tokio::test]
async fn a_graph_shows_what_waits_for_what_around_a_job() {
    let app = App::new();
    enqueue(&app, "a", json!({})).await;
    enqueue(&app, "b", json!({"depends_on": ["a"]})).await;
    enqueue(&app, "c", json!({"depends_on": [{"id": "a", "on_failure": "run"}]})).await;
    enqueue(&app, "d", json!({"depends_on": ["b", "c"]})).await;
    enqueue(&app, "e", json!({})).await;
    let nodes = |graph: &Value| -> Vec<String> {
        graph["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let graph = app.get("/api/jobs/b/graph").await.json();
    assert_eq!(nodes(&graph), ["b", "a", "d", "c"]);
    assert_eq!(graph["nodes"][0], json!({"id": "b", "kind": "greet", "state": "blocked"}));
    assert_eq!(graph["complete"], true);
    let edge = |from: &str, to: &str, on: &str| json!({"from": from, "to": to, "on_failure": on});
    let expected =
        [edge("a", "b", "cancel"), edge("b", "d", "cancel"), edge("c", "d", "cancel"), edge("a", "c", "run")];
    assert_eq!(graph["edges"], json!(expected));
    assert_eq!(nodes(&app.get("/api/jobs/e/graph").await.json()), ["e"]);
    let (lease, _) = claim(&app).await;
    assert_eq!(lease["id"], "a");
    enqueue(&app, "child", json!({"parent": "a"})).await;
    enqueue(&app, "of-e", json!({"parent": "e"})).await;
    let graph = app.get("/api/jobs/child/graph").await.json();
    assert!(graph["edges"].as_array().unwrap().contains(&edge("child", "a", "run")), "{graph}");
    assert_eq!(graph["nodes"].as_array().unwrap().len(), 5);
    assert_eq!(nodes(&app.get("/api/jobs/of-e/graph").await.json()), ["of-e"], "e waits for no child");
    assert_eq!(app.get("/api/jobs/nobody/graph").await.code(), "no_such_job");
}

#[tokio::test]
async fn a_large_graph_is_cut_and_says_so() {
    let app = App::new();
    enqueue(&app, "a", json!({})).await;
    let fan: Vec<Value> = (0..1_000)
        .map(|n| json!({"kind": "greet", "args": {"name": "x"}, "id": format!("n{n}"), "depends_on": ["a"]}))
        .collect();
    assert_eq!(
        app.post("/api/jobs/batch", &json!(fan[..999]).to_string()).await.status,
        StatusCode::ACCEPTED
    );
    let graph = app.get("/api/jobs/a/graph").await.json();
    assert_eq!((graph["nodes"].as_array().unwrap().len(), &graph["complete"]), (1_000, &json!(true)));
    app.post("/api/jobs/batch", &json!(fan[999..]).to_string()).await;
    let graph = app.get("/api/jobs/a/graph").await.json();
    assert_eq!((graph["nodes"].as_array().unwrap().len(), &graph["complete"]), (1_000, &json!(false)));
    assert_eq!(graph["nodes"][0]["id"], "a");
}

#[tokio::test]
async fn a_blocked_job_tells_why() {
    let app = App::new();
    let why = async |id: &str| app.get(&format!("/api/jobs/{id}/why")).await.json()["reasons"].clone();
    enqueue(&app, "a", json!({})).await;
    enqueue(&app, "b", json!({})).await;
    enqueue(&app, "c", json!({"depends_on": ["a", "b"]})).await;
    let reason =
        |used: u64, ids: &[&str]| json!([{"rule": "depends_on", "used": used, "of": 2, "waits_for": ids}]);
    assert_eq!(why("c").await, reason(0, &["b", "a"]));
    let (lease, _) = claim(&app).await;
    finish(&app, &lease, json!({"completed": {"output": 1}})).await;
    assert_eq!(why("c").await, reason(1, &["b"]));
    let (lease, _) = claim(&app).await;
    finish(&app, &lease, json!({"waits": {"on": "signal:go", "timeout": 60}})).await;
    let until = json!("2026-01-01T00:01:00.000Z");
    assert_eq!(why("b").await, json!([{"rule": "signal", "key": "go", "until": until}]));
    app.post("/api/jobs/b/signals/go", "1").await;
    let (lease, _) = claim(&app).await;
    enqueue(&app, "child", json!({"parent": "b"})).await;
    finish(&app, &lease, json!({"waits": {"on": "children", "timeout": 60}})).await;
    let children = json!({"rule": "children", "used": 0, "of": 1, "until": until, "waits_for": ["child"]});
    assert_eq!(why("b").await, json!([children]));
    let (lease, _) = claim(&app).await;
    assert_eq!(lease["id"], "child");
    finish(&app, &lease, json!({"waits": {"on": "person", "error": {"message": "torn"}}})).await;
    assert_eq!(why("child").await, json!([{"rule": "exhausted"}]));
}

pub(crate) fn with_secret() -> HttpConfig {
    HttpConfig { read_token_secret: Some(Secret(b"a secret that signs".to_vec())), ..HttpConfig::default() }
}

/// Runs a job by `worker` that asks for a token, gives it the signal with that token, and lets it end.
pub(crate) async fn ask(app: &App, worker: &Longhaul) {
    let patience = Duration::from_secs(60);
    app.longhaul.declare::<Ask>();
    let worker = worker.worker().register::<Ask>(app.gate.clone()).queue("default", 1).start();
    let created = app.post("/api/jobs", r#"{"kind":"ask","args":{},"id":"a"}"#).await;
    assert_eq!(created.status, StatusCode::ACCEPTED);
    let id = JobId::new("a").unwrap();
    let mut after = 0;
    let token = loop {
        let events = app.longhaul.events(&id, after, 100, patience).await.unwrap().unwrap();
        after = events.last().expect("the job says it in time").seq;
        let token = events.into_iter().find_map(|event| match event.body {
            EventBody::Chunk { data } => Some(data.to::<String>().unwrap()),
            EventBody::State { error: Some(error), .. } => panic!("{error:?}"),
            _ => None,
        });
        if let Some(token) = token {
            break token;
        }
    };
    assert_eq!(app.post(&format!("/api/signals/{token}"), "7").await.json(), json!({"accepted": true}));
    assert_eq!(steps(app, "a").await, ["signal:go"]);
    app.gate.add_permits(1);
    let ended = app.longhaul.wait(&id, patience).await.unwrap().found().unwrap();
    assert_eq!(ended.state, State::Completed);
    worker.shutdown(patience).await;
}

#[tokio::test]
async fn a_job_makes_a_token_for_a_signal_of_its_own() {
    let app = App::with(with_secret());
    ask(&app, &app.longhaul).await;
}

#[tokio::test]
async fn a_token_of_a_job_where_nothing_signs_is_a_failure_that_says_what_to_do() {
    let app = App::new();
    app.longhaul.declare::<Ask>();
    let worker = app.longhaul.worker().register::<Ask>(app.gate.clone()).queue("default", 1).start();
    let failed = app.run("a", "ask", "{}").await.json();
    assert!(failed["errors"][0]["message"].as_str().unwrap().contains("with a secret"), "{failed}");
    worker.shutdown(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn a_fork_has_the_values_that_nobody_is_shown() {
    let redaction = "args.name, step".parse().unwrap();
    let app = App::with(HttpConfig { redaction, ..HttpConfig::default() });
    fail_after(&app, "a", &["fetch"]).await;
    let fork = app.post("/api/jobs/a/fork", "").await.json();
    assert_eq!(fork["args"], json!({"name": "[redacted]"}));
    let refused = app.post("/api/jobs/a/fork", &json!({"args": fork["args"]}).to_string()).await;
    assert_eq!(refused.json()["errors"][0]["field"], "args");
    let (_, claimed) = claim(&app).await;
    assert_eq!(claimed["lease"]["id"], fork["id"]);
    assert_eq!((&claimed["args"], &claimed["steps"]), (&json!({"name": "a"}), &json!({"fetch": "fetch!"})));
}

#[tokio::test]
async fn a_follower_waits_behind_the_job_that_runs_and_takes_the_newest_args() {
    let app = App::new();
    let follow = json!({"unique": {"key": "k", "on_clash": "follow"}});
    enqueue(&app, "a", follow.clone()).await;
    let (lease, _) = claim(&app).await;
    let next = enqueue(&app, "b", follow.clone()).await;
    let body = next.json();
    assert_eq!(
        (next.status, &body["state"], &body["waits_for"]),
        (StatusCode::ACCEPTED, &json!("blocked"), &json!("dependencies"))
    );
    assert_eq!(body["depends_on"], json!([{"id": "a", "on_failure": "run"}]));
    let newest = enqueue(&app, "c", follow).await.json();
    assert_eq!(
        (&newest["id"], &newest["args"], &newest["replaced"]),
        (&json!("b"), &json!({"name": "c"}), &json!(true))
    );
    finish(&app, &lease, failed()).await;
    let (_, claimed) = claim(&app).await;
    assert_eq!((&claimed["lease"]["id"], &claimed["args"]), (&json!("b"), &json!({"name": "c"})));
}

#[tokio::test]
async fn a_holder_that_cannot_be_followed_is_told_with_the_reasons_that_it_may_have() {
    let app = App::new();
    let follow = json!({"key": "k", "on_clash": "follow"});
    enqueue(&app, "a", json!({ "unique": follow })).await;
    claim(&app).await;
    enqueue(&app, "c", json!({"parent": "a"})).await;
    let parent = enqueue(&app, "d", json!({"parent": "a", "unique": follow})).await;
    let earlier = enqueue(&app, "d", json!({"parent": "c", "unique": follow})).await;
    // One that waits and is of another kind: over HTTP a key is one of a kind.
    let id = JobId::new("b").unwrap();
    let unique = Some(Unique::new("nap:k"));
    let of_nap = NewJob { id: Some(id), unique, ..NewJob::new("greet", Json::null()) };
    app.longhaul.enqueue_many(vec![of_nap]).await.unwrap();
    let nap = json!({"kind": "nap", "args": {"seconds": 1}, "id": "d", "unique": follow}).to_string();
    let waits = app.post("/api/jobs", &nap).await;
    for (refused, holder) in [(parent, "a"), (earlier, "a"), (waits, "b")] {
        assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "duplicate".into()));
        assert_eq!(refused.header("location"), format!("/api/jobs/{holder}"));
        let detail = format!(
            "job {holder} holds the unique key and cannot be followed: it is an ancestor, which may wait for this job, or it waits and is of \
             another kind; nothing was created"
        );
        assert_eq!(refused.json()["detail"], detail);
    }
    assert_eq!(app.get("/api/jobs/d").await.status, StatusCode::NOT_FOUND);
}
