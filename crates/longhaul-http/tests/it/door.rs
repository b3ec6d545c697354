//! Requests that are refused before any store sees them, and how the refusal says so.

use axum::body::Body;
use axum::http::{Method, StatusCode};

use crate::app::{App, request};

/// The status, the code and the first field of the answer to a job with these bytes as its body.
async fn refusal(app: &App, body: impl Into<Body>, content_type: &str) -> (u16, String, String) {
    let request = request(Method::POST, "/api/jobs").header("content-type", content_type);
    let answer = app.send(request.body(body.into()).unwrap()).await;
    if answer.status.is_success() {
        return (answer.status.as_u16(), String::new(), String::new());
    }
    let field = answer.json()["errors"][0]["field"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), answer.code(), field)
}

#[tokio::test]
async fn a22_a23_a24_what_some_reader_could_not_read_back_is_refused_with_its_path() {
    let app = App::new();
    for (body, field) in [
        (r#"{"kind":"greet","args":{"s":"a\u0000b"}}"#, "args.s"),
        (r#"{"kind":"greet","args":{"a\u0000":1}}"#, "args"),
        (r#"{"kind":"greet","args":[0,{"s":"\ud800"}]}"#, "args[1].s"),
        (r#"{"kind":"greet","args":"\udc00\ud800"}"#, "args"),
        (r#"{"kind":"greet","args":{"a":1,"a":2}}"#, "args.a"),
        (r#"{"kind":"greet","args":{"a":{"b":1,"\u0062":2}}}"#, "args.a.b"),
        (r#"{"kind":"greet","args":1,"args":2}"#, "args"),
        (r#"{"kind":"greet","args":1,"labels":{"a":"x\u0000"}}"#, "labels.a"),
        (r#"{"kind":"greet","args":1,"labels":{"a":"x","a":"y"}}"#, "labels.a"),
        (r#"{"kind":"greet","args":1,"unique":{"key":"\u0000"}}"#, "unique.key"),
        (r#"{"kind":"greet","args":1,"queue":"\ud800"}"#, "queue"),
    ] {
        let expected = (422, "invalid".to_owned(), field.to_owned());
        assert_eq!(refusal(&app, body, "application/json").await, expected, "{body}");
    }
    let batch =
        app.post("/api/jobs/batch", r#"[{"kind":"greet","args":1},{"kind":"greet","args":{"a":1,"a":1}}]"#);
    assert_eq!(batch.await.json()["errors"][0]["field"], "[1].args.a");
    assert_eq!(app.get("/api/jobs").await.json()["jobs"], serde_json::json!([]));
}

#[tokio::test]
async fn a34_an_id_that_a_path_cannot_carry_is_refused() {
    let app = App::new();
    for id in [".", "..", "a/b", "a b", "", &"x".repeat(129), "\u{e9}"] {
        let body = format!(r#"{{"kind":"greet","args":1,"id":"{id}"}}"#);
        let expected = (422, "invalid".to_owned(), "id".to_owned());
        assert_eq!(refusal(&app, body, "application/json").await, expected, "{id}");
    }
    for id in ["a:b", "...", "-", &"-".repeat(128), "42"] {
        let body = format!(r#"{{"kind":"greet","args":1,"id":"{id}"}}"#);
        assert_eq!(refusal(&app, body, "application/json").await.0, 202, "{id}");
        assert_eq!(app.get(&format!("/api/jobs/{id}")).await.json()["id"], *id);
    }
}

#[tokio::test]
async fn b8_a_time_without_a_zone_is_refused_and_one_with_any_zone_is_taken() {
    let app = App::new();
    for (given, taken) in [
        ("2027-01-01T00:00:00Z", Some("2027-01-01T00:00:00.000Z")),
        ("2027-01-01t00:00:00z", Some("2027-01-01T00:00:00.000Z")),
        ("2027-01-01T05:30:00+05:30", Some("2027-01-01T00:00:00.000Z")),
        ("2016-12-31T23:59:60Z", Some("2026-01-01T00:00:00.000Z")),
        ("1969-07-20T20:17:40Z", Some("2026-01-01T00:00:00.000Z")),
        ("2027-01-01T00:00:00", None),
        ("2027-01-01", None),
        ("1798761600", None),
    ] {
        let answer =
            app.post("/api/jobs", &format!(r#"{{"kind":"greet","args":1,"run_at":"{given}"}}"#)).await;
        match taken {
            Some(run_at) => assert_eq!(answer.json()["run_at"], run_at, "{given}: {answer:?}"),
            None => assert_eq!(answer.json()["errors"][0]["field"], "run_at", "{given}"),
        }
    }
}

#[tokio::test]
async fn b9_a_byte_order_mark_is_skipped_and_another_charset_is_refused_in_words() {
    let app = App::new();
    let json = r#"{"kind":"greet","args":{"name":"x"}}"#;
    let marked = [b"\xef\xbb\xbf", json.as_bytes()].concat();
    assert_eq!(refusal(&app, marked, "application/json").await.0, 202);
    for charset in ["application/json; charset=utf-16", "application/json;charset=\"iso-8859-1\""] {
        let expected = (415, "unsupported_media_type".to_owned(), String::new());
        assert_eq!(refusal(&app, json, charset).await, expected, "{charset}");
    }
    for charset in ["application/json;charset=utf-8", "application/json; x=1; Charset=\"UTF-8\""] {
        assert_eq!(refusal(&app, json, charset).await.0, 202, "{charset}");
    }
    let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (body, words) in [(utf16, "UTF-16"), (b"{\"kind\":\"\xff\"}".to_vec(), "not UTF-8")] {
        let request = request(Method::POST, "/api/jobs").header("content-type", "application/json");
        let answer = app.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "malformed_json"));
        assert!(answer.json()["detail"].as_str().unwrap().contains(words), "{answer:?}");
    }
}

#[tokio::test]
async fn a26_ten_thousand_jobs_with_one_bad_one_in_the_last_place_create_none() {
    let app = App::new();
    let jobs = |last: &str| {
        let good =
            (0..9_999).map(|n| format!(r#"{{"kind":"greet","args":{{"n":{n}}},"labels":{{"n":"{n}"}}}}"#));
        format!("[{}]", good.chain([last.to_owned()]).collect::<Vec<_>>().join(","))
    };
    let answer = app.post("/api/jobs/batch", &jobs(r#"{"kind":"greet","args":1,"queue":"a b"}"#)).await;
    assert_eq!(answer.json()["errors"][0]["field"], "[9999].queue");
    assert_eq!(app.get("/api/jobs").await.json()["jobs"], serde_json::json!([]));
    let answer = app.post("/api/jobs/batch", &jobs(r#"{"kind":"greet","args":1}"#)).await;
    assert_eq!(answer.json().as_array().unwrap().len(), 10_000);
}

#[tokio::test]
async fn a17_a_far_delay_is_scheduled_and_not_run_at_once() {
    let app = App::new();
    for delay in ["2147484", "4294968", "315360000"] {
        let body = format!(r#"{{"kind":"greet","args":1,"delay":{delay},"timeout":315360000}}"#);
        assert_eq!(app.post("/api/jobs", &body).await.json()["state"], "scheduled", "{delay}");
    }
    let far = r#"{"kind":"greet","args":1,"run_at":"9999-12-31T00:00:00Z"}"#;
    assert_eq!(app.post("/api/jobs", far).await.json()["state"], "scheduled");
    assert_eq!(app.longhaul.store().sweep(100).await.unwrap().promoted, 0);
}

#[tokio::test]
async fn a_unique_key_is_counted_with_the_kind_before_it() {
    let app = App::new();
    for (length, expected) in [(506, (202, "")), (507, (422, "unique.key"))] {
        let key = "k".repeat(length);
        let body = format!(r#"{{"kind":"greet","args":1,"unique":{{"key":"{key}"}}}}"#);
        let (status, _, field) = refusal(&app, body, "application/json").await;
        assert_eq!((status, field.as_str()), expected, "{length} bytes and 'greet:'");
    }
}
