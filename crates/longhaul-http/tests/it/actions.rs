use axum::http::StatusCode;
use insta::assert_snapshot;
use serde_json::json;

use crate::app::App;
use crate::seen::claim;

const RUNNING: &str = r#"{"kind":"tell","args":{"lines":1},"id":"t"}"#;

/// Waits until a job's state is another than `available`, by its events.
async fn until_it_runs(app: &App, id: &str) {
    let id = longhaul::JobId::new(id).unwrap();
    let patience = std::time::Duration::from_secs(30);
    app.longhaul.events(&id, 1, 1, patience).await.unwrap().expect("the job is there");
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once() {
    let app = App::new();
    app.post("/api/jobs", RUNNING).await;
    assert_snapshot!(app.post("/api/jobs/t/cancel", "").await.text());
    let again = app.post("/api/jobs/t/cancel", "").await;
    assert_eq!((again.status, &again.json()["state"]), (StatusCode::OK, &json!("cancelled")));
}

#[tokio::test]
async fn a_running_job_is_asked_to_stop() {
    let app = App::new();
    let worker = app.work_attentively();
    app.post("/api/jobs", RUNNING).await;
    until_it_runs(&app, "t").await;
    assert_snapshot!(app.post("/api/jobs/t/cancel", "").await.text());
    let ended = app.get_with("/api/jobs/t", &[("prefer", "wait=30")]).await;
    assert_eq!(ended.json()["state"], "cancelled");
    drop(worker);
}

#[tokio::test]
async fn a_finished_job_stays_as_it_is_when_cancelled() {
    let app = App::new();
    let worker = app.work();
    app.run("g", "greet", r#"{"name":"x"}"#).await;
    let answer = app.post("/api/jobs/g/cancel", "").await;
    assert_eq!((answer.status, &answer.json()["state"]), (StatusCode::OK, &json!("completed")));
    drop(worker);
}

#[tokio::test]
async fn a_finished_job_is_run_again() {
    let app = App::new();
    let worker = app.work();
    app.run("g", "greet", r#"{"name":""}"#).await;
    worker.shutdown(std::time::Duration::from_secs(5)).await;
    let answer = app.post("/api/jobs/g/retry", "").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::ACCEPTED, "/api/jobs/g"));
    assert_eq!(answer.json()["state"], "available");
    let worker = app.work();
    let ended = app.get_with("/api/jobs/g", &[("prefer", "wait=30")]).await;
    assert_eq!(ended.json()["errors"].as_array().unwrap().len(), 2);
    drop(worker);
}

#[tokio::test]
async fn an_unfinished_job_is_neither_run_again_nor_deleted() {
    let app = App::new();
    app.post("/api/jobs", RUNNING).await;
    assert_snapshot!(app.post("/api/jobs/t/retry", "").await.text());
    assert_eq!(app.delete("/api/jobs/t").await.code(), "not_finished");
    assert_eq!(app.get("/api/jobs/t").await.json()["state"], "available");
}

#[tokio::test]
async fn a_job_whose_unique_key_another_holds_is_not_run_again() {
    let app = App::new();
    let unique =
        |id: &str| format!(r#"{{"kind":"greet","args":{{"name":"x"}},"id":"{id}","unique":{{"key":"k"}}}}"#);
    app.post("/api/jobs", &unique("first")).await;
    app.post("/api/jobs/first/cancel", "").await;
    app.post("/api/jobs", &unique("second")).await;
    let answer = app.post("/api/jobs/first/retry", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::CONFLICT, "unique_key_held"));
}

#[tokio::test]
async fn what_is_not_there_cannot_be_acted_on() {
    let app = App::new();
    let worker = app.work();
    app.run("g", "greet", r#"{"name":"x"}"#).await;
    app.delete("/api/jobs/g").await;
    for path in ["/api/jobs/g/cancel", "/api/jobs/g/retry"] {
        assert_eq!(app.post(path, "").await.code(), "job_gone");
    }
    assert_eq!(app.delete("/api/jobs/g").await.code(), "job_gone");
    for path in ["/api/jobs/x/cancel", "/api/jobs/x/retry"] {
        assert_eq!(app.post(path, "").await.code(), "no_such_job");
    }
    assert_eq!(app.delete("/api/jobs/x").await.code(), "no_such_job");
    drop(worker);
}

/// The answer of an action, with the words of earlier releases beside.
fn acted(matched: u64, done: u64, complete: bool) -> serde_json::Value {
    json!({"matched": matched, "done": done, "complete": complete, "count": done, "more": !complete})
}

#[tokio::test]
async fn an_empty_list_in_a_filter_fits_no_job() {
    let app = App::new();
    app.post("/api/jobs", RUNNING).await;
    for filter in
        [r#"{"ids":[]}"#, r#"{"queue":[]}"#, r#"{"state":[]}"#, r#"{"kind":[]}"#, r#"{"parent":[]}"#]
    {
        let body = format!(r#"{{"action":"cancel","filter":{filter}}}"#);
        assert_eq!(app.post("/api/jobs/actions", &body).await.json(), acted(0, 0, true), "{filter}");
    }
    for query in ["state=", "kind=", "queue=", "parent="] {
        let page = app.get(&format!("/api/jobs?{query}")).await.json();
        assert_eq!((&page["jobs"], &page["next"]), (&json!([]), &json!(null)), "{query}");
    }
    let jobs = app.get("/api/jobs?state=&state=available").await.json()["jobs"].clone();
    assert_eq!(jobs.as_array().unwrap().len(), 1, "a value beside an empty one counts");
    assert_eq!(app.get("/api/jobs/t").await.json()["state"], "available");
}

#[tokio::test]
async fn an_array_is_no_action_and_no_filter() {
    let app = App::new();
    app.post("/api/jobs", RUNNING).await;
    for (body, field) in [(r#"["cancel",[],1]"#, "body"), (r#"{"action":"cancel","filter":[]}"#, "filter")] {
        let answer = app.post("/api/jobs/actions", body).await;
        assert_eq!(
            (answer.code().as_str(), &answer.json()["errors"][0]["field"]),
            ("invalid", &json!(field))
        );
    }
    assert_eq!(app.get("/api/jobs/t").await.json()["state"], "available");
}

#[tokio::test]
async fn a_dry_run_counts_what_would_be_changed_and_changes_nothing() {
    let app = App::new();
    for n in 0..5 {
        app.post("/api/jobs", &format!(r#"{{"kind":"greet","args":{{"name":"x"}},"id":"j{n}"}}"#)).await;
    }
    let act = async |limit: usize| {
        let body =
            format!(r#"{{"action":"cancel","filter":{{"kind":"greet"}},"limit":{limit},"dry_run":true}}"#);
        app.post("/api/jobs/actions", &body).await.json()
    };
    assert_eq!(act(10).await, acted(5, 5, true));
    assert_eq!(act(3).await, acted(3, 3, false));
    let retry = r#"{"action":"retry","filter":{},"dry_run":true}"#;
    assert_eq!(app.post("/api/jobs/actions", retry).await.json(), acted(5, 0, true));
    assert_eq!(app.get("/api/jobs?state=available").await.json()["jobs"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_dry_run_stops_where_the_action_does() {
    let app = App::new();
    for n in 0..6 {
        app.post("/api/jobs", &format!(r#"{{"kind":"greet","args":{{"name":"x"}},"id":"j{n}"}}"#)).await;
    }
    for n in 4..6 {
        app.post(&format!("/api/jobs/j{n}/cancel"), "").await;
    }
    let act = async |dry_run: bool| {
        let body = format!(r#"{{"action":"cancel","filter":{{}},"limit":3,"dry_run":{dry_run}}}"#);
        app.post("/api/jobs/actions", &body).await.json()
    };
    assert_eq!(act(true).await, acted(5, 3, false), "the newest two are cancelled already");
    assert_eq!(act(false).await, acted(5, 3, false));
    assert_eq!(act(true).await, acted(6, 1, true));
    assert_eq!(act(false).await, acted(6, 1, true));
}

#[tokio::test]
async fn a_dry_run_counts_no_job_that_is_as_the_action_would_make_it() {
    let app = App::new();
    app.post("/api/jobs", r#"{"kind":"greet","args":{"name":"x"}}"#).await;
    claim(&app, "default", "greet").await;
    for action in [r#""action":"cancel""#, r#""action":"set_priority","priority":3"#] {
        let act = async |dry_run: bool| {
            let body = format!(r#"{{{action},"filter":{{}},"dry_run":{dry_run}}}"#);
            app.post("/api/jobs/actions", &body).await.json()
        };
        assert_eq!(act(true).await, acted(1, 1, true), "{action}");
        assert_eq!(act(false).await, acted(1, 1, true), "{action}");
        assert_eq!(act(true).await, acted(1, 0, true), "{action}");
        assert_eq!(act(false).await, acted(1, 0, true), "{action}");
    }
}

#[tokio::test]
async fn a_job_that_the_action_is_not_for_is_matched_and_not_done() {
    let app = App::new();
    app.post("/api/jobs", RUNNING).await;
    let retry = r#"{"action":"retry","filter":{}}"#;
    assert_eq!(app.post("/api/jobs/actions", retry).await.json(), acted(1, 0, true));
}

#[tokio::test]
async fn many_jobs_are_acted_on_by_filter_and_limit() {
    let app = App::new();
    for n in 0..5 {
        let team = if n == 0 { "blue" } else { "red" };
        let body =
            format!(r#"{{"kind":"greet","args":{{"name":"x"}},"id":"j{n}","labels":{{"team":"{team}"}}}}"#);
        app.post("/api/jobs", &body).await;
    }
    let act = async |body: &str| app.post("/api/jobs/actions", body).await.json();
    let red = r#""filter":{"labels":{"team":"red"},"state":"available"}"#;
    assert_eq!(act(&format!(r#"{{"action":"cancel",{red},"limit":3}}"#)).await, acted(3, 3, false));
    assert_eq!(act(&format!(r#"{{"action":"cancel",{red}}}"#)).await, acted(1, 1, true));
    let ids = r#""filter":{"ids":["j1","j2","nobody"]}"#;
    assert_eq!(act(&format!(r#"{{"action":"retry",{ids}}}"#)).await, acted(2, 2, true));
    let ended = r#""filter":{"state":["cancelled","failed"],"kind":["greet"],"queue":"default","q":"j"}"#;
    assert_eq!(act(&format!(r#"{{"action":"delete",{ended}}}"#)).await, acted(2, 2, true));
    assert_eq!(app.get("/api/jobs").await.json()["jobs"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_action_that_is_not_understood_does_nothing() {
    let app = App::new();
    app.post("/api/jobs", RUNNING).await;
    for body in [
        r#"{"action":"cancel"}"#,
        r#"{"action":"explode","filter":{}}"#,
        r#"{"action":"cancel","filter":{"state":"done"}}"#,
        r#"{"action":"cancel","filter":{"states":["available"]}}"#,
        r#"{"action":"cancel","filter":{"ids":["a b"]}}"#,
        r#"{"action":"cancel","filter":{"ids":null}}"#,
        r#"{"action":"cancel","filter":{},"limit":0}"#,
        r#"{"action":"cancel","filter":{"q":""}}"#,
        r#"{"action":"cancel","filter":{"q":"   "}}"#,
        r#"{"action":"cancel","filter":{"q":"\"\" "}}"#,
        r#"{"action":"cancel","filter":{"queue":"default","q":"\t"}}"#,
    ] {
        assert_eq!(app.post("/api/jobs/actions", body).await.code(), "invalid", "{body}");
    }
    assert_eq!(app.get("/api/jobs/t").await.json()["state"], "available");
}

#[tokio::test]
async fn all_failed_jobs_of_a_queue_are_retried_or_cleaned_away_in_one_call() {
    let app = App::new();
    let worker = app.work();
    for n in 0..5 {
        app.run(&format!("f{n}"), "greet", r#"{"name":""}"#).await;
    }
    app.run("good", "greet", r#"{"name":"x"}"#).await;
    worker.shutdown(std::time::Duration::from_secs(5)).await;
    app.post("/api/jobs", r#"{"kind":"greet","args":{"name":""},"id":"other","queue":"beds"}"#).await;
    app.post("/api/jobs/other/cancel", "").await;
    let states = async || app.get("/api/queues/default").await.json()["states"].clone();

    let retry = r#"{"action":"retry","filter":{"queue":"default","state":"failed"},"limit":2}"#;
    assert_snapshot!(app.post("/api/jobs/actions", retry).await.text());
    assert_eq!((&states().await["failed"], &states().await["available"]), (&json!(3), &json!(2)));
    let clean = r#"{"action":"delete","filter":{"queue":"default","state":"failed"}}"#;
    assert_eq!(app.post("/api/jobs/actions", clean).await.json(), acted(3, 3, true));
    assert_eq!(app.post("/api/jobs/actions", clean).await.json(), acted(0, 0, true));
    let left = states().await;
    assert_eq!((&left["failed"], &left["available"], &left["completed"]), (&json!(0), &json!(2), &json!(1)));
    assert_eq!(app.get("/api/jobs/other").await.json()["state"], "cancelled", "another queue's is let alone");
}

#[tokio::test]
async fn what_cannot_be_looked_for_is_told_once() {
    let app = App::new();
    let action = app.post("/api/jobs/actions", r#"{"action":"cancel","filter":{"q":"a\u0000b"}}"#).await;
    let list = app.get("/api/jobs?q=a%00b").await;
    for (answer, field) in [(action, "filter.q"), (list, "q")] {
        let expected = json!([{"field": field, "message": "must not hold a NUL character"}]);
        assert_eq!(answer.json()["errors"], expected, "{answer:?}");
    }
}

#[tokio::test]
async fn a_retry_with_null_replaces_the_args_and_one_without_keeps_them() {
    let app = App::new();
    app.post("/api/jobs", RUNNING).await;
    for (body, args) in [("{}", json!({"lines": 1})), (r#"{"args":null}"#, json!(null))] {
        app.post("/api/jobs/t/cancel", "").await;
        let retried = app.post("/api/jobs/t/retry", body).await;
        assert_eq!((retried.status, &retried.json()["args"]), (StatusCode::ACCEPTED, &args), "{body}");
    }
}
