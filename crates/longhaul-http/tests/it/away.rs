//! A store that goes away, and comes back.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use longhaul::Clock;
use longhaul_http::HttpConfig;
use serde_json::Value;

use crate::app::{Answer, App, request};
use crate::fault::{Fault, SECRET, Switch, switched};

/// Every documented operation, with a request that is good in every way.
const REQUESTS: &[(&str, &str)] = &[
    ("createJob", r#"{"kind":"greet","args":{"name":"x"}}"#),
    ("createJobs", r#"[{"kind":"greet","args":{"name":"x"}}]"#),
    ("listJobs", ""),
    ("actOnJobs", r#"{"action":"retry","filter":{}}"#),
    ("getJob", ""),
    ("deleteJob", ""),
    ("cancelJob", ""),
    ("retryJob", ""),
    ("forkJob", ""),
    ("signalJob", "1"),
    ("createSignalToken", ""),
    ("getGraph", ""),
    ("followJob", ""),
    ("followJobByWebSocket", ""),
    ("createReadToken", ""),
    ("listQueues", ""),
    ("getQueue", ""),
    ("setQueue", r#"{"retention":{"failed":{"count":5}}}"#),
    ("listWorkers", ""),
    ("claimJobs", r#"{"worker":{"id":"w"},"queues":[{"queue":"x","slots":1}],"kinds":[{"kind":"k"}]}"#),
    ("takeTurn", r#"{"finishes":[],"claim":{"worker":{"id":"w"},"queues":[],"kinds":[]}}"#),
    ("abandonClaim", r#"{"key":"nothing was claimed, so the store need not be asked"}"#),
    ("sendHeartbeat", r#"{"worker":{"id":"w"},"leases":[]}"#),
    ("recordEntries", r#"{"records":[]}"#),
    ("finishRuns", r#"{"finishes":[]}"#),
    ("workerSignalToken", r#"{"id":"x","name":"s"}"#),
    ("storeEnqueue", r#"{"jobs":[]}"#),
    ("storeReady", "{}"),
    ("storeGet", r#"{"ids":[]}"#),
    (
        "storeList",
        r#"{"filter":{"ids":[],"states":[],"kinds":[],"queues":[],"labels":[],"text":null},"page":{"cursor":null,"limit":1}}"#,
    ),
    ("storeEvents", r#"{"id":"x","after":0,"limit":1,"wait":0}"#),
    (
        "storeAct",
        r#"{"filter":{"ids":[],"states":[],"kinds":[],"queues":[],"labels":[],"text":null},"action":{"action":"retry"},"limit":1}"#,
    ),
    ("storeSweep", r#"{"limit":1}"#),
    ("storeQueues", "{}"),
    ("storeSetQueue", r#"{"queue":"x","config":{}}"#),
    ("storeUpdateQueue", r#"{"queue":"x","before":{},"config":{}}"#),
    ("storePauseQueue", r#"{"queue":"x"}"#),
    ("storeResumeQueue", r#"{"queue":"x"}"#),
    ("storeLanes", "{}"),
    ("storeSetKey", r#"{"key":"x","config":null}"#),
    ("storePauseKey", r#"{"key":"x","pause":1}"#),
    ("storeResumeKey", r#"{"key":"x"}"#),
    ("storeKeys", r#"{"filter":{"names":[],"prefix":"","queue":null,"after":null,"limit":1}}"#),
    ("storeSteps", r#"{"id":"x"}"#),
    ("storeSignal", r#"{"id":"x","name":"s","value":1}"#),
    ("storeDependants", r#"{"id":"x","limit":1}"#),
    ("storePutSamples", r#"{"samples":[]}"#),
    ("storeSamples", r#"{"series":"x","from":0}"#),
    ("pauseQueue", ""),
    ("resumeQueue", ""),
    ("listSteps", ""),
    ("whyJob", ""),
    ("getStats", ""),
    ("listErrors", ""),
    ("listKeys", ""),
    ("getKey", ""),
    ("setKey", r#"{"slots":1}"#),
    ("removeKey", ""),
    ("pauseKey", ""),
    ("resumeKey", ""),
    ("listKinds", ""),
    ("listSchedules", ""),
    ("getSchedule", ""),
    ("putSchedule", r#"{"every":60,"job":{"kind":"greet","args":{"name":"x"}}}"#),
    ("deleteSchedule", ""),
    ("pauseSchedule", ""),
    ("resumeSchedule", ""),
    ("runSchedule", ""),
    ("listDeliveries", ""),
    ("redeliver", ""),
    ("createWebhookSecret", ""),
    ("listWebhookSecrets", ""),
    ("deleteWebhookSecret", ""),
    ("createToken", r#"{"name":"the shop","scopes":["viewer"]}"#),
    ("listTokens", ""),
    ("deleteToken", ""),
    ("listAudit", ""),
];

fn app() -> (App, Switch) {
    let (longhaul, switch) = switched(Clock::manual());
    let config = HttpConfig {
        read_token_secret: Some(longhaul_http::Secret(b"a secret that signs".to_vec())),
        ..HttpConfig::default()
    };
    (App::over(longhaul, config), switch)
}

/// Sends a good request for each documented operation, with and without a key.
async fn everything(app: &App) -> Vec<(String, Answer)> {
    let document = app.get("/api/openapi.json").await.json();
    let mut answers = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            // They do not ask the store, or not before they have seen a token that is good, or do not end.
            if ["getOpenApi", "getMe", "followJobs", "redeemSignalToken"].contains(&name) {
                continue;
            }
            let body = match name {
                "storeWorkers" => "{}",
                _ => REQUESTS.iter().find(|(known, _)| *known == name).expect(name).1,
            };
            let method: Method = method.to_uppercase().parse().unwrap();
            let path = format!(
                "/api{}",
                path.replace("{id}", "x")
                    .replace("{queue}", "default")
                    .replace("{name}", "x")
                    .replace("{key}", "x")
            );
            for key in [None, Some(format!("key of {name}"))] {
                let mut request = request(method.clone(), &path).header("content-type", "application/json");
                if let Some(key) = &key {
                    request = request.header("idempotency-key", key);
                }
                let answer = app.send(request.body(Body::from(body.to_owned())).unwrap()).await;
                answers.push((format!("{name} {key:?}"), answer));
            }
        }
    }
    answers
}

#[tokio::test]
async fn every_operation_answers_503_while_the_store_is_away_and_works_when_it_is_back() {
    let (app, switch) = app();
    switch.set(Some(Fault::Unavailable));
    let mut times = BTreeSet::new();
    for (name, answer) in everything(&app).await {
        if name.starts_with("abandonClaim") {
            continue;
        }
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            "{name}"
        );
        let after: u64 = answer.header("retry-after").parse().expect(&name);
        assert!((2..=6).contains(&after), "{name}: {after}");
        times.insert(after);
        assert!(
            !SECRET.split(' ').any(|word| word != "of" && answer.text().contains(word)),
            "{name}: {answer:?}"
        );
    }
    assert!(times.len() > 1, "callers are told to come back at different times: {times:?}");
    assert_eq!(app.get("/ready").await.code(), "unavailable");
    assert_eq!(app.get("/api/events").await.code(), "unavailable");
    assert_eq!(app.get("/health").await.status, StatusCode::OK);

    switch.set(None);
    assert_eq!(app.get("/ready").await.status, StatusCode::OK);
    assert_eq!(app.post("/api/jobs", r#"{"kind":"greet","args":{"name":"x"},"id":"x"}"#).await.status, 202);
    for (name, answer) in everything(&app).await {
        assert!(!answer.status.is_server_error(), "{name}: {answer:?}");
        // The request for `x` is of a job that waits, or was cancelled by one of the others.
        let code = if answer.status.is_success() { String::new() } else { answer.code() };
        assert!(
            [
                "",
                "not_finished",
                "job_gone",
                "no_such_job",
                "no_such_schedule",
                "no_such_delivery",
                "no_such_secret",
                "no_such_token",
                "idempotency_key_reused",
                "upgrade_required",
            ]
            .contains(&code.as_str()),
            "{name}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_store_without_room_or_that_cannot_write_is_503_with_its_code_and_what_to_do() {
    for (fault, code, words) in
        [(Fault::Full, "store_full", "Free space on its disk"), (Fault::ReadOnly, "store_broken", "writable")]
    {
        let (app, switch) = app();
        switch.set(Some(fault));
        for (name, answer) in everything(&app).await {
            if name.starts_with("abandonClaim") {
                continue;
            }
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, code), "{name}");
            assert!((2..=6).contains(&answer.header("retry-after").parse().unwrap()), "{name}");
            assert!(answer.json()["detail"].as_str().unwrap().contains(words), "{name}");
            assert!(!answer.text().contains("hunter2"), "{name}");
        }
        assert_eq!(app.get("/ready").await.code(), code);
        switch.set(None);
        assert_eq!(app.get("/ready").await.status, StatusCode::OK);
        assert_eq!(app.get("/api/jobs").await.json()["jobs"], serde_json::json!([]), "nothing was kept");
    }
}

#[tokio::test]
async fn b3_a_request_that_was_answered_with_an_error_is_not_remembered_under_its_key() {
    let (app, switch) = app();
    let body = r#"{"kind":"greet","args":{"name":"x"}}"#;
    let headers = [("idempotency-key", "k")];
    for fault in [Fault::Unavailable, Fault::Full, Fault::Broken, Fault::Panics] {
        switch.set(Some(fault));
        let answer = app.post_with("/api/jobs", body, &headers).await;
        assert!(answer.status.is_server_error(), "{answer:?}");
    }
    switch.set(None);
    let wrong = app.post_with("/api/jobs", r#"{"kind":"greet"}"#, &headers).await;
    assert_eq!(wrong.code(), "invalid");
    let created = app.post_with("/api/jobs", body, &headers).await;
    assert_eq!((created.status, created.header("idempotency-replayed")), (StatusCode::ACCEPTED, ""));
}

#[tokio::test]
async fn a_fault_of_the_store_that_no_retry_mends_is_500_and_says_nothing_of_it() {
    let (app, switch) = app();
    switch.set(Some(Fault::Broken));
    for (name, answer) in everything(&app).await {
        if name.starts_with("abandonClaim") {
            continue;
        }
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            "{name}"
        );
        assert!(
            !SECRET.split(' ').any(|word| word != "of" && answer.text().contains(word)),
            "{name}: {answer:?}"
        );
        assert_eq!(answer.header("retry-after"), "", "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_is_held_while_the_store_goes_away_is_503() {
    let (app, switch) = app();
    app.post("/api/jobs", r#"{"kind":"greet","args":{"name":"x"},"id":"g"}"#).await;
    let (held, ()) = tokio::join!(app.get_with("/api/jobs/g", &[("prefer", "wait=60")]), async {
        tokio::task::yield_now().await;
        switch.set(Some(Fault::Unavailable));
        switch.wake(&longhaul::JobId::new("g").unwrap()).await;
    });
    assert_eq!(held.code(), "unavailable");
    let body: Value = held.json();
    assert_eq!(body["status"], 503);
}
