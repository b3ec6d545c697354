use std::time::Duration;

use axum::http::StatusCode;
use longhaul_http::{Access, HttpConfig, Secret, Verifier};

use crate::app::{Answer, App};

const HELLO: &str = r#"{"kind":"greet","args":{"name":"Ada"}}"#;

async fn post(app: &App, key: &str, body: &str) -> Answer {
    app.post_with("/api/jobs", body, &[("idempotency-key", key)]).await
}

#[tokio::test]
async fn the_same_request_gets_the_first_answers_job() {
    let app = App::new();
    let first = post(&app, "k", HELLO).await;
    // The members in another order, and the key quoted as the draft standard has it.
    let again = post(&app, "\"k\"", r#"{ "args": {"name": "\u0041da"}, "kind": "greet" }"#).await;
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(
        (again.status, again.json()),
        (StatusCode::ACCEPTED, app.get(first.header("location")).await.json())
    );
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(app.get("/api/jobs").await.json()["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_of_many_requests_with_one_key_at_once_one_creates_a_job() {
    let first = App::new();
    // A second server over the same store knows nothing of the requests that the first one is answering.
    let config = HttpConfig { clock: first.clock.clone(), ..HttpConfig::default() };
    let second = App::over(first.longhaul.clone(), config);
    let requests = (0..30).map(|n| {
        let router = if n % 2 == 0 { first.router.clone() } else { second.router.clone() };
        let request =
            crate::app::json(axum::http::Method::POST, "/api/jobs", HELLO, &[("idempotency-key", "k")]);
        tokio::spawn(async move { tower::ServiceExt::oneshot(router, request).await.unwrap() })
    });
    let mut accepted = 0;
    for answer in futures::future::join_all(requests).await {
        let answer = answer.unwrap();
        match answer.status() {
            StatusCode::ACCEPTED => accepted += 1,
            StatusCode::CONFLICT => assert_eq!(answer.headers()["retry-after"], "1"),
            other => panic!("{other}"),
        }
    }
    assert!(accepted > 0);
    assert_eq!(first.get("/api/jobs").await.json()["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn b2_a_preference_and_white_space_do_not_make_another_request() {
    let app = App::new();
    let first = post(&app, "k", HELLO).await.json();
    let headers = [("idempotency-key", "k"), ("prefer", "respond-async")];
    let again = app.post_with("/api/jobs", &format!(" {HELLO}\n"), &headers).await;
    assert_eq!((&again.json()["id"], again.header("idempotency-replayed")), (&first["id"], "true"));
}

#[tokio::test]
async fn a_replay_answers_the_job_as_it_stands_with_the_first_status() {
    let app = App::new();
    let worker = app.work();
    let first = app.post_with("/api/jobs", HELLO, &[("idempotency-key", "k")]).await;
    let path = first.header("location").to_owned();
    let ended = app.get_with(&path, &[("prefer", "wait=60")]).await.json();
    app.clock.advance(Duration::from_secs(60));
    let again = post(&app, "k", HELLO).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::ACCEPTED, "true"));
    assert_eq!((&again.json()["state"], again.json()), (&"completed".into(), ended));
    drop(worker);
}

#[tokio::test]
async fn a_replay_of_a_job_with_an_id_or_a_unique_key_is_no_duplicate() {
    for naming in [r#""id":"j""#, r#""unique":{"key":"u"}"#, r#""id":"j","unique":{"key":"u"}"#] {
        let app = App::new();
        let body = format!(r#"{{"kind":"greet","args":{{"name":"Ada"}},{naming}}}"#);
        let first = post(&app, "k", &body).await;
        let again = post(&app, "k", &body).await;
        assert_eq!(
            (again.status, again.header("idempotency-replayed")),
            (StatusCode::ACCEPTED, "true"),
            "{naming}"
        );
        assert_eq!(again.header("location"), first.header("location"), "{naming}");
        assert_eq!(again.json()["duplicate"], serde_json::Value::Null, "{naming}");

        // Another request meets the job, and is told so each time.
        for _ in 0..2 {
            let other = post(&app, "other", &body).await;
            let told =
                (other.status, other.header("idempotency-replayed"), other.json()["duplicate"].clone());
            assert_eq!(told, (StatusCode::OK, "", true.into()), "{naming}");
        }
    }
}

#[tokio::test]
async fn a_fork_is_no_repetition_of_the_request_that_created_its_original() {
    let app = App::new();
    let body = r#"{"kind":"greet","args":{"name":"Ada"},"unique":{"key":"u"}}"#;
    let first = post(&app, "k", body).await;
    let id = longhaul::JobId::new(first.json()["id"].as_str().unwrap()).unwrap();
    let fork = app.post(&format!("{}/fork", first.header("location")), "").await.json();
    let fork = longhaul::JobId::new(fork["id"].as_str().unwrap()).unwrap();
    let request = async |id| app.longhaul.get(id).await.unwrap().found().unwrap().policy.request;
    assert!(request(&id).await.is_some());
    assert_eq!(request(&fork).await, None);
}

#[tokio::test]
async fn another_request_with_the_key_is_refused() {
    let app = App::new();
    post(&app, "k", HELLO).await;
    let other = post(&app, "k", r#"{"kind":"greet","args":{"name":"Bob"}}"#).await;
    assert_eq!(
        (other.status, other.code().as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused")
    );
    let elsewhere =
        app.post_with("/api/jobs/batch", &format!("[{HELLO}]"), &[("idempotency-key", "k")]).await;
    assert_eq!(elsewhere.status, StatusCode::ACCEPTED, "a batch has keys of its own");
}

#[tokio::test]
async fn a_key_is_kept_for_a_day_whatever_becomes_of_its_job() {
    let app = App::new();
    let worker = app.work();
    let headers = [("idempotency-key", "k"), ("prefer", "wait=60")];
    let first = app.post_with("/api/jobs", HELLO, &headers).await;
    assert_eq!(first.status, StatusCode::OK);
    let id = first.json()["id"].clone();
    let path = format!("/api/jobs/{}", id.as_str().unwrap());
    assert_eq!(app.delete(&path).await.status, StatusCode::NO_CONTENT);

    app.clock.advance(Duration::from_secs(24 * 3600 - 60));
    let again = post(&app, "k", HELLO).await;
    assert_eq!((again.status, again.code().as_str()), (StatusCode::GONE, "job_gone"));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(app.get(&path).await.header("idempotency-replayed"), "", "a look-up repeats nothing");
    app.clock.advance(Duration::from_secs(61));
    let fresh = post(&app, "k", HELLO).await;
    assert_eq!(fresh.status, StatusCode::ACCEPTED);
    assert_ne!(fresh.json()["id"], id);
    drop(worker);
}

#[tokio::test]
async fn a_request_whose_first_is_still_being_answered_is_told_to_wait() {
    let app = App::new();
    let headers = [("idempotency-key", "k"), ("prefer", "wait=60")];
    let held = tokio::spawn({
        let (router, longhaul) = (app.router.clone(), app.longhaul.clone());
        let app = App { router, longhaul, clock: app.clock.clone(), gate: app.gate.clone() };
        async move { app.post_with("/api/jobs", HELLO, &headers).await }
    });
    while app.get("/api/jobs").await.json()["jobs"] == serde_json::json!([]) {
        tokio::task::yield_now().await;
    }
    let meanwhile = post(&app, "k", HELLO).await;
    assert_eq!(
        (meanwhile.status, meanwhile.code().as_str()),
        (StatusCode::CONFLICT, "idempotency_key_in_use")
    );
    assert_eq!(meanwhile.header("retry-after"), "1");
    assert_eq!(post(&app, "other", HELLO).await.status, StatusCode::ACCEPTED);

    held.abort();
    assert!(held.await.unwrap_err().is_cancelled());
    let after = post(&app, "k", HELLO).await;
    assert_eq!((after.status, after.header("idempotency-replayed")), (StatusCode::ACCEPTED, "true"));
}

#[tokio::test]
async fn a_batch_is_repeated_whole() {
    let app = App::new();
    let body = format!("[{HELLO},{HELLO}]");
    let headers = [("idempotency-key", "k")];
    let first = app.post_with("/api/jobs/batch", &body, &headers).await;
    let again = app.post_with("/api/jobs/batch", &body, &headers).await;
    assert_eq!((again.status, again.json()), (first.status, first.json()));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other = app.post_with("/api/jobs/batch", &format!("[{HELLO}]"), &headers).await;
    assert_eq!(other.code(), "idempotency_key_reused");
    assert_eq!(app.get("/api/jobs").await.json()["jobs"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_repeated_batch_tells_its_own_jobs_from_those_of_others() {
    let app = App::new();
    app.post("/api/jobs", r#"{"kind":"greet","args":{"name":"Ada"},"id":"there"}"#).await;
    let named = |id: &str| format!(r#"{{"kind":"greet","args":{{"name":"Ada"}},"id":"{id}"}}"#);
    let body = format!("[{},{}]", named("there"), named("new"));
    let headers = [("idempotency-key", "k")];
    let first = app.post_with("/api/jobs/batch", &body, &headers).await;
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!((&first.json()[0]["duplicate"], &first.json()[1]["duplicate"]), (&true.into(), &false.into()));
    let again = app.post_with("/api/jobs/batch", &body, &headers).await;
    assert_eq!((again.json(), again.header("idempotency-replayed")), (first.json(), "true"));

    // None of these is the request's own, so it repeats nothing.
    let all_there = format!("[{}]", named("there"));
    let headers = [("idempotency-key", "l")];
    assert_eq!(
        app.post_with("/api/jobs/batch", &all_there, &headers).await.header("idempotency-replayed"),
        ""
    );
}

#[tokio::test]
async fn two_callers_keys_are_two_keys() {
    let verifier = Verifier::new(crate::access::bearer);
    let access = Access::Bearer { token: Secret(b"admin".to_vec()), verifier: Some(verifier) };
    let app = App::with(HttpConfig { access, ..HttpConfig::default() });
    let mut ids = std::collections::BTreeSet::new();
    for token in ["admin", "jwt-of-ada", "jwt-of-bob", "jwt-of-token"] {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("idempotency-key", "k")];
        let answer = app.post_with("/api/jobs", HELLO, &headers).await;
        assert_eq!(answer.header("idempotency-replayed"), "");
        ids.insert(answer.json()["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn a_key_that_cannot_be_kept_is_refused() {
    let app = App::new();
    for key in ["", "\"\"", &"k".repeat(256), "a\tb"] {
        let answer = post(&app, key, HELLO).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "invalid_header"));
    }
    assert_eq!(post(&app, &"k".repeat(255), HELLO).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_repeated_batch_of_which_a_job_is_gone_is_told_so() {
    let app = App::new();
    let body = format!("[{HELLO},{HELLO}]");
    let headers = [("idempotency-key", "k")];
    let first = app.post_with("/api/jobs/batch", &body, &headers).await.json();
    let id = longhaul::JobId::new(first[0]["id"].as_str().unwrap()).unwrap();
    app.longhaul.cancel(&id).await.unwrap();
    app.longhaul.delete(&id).await.unwrap();
    let again = app.post_with("/api/jobs/batch", &body, &headers).await;
    assert_eq!((again.status, again.code().as_str()), (StatusCode::GONE, "job_gone"));
    assert_eq!(again.header("idempotency-replayed"), "true");
}
