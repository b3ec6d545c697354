use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use longhaul::stats::{Metered, Recorder};
use longhaul::{Json, KeyConfig, Longhaul, MemoryStore, NewJob, QueueConfig};
use longhaul_http::{HttpConfig, health_router, worker_router};
use serde_json::json;
use tower::ServiceExt;

use crate::app::App;
use crate::kinds;

#[tokio::test]
async fn a_scraper_is_told_the_depth_of_every_queue() {
    let longhaul = Longhaul::new(MemoryStore::new());
    let _counting = Recorder::start(Arc::clone(longhaul.store()));
    kinds::declare(&longhaul);
    let limits = KeyConfig { slots: Some(2), ..KeyConfig::default() };
    longhaul.store().set_key("tenant", Some(&limits)).await.unwrap();
    longhaul.store().pause_queue("mail").await.unwrap();
    let limited = QueueConfig { slots: Some(5), ..QueueConfig::default() };
    longhaul.store().set_queue("mail", &limited).await.unwrap();
    let job = longhaul.kinds().first().map(|kind| kind.kind).expect("a kind");
    let body = json!({
        "id": null, "kind": job, "version": 1, "queue": "mail", "args": null, "priority": 0, "start": "now",
        "max_attempts": 1, "max_crashes": 1, "timeout": null, "backoff": null, "unique": null,
        "idempotency": null, "parent": null, "labels": {},
    });
    for _ in 0..3 {
        longhaul.enqueue_one(serde_json::from_value(body.clone()).unwrap()).await.unwrap();
    }
    let text = scraped(health_router(longhaul, HttpConfig::default())).await;
    for line in [
        r#"longhaul_queue_jobs{queue="mail",state="available"} 3"#,
        r#"longhaul_queue_jobs{queue="mail",state="failed"} 0"#,
        "longhaul_workers 0",
        r#"longhaul_queue_paused{queue="mail"} 1"#,
        r#"longhaul_queue_slots{queue="mail"} 5"#,
        r#"longhaul_queue_slots_used{queue="mail"} 0"#,
        r#"longhaul_key_slots{key="tenant"} 2"#,
        r#"longhaul_key_slots_used{key="tenant"} 0"#,
        "longhaul_keys_waiting 0",
        &format!(r#"longhaul_jobs_enqueued_total{{queue="mail",kind="{job}"}} 3"#),
        "longhaul_jobs_rescued_total 0",
        "longhaul_event_readers 0",
        r#"longhaul_event_lag_seconds_bucket{le="+Inf"} 0"#,
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn a_scraper_is_told_how_attempts_ended_and_how_long_they_took() {
    let app = App::new();
    let worker = app.work();
    let body = r#"{"kind": "greet", "args": {"name": "Ada"}}"#;
    let done = app.post_with("/api/jobs", body, &[("prefer", "wait=30")]).await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    drop(worker);
    let text = scraped(app.router).await;
    for line in [
        r#"longhaul_jobs_finished_total{queue="default",kind="greet",state="completed"} 1"#,
        r#"longhaul_attempts_total{queue="default",kind="greet",outcome="completed"} 1"#,
        r#"longhaul_run_seconds_count{queue="default",kind="greet"} 1"#,
        r#"longhaul_wait_seconds_bucket{le="+Inf",queue="default",kind="greet"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn the_alerts_and_the_grafana_dashboard_name_metrics_that_are_told() {
    let app = App::new();
    let worker = app.work();
    let done = app
        .post_with("/api/jobs", r#"{"kind": "greet", "args": {"name": "Ada"}}"#, &[("prefer", "wait=30")])
        .await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    app.post(
        "/api/jobs",
        r#"{"kind": "greet", "args": {"name": "Ada"}, "queue": "mail", "limit_keys": ["tenant"]}"#,
    )
    .await;
    let limits = KeyConfig { slots: Some(2), ..KeyConfig::default() };
    app.longhaul.store().set_key("tenant", Some(&limits)).await.unwrap();
    // A worker tells its slots beside its first claim.
    while app.longhaul.store().workers().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let told: BTreeSet<String> = scraped(app.router)
        .await
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
        .collect();
    drop(worker);
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops");
    for file in ["alerts.yaml", "alerts-test.yaml", "grafana/longhaul.json"] {
        let text = std::fs::read_to_string(ops.join(file)).unwrap();
        let named: Vec<&str> = text
            .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .filter(|word| word.starts_with("longhaul_"))
            .collect();
        assert!(named.len() > 10, "{file} names {named:?}");
        for name in named {
            let family = ["_total", "_bucket", "_count", "_sum"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(name);
            assert!(told.contains(family), "{file} names {name}, and /metrics tells {told:?}");
        }
    }
}

#[tokio::test]
async fn a_scraper_is_told_how_long_the_store_takes_and_whether_it_is_there() {
    let longhaul = Longhaul::new(Metered::over(Arc::new(MemoryStore::new())));
    longhaul.enqueue_one(NewJob::new("greet", Json::null())).await.unwrap();
    longhaul.enqueue_one(NewJob { version: 0, ..NewJob::new("greet", Json::null()) }).await.unwrap_err();
    let text = scraped(worker_router(longhaul, HttpConfig::default())).await;
    for line in [
        "longhaul_store_up 1",
        r#"longhaul_store_operation_seconds_count{operation="enqueue",outcome="ok"} 1"#,
        r#"longhaul_store_operation_seconds_count{operation="enqueue",outcome="refused"} 1"#,
        r#"longhaul_store_operation_seconds_bucket{le="30.0",operation="enqueue",outcome="ok"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(!text.contains(r#"operation="queues""#), "a worker's metrics ask the store for nothing:\n{text}");
}

async fn scraped(app: Router) -> String {
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let answer = app.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}
