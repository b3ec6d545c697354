//! Values that nobody is shown.

use axum::http::StatusCode;
use longhaul_http::HttpConfig;

use crate::app::App;

const SECRET: &str = "hunter2-hunter2";

fn app() -> App {
    let redaction = "args.password, args.*.secret, output.token, progress.token, chunk.token, step.token";
    App::with(HttpConfig { redaction: redaction.parse().unwrap(), ..HttpConfig::default() })
}

/// A worker claims a job with a secret, says it in every way that there is, and fails with it; then the job is retried and completes.
async fn tell_everything(app: &App) -> Vec<String> {
    let claim = r#"{"worker":{"id":"w"},"queues":[{"queue":"default","slots":1}],"kinds":[{"kind":"login"}],"lease_for":60}"#;
    app.post("/api/worker/claim", claim).await;
    let args =
        format!(r#"{{"password":"{SECRET}","id":12345678901234567890,"users":[{{"secret":"{SECRET}"}}]}}"#);
    let created = app.post("/api/jobs", &format!(r#"{{"kind":"login","args":{args},"id":"j"}}"#)).await;
    assert_eq!(created.status, StatusCode::ACCEPTED);
    let claimed = app.post("/api/worker/claim", claim).await.json();
    // The worker has the true values.
    assert_eq!(claimed["claimed"][0]["args"]["password"], SECRET);
    let lease = claimed["claimed"][0]["lease"].to_string();
    let said = format!(r#"{{"token":"{SECRET}","n":1.10}}"#);
    let entries = format!(
        r#"[{{"progress":{{"percent":50,"message":"as {SECRET}","data":{said}}}}},{{"chunk":{{"data":{said}}}}},
            {{"log":{{"level":"info","message":"with {SECRET}"}}}},{{"step":{{"name":"s","output":{said}}}}}]"#
    );
    let record = format!(r#"{{"records":[{{"lease":{lease},"entries":{entries}}}]}}"#);
    assert_eq!(app.post("/api/worker/record", &record).await.json()["statuses"][0], "held");
    let failed = format!(r#"{{"failed":{{"error":{{"message":"no user has {SECRET}"}}}}}}"#);
    let finish = format!(r#"{{"finishes":[{{"lease":{lease},"outcome":{failed}}}]}}"#);
    app.post("/api/worker/finish", &finish).await;
    let mut answers = vec![created.text()];
    for path in ["/api/jobs/j", "/api/jobs?full=true", "/api/jobs", "/api/jobs/j/events"] {
        answers.push(app.get(path).await.text());
    }
    let retried = app.post("/api/jobs/j/retry", "").await;
    answers.push(retried.text());
    let claimed = app.post("/api/worker/claim", claim).await.json();
    assert_eq!(claimed["claimed"][0]["args"]["password"], SECRET, "a retry keeps what is hidden");
    let lease = claimed["claimed"][0]["lease"].to_string();
    let finish =
        format!(r#"{{"finishes":[{{"lease":{lease},"outcome":{{"completed":{{"output":{said}}}}}}}]}}"#);
    app.post("/api/worker/finish", &finish).await;
    for path in ["/api/jobs/j", "/api/jobs?full=true", "/api/jobs/j/events"] {
        answers.push(app.get(path).await.text());
    }
    answers
}

#[tokio::test]
async fn what_is_hidden_is_in_no_answer_and_numbers_keep_their_digits() {
    let app = app();
    for answer in tell_everything(&app).await {
        assert!(!answer.contains(SECRET), "{answer}");
        assert!(answer.contains("[redacted]"), "{answer}");
    }
    let job = app.get("/api/jobs/j").await.text();
    assert!(job.contains("12345678901234567890") && job.contains("1.10"), "{job}");
    assert_eq!(app.get("/api/jobs/j").await.json()["errors"][0]["message"], "no user has [redacted]");
}

#[tokio::test]
async fn a_search_finds_nothing_by_what_is_hidden_and_everything_else() {
    let app = app();
    tell_everything(&app).await;
    app.post("/api/jobs", r#"{"kind":"greet","args":{"name":"Ada"},"id":"g"}"#).await;
    let found = async |q: &str| {
        let query = form(q);
        let page = app.get(&format!("/api/jobs?q={query}&limit=1")).await.json();
        (page["jobs"].as_array().unwrap().len(), page["next"].clone())
    };
    let nothing = found("xyzzy-xyzzy").await;
    for probe in [SECRET, "hunter2", "HUNTER2-h"] {
        assert_eq!(found(probe).await, nothing, "{probe}: and no sign that it was looked for in vain");
    }
    assert_eq!(found("Ada").await.0, 1);
    assert_eq!(found("12345678901234567890").await.0, 1);
}

#[tokio::test]
async fn a_bulk_action_by_what_is_hidden_is_done_to_nothing() {
    let app = app();
    tell_everything(&app).await;
    for (text, matched) in [(SECRET, 0), ("12345678901234567890", 1)] {
        for dry_run in [true, false] {
            let body = format!(r#"{{"action":"delete","filter":{{"q":"{text}"}},"dry_run":{dry_run}}}"#);
            let done = app.post("/api/jobs/actions", &body).await;
            assert_eq!(done.json()["matched"], matched, "{done:?}");
        }
    }
    assert_eq!(app.get("/api/jobs/j").await.status, StatusCode::GONE);
}

#[tokio::test]
async fn a_retry_does_not_take_what_is_shown_for_a_secret_as_the_secret() {
    let app = app();
    let claim =
        r#"{"worker":{"id":"w"},"queues":[{"queue":"default","slots":1}],"kinds":[{"kind":"login"}]}"#;
    app.post("/api/worker/claim", claim).await;
    app.post("/api/jobs", &format!(r#"{{"kind":"login","args":{{"password":"{SECRET}"}},"id":"j"}}"#)).await;
    app.post("/api/jobs/j/cancel", "").await;
    for args in [r#"{"password":"[redacted]"}"#, r#"{"users":[{"secret":"[redacted]"}],"password":"new"}"#] {
        let refused = app.post("/api/jobs/j/retry", &format!(r#"{{"args":{args}}}"#)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{refused:?}");
        assert_eq!(refused.code(), "invalid");
        assert_eq!(refused.json()["errors"][0]["field"], "args");
    }
    assert_eq!(app.get("/api/jobs/j").await.json()["state"], "cancelled");
    // Where nothing is hidden, the word is one like any other.
    let given = r#"{"args":{"password":"new-secret","note":"[redacted]"}}"#;
    assert_eq!(app.post("/api/jobs/j/retry", given).await.status, StatusCode::ACCEPTED);
}

fn form(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
