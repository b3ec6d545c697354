//! The views for people: statistics, failures, the feed, reasons, steps, kinds and keys.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use http_body_util::BodyExt;
use longhaul::{Claim, Claimed, Entry, Finish, Json, Outcome, QueueSlots, Record, SupportedKind, WorkerInfo};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::app::{App, request};
use crate::described::hold_event;

const GREET: &str = r#"{"kind":"greet","args":{"name":"x"},"id":"g"}"#;

pub(crate) async fn claim(app: &App, queue: &str, kind: &str) -> Claimed {
    let claim = Claim {
        worker: WorkerInfo { id: "w".into(), ..WorkerInfo::default() },
        queues: vec![QueueSlots { queue: queue.into(), slots: 1 }],
        kinds: vec![SupportedKind { kind: kind.into(), version: 1 }],
        lease_for: Duration::from_secs(3600),
        wait: Duration::ZERO,
    };
    app.longhaul.store().claim(claim).await.unwrap().pop().expect("a job waits")
}

async fn end(app: &App, claimed: Claimed, outcome: Outcome) {
    let finish =
        Finish { lease: claimed.lease, outcome, entries: Vec::new(), follow_ups: Vec::new(), cost: None };
    app.longhaul.store().finish(vec![finish]).await.unwrap();
}

async fn know(app: &App, queue: &str, kind: &str, version: u32) {
    let worker = WorkerInfo {
        id: format!("knows-{kind}"),
        queues: vec![QueueSlots { queue: queue.into(), slots: 1 }],
        kinds: vec![SupportedKind { kind: kind.into(), version }],
        version: "painter 1.2".into(),
        started_at: Some(app.clock.now()),
        ..WorkerInfo::default()
    };
    app.longhaul.store().heartbeat(&worker, &[], Duration::from_secs(30)).await.unwrap();
}

async fn reasons(app: &App, id: &str) -> Value {
    app.get(&format!("/api/jobs/{id}/why")).await.json()["reasons"].clone()
}

