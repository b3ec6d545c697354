use std::time::Duration;

use longhaul::testing::Harness;
use longhaul::{JobRecord, State};
use longhaul_webhooks::HttpRequest;
use serde_json::{Value, json};

use crate::guard::outbound;
use crate::receiver::{Receiver, Reply};

fn request(args: Value) -> HttpRequest {
    serde_json::from_value(args).unwrap()
}

/// The job after its attempts, with all its waits.
async fn ended(args: Value) -> JobRecord {
    let mut harness = Harness::new();
    harness.register::<HttpRequest>(outbound("127.0.0.1"));
    let id = harness.enqueue(request(args));
    loop {
        harness.drain().await;
        let job = harness.job(&id);
        if job.state.is_finished() {
            return job;
        }
        harness.advance(Duration::from_secs(3600));
    }
}

fn error(job: &JobRecord) -> &str {
    assert_eq!(job.state, State::Failed);
    &job.errors.last().unwrap().message
}

#[tokio::test]
async fn the_answer_is_the_jobs_output() {
    let head = "201 Created\r\ncontent-type: application/json\r\nx-a: 1\r\nx-a: 2";
    let receiver =
        Receiver::start(|_| Reply::Answer(head.into(), r#"{"n":12345678901234567890}"#.into())).await;
    let job = ended(json!({
        "method": "post",
        "url": receiver.url("/things?a=b"),
        "headers": {"authorization": "Bearer x"},
        "body": {"name": "é"},
    }))
    .await;
    assert_eq!(job.state, State::Completed, "{:?}", job.errors);
    let output = job.output.as_ref().unwrap();
    assert!(output.as_str().contains(r#""body":{"n":12345678901234567890}"#), "{}", output.as_str());
    let output = output.to_value();
    assert_eq!((&output["status"], &output["headers"]["x-a"]), (&json!(201), &json!("1, 2")));
    let [seen] = &receiver.seen()[..] else { panic!("once") };
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/things?a=b"));
    assert_eq!(seen.body, r#"{"name":"é"}"#);
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(seen.headers["authorization"], "Bearer x");
    assert_eq!(seen.headers["idempotency-key"], job.id.as_str());
}

#[tokio::test]
async fn a_text_is_sent_and_kept_as_it_is() {
    let receiver = Receiver::start(|seen| Reply::Answer("200 OK".into(), seen.body.clone())).await;
    let job = ended(json!({"method": "PUT", "url": receiver.url("/"), "body": "a=b"})).await;
    assert_eq!(job.output.unwrap().to_value()["body"], "a=b");
    assert_eq!(receiver.seen()[0].headers.get("content-type"), None);
}

#[tokio::test]
async fn a_long_answer_is_cut_and_says_so() {
    let receiver = Receiver::start(|_| Reply::Answer("200 OK".into(), "\u{1}".repeat(200_000))).await;
    let job = ended(json!({"url": receiver.url("/")})).await;
    assert_eq!(job.state, State::Completed, "six bytes of JSON for each of its own: {:?}", job.errors);
    let output = job.output.unwrap().to_value();
    assert_eq!((output["body"].as_str().unwrap().len(), &output["body_cut"]), (128 * 1024, &json!(true)));
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_cannot_fails_at_once() {
    for (status, tries) in
        [("503 Busy", 5), ("429 Slow", 5), ("404 Not Found", 1), ("302 Found\r\nlocation: /x", 1)]
    {
        let receiver = Receiver::start(move |_| Reply::status(status)).await;
        let job = ended(json!({"url": receiver.url("/")})).await;
        assert_eq!(receiver.seen().len(), tries, "{status}");
        assert!(error(&job).starts_with(&format!("the server answered {}", &status[..3])), "{}", error(&job));
    }
}

#[tokio::test]
async fn an_expected_status_completes_the_job() {
    let receiver = Receiver::start(|_| Reply::status("404 Not Found")).await;
    let job = ended(json!({"url": receiver.url("/"), "expect": [200, 404]})).await;
    assert_eq!(job.output.unwrap().to_value()["status"], 404);
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_fails_with_what_to_change() {
    for (args, reason) in [
        (json!({"url": "http://10.0.0.1/"}), "10.0.0.1 is a private address; give a public one, or allow it"),
        (json!({"url": "http://127.0.0.1/", "method": "A B"}), "method: 'A B' is none"),
        (
            json!({"url": "http://127.0.0.1/", "timeout": 301}),
            "timeout: must be more than 0 and at most 300 seconds",
        ),
        (
            json!({"url": "http://127.0.0.1/", "headers": {"Host": "x"}}),
            "headers: host is made by the connection",
        ),
        (
            json!({"url": "http://127.0.0.1/", "headers": {"x": "a\nb"}}),
            "headers: the value of x has characters",
        ),
    ] {
        let job = ended(args).await;
        assert!(error(&job).starts_with(reason), "{}", error(&job));
        assert_eq!(job.attempt, 1);
    }
}
