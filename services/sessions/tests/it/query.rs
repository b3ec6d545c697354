use fakes::{Double, Fault};
use longhaul::Clock;
use serde_json::{Value, json};

use crate::fixture::{Fixture, Reply};

const PATH: &str = "/api/v1/llm/query";
const CHAT: &str = "/v1/chat/completions";

async fn with_model(double: &Double) -> Fixture {
    let vars = vec![("LLM_BASE_URL", double.v1()), ("LLM_MODEL", "double-1".into())];
    Fixture::open(tempfile::tempdir().unwrap(), Clock::manual(), vars).await
}

async fn ask(f: &Fixture, body: impl Into<String>) -> Reply {
    f.send("POST", PATH, None, Some(body.into())).await
}

fn react() -> String {
    json!({ "topic": "React Development", "sub_topics": ["useState", "useEffect"] }).to_string()
}

#[tokio::test]
async fn ten_keywords_without_a_model() {
    let f = Fixture::alone().await;
    let reply = ask(&f, react()).await;
    assert_eq!((reply.status, reply.headers["generator"].to_str().unwrap()), (200, "outline"));
    assert_eq!(reply.body.as_object().unwrap().len(), 1);
    insta::assert_json_snapshot!("keywords", reply.body);
    assert_eq!(ask(&f, react()).await.body, reply.body, "the same for the same request");
}

#[tokio::test]
async fn ten_keywords_of_the_model() {
    let double = Double::start().await;
    let f = with_model(&double).await;
    let words: Vec<String> = (1..=12).map(|n| format!("  keyword {} ", n / 2)).collect();
    for _ in 0..2 {
        double.say(&json!({ "keywords": words }).to_string());
    }
    let reply = ask(&f, react()).await;
    assert_eq!(reply.status, 500, "twelve words with only seven different ones are too few: {reply:?}");
    let told = "LLM failed: the reply cannot be used: it holds 7 keywords that differ instead of 10";
    assert_eq!(reply.body, json!({ "error": told }));
    assert_eq!(reply.headers["x-should-retry"], "false", "nobody pays a third time for it");
    assert_eq!(double.seen(CHAT).len(), 2);

    let words: Vec<String> = (1..=12).map(|n| format!("  keyword {n} ")).collect();
    double.say(&json!({ "keywords": words }).to_string());
    let reply = ask(&f, react()).await;
    assert_eq!((reply.status, reply.headers["generator"].to_str().unwrap()), (200, "double-1"));
    let trimmed: Vec<String> = (1..=10).map(|n| format!("keyword {n}")).collect();
    assert_eq!(reply.body, json!({ "response": trimmed }));
    let sent: Value = serde_json::from_slice(&double.seen(CHAT)[0].body).unwrap();
    let asked = sent["messages"][1]["content"].as_str().unwrap();
    assert_eq!(asked, "Topic: React Development\nSub-topics: useState; useEffect");

    // The double's answer fits the schema that was sent.
    let reply = ask(&f, react()).await;
    assert_eq!(reply.body["response"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn a_nul_in_a_query_is_left_out() {
    let f = Fixture::alone().await;
    let reply = ask(&f, json!({ "topic": "Re\0act", "sub_topics": ["\0", "Ho\0oks"] }).to_string()).await;
    assert_eq!((reply.status, &reply.body["response"][0]), (200, &json!("Hooks")), "{reply:?}");
    assert_eq!(reply.body["response"].as_array().unwrap().len(), 10);
    assert_eq!(ask(&f, json!({ "topic": "\0", "sub_topics": ["a"] }).to_string()).await.status, 400);
}

#[tokio::test]
async fn what_is_no_query_is_refused_in_the_original_words() {
    let f = Fixture::alone().await;
    let both = "Request body must contain 'topic' (string) and 'sub_topics' (list)";
    for (body, told) in [
        ("topic=React", "Request must be JSON"),
        ("{\"topic\": ", "Request must be JSON"),
        ("", "Request must be JSON"),
        ("[]", "Request body must be a JSON object"),
        ("\"React\"", "Request body must be a JSON object"),
        ("{}", both),
        ("{\"topic\": \"React\"}", both),
        ("{\"topic\": \"\", \"sub_topics\": []}", both),
        ("{\"topic\": 5, \"sub_topics\": []}", both),
        ("{\"topic\": \"React\", \"sub_topics\": \"useState\"}", both),
        ("{\"topic\": \"React\", \"sub_topics\": [1]}", both),
    ] {
        let reply = ask(&f, body).await;
        assert_eq!((reply.status, &reply.body), (400, &json!({ "error": told })), "{body}");
    }
    let huge = json!({ "topic": "x".repeat(200_000), "sub_topics": [] }).to_string();
    assert_eq!(ask(&f, huge).await.status, 413);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let plain = client.post(format!("{}{PATH}", f.url)).body(react()).send().await.unwrap();
    assert_eq!(plain.status(), 400, "a body that does not say that it is JSON");
}

#[tokio::test]
async fn a_model_that_fails_is_an_error_and_never_the_outline() {
    let double = Double::start().await;
    let f = with_model(&double).await;
    for fault in [Fault::Status(500), Fault::Cut, Fault::CutAfter(3), Fault::Malformed] {
        double.fail(CHAT, fault.clone());
        let reply = ask(&f, react()).await;
        assert_eq!((reply.status, reply.body.as_object().unwrap().len()), (500, 1), "{fault:?} {reply:?}");
        assert!(reply.body["error"].is_string());
    }
    for said in ["I would rather not.", "{\"keywords\": \"useState\"}", "{\"keywords\": [[], null]}"] {
        double.say(said);
        double.say(said);
        assert_eq!(ask(&f, react()).await.status, 500, "{said}");
    }
    double.fail(CHAT, Fault::RateLimit("17".into()));
    let reply = ask(&f, react()).await;
    assert_eq!((reply.status, reply.headers["retry-after"].to_str().unwrap()), (429, "17"));
    double.fail(CHAT, Fault::Status(429));
    let reply = ask(&f, react()).await;
    assert_eq!((reply.status, reply.headers["retry-after"].to_str().unwrap()), (429, "2"));
    assert_eq!(ask(&f, react()).await.status, 200);
}