#[tokio::test]
async fn statistics_tell_what_ran_and_how_long_it_took() {
    let app = App::new();
    let began = app.clock.now();
    for id in ["a", "b"] {
        let body = format!(r#"{{"kind":"greet","args":{{"name":"x"}},"id":"{id}"}}"#);
        app.post("/api/jobs", &body).await;
    }
    app.clock.advance(Duration::from_secs(4));
    let claimed = claim(&app, "default", "greet").await;
    app.clock.advance(Duration::from_secs(2));
    end(&app, claimed, Outcome::Completed { output: Json::null() }).await;
    let stats = app.get("/api/stats?window=600&step=120").await.json();
    assert_eq!((&stats["window"], &stats["step"]), (&json!(600.0), &json!(120.0)));
    assert_eq!(stats["series"].as_array().unwrap().len(), 5);
    let enqueued: u64 =
        stats["series"].as_array().unwrap().iter().map(|p| p["enqueued"].as_u64().unwrap()).sum();
    assert_eq!(enqueued, 2);
    assert_eq!(stats["wait"]["max"], 4.0);
    assert_eq!(stats["run"], json!({"p50": 2.0, "p90": 2.0, "p99": 2.0, "max": 2.0}));
    assert_eq!(
        (&stats["queues"][0]["queue"], &stats["queues"][0]["completed"]),
        (&json!("default"), &json!(1))
    );
    assert_eq!(stats["kinds"][0]["kind"], "greet");
    let oldest = serde_json::to_value(longhaul_http::Rfc3339(began)).unwrap();
    assert_eq!(stats["oldest_waiting"], oldest);
    let none = app.get("/api/stats?kind=nap").await.json();
    assert_eq!(
        (&none["kinds"], &none["oldest_waiting"], &none["wait"]["p50"]),
        (&json!([]), &json!(null), &json!(null))
    );
    for (bad, field) in [("window=5", "window"), ("step=x", "step"), ("colour=red", "colour")] {
        let answer = app.get(&format!("/api/stats?{bad}")).await;
        assert_eq!(
            (answer.status, answer.json()["errors"][0]["field"].as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, Some(field))
        );
    }
}

#[tokio::test]
async fn failures_of_one_shape_are_a_group_that_a_search_finds_and_an_action_retries() {
    let app = App::new();
    for (id, message) in [("a", "no user 7"), ("b", "no user 99"), ("c", "timed out")] {
        let body = format!(r#"{{"kind":"greet","args":{{"name":"x"}},"id":"{id}"}}"#);
        app.post("/api/jobs", &body).await;
        let claimed = claim(&app, "default", "greet").await;
        let error = longhaul::AttemptError::new(longhaul::ErrorKind::Error, message);
        end(&app, claimed, Outcome::Failed { error }).await;
    }
    let errors = app.get("/api/errors").await.json();
    let groups = errors["groups"].as_array().unwrap();
    let told: Vec<_> =
        groups.iter().map(|g| (g["message"].as_str().unwrap(), g["count"].as_u64().unwrap())).collect();
    assert_eq!(told, [("no user 99", 2), ("timed out", 1)]);
    assert_eq!((&groups[0]["job"], &groups[0]["kind"]), (&json!("b"), &json!("greet")));
    assert_eq!(groups[0]["spark"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>(), 2);
    let print = groups[0]["fingerprint"].as_str().unwrap();
    let found = app.get(&format!("/api/jobs?q=error:{print}")).await.json();
    assert_eq!(found["jobs"].as_array().unwrap().len(), 2);
    assert_eq!(found["searched"], json!({"jobs": 3, "complete": true}));
    let retry = format!(r#"{{"action":"retry","filter":{{"q":"error:{print}"}}}}"#);
    assert_eq!(app.post("/api/jobs/actions", &retry).await.json()["done"], 2);
    assert_eq!(app.get("/api/errors?kind=nap").await.json()["groups"], json!([]));
}

#[tokio::test]
async fn the_feed_tells_each_change_of_the_jobs_that_were_asked_for() {
    let app = App::new();
    app.post("/api/jobs", r#"{"kind":"greet","args":{"name":"x"},"id":"before","delay":99}"#).await;
    let open = request(Method::GET, "/api/events?kind=greet").body(Body::empty()).unwrap();
    let response = app.router.clone().oneshot(open).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    app.post("/api/jobs", r#"{"kind":"nap","args":{"seconds":1},"id":"other"}"#).await;
    app.post("/api/jobs", GREET).await;
    let claimed = claim(&app, "default", "greet").await;
    end(&app, claimed, Outcome::Completed { output: Json::null() }).await;
    app.delete("/api/jobs/g").await;
    let mut body = response.into_body();
    let mut text = String::new();
    while text.matches("event: job").count() < 4 {
        tokio::select! {
            biased;
            frame = body.frame() => {
                let frame = frame.expect("the feed goes on").unwrap();
                text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            }
            // The recorder looks at what was heard by the application's clock.
            () = tokio::task::yield_now() => app.clock.advance(Duration::from_millis(50)),
        }
    }
    for block in text.split("\n\n").filter(|block| block.contains("data: ")) {
        let fields = block.lines().map(|line| line.split_once(": ").unwrap());
        let fields: serde_json::Map<String, Value> =
            fields.map(|(field, text)| (field.into(), text.into())).collect();
        hold_event("/api/events", &fields.into());
    }
    let data: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let states: Vec<_> =
        data.iter().map(|item| (item["state"].as_str(), item["attempt"].as_u64().unwrap())).collect();
    assert_eq!(states, [(Some("available"), 0), (Some("running"), 1), (Some("completed"), 1), (None, 1)]);
    assert!(
        data.iter().all(|item| item["id"] == "g" && item["kind"] == "greet" && item["queue"] == "default")
    );
    assert_eq!(app.get("/api/events?colour=red").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_waiting_job_says_why_it_waits() {
    let app = App::new();
    app.post("/api/jobs", GREET).await;
    assert_eq!(reasons(&app, "g").await, json!([{"rule": "no_worker", "key": "default"}]));
    know(&app, "default", "nap", 1).await;
    assert_eq!(reasons(&app, "g").await, json!([{"rule": "unknown_kind", "key": "greet"}]));
    know(&app, "default", "greet", 1).await;
    let why = app.get("/api/jobs/g/why").await.json();
    assert_eq!(
        (&why["state"], &why["position"], &why["reasons"]),
        (&json!("available"), &json!(1), &json!([]))
    );
    app.post("/api/queues/default/pause", "").await;
    assert_eq!(reasons(&app, "g").await, json!([{"rule": "paused_queue", "key": "default"}]));
    app.post("/api/queues/default/resume", "").await;

    let until = |seconds| longhaul_http::Rfc3339(app.clock.now().plus(Duration::from_secs(seconds)));
    app.post("/api/jobs", r#"{"kind":"greet","args":{"name":"x"},"id":"later","delay":60}"#).await;
    assert_eq!(reasons(&app, "later").await, json!([{"rule": "run_at", "until": until(60)}]));
    let claimed = claim(&app, "default", "greet").await;
    assert_eq!(reasons(&app, "g").await, json!([]), "a running job waits for nothing");
    let error = longhaul::AttemptError::new(longhaul::ErrorKind::Error, "no");
    end(&app, claimed, Outcome::Retry { error, delay: Duration::from_secs(9) }).await;
    assert_eq!(reasons(&app, "g").await, json!([{"rule": "retry", "until": until(9)}]));

    for id in ["limited", "also-limited"] {
        let body = format!(r#"{{"kind":"nap","args":{{"seconds":1}},"id":"{id}","key":"openai"}}"#);
        assert_eq!(app.post("/api/jobs", &body).await.status, StatusCode::ACCEPTED);
    }
    let claimed = claim(&app, "default", "nap").await;
    end(&app, claimed, Outcome::RateLimited { delay: Duration::from_secs(30) }).await;
    let paused = json!({"rule": "paused_key", "key": "openai", "until": until(30)});
    assert_eq!(reasons(&app, "limited").await, json!([paused]));
    assert_eq!(reasons(&app, "also-limited").await, json!([paused]), "a claim has not met it yet");
    let keys = app.get("/api/keys?prefix=open").await.json();
    assert_eq!(
        (&keys["keys"][0]["key"], &keys["keys"][0]["closed_until"]),
        (&json!("openai"), &json!(until(30)))
    );
    assert_eq!(app.get("/api/keys?prefix=x").await.json(), json!({"keys": [], "next": null}));
    assert_eq!(app.get("/api/jobs/nobody/why").await.code(), "no_such_job");
}

#[tokio::test]
async fn a_closing_job_says_which_children_it_waits_for() {
    let app = App::new();
    let parent = longhaul::NewJob {
        id: Some(longhaul::JobId::new("parent").unwrap()),
        start: longhaul::Start::AfterChildren,
        ..longhaul::NewJob::of(&Greeting { name: "x".into() }).unwrap()
    };
    let child = |name: &str| longhaul::NewJob {
        id: Some(longhaul::JobId::new(name).unwrap()),
        parent: parent.id.clone(),
        start: longhaul::Start::Now,
        ..longhaul::NewJob::of(&Greeting { name: "x".into() }).unwrap()
    };
    app.longhaul.enqueue_many(vec![parent.clone(), child("one"), child("two")]).await.unwrap();
    let claimed = claim(&app, "default", "greet").await;
    end(&app, claimed, Outcome::Completed { output: Json::null() }).await;
    assert_eq!(
        reasons(&app, "parent").await,
        json!([{"rule": "children", "used": 1, "of": 2, "waits_for": ["two"]}])
    );
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Greeting {
    name: String,
}

impl longhaul::Job for Greeting {
    const KIND: &'static str = "greet";
    type State = ();
    type Output = ();

    async fn run(self, _: longhaul::Context<()>) -> longhaul::JobResult<()> {
        Ok(())
    }
}

#[tokio::test]
async fn steps_tell_their_times() {
    let app = App::new();
    app.post("/api/jobs", GREET).await;
    let claimed = claim(&app, "default", "greet").await;
    app.clock.advance(Duration::from_secs(3));
    let step = Entry::Step {
        name: "fetch".into(),
        output: Json::parse("{\"n\":1.50}".into()).unwrap(),
        took: Duration::from_secs(2),
    };
    app.longhaul
        .store()
        .record(vec![Record { lease: claimed.lease.clone(), entries: vec![step] }])
        .await
        .unwrap();
    let at = |before: u64| longhaul_http::Rfc3339(app.clock.now().minus(Duration::from_secs(before)));
    let expected = json!([{
        "name": "fetch", "attempt": 1, "started_at": at(2), "finished_at": at(0), "output": {"n": 1.50},
    }]);
    assert_eq!(app.get("/api/jobs/g/steps").await.json(), expected);
    end(&app, claimed, Outcome::Completed { output: Json::null() }).await;
    let ended = app.get("/api/jobs/g/steps").await.json();
    assert_eq!((&ended[0]["finished_at"], ended[0].get("output")), (&expected[0]["finished_at"], None));
    assert_eq!(app.get("/api/jobs/nobody/steps").await.code(), "no_such_job");
}

#[tokio::test]
async fn kinds_tell_what_waits_and_who_knows_it() {
    let app = App::new();
    app.post("/api/jobs", GREET).await;
    know(&app, "default", "nap", 3).await;
    let kinds = app.get("/api/kinds").await.json()["kinds"].clone();
    let greet = &kinds[0];
    assert_eq!(
        (&greet["kind"], &greet["known"], &greet["workers"]),
        (&json!("greet"), &json!(false), &json!(0))
    );
    assert_eq!((&greet["versions"][0]["version"], &greet["versions"][0]["waiting"]), (&json!(1), &json!(1)));
    let nap = &kinds[1];
    assert_eq!(
        (&nap["kind"], &nap["known"], &nap["newest_supported"]),
        (&json!("nap"), &json!(true), &json!(3))
    );
    know(&app, "default", "greet", 1).await;
    assert_eq!(app.get("/api/kinds").await.json()["kinds"][0]["known"], true);
    let worker = app.get("/api/workers").await.json()["workers"][0].clone();
    assert_eq!(worker["version"], "painter 1.2");
    assert_eq!(worker["kinds"], json!([{"kind": "greet", "version": 1}]));
}

#[tokio::test]
async fn a_queue_is_paused_and_resumed() {
    let app = App::new();
    app.post("/api/jobs", GREET).await;
    let paused = app.post("/api/queues/default/pause", "").await;
    assert_eq!((paused.status, &paused.json()["paused"]), (StatusCode::OK, &json!(true)));
    assert_eq!(paused.json()["counts"]["paused"], 1);
    assert_eq!(
        (&paused.json()["counts"]["waiting"], &paused.json()["states"]["available"]),
        (&json!(0), &json!(1))
    );
    let resumed = app.post("/api/queues/default/resume", "").await.json();
    assert_eq!((&resumed["paused"], &resumed["counts"]["waiting"]), (&json!(false), &json!(1)));
    assert_eq!(app.get("/api/queues/default").await.json()["paused"], false);
    assert_eq!(
        app.post("/api/queues/new/pause", "").await.json()["paused"],
        true,
        "before there is a job in it"
    );
    for _ in 0..2 {
        assert_eq!(
            app.post("/api/queues/new/resume", "").await.json()["paused"],
            false,
            "and it may be sent again"
        );
    }
    let nobody = app.post("/api/queues/nobody/resume", "").await;
    assert_eq!((nobody.status, &nobody.json()["name"]), (StatusCode::OK, &json!("nobody")));
    assert_eq!(app.get("/api/queues/nobody").await.code(), "no_such_queue", "and none is made");
    for word in ["pause", "resume"] {
        let answer = app.post(&format!("/api/queues/a%20b/{word}"), "").await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{word}");
    }
}

#[tokio::test]
async fn a_job_runs_again_with_other_args() {
    let app = App::new();
    let worker = app.work();
    app.run("g", "greet", r#"{"name":""}"#).await;
    worker.shutdown(Duration::from_secs(5)).await;
    let answer = app.post("/api/jobs/g/retry", r#"{"args":{"name":"Ann","n":12345678901234567890}}"#).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert!(String::from_utf8_lossy(&answer.body).contains("12345678901234567890"));
    for bad in [r#"{"args":{"a":1,"a":2}}"#, r#"{"arg":1}"#] {
        assert_eq!(
            app.post("/api/jobs/g/retry", bad).await.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_priority_is_set_on_all_that_fit() {
    let app = App::new();
    for id in ["a", "b"] {
        let body = format!(r#"{{"kind":"greet","args":{{"name":"{id}"}},"id":"{id}"}}"#);
        app.post("/api/jobs", &body).await;
    }
    let set = r#"{"action":"set_priority","priority":5,"filter":{"q":"args.name:b"}}"#;
    let dry = set.replace("\"filter\"", "\"dry_run\":true,\"filter\"");
    assert_eq!(app.post("/api/jobs/actions", &dry).await.json()["done"], 1);
    let done = app.post("/api/jobs/actions", set).await.json();
    assert_eq!((&done["matched"], &done["done"]), (&json!(1), &json!(1)));
    assert_eq!(app.get("/api/jobs/b").await.json()["position"], 1);
    for (bad, field) in [
        (r#"{"action":"set_priority","filter":{}}"#, "priority"),
        (r#"{"action":"set_priority","priority":101,"filter":{}}"#, "priority"),
        (r#"{"action":"cancel","priority":1,"filter":{}}"#, "priority"),
        (r#"{"action":"cancel","filter":{"q":"state:done"}}"#, "filter.q"),
    ] {
        let answer = app.post("/api/jobs/actions", bad).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{bad}");
    }
}
