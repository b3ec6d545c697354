//! Webhooks: their deliveries as people see them, and the secrets. What is posted is tested in `longhaul-webhooks`.

use axum::http::{Method, StatusCode};
use longhaul::webhook::{self, BACKOFF, Message, Told, unwanted};
use longhaul::{
    AttemptError, Claim, Claimed, Entry, ErrorKind, Finish, JobId, Json, Outcome, QueueSlots, SupportedKind,
    WebhookEvent, WorkerInfo,
};
use longhaul_http::{HttpConfig, Redaction};
use serde_json::{Value, json};

use crate::app::{App, json as request};

const URL: &str = "https://example.com/hook";

async fn enqueue(app: &App, id: &str) {
    let body = json!({"kind": "greet", "args": {"name": "Ada"}, "id": id, "webhook": URL});
    let answer = app.post("/api/jobs", &body.to_string()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
}

async fn deliveries(app: &App, id: &str) -> Vec<Value> {
    let answer = app.get(&format!("/api/jobs/{id}/deliveries")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json().as_array().unwrap().clone()
}

/// Takes the one job of a queue that waits.
async fn claim(app: &App, queue: &str, kind: &str) -> Claimed {
    let claim = Claim {
        worker: WorkerInfo { id: "w".into(), ..WorkerInfo::default() },
        queues: vec![QueueSlots { queue: queue.into(), slots: 9 }],
        kinds: vec![SupportedKind { kind: kind.into(), version: 1 }],
        lease_for: std::time::Duration::from_secs(30),
        wait: std::time::Duration::ZERO,
    };
    app.longhaul.store().claim(claim).await.unwrap().pop().unwrap()
}

async fn end(app: &App, claimed: &Claimed, outcome: Outcome, entries: Vec<Entry>) {
    let finish = Finish { lease: claimed.lease.clone(), outcome, entries, follow_ups: vec![], cost: None };
    app.longhaul.store().finish(vec![finish]).await.unwrap();
}

fn message() -> Message {
    Message {
        id: "msg_1".into(),
        event: WebhookEvent::Completed,
        body: Json::parse("{\"a\":1}".into()).unwrap(),
    }
}

async fn delete(app: &App, path: &str) -> StatusCode {
    app.send(request(Method::DELETE, path, "", &[])).await.status
}

#[tokio::test]
async fn a_delivery_is_listed_from_the_job_on_with_each_attempt() {
    let app = App::new();
    enqueue(&app, "a").await;
    let [waiting] = &deliveries(&app, "a").await[..] else { panic!("one") };
    let expected = json!({
        "id": "webhook:a", "url": URL, "events": ["completed", "failed", "cancelled"], "event": null,
        "message_id": null, "state": "blocked", "attempt": 0, "max_attempts": 10, "status": null, "at": null,
        "next_at": null, "failures": [],
    });
    assert_eq!(*waiting, expected);

    let job = claim(&app, "default", "greet").await;
    end(&app, &job, Outcome::Completed { output: Json::null() }, vec![]).await;
    let delivery = claim(&app, webhook::QUEUE, webhook::KIND).await;
    let composed = Json::new(&Told { message: Some(message()), ..Told::default() }).unwrap();
    let step =
        Entry::Step { name: webhook::MESSAGE_STEP.into(), output: composed, took: std::time::Duration::ZERO };
    let error = AttemptError::new(ErrorKind::Error, unwanted("503 Service Unavailable: busy"));
    let retry = Outcome::Retry { error, delay: BACKOFF.base };
    end(&app, &delivery, retry, vec![step]).await;
    let failed = deliveries(&app, "a").await.remove(0);
    assert_eq!(
        (&failed["state"], &failed["status"], &failed["event"]),
        (&json!("scheduled"), &json!(503), &json!("completed"))
    );
    assert_eq!(failed["error"], "the receiver answered 503 Service Unavailable: busy");
    assert_eq!(failed["next_at"], "2026-01-01T00:00:05.000Z");
    let refused = app.post("/api/deliveries/webhook:a/redeliver", "").await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "not_finished".into()));
    assert!(refused.text().contains("its next attempt is at 2026-01-01T00:00:05.000Z"), "{}", refused.text());

    app.clock.advance(BACKOFF.base);
    let delivery = claim(&app, webhook::QUEUE, webhook::KIND).await;
    let told = Told { status: Some(204), message: Some(message()), skipped: None };
    end(&app, &delivery, Outcome::Completed { output: Json::new(&told).unwrap() }, vec![]).await;
    let done = deliveries(&app, "a").await.remove(0);
    assert_eq!(
        (&done["state"], &done["status"], &done["message_id"]),
        (&json!("completed"), &json!(204), &json!("msg_1"))
    );
    assert_eq!((&done["attempt"], &done["failures"][0]["status"]), (&json!(2), &json!(503)));
    assert_eq!(done.get("error"), None);

    let again = app.post("/api/deliveries/webhook:a/redeliver", "").await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text());
    let again = again.json();
    assert_eq!((&again["state"], &again["message_id"]), (&json!("available"), &json!("msg_1")));
    let ids: Vec<Value> = deliveries(&app, "a").await.iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids, [json!("webhook:a"), again["id"].clone()]);
}

