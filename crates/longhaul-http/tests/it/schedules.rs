use axum::http::{Method, StatusCode};
use longhaul::{Runtime, Scheduler};
use longhaul_http::{HttpConfig, schedules_of_file};
use serde_json::{Value, json};

use crate::app::{Answer, App, json as request};

async fn put(app: &App, name: &str, body: &Value) -> Answer {
    app.send(request(Method::PUT, &format!("/api/schedules/{name}"), &body.to_string(), &[])).await
}

fn nightly() -> Value {
    json!({
        "cron": "0 3 * * *", "timezone": "Europe/Berlin", "catch_up": "all", "jitter": 30,
        "job": {"kind": "greet", "args": {"name": "Ada"}, "unique": {"key": "ada"}, "labels": {"team": "ops"}},
    })
}

#[tokio::test]
async fn a_schedule_is_kept_shown_and_deleted() {
    let app = App::new();
    let created = put(&app, "nightly", &nightly()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    let expected = json!({
        "name": "nightly", "cron": "0 3 * * *", "every": null, "timezone": "Europe/Berlin",
        "description": "At 03:00 (Europe/Berlin)", "jitter": 30.0, "catch_up": "all", "paused": false, "origin": "call",
        "job": {
            "kind": "greet", "args": {"name": "Ada"}, "queue": "default", "priority": 0, "max_attempts": 3,
            "timeout": null, "key": null, "limit_keys": [], "on_exhausted": "fail", "cost": {"slots": 1, "rate": 1}, "unique": {"key": "ada", "period": null, "on_clash": "join"},
            "labels": {"team": "ops"},
        },
        "last_at": null, "last_job": null, "recent": [],
        "next": ["2026-01-01T02:00:00.000Z", "2026-01-02T02:00:00.000Z", "2026-01-03T02:00:00.000Z",
            "2026-01-04T02:00:00.000Z", "2026-01-05T02:00:00.000Z"],
    });
    assert_eq!(created.json(), expected);
    assert_eq!(app.get("/api/schedules/nightly").await.json(), expected);
    assert_eq!(put(&app, "nightly", &nightly()).await.status, StatusCode::OK, "the same once more");
    let often = json!({"every": 900, "job": {"kind": "nap", "args": {"seconds": 1}}});
    assert_eq!(put(&app, "often", &often).await.json()["description"], "Every 15 minutes");
    let listed = app.get("/api/schedules").await.json();
    let names: Vec<&Value> = listed["schedules"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["nightly", "often"]);
    assert_eq!(app.delete("/api/schedules/often").await.status, StatusCode::NO_CONTENT);
    for gone in [
        app.delete("/api/schedules/often").await,
        app.get("/api/schedules/often").await,
        app.post("/api/schedules/often/run", "").await,
        app.post("/api/schedules/often/pause", "").await,
        app.post("/api/schedules/often/resume", "").await,
    ] {
        assert_eq!(gone.code(), "no_such_schedule");
    }
}

#[tokio::test]
async fn a_tick_is_told_with_its_job_and_a_run_by_hand_is_a_job_of_its_own() {
    let app = App::new();
    let runtime = Runtime { clock: app.clock.clone(), ..Runtime::tokio() };
    let _scheduler = Scheduler::start_on(app.longhaul.clone(), runtime);
    let body = json!({"every": 60, "job": {"kind": "greet", "args": {"name": "Ada"}}});
    put(&app, "often", &body).await;
    let worker = app.work();
    app.clock.advance(std::time::Duration::from_secs(60));
    let id = "schedule:often:2026-01-01T00:01:00Z";
    // The scheduler runs beside this, and its work is heard of as any reader would.
    while app.get(&format!("/api/jobs/{id}")).await.status == StatusCode::NOT_FOUND {
        tokio::task::yield_now().await;
    }
    let job = app.get_with(&format!("/api/jobs/{id}"), &[("prefer", "wait=60")]).await.json();
    assert_eq!(job["state"], "completed", "{job}");
    assert_eq!(job["labels"], json!({"schedule": "often", "tick": "2026-01-01T00:01:00Z"}));
    let shown = app.get("/api/schedules/often").await.json();
    assert_eq!((&shown["last_at"], &shown["last_job"]), (&json!("2026-01-01T00:01:00.000Z"), &json!(id)));
    assert_eq!(shown["recent"], json!([{"at": "2026-01-01T00:01:00.000Z", "job": id, "state": "completed"}]));

    let key = [("idempotency-key", "once")];
    let run = app.post_with("/api/schedules/often/run", "", &key).await;
    assert_eq!(run.status, StatusCode::ACCEPTED, "{run:?}");
    let again = app.post_with("/api/schedules/often/run", "", &key).await;
    assert_eq!(
        (again.json()["id"].clone(), again.header("idempotency-replayed")),
        (run.json()["id"].clone(), "true")
    );
    assert_eq!(run.header("location"), format!("/api/jobs/{}", run.json()["id"].as_str().unwrap()));
    let other = app.post_with("/api/schedules/often/run", "", &[("prefer", "wait=60")]).await;
    assert_eq!((other.status, other.json()["state"].clone()), (StatusCode::OK, json!("completed")));
    assert_ne!(other.json()["id"], run.json()["id"]);
    worker.shutdown(std::time::Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_paused_schedule_stays_paused_until_it_is_resumed() {
    let app = App::new();
    put(&app, "nightly", &nightly()).await;
    let paused = app.post("/api/schedules/nightly/pause", "").await.json();
    assert_eq!((&paused["paused"], &paused["next"]), (&json!(true), &json!([])));
    assert_eq!(put(&app, "nightly", &nightly()).await.json()["paused"], true, "a new definition leaves it");
    let mut resumed = nightly();
    resumed["paused"] = json!(false);
    assert_eq!(put(&app, "nightly", &resumed).await.json()["paused"], false, "unless it says so");
    app.post("/api/schedules/nightly/pause", "").await;
    assert_eq!(app.post("/api/schedules/nightly/resume", "").await.json()["paused"], false);
}

#[tokio::test]
async fn all_that_is_wrong_with_a_schedule_is_told_by_field() {
    let app = App::new();
    let wrong = |body: Value| {
        let app = &app;
        async move {
            let answer = put(app, "s", &body).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {answer:?}");
            let errors = answer.json()["errors"].clone();
            let errors = errors.as_array().unwrap().iter();
            errors
                .map(|error| format!("{}: {}", error["field"], error["message"]).replace('"', ""))
                .collect::<Vec<_>>()
        }
    };
    let job = json!({"kind": "greet", "args": {}});
    let cases = [
        (json!({"job": job}), "cron: must be given, or every"),
        (json!({"cron": "0 3 * * *", "every": 5, "job": job}), "every: must not be given together with cron"),
        (
            json!({"cron": "0 3 * *", "job": job}),
            "cron: must be 'minute hour day-of-month month day-of-week'",
        ),
        (
            json!({"cron": "0 3 * * *", "timezone": "Berlin", "job": job}),
            "timezone: must be a time zone of the IANA",
        ),
        (json!({"every": 0.5, "job": job}), "every: must be a whole number of seconds"),
        (json!({"every": 5, "timezone": "Europe/Berlin", "job": job}), "timezone: is for cron"),
        (json!({"every": 5, "jitter": 1e6, "job": job}), "jitter: must be at most 86400 seconds"),
        (
            json!({"every": 5, "job": {"kind": "grete", "args": {}}}),
            "job.kind: is not known here; the kinds are",
        ),
        (json!({"every": 5, "job": {"kind": "greet", "args": {}, "id": "x"}}), "job.id: must be left out"),
        (
            json!({"every": 5, "job": {"kind": "greet", "args": {}, "depends_on": ["x"]}}),
            "job.depends_on: must be left out",
        ),
        (
            json!({"every": 5, "job": {"kind": "greet", "args": {}, "delay": 5}}),
            "job.run_at: must be left out",
        ),
        (
            json!({"every": 5, "job": {"kind": "greet", "args": {}, "priority": 101}}),
            "job.priority: must be from",
        ),
        (json!({"every": 5, "jobs": job}), "jobs: unknown field"),
        (json!({"every": 5, "catch_up": "some", "job": job}), "catch_up: unknown variant"),
    ];
    for (body, fault) in cases {
        let told = wrong(body.clone()).await;
        assert!(told.iter().any(|told| told.starts_with(fault)), "{body}: {told:?}");
    }
    let name = put(&app, "a%20b", &json!({"every": 5, "job": job})).await;
    assert_eq!(name.json()["errors"][0]["field"], "name", "{name:?}");
}

#[tokio::test]
async fn what_is_hidden_is_not_shown_in_a_schedule_and_is_in_its_jobs() {
    let app = App::with(HttpConfig { redaction: "args.name".parse().unwrap(), ..HttpConfig::default() });
    let body = json!({"every": 60, "job": {"kind": "greet", "args": {"name": "Ada Lovelace"}}});
    let shown = put(&app, "s", &body).await.json();
    assert_eq!(shown["job"]["args"], json!({"name": "[redacted]"}));
    let run = app.post("/api/schedules/s/run", "").await.json();
    assert_eq!(run["args"], json!({"name": "[redacted]"}));
    let id = longhaul::JobId::from_store(run["id"].as_str().unwrap().to_owned());
    let job = app.longhaul.get(&id).await.unwrap().found().unwrap();
    assert_eq!(job.args.as_str(), r#"{"name":"Ada Lovelace"}"#);
    let back =
        put(&app, "s", &json!({"every": 60, "job": {"kind": "greet", "args": {"name": "[redacted]"}}})).await;
    assert_eq!(back.json()["errors"][0]["field"], "job.args", "what was shown is no value");
}

#[tokio::test]
async fn a_file_of_schedules_is_read_whole_or_told_what_is_wrong_with_it() {
    let app = App::new();
    let file = r#"{"schedules": {
        "nightly": {"cron": "0 3 * * *", "job": {"kind": "of-some-worker", "args": {}}},
        "often": {"every": 900, "jitter": 5, "job": {"kind": "greet", "args": {"name": "x"}}}}}"#;
    let read = schedules_of_file(&app.longhaul, file).unwrap();
    assert_eq!(read.iter().map(|schedule| schedule.name.as_str()).collect::<Vec<_>>(), ["nightly", "often"]);
    let wrong = r#"{"schedules": {
        "a": {"cron": "0 3 * *", "job": {"kind": "k", "args": {}}},
        "b": {"every": 5, "job": {"kind": "k"}},
        "c": {"every": 5, "paused": true, "job": {"kind": "k", "args": {}}}}}"#;
    let told = schedules_of_file(&app.longhaul, wrong).unwrap_err();
    for fault in [
        "schedules.a.cron: must be 'minute",
        "schedules.b.job: missing field `args`",
        "schedules.c.paused: is not for",
    ] {
        assert!(told.contains(fault), "{told}");
    }
    assert!(schedules_of_file(&app.longhaul, r#"{"schedule": {}}"#).unwrap_err().contains("unknown field"));
}
