use axum::http::StatusCode;
use longhaul::{Longhaul, MemoryStore};
use longhaul_http::{HttpConfig, health_router};

use crate::kinds;

#[tokio::test]
async fn a_scraper_is_told_the_depth_of_every_queue() {
    let longhaul = Longhaul::new(MemoryStore::new());
    kinds::declare(&longhaul);
    let job = longhaul.kinds().first().map(|kind| kind.kind).expect("a kind");
    let body = serde_json::json!({
        "id": null, "kind": job, "version": 1, "queue": "mail", "args": null, "priority": 0, "start": "now",
        "max_attempts": 1, "max_crashes": 1, "timeout": null, "backoff": null, "unique": null,
        "idempotency": null, "parent": null, "labels": {},
    });
    for _ in 0..3 {
        longhaul.enqueue_one(serde_json::from_value(body.clone()).unwrap()).await.unwrap();
    }
    let app = health_router(longhaul, HttpConfig::default());
    let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty()).unwrap();
    let answer = tower::ServiceExt::oneshot(app, request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    for line in [
        r#"longhaul_queue_jobs{queue="mail",state="available"} 3"#,
        r#"longhaul_queue_jobs{queue="mail",state="failed"} 0"#,
        "longhaul_workers 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}