#[tokio::test]
async fn a_message_is_sent_again_once_for_each_idempotency_key() {
    let app = App::new();
    enqueue(&app, "a").await;
    let job = claim(&app, "default", "greet").await;
    end(&app, &job, Outcome::Completed { output: Json::null() }, vec![]).await;
    let delivery = claim(&app, webhook::QUEUE, webhook::KIND).await;
    let told = Told { status: Some(204), message: Some(message()), skipped: None };
    end(&app, &delivery, Outcome::Completed { output: Json::new(&told).unwrap() }, vec![]).await;
    let redeliver = async |id: &str, key: &str| {
        app.post_with(&format!("/api/deliveries/{id}/redeliver"), "", &[("idempotency-key", key)]).await
    };
    let first = redeliver("webhook:a", "k").await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (StatusCode::ACCEPTED, ""));
    let second = claim(&app, webhook::QUEUE, webhook::KIND).await;
    let again = redeliver("webhook:a", "k").await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::ACCEPTED, "true"));
    assert_eq!((&again.json()["id"], &again.json()["state"]), (&first.json()["id"], &json!("running")));
    assert_eq!(deliveries(&app, "a").await.len(), 2);
    end(&app, &second, Outcome::Completed { output: Json::new(&told).unwrap() }, vec![]).await;
    let other = redeliver(second.lease.id.as_str(), "k").await;
    assert_eq!(
        (other.status, other.code()),
        (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused".into())
    );
    assert_eq!(redeliver("webhook:a", "l").await.header("idempotency-replayed"), "");
    assert_eq!(deliveries(&app, "a").await.len(), 3);
}

