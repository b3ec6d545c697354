//! The calls of remote workers, request by request.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use insta::assert_snapshot;
use longhaul::{Action, JobFilter, JobId};
use longhaul_http::{Access, HttpConfig, Secret};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::app::{Answer, App};

const CLAIM: &str =
    r#"{"worker":{"id":"w1"},"queues":[{"queue":"default","slots":5}],"kinds":[{"kind":"greet"}]}"#;

async fn enqueue(app: &App, id: &str) {
    let body = format!(r#"{{"kind":"greet","args":{{"name":"x"}},"id":"{id}","labels":{{"team":"red"}}}}"#);
    assert_eq!(app.post("/api/jobs", &body).await.status, StatusCode::ACCEPTED);
}

async fn call(app: &App, route: &str, body: &Value) -> Answer {
    app.post(&format!("/api/worker/{route}"), &body.to_string()).await
}

async fn keyed(app: &App, route: &str, key: &str, body: &Value) -> Answer {
    let path = format!("/api/worker/{route}");
    app.post_with(&path, &body.to_string(), &[("idempotency-key", key)]).await
}

/// Claims one job and answers its lease.
async fn lease(app: &App, id: &str) -> Value {
    enqueue(app, id).await;
    let answer = app.post("/api/worker/claim", CLAIM).await.json();
    assert_eq!(answer["claimed"][0]["lease"]["id"], id);
    answer["claimed"][0]["lease"].clone()
}

async fn job(app: &App, id: &str) -> Value {
    app.get(&format!("/api/jobs/{id}")).await.json()
}

fn completed(lease: &Value, output: &Value) -> Value {
    json!({"lease": lease, "outcome": {"completed": {"output": output}}})
}

#[tokio::test]
async fn a_job_goes_to_workers_that_have_the_labels_it_must_have_and_to_others_after_a_second_where_it_may() {
    let app = App::new();
    for (id, hard) in [("soft", false), ("hard", true)] {
        let body = json!({"kind": "greet", "args": {"name": "x"}, "id": id, "prefer": {"gpu": "a100"}, "prefer_hard": hard});
        let created = app.post("/api/jobs", &body.to_string()).await;
        assert_eq!(
            (&created.json()["prefer"], &created.json()["prefer_hard"]),
            (&body["prefer"], &body["prefer_hard"])
        );
        assert_eq!(job(&app, id).await["prefer"], body["prefer"]);
    }
    let claim = async |id: &str, labels: Value| {
        let mut claim: Value = serde_json::from_str(CLAIM).unwrap();
        claim["worker"] = json!({"id": id, "labels": labels});
        let claimed = call(&app, "claim", &claim).await.json()["claimed"].clone();
        claimed.as_array().unwrap().iter().map(|job| job["lease"]["id"].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(
        claim("w1", json!({"gpu": "t4"})).await,
        Vec::<Value>::new(),
        "the soft one is due for less than a second"
    );
    let reasons = app.get("/api/jobs/hard/why").await.json()["reasons"].clone();
    assert_eq!(reasons, json!([{"rule": "no_worker", "key": "gpu=a100"}]));
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(claim("w2", json!({})).await, ["soft"]);
    assert_eq!(claim("w3", json!({"gpu": "a100", "zone": "eu"})).await, ["hard"]);
    let workers = app.get("/api/workers").await.json();
    assert_eq!(workers["workers"][2]["labels"], json!({"gpu": "a100", "zone": "eu"}));
    for (body, field) in [
        (json!({"prefer": {}}), "prefer"),
        (json!({"prefer": {"gpu": "a 100"}}), "prefer.gpu"),
        (json!({"prefer_hard": true}), "prefer_hard"),
    ] {
        let mut asked = json!({"kind": "greet", "args": {"name": "x"}});
        asked.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let refused = app.post("/api/jobs", &asked.to_string()).await.json();
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    }
}

#[tokio::test]
async fn a_claim_answers_with_all_that_a_worker_needs() {
    let app = App::new();
    enqueue(&app, "a").await;
    let answer = app.post("/api/worker/claim", CLAIM).await;
    let retry_in = answer.json()["claimed"][0]["retry_in"].as_f64().unwrap();
    assert!((1.6..=2.0).contains(&retry_in), "the engine's own policy: {retry_in}");
    let text = answer.text().replace(&format!("\"retry_in\": {retry_in:?},"), "\"retry_in\": [retry_in],");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("content-length")).collect();
    assert_snapshot!(lines.join("\n"));
    assert_snapshot!(app.post("/api/worker/claim", CLAIM).await.text());
    assert_eq!(
        (&job(&app, "a").await["state"], &job(&app, "a").await["worker"]),
        (&json!("running"), &json!("w1"))
    );
}

#[tokio::test]
async fn a_heartbeat_extends_leases_and_tells_of_those_that_are_lost_or_to_be_cancelled() {
    let app = App::new();
    let (a, b) = (lease(&app, "a").await, lease(&app, "b").await);
    app.post("/api/jobs/b/cancel", "").await;
    let lost = json!({"id": "a", "token": 999});
    let beat = json!({"worker": {"id": "w1", "host": "here"}, "leases": [a, b, lost], "lease_for": 100});
    assert_snapshot!(call(&app, "heartbeat", &beat).await.text());
    app.clock.advance(Duration::from_secs(60));
    app.longhaul.store().sweep(10).await.unwrap();
    assert_eq!(job(&app, "a").await["state"], "running", "the lease was extended beyond its 30 s");
    assert_eq!(job(&app, "b").await["state"], "cancelled", "and the cancelled job was fenced off");
}

#[tokio::test]
async fn workers_are_listed_by_name_for_a_minute_after_they_were_heard_of() {
    let app = App::new();
    for (id, host) in [("w2", "there"), ("w1", "here")] {
        let worker =
            json!({"id": id, "process": "p", "host": host, "queues": [{"queue": "default", "slots": 4}]});
        call(&app, "heartbeat", &json!({"worker": worker, "leases": []})).await;
    }
    assert_snapshot!(app.get("/api/workers").await.text());
    app.clock.advance(Duration::from_secs(61));
    assert_eq!(app.get("/api/workers").await.json(), json!({"workers": []}));
}

#[tokio::test]
async fn what_is_recorded_is_in_the_jobs_log() {
    let app = App::new();
    let lease = lease(&app, "a").await;
    let entries = json!([
        {"progress": {"percent": 40.0, "message": "page 4 of 10", "data": {"page": 4}}},
        {"log": {"level": "info", "message": "hello"}},
        {"chunk": {"data": "Once upon"}},
        {"step": {"name": "ocr", "output": [1, 2]}},
    ]);
    assert_snapshot!(
        call(&app, "record", &json!({"records": [{"lease": lease, "entries": entries}]})).await.text()
    );
    assert_eq!(
        job(&app, "a").await["progress"],
        json!({"percent": 40.0, "message": "page 4 of 10", "data": {"page": 4}})
    );
    let error = json!({"message": "the paper jammed"});
    let retry = json!({"lease": lease, "outcome": {"retry": {"error": error, "delay": 0}}});
    assert_eq!(call(&app, "finish", &json!({"finishes": [retry]})).await.json()["statuses"], json!(["held"]));
    let again = app.post("/api/worker/claim", CLAIM).await.json();
    assert_eq!(again["claimed"][0]["steps"], json!({"ocr": [1, 2]}));
    assert_eq!(
        (&again["claimed"][0]["attempt"], &again["claimed"][0]["retry_in"].is_null()),
        (&json!(2), &false)
    );
    let retry = json!({"lease": again["claimed"][0]["lease"], "outcome": {"retry": {"error": {"message": "again"}, "delay": 0}}});
    call(&app, "finish", &json!({"finishes": [retry]})).await;
    let last = app.post("/api/worker/claim", CLAIM).await.json();
    assert_eq!(last["claimed"][0]["retry_in"], Value::Null, "the last attempt: {last}");
    let log = app.longhaul.events(&JobId::new("a").unwrap(), 0, 100, Duration::ZERO).await.unwrap().unwrap();
    let told = serde_json::to_string(&log).unwrap();
    assert!(told.contains("Once upon") && told.contains("hello"), "{told}");
}

#[tokio::test]
async fn every_outcome_ends_a_run_as_it_says() {
    let app = App::new();
    for (outcome, state, attempt) in [
        (json!({"completed": {"output": {"words": 7}}}), "completed", 1),
        (json!({"completed": {}}), "completed", 1),
        (json!({"retry": {"error": {"message": "jam"}, "delay": 1.5}}), "scheduled", 1),
        (json!({"failed": {"error": {"message": "no paper", "kind": "fatal"}}}), "failed", 1),
        (json!({"cancelled": {"reason": "asked to"}}), "cancelled", 1),
        (json!({"snoozed": {"delay": 60}}), "scheduled", 0),
        (json!({"rate_limited": {"delay": 60}}), "scheduled", 0),
        (json!({"released": {}}), "available", 0),
    ] {
        let lease = lease(&app, "a").await;
        let finish = json!({"finishes": [{"lease": lease, "outcome": outcome}]});
        assert_eq!(call(&app, "finish", &finish).await.json(), json!({"statuses": ["held"]}), "{outcome}");
        let ended = job(&app, "a").await;
        assert_eq!((&ended["state"], &ended["attempt"]), (&json!(state), &json!(attempt)), "{outcome}");
        // A repeated finish is known again by its token only where it has ended the job. Either way it changes nothing.
        let again = if ["completed", "failed", "cancelled"].contains(&state) { "held" } else { "lost" };
        assert_eq!(call(&app, "finish", &finish).await.json(), json!({"statuses": [again]}), "{outcome}");
        assert_eq!(job(&app, "a").await, ended, "{outcome}");
        let id = JobFilter::id(JobId::new("a").unwrap());
        app.longhaul.store().act(&id, Action::cancel(Duration::ZERO), 1).await.unwrap();
        app.longhaul.store().act(&id, Action::Delete, 1).await.unwrap();
    }
}

#[tokio::test]
async fn a_turn_ends_runs_brings_their_follow_ups_and_claims() {
    let app = App::new();
    let lease = lease(&app, "a").await;
    let mut finish = completed(&lease, &json!("done"));
    finish["follow_ups"] = json!([
        {"kind": "greet", "args": {"name": "next"}, "id": "b", "parent": "a", "max_attempts": 1, "timeout": 90,
            "unique": {"key": "greet:next", "period": 60}, "backoff": {"base": 1, "factor": 2, "max": 60, "jitter": 0}},
        {"kind": "greet", "args": {"name": "later"}, "id": "c", "delay": 60, "priority": 7},
        {"kind": "greet", "args": {"name": "then"}, "id": "d", "run_at": "2026-01-01T01:00:00Z"},
    ]);
    let turn = json!({"finishes": [finish], "claim": serde_json::from_str::<Value>(CLAIM).unwrap()});
    assert_snapshot!(call(&app, "turn", &turn).await.text());
    assert_eq!(
        (&job(&app, "b").await["timeout"], &job(&app, "b").await["parent"]),
        (&json!(90.0), &json!("a"))
    );
    assert_eq!(
        (&job(&app, "c").await["state"], &job(&app, "c").await["priority"]),
        (&json!("scheduled"), &json!(7))
    );
    assert_eq!(job(&app, "d").await["run_at"], "2026-01-01T01:00:00.000Z");
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_answered_as_it_was() {
    let app = App::new();
    let lease = lease(&app, "a").await;
    let record = json!({"records": [{"lease": lease, "entries": [{"chunk": {"data": "once"}}]}]});
    for _ in 0..3 {
        assert_eq!(keyed(&app, "record", "r1", &record).await.json(), json!({"statuses": ["held"]}));
    }
    let chunks = async || {
        let log =
            app.longhaul.events(&JobId::new("a").unwrap(), 0, 100, Duration::ZERO).await.unwrap().unwrap();
        serde_json::to_string(&log).unwrap().matches("once").count()
    };
    assert_eq!(chunks().await, 1);
    keyed(&app, "record", "r2", &record).await;
    assert_eq!(chunks().await, 2, "another key is another record");

    let finish = json!({"finishes": [completed(&lease, &json!(1))]});
    for _ in 0..3 {
        assert_eq!(keyed(&app, "finish", "r1", &finish).await.json(), json!({"statuses": ["held"]}));
    }
    assert_eq!(call(&app, "finish", &finish).await.json(), json!({"statuses": ["held"]}), "without the key");
    let answer = keyed(&app, "finish", "", &finish).await;
    assert_eq!(answer.code(), "invalid_header");
}

#[tokio::test]
async fn a_claim_that_is_sent_again_has_what_nobody_heard_of() {
    let app = App::new();
    enqueue(&app, "a").await;
    let claim: Value = serde_json::from_str(CLAIM).unwrap();
    let first = keyed(&app, "claim", "c", &claim).await.json();
    let again = keyed(&app, "claim", "c", &claim).await.json();
    assert_eq!(
        (&again["claimed"][0]["lease"]["id"], &again["claimed"][0]["attempt"]),
        (&json!("a"), &json!(1))
    );
    assert_ne!(first["claimed"][0]["lease"]["token"], again["claimed"][0]["lease"]["token"]);
    let stale = json!({"finishes": [completed(&first["claimed"][0]["lease"], &json!(1))]});
    assert_eq!(call(&app, "finish", &stale).await.json(), json!({"statuses": ["lost"]}));
    let ended = job(&app, "a").await;
    assert_eq!((&ended["crashes"], &ended["interruptions"]), (&json!(0), &json!(0)));

    assert_snapshot!(call(&app, "abandon", &json!({"key": "c"})).await.text());
    assert_eq!(job(&app, "a").await["state"], "available");
    let late = keyed(&app, "claim", "c", &claim).await.json();
    assert_eq!(late["claimed"], json!([]), "what arrives after it was abandoned takes nothing");
    assert_eq!(keyed(&app, "claim", "d", &claim).await.json()["claimed"][0]["attempt"], 1);
}

#[tokio::test]
async fn a_turn_that_is_sent_again_ends_once_and_claims_anew() {
    let app = App::new();
    let lease = lease(&app, "a").await;
    enqueue(&app, "b").await;
    let turn = json!({"finishes": [completed(&lease, &json!(1))], "claim": serde_json::from_str::<Value>(CLAIM).unwrap()});
    for _ in 0..3 {
        let answer = keyed(&app, "turn", "t", &turn).await.json();
        assert_eq!(answer["statuses"], json!(["held"]));
        assert_eq!(
            (&answer["claimed"][0]["lease"]["id"], &answer["claimed"][0]["attempt"]),
            (&json!("b"), &json!(1))
        );
    }
    assert_eq!(call(&app, "abandon", &json!({"key": "t"})).await.json(), json!({"given_back": 1}));
    assert_eq!(job(&app, "b").await["state"], "available");
}

#[tokio::test]
async fn a_kind_that_a_remote_worker_runs_may_be_enqueued() {
    let app = App::new();
    let paint = r#"{"kind":"paint","args":{},"queue":"studio","id":"p"}"#;
    assert_eq!(app.post("/api/jobs", paint).await.code(), "unknown_kind");
    let claim = json!({"worker": {"id": "w1"}, "queues": [{"queue": "studio", "slots": 1}], "kinds": [{"kind": "paint", "version": 3}]});
    assert_eq!(call(&app, "claim", &claim).await.json(), json!({"claimed": [], "wait_left": 0.0}));
    let answer = app.post("/api/jobs", paint).await;
    assert_eq!((answer.status, &answer.json()["version"]), (StatusCode::ACCEPTED, &json!(3)));
    assert_eq!(call(&app, "claim", &claim).await.json()["claimed"][0]["lease"]["id"], "p");
    let known = app.post("/api/jobs", r#"{"kind":"dig","args":{}}"#).await.text();
    assert!(known.contains("paint"), "{known}");
    app.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(app.post("/api/jobs", r#"{"kind":"paint","args":{}}"#).await.code(), "unknown_kind");
}

#[tokio::test]
async fn a_claim_beyond_its_bounds_is_refused_and_changes_no_version_of_new_jobs() {
    let app = App::new();
    let claim =
        |queues: &Value, kinds: &Value| json!({"worker": {"id": "w"}, "queues": queues, "kinds": kinds});
    let queues =
        |count: usize| (0..count).map(|n| json!({"queue": format!("q{n}"), "slots": 1})).collect::<Value>();
    let kinds = |count: usize| (0..count).map(|n| json!({"kind": format!("k{n}")})).collect::<Value>();
    let paint = |version: i64| json!([{"kind": "greet"}, {"kind": "paint", "version": version}]);
    assert_eq!(call(&app, "claim", &claim(&queues(1), &paint(3))).await.status, StatusCode::OK);
    for (queues, kinds, field) in [
        (queues(1), paint(2_147_483_648), "kinds[1].version"),
        (queues(1), paint(0), "kinds[1].version"),
        (queues(1), paint(-1), "kinds[1].version"),
        (queues(1), json!([{"kind": "a b"}]), "kinds[0].kind"),
        (json!([{"queue": "", "slots": 1}]), kinds(1), "queues[0].queue"),
        (queues(1_001), kinds(1), "queues"),
        (queues(1), kinds(1_001), "kinds"),
        (queues(21), kinds(1_000), "kinds"),
    ] {
        let claim = claim(&queues, &kinds);
        let answer = call(&app, "claim", &claim).await;
        assert_eq!(
            (answer.status, &answer.json()["errors"][0]["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(field))
        );
        let answer = call(&app, "turn", &json!({"finishes": [], "claim": claim})).await;
        assert_eq!(answer.json()["errors"][0]["field"], format!("claim.{field}"), "{}", answer.text());
    }
    assert_eq!(call(&app, "claim", &claim(&queues(20), &kinds(1_000))).await.status, StatusCode::OK);
    let answer = app.post("/api/jobs", r#"{"kind":"paint","args":{}}"#).await;
    assert_eq!((answer.status, &answer.json()["version"]), (StatusCode::ACCEPTED, &json!(3)));
}

#[tokio::test]
async fn what_is_not_understood_is_refused_with_the_field() {
    let app = App::new();
    let lease = json!({"id": "a", "token": 1});
    let nothing = json!({"ids": [], "states": [], "kinds": [], "queues": [], "labels": [], "text": null});
    for (route, body, field) in [
        ("claim", json!({"worker": {"id": "a b"}, "queues": [], "kinds": []}), "worker.id"),
        ("claim", json!({"worker": {"id": "w"}, "queues": [], "kinds": [], "lease_for": 0}), "lease_for"),
        ("claim", json!({"worker": {"id": "w"}, "queues": [], "kinds": [], "wait": -1}), "wait"),
        (
            "claim",
            json!({"worker": {"id": "w"}, "queues": [{"queue": "q", "slots": 10_001}], "kinds": []}),
            "queues",
        ),
        ("claim", json!({"worker": {"id": "w"}, "queues": [], "kinds": [], "lease": 30}), "lease"),
        (
            "turn",
            json!({"finishes": [], "claim": {"worker": {"id": ""}, "queues": [], "kinds": []}}),
            "claim.worker.id",
        ),
        ("finish", json!({"finishes": [{"lease": lease, "outcome": {"done": {}}}]}), "finishes[0]"),
        ("finish", json!({"finishes": [[lease, {"completed": {}}, [], []]]}), "finishes[0]"),
        ("finish", json!([[]]), "body"),
        ("act", json!({"filter": [], "action": {"action": "retry"}, "limit": 1}), "filter"),
        ("act", json!({"filter": nothing, "action": ["retry"], "limit": 1}), "action"),
        ("record", json!({"records": [{"lease": lease, "entries": [{"shout": {}}]}]}), "records[0]"),
        (
            "enqueue",
            json!({"jobs": [{"kind": "k", "args": 1}, {"kind": "k", "args": 1, "max_attempts": 0}]}),
            "[1].max_attempts",
        ),
    ] {
        let answer = call(&app, route, &body).await;
        assert_eq!(answer.code(), "invalid", "{route} {body}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{route} {body}: {}", answer.text());
    }
    assert!(app.longhaul.store().queues().await.unwrap().is_empty(), "nothing was done");
}

#[tokio::test]
async fn a22_a_finish_or_record_that_cannot_be_kept_ends_its_own_job_and_the_others_go_on() {
    let app = App::new();
    let mut leases = Vec::new();
    for id in ["nul", "half", "twice", "deep", "follow", "step", "name", "good"] {
        leases.push(lease(&app, id).await);
    }
    let end = |lease: &Value, rest: &str| format!(r#"{{"lease":{lease},{rest}}}"#);
    let output = |json: &str| format!(r#""outcome":{{"completed":{{"output":{json}}}}}"#);
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let finishes = [
        end(&leases[0], &output(r#""a\u0000b""#)),
        end(&leases[1], r#""outcome":{"failed":{"error":{"message":"\ud800"}}}"#),
        end(&leases[2], &output(r#"{"a":1,"a":2}"#)),
        end(&leases[3], &output(&deep)),
        end(&leases[4], r#""outcome":{"completed":{}},"follow_ups":[{"kind":"a b","args":1}]"#),
    ];
    let body = format!(r#"{{"finishes":[{}]}}"#, finishes.join(","));
    let answer = app.post("/api/worker/finish", &body).await;
    assert_eq!(answer.json(), json!({"statuses": ["held", "held", "held", "held", "held"]}));
    let entry = |lease: &Value, entry: &str| format!(r#"{{"lease":{lease},"entries":[{entry}]}}"#);
    let records = [
        entry(&leases[5], r#"{"step":{"name":"a\u0000","output":1}}"#),
        entry(&leases[6], r#"{"log":{"level":"info","message":"\udfff"}}"#),
        entry(&leases[7], r#"{"log":{"level":"info","message":"a\u0000b"}}"#),
    ];
    let body = format!(r#"{{"records":[{}]}}"#, records.join(","));
    let answer = app.post("/api/worker/record", &body).await;
    assert_eq!(answer.json(), json!({"statuses": ["lost", "lost", "held"]}));
    for (id, reason) in [
        ("nul", "output: must not hold a NUL character"),
        ("half", "must not hold half of a surrogate pair"),
        ("twice", "output: must not name a key twice (at .a)"),
        ("deep", "output: must not be nested deeper than 64 levels"),
        ("follow", "kind: must be 1 to 128 characters"),
        ("step", "step name: must not hold a NUL character"),
        ("name", "entries[0].log.message: must not hold half"),
    ] {
        let job = job(&app, id).await;
        let message = job["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(job["state"] == "failed" && message.contains(reason), "{id}: {message}");
    }
    let good = call(&app, "finish", &json!({"finishes": [completed(&leases[7], &json!(1))]})).await;
    assert_eq!(good.json(), json!({"statuses": ["held"]}));
    assert_eq!(job(&app, "good").await["state"], "completed");
    assert!(app.get("/api/jobs/good/events").await.text().contains("a\u{fffd}b"), "a log line is cleaned");
}

#[tokio::test]
async fn a_finish_or_record_of_another_form_is_refused_whole_and_ends_no_job() {
    let app = App::new();
    let (good, bad) = (lease(&app, "good").await, lease(&app, "bad").await);
    let one_member = "must be an object with one member";
    for (outcome, words) in [
        ("{}", one_member),
        ("null", one_member),
        ("7", one_member),
        (r#"["completed",{}]"#, one_member),
        (r#"{"completed":{},"failed":{"error":{"message":"x"}}}"#, one_member),
        (r#"{"completed":{"output":"\ud800"},"released":{}}"#, one_member),
        (r#"{"failed":{"error":{"message":"\udfff"}},"released":{}}"#, one_member),
        (r#""completed""#, "invalid type"),
        (r#"{"done":{}}"#, "unknown variant"),
        (r#"{"failed":{"error":{"message":"\ud800","colour":"red"}}}"#, "unknown field `colour`"),
    ] {
        let ends = format!(r#"[{},{{"lease":{bad},"outcome":{outcome}}}]"#, completed(&good, &json!(1)));
        let claim = json!({"worker": {"id": "w"}, "queues": [], "kinds": []});
        for (route, body) in [
            ("finish", format!(r#"{{"finishes":{ends}}}"#)),
            ("turn", format!(r#"{{"finishes":{ends},"claim":{claim}}}"#)),
        ] {
            let answer = app.post(&format!("/api/worker/{route}"), &body).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{route} {outcome}");
            let fault = answer.json()["errors"][0].clone();
            let message = fault["message"].as_str().unwrap();
            assert_eq!(fault["field"], "finishes[1]", "{outcome}");
            assert!(message.starts_with("outcome") && message.contains(words), "{outcome}: {message}");
        }
    }
    let log = r#"{"level":"info","message":"x"}"#;
    for entry in
        ["{}", "null", r#"["log",{}]"#, &format!(r#"{{"log":{log},"chunk":{{"data":1}}}}"#), r#"{"log":[]}"#]
    {
        let good = format!(r#"{{"lease":{good},"entries":[{{"log":{log}}}]}}"#);
        let body = format!(r#"{{"records":[{good},{{"lease":{bad},"entries":[{entry}]}}]}}"#);
        let answer = app.post("/api/worker/record", &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{entry}");
        let fault = answer.json()["errors"][0].clone();
        assert_eq!(fault["field"], "records[1]", "{entry}");
        assert!(fault["message"].as_str().unwrap().starts_with("entries[0]"), "{entry}: {fault}");
    }
    for id in ["good", "bad"] {
        assert_eq!(job(&app, id).await["state"], "running", "{id}");
    }
}

#[tokio::test]
async fn a_workers_body_may_be_larger_than_others_and_has_a_bound() {
    let app = App::new();
    let lease = lease(&app, "a").await;
    let output = "x".repeat(8 * 1024 * 1024);
    let finish = json!({"finishes": [completed(&lease, &json!(output))]});
    assert_eq!(call(&app, "finish", &finish).await.json(), json!({"statuses": ["held"]}));
    let job = app.get("/api/jobs/a").await.json();
    let reason = "failed to keep what the job returned: output: must be at most 1048576 bytes of JSON";
    assert_eq!((&job["state"], &job["output"]), (&json!("failed"), &json!(null)));
    assert!(job["errors"][0]["message"].as_str().unwrap().starts_with(reason), "{job}");
    let body = format!(r#"{{"finishes":[],"x":"{}"}}"#, "x".repeat(16 * 1024 * 1024));
    assert_snapshot!(app.post("/api/worker/finish", &body).await.text());
    let deep = format!(
        r#"{{"finishes":[{{"lease":{{"id":"a","token":7}},"outcome":{{"completed":{{"output":{}{}}}}}}}]}}"#,
        "[".repeat(500),
        "]".repeat(500)
    );
    assert_eq!(
        app.post("/api/worker/finish", &deep).await.json(),
        json!({"statuses": ["lost"]}),
        "an old token"
    );
    assert_eq!(app.post("/api/worker/finish", &"[".repeat(100_000)).await.code(), "malformed_json");
}

#[tokio::test]
async fn a_workers_token_opens_the_workers_routes_and_no_others() {
    let app = App::with(HttpConfig {
        access: Access::Bearer { token: Secret(b"s3cret".to_vec()), verifier: None },
        worker_token: Some(Secret(b"w0rker".to_vec())),
        ..HttpConfig::default()
    });
    let as_ = async |token: &str, path: &str, body: &str| {
        app.post_with(path, body, &[("authorization", &format!("Bearer {token}"))]).await
    };
    for token in ["w0rker", "s3cret"] {
        assert_eq!(as_(token, "/api/worker/claim", CLAIM).await.status, StatusCode::OK, "{token}");
        assert_eq!(as_(token, "/api/worker/get", r#"{"ids":[]}"#).await.status, StatusCode::OK, "{token}");
    }
    assert_eq!(as_("guess", "/api/worker/claim", CLAIM).await.code(), "invalid_token");
    assert_eq!(app.post("/api/worker/claim", CLAIM).await.code(), "unauthorized");
    let job = r#"{"kind":"greet","args":{"name":"x"}}"#;
    assert_snapshot!(as_("w0rker", "/api/jobs", job).await.text());
    assert_eq!(
        as_("w0rker", "/api/jobs/actions", r#"{"action":"delete","filter":{}}"#).await.code(),
        "forbidden"
    );
    let queues = app.get_with("/api/queues", &[("authorization", "Bearer w0rker")]).await;
    assert_eq!(queues.code(), "forbidden");

    let without = App::with(HttpConfig {
        access: Access::Bearer { token: Secret(b"s3cret".to_vec()), verifier: None },
        ..HttpConfig::default()
    });
    let empty = without.post_with("/api/worker/claim", CLAIM, &[("authorization", "Bearer ")]).await;
    assert_eq!(empty.status, StatusCode::UNAUTHORIZED, "no token is not an empty one");
    assert!(
        !format!(
            "{:?}",
            HttpConfig { worker_token: Some(Secret(b"w0rker".to_vec())), ..HttpConfig::default() }
        )
        .contains("w0rker")
    );
}

#[tokio::test]
async fn a_waiting_claim_answers_when_a_job_arrives() {
    let app = App::new();
    let mut claim: Value = serde_json::from_str(CLAIM).unwrap();
    claim["wait"] = json!(3600);
    let (answer, ()) = tokio::join!(call(&app, "claim", &claim), async {
        tokio::task::yield_now().await;
        enqueue(&app, "a").await;
    });
    assert_eq!(answer.json()["claimed"][0]["lease"]["id"], "a");
    assert_eq!(answer.json()["wait_left"], 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_not_held_longer_than_proxies_allow() {
    let app = App::new();
    let mut claim: Value = serde_json::from_str(CLAIM).unwrap();
    claim["wait"] = json!(3600);
    let early = tokio::time::timeout(Duration::from_secs(24), call(&app, "claim", &claim)).await;
    assert!(early.is_err());
    let answer = tokio::time::timeout(Duration::from_secs(26), call(&app, "claim", &claim)).await.unwrap();
    assert_eq!(answer.json(), json!({"claimed": [], "wait_left": 3600.0}), "the store's clock stands still");
}

/// Sends a message when the requests that it surrounds are over, whether they were answered or dropped.
struct Over(mpsc::UnboundedSender<&'static str>, &'static str);

impl Drop for Over {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

#[tokio::test]
async fn a_claim_whose_caller_goes_away_takes_nothing() {
    let app = App::new();
    let (over, mut heard) = mpsc::unbounded_channel();
    let router: Router =
        app.router.clone().layer(middleware::from_fn(move |request: Request, next: Next| {
            let over = over.clone();
            async move {
                let _ = over.send("begun");
                let mut end = Over(over, "dropped");
                let answer = next.run(request).await;
                end.1 = "answered";
                answer
            }
        }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });

    let body = CLAIM.replacen('{', r#"{"wait":3600,"#, 1);
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/worker/claim HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let patience = Duration::from_secs(60);
    assert_eq!(tokio::time::timeout(patience, heard.recv()).await.unwrap(), Some("begun"));
    drop(connection);
    assert_eq!(tokio::time::timeout(patience, heard.recv()).await.unwrap(), Some("dropped"));

    enqueue(&app, "a").await;
    let untouched = job(&app, "a").await;
    assert_eq!((&untouched["state"], &untouched["attempt"]), (&json!("available"), &json!(0)));

    // A caller that stays has its answer, over the same sort of connection.
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(patience, connection.read(&mut answer)).await.unwrap().unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&answer));
    let taken = job(&app, "a").await;
    assert_eq!(
        (&taken["state"], &taken["attempt"], &taken["interruptions"]),
        (&json!("running"), &json!(1), &json!(0))
    );
}

#[tokio::test]
async fn a_job_whose_claim_was_not_delivered_is_rescued_when_its_lease_ends() {
    let app = App::new();
    let _unheard = lease(&app, "a").await;
    app.clock.advance(Duration::from_secs(31));
    app.longhaul.store().sweep(10).await.unwrap();
    let rescued = job(&app, "a").await;
    assert_eq!((&rescued["state"], &rescued["crashes"]), (&json!("available"), &json!(1)));
}

#[tokio::test]
async fn another_body_under_a_workers_key_is_refused() {
    let app = App::new();
    let (one, other) = (lease(&app, "one").await, lease(&app, "other").await);
    let finish = |lease: &Value| json!({"finishes": [completed(lease, &json!(1))]});
    assert_eq!(keyed(&app, "finish", "k", &finish(&one)).await.json()["statuses"], json!(["held"]));
    let reused = keyed(&app, "finish", "k", &finish(&other)).await;
    assert_eq!(
        (reused.status, reused.code().as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused")
    );
    assert_eq!(job(&app, "other").await["state"], "running");
    assert_eq!(keyed(&app, "finish", "k", &finish(&one)).await.json()["statuses"], json!(["held"]));
}

#[tokio::test]
async fn a_worker_that_waits_for_jobs_is_known_by_its_claims() {
    let app = App::new();
    let workers = async || app.get("/api/workers").await.json()["workers"].clone();
    app.post("/api/worker/claim", CLAIM).await;
    let first = workers().await;
    assert_eq!((&first[0]["id"], first.as_array().unwrap().len()), (&json!("w1"), 1));
    assert_eq!(first[0]["queues"], json!([{"queue": "default", "slots": 5}]));
    assert_eq!(first[0]["kinds"], json!([{"kind": "greet", "version": 1}]));
    let claim: Value = serde_json::from_str(CLAIM).unwrap();
    app.clock.advance(Duration::from_secs(19));
    app.post("/api/worker/claim", CLAIM).await;
    assert_eq!(workers().await, first, "not every claim costs the store a write");
    app.clock.advance(Duration::from_secs(1));
    call(&app, "turn", &json!({"finishes": [], "claim": claim})).await;
    assert_ne!(workers().await[0]["seen_at"], first[0]["seen_at"], "a turn is a sign of life, too");
}