#[tokio::test]
async fn a_message_that_finds_its_limit_key_full_is_not_sent_again() {
    let app = App::new();
    enqueue(&app, "a").await;
    app.longhaul.cancel(&JobId::new("a").unwrap()).await.unwrap();
    let delivery = claim(&app, webhook::QUEUE, webhook::KIND).await;
    let told = Told { status: Some(204), message: Some(message()), skipped: None };
    end(&app, &delivery, Outcome::Completed { output: Json::new(&told).unwrap() }, vec![]).await;
    let bound = request(Method::PUT, "/api/keys/webhook:example.com", r#"{"max_waiting":1}"#, &[]);
    let bound = app.send(bound).await;
    assert_eq!(bound.status, StatusCode::OK, "{}", bound.text());
    assert_eq!(app.post("/api/deliveries/webhook:a/redeliver", "").await.status, StatusCode::ACCEPTED);
    let full = app.post("/api/deliveries/webhook:a/redeliver", "").await;
    assert_eq!((full.status, full.code()), (StatusCode::TOO_MANY_REQUESTS, "queue_full".into()));
    assert!(!full.header("retry-after").is_empty());
    assert_eq!(deliveries(&app, "a").await.len(), 2);
}

#[tokio::test]
async fn what_is_no_delivery_is_not_sent_again() {
    let app = App::new();
    let plain = json!({"kind": "greet", "args": {"name": "Ada"}, "id": "plain"});
    app.post("/api/jobs", &plain.to_string()).await;
    assert!(deliveries(&app, "plain").await.is_empty());
    assert_eq!(app.get("/api/jobs/nobody/deliveries").await.status, StatusCode::NOT_FOUND);
    for id in ["plain", "nobody"] {
        let refused = app.post(&format!("/api/deliveries/{id}/redeliver"), "").await;
        assert_eq!((refused.status, refused.code()), (StatusCode::NOT_FOUND, "no_such_delivery".into()));
    }
    enqueue(&app, "told").await;
    app.longhaul.cancel(&JobId::new("told").unwrap()).await.unwrap();
    let delivery = claim(&app, webhook::QUEUE, webhook::KIND).await;
    let told = Told { skipped: Some("nobody asked".into()), ..Told::default() };
    end(&app, &delivery, Outcome::Completed { output: Json::new(&told).unwrap() }, vec![]).await;
    let refused = app.post("/api/deliveries/webhook:told/redeliver", "").await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "nothing_to_deliver".into()));
}

#[tokio::test]
async fn a_retry_of_many_jobs_is_told_of_each_and_keeps_its_urls_though_they_are_hidden() {
    let redaction: Redaction = "args.url".parse().unwrap();
    let app = App::with(HttpConfig { redaction, ..HttpConfig::default() });
    for id in ["a", "b"] {
        enqueue(&app, id).await;
        app.longhaul.cancel(&JobId::new(id).unwrap()).await.unwrap();
    }
    let body = json!({"action": "retry", "filter": {"state": "cancelled", "kind": "greet"}});
    let acted = app.post("/api/jobs/actions", &body.to_string()).await.json();
    assert_eq!(acted["done"], 2, "{acted}");
    for id in ["a", "b"] {
        let listed = deliveries(&app, id).await;
        let states: Vec<&Value> = listed.iter().map(|one| &one["state"]).collect();
        assert_eq!(
            states,
            [&json!("available"), &json!("blocked")],
            "what looks after the retry is not shown"
        );
        assert_eq!(listed[0]["url"], "[redacted]");
        let all =
            webhook::deliveries(app.longhaul.store().as_ref(), &JobId::new(id).unwrap(), 9).await.unwrap();
        assert!(all.iter().all(|one| one.args.as_str().contains(URL)), "{all:?}");
    }
}

#[tokio::test]
async fn two_secrets_are_made_told_once_and_deleted() {
    let app = App::new();
    assert_eq!(app.get("/api/webhook-secrets").await.json(), json!({"secrets": []}));
    let mut made = Vec::new();
    for _ in 0..2 {
        let answer = app.post("/api/webhook-secrets", "").await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        let secret = answer.json();
        assert!(secret["secret"].as_str().unwrap().starts_with("whsec_"));
        made.push(secret);
        app.clock.advance(std::time::Duration::from_secs(1));
    }
    assert_ne!(made[0]["secret"], made[1]["secret"]);
    let third = app.post("/api/webhook-secrets", "").await;
    assert_eq!((third.status, third.code()), (StatusCode::CONFLICT, "too_many_secrets".into()));
    let listed = app.get("/api/webhook-secrets").await;
    assert!(!listed.text().contains("whsec_"), "{}", listed.text());
    assert_eq!(listed.json()["secrets"][0]["id"], made[0]["id"]);
    let path = format!("/api/webhook-secrets/{}", made[0]["id"].as_str().unwrap());
    assert_eq!(delete(&app, &path).await, StatusCode::NO_CONTENT);
    assert_eq!(delete(&app, &path).await, StatusCode::NOT_FOUND);
    assert_eq!(app.get("/api/webhook-secrets").await.json()["secrets"].as_array().unwrap().len(), 1);
}
