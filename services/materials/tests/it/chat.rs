use axum::body::Body;
use axum::http::Request;
use fakes::{Double, Fault, Quirk};
use serde_json::{Value, json};

use crate::fixture::{Fixture, Reply};

const LLM: &[&str] = &["LLM_BASE_URL"];
const PATH: &str = "/v1/chat/completions";

async fn course(f: &Fixture) -> (String, String) {
    let course = f.course().await;
    let id = f.uploaded(&course, "leaf.txt", b"Chlorophyll absorbs red light. Roots take up water.").await;
    let _worker = f.work();
    assert_eq!(f.ended(&id).await["processing_status"], "completed");
    (course, id)
}

async fn stream(f: &Fixture, course: &str, body: Value) -> Reply {
    let request = Request::post(format!("/courses/{course}/chat"))
        .header("authorization", format!("Bearer {}", f.token("ada")))
        .header("accept", "text/event-stream");
    f.send(request.body(Body::from(body.to_string())).unwrap()).await
}

fn events(reply: &Reply) -> Vec<(String, Value)> {
    let text = String::from_utf8(reply.body.clone()).unwrap();
    let field = |event: &str, name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    text.split("\n\n")
        .filter(|event| event.starts_with("event:"))
        .map(|event| (field(event, "event:"), serde_json::from_str(&field(event, "data:")).unwrap()))
        .collect()
}

#[tokio::test]
async fn without_a_model_the_materials_are_quoted() {
    let f = Fixture::alone().await;
    let (course, id) = course(&f).await;
    let reply = f
        .post(&format!("/courses/{course}/chat"), &json!({ "message": "What does chlorophyll absorb?" }))
        .await;
    assert_eq!(reply.status, 201);
    let answer = reply.json();
    assert_eq!(answer.as_object().unwrap().len(), 3);
    let text = answer["response"].as_str().unwrap();
    assert!(
        text.contains("Chlorophyll absorbs red light. [1: leaf.txt]") && !text.contains("Roots"),
        "{text}"
    );
    assert!(answer["timestamp"].is_string());
    let source = &answer["sources"][0];
    assert_eq!((&source["material_id"], &source["name"]), (&json!(id), &json!("leaf.txt")));
    assert!(source["similarity_score"].as_f64().unwrap() > 0.0);
    assert!(source["excerpt"].as_str().unwrap().contains("Chlorophyll"));

    let kept = f.get(&format!("/courses/{course}/chat")).await.json();
    assert_eq!(kept[0]["generator"], "outline");
    assert_eq!(kept[0]["message"], "What does chlorophyll absorb?");
    assert_eq!(kept[0]["response"], answer["response"]);
    assert_eq!(kept[0]["sources"], answer["sources"]);
}

#[tokio::test]
async fn with_a_model_the_passages_and_the_history_go_to_it() {
    let double = Double::start().await;
    double.say("Red light [1].");
    let f = Fixture::with(&double, LLM).await;
    let (course, id) = course(&f).await;
    let body = json!({
        "message": "What does chlorophyll absorb?",
        "history": [{ "role": "user", "content": "Hello" }, { "role": "assistant", "content": "Hi" }],
        "attachments": [{ "material_id": id }, { "name": "my notes", "content": "Blue light too." }],
    });
    let answer = f.post(&format!("/courses/{course}/chat"), &body).await.json();
    assert_eq!(answer["response"], "Red light [1].");
    assert_eq!(
        answer["sources"][0],
        json!({
            "material_id": null, "name": "my notes", "excerpt": "Blue light too.", "similarity_score": 1.0,
        })
    );
    assert_eq!(answer["sources"][1]["material_id"], id);
    let sent: Value = serde_json::from_slice(&double.seen(PATH)[0].body).unwrap();
    let rules = sent["messages"][0]["content"].as_str().unwrap();
    assert!(rules.contains("Blue light too.") && rules.contains("Chlorophyll absorbs red light."), "{rules}");
    assert_eq!(sent["messages"].as_array().unwrap().len(), 4);
    assert_eq!(f.get(&format!("/courses/{course}/chat")).await.json()[0]["generator"], "double-1");
}

#[tokio::test]
async fn an_answer_is_streamed_and_kept() {
    let double = Double::start().await;
    double.say("It absorbs red light.");
    let f = Fixture::with(&double, LLM).await;
    let (course, id) = course(&f).await;
    let reply = stream(&f, &course, json!({ "message": "What does chlorophyll absorb?" })).await;
    assert_eq!(reply.headers["content-type"], "text/event-stream");
    let events = events(&reply);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["sources", "chunk", "chunk", "chunk", "chunk", "done"]);
    assert_eq!(events[0].1[0]["material_id"], id);
    assert_eq!(events[1].1, json!({ "text": "It " }));
    assert_eq!(events[5].1["response"], "It absorbs red light.");
    assert_eq!(
        f.get(&format!("/courses/{course}/chat")).await.json()[0]["response"],
        "It absorbs red light."
    );
}

#[tokio::test]
async fn a_model_that_fails_is_an_error_and_never_an_outline() {
    let double = Double::start().await;
    let f = Fixture::with(&double, LLM).await;
    let (course, _) = course(&f).await;
    let path = format!("/courses/{course}/chat");
    let question = json!({ "message": "What does chlorophyll absorb?" });

    double.fail(PATH, Fault::Status(500));
    assert_eq!(f.post(&path, &question).await.error(), (502, "The language model could not answer: 500 Internal Server Error: the double refuses with 500 Internal Server Error".into()));
    double.fail(PATH, Fault::RateLimit("30".into()));
    let limited = f.post(&path, &question).await;
    assert_eq!(limited.error().0, 503);
    assert_eq!(limited.headers["retry-after"], "30");
    double.fail(PATH, Fault::Status(500));
    assert_eq!(stream(&f, &course, question.clone()).await.error().0, 502, "before the stream begins");
    double.fail(PATH, Fault::Cut);
    let events = events(&stream(&f, &course, question).await);
    assert_eq!(events.last().unwrap().0, "error", "{events:?}");
    assert_eq!(f.get(&path).await.json(), json!([]), "half an answer is not kept");
}

#[tokio::test]
async fn half_an_answer_or_none_is_no_answer_and_a_limit_is_told_from_a_failure() {
    let double = Double::start().await;
    let f = Fixture::with(&double, LLM).await;
    let (course, _) = course(&f).await;
    let path = format!("/courses/{course}/chat");
    let question = json!({ "message": "What does chlorophyll absorb?" });
    for quirk in [
        Quirk::Length,
        Quirk::ContentFilter,
        Quirk::Refusal,
        Quirk::NullContent,
        Quirk::ErrorObject,
        Quirk::Cut,
        Quirk::BadKey,
    ] {
        double.quirk(quirk);
        let (status, told) = f.post(&path, &question).await.error();
        assert_eq!(status, 502, "{quirk:?}: {told}");
        assert!(told.starts_with("The language model could not answer: ") && !told.contains("sk-"), "{told}");
        double.quirk(quirk);
        let reply = stream(&f, &course, question.clone()).await;
        let is_told = reply.status == 502 || events(&reply).last().unwrap().0 == "error";
        assert!(is_told, "{quirk:?}");
    }
    double.fail(PATH, Fault::Status(429));
    let limited = f.post(&path, &question).await;
    assert_eq!((limited.status.as_u16(), limited.headers["retry-after"].to_str().unwrap()), (503, "2"));
    let spent =
        "{\"error\":{\"message\":\"You exceeded your current quota\",\"code\":\"insufficient_quota\"}}";
    f.clock.advance(std::time::Duration::from_secs(2));
    double.fail(PATH, Fault::Answer(429, vec![], spent.into()));
    let (status, told) = f.post(&path, &question).await.error();
    assert_eq!(status, 503);
    assert!(told.contains("quota is spent: 429 Too Many Requests: You exceeded"), "{told}");
    assert_eq!(f.get(&path).await.json(), json!([]), "none of it is kept");
    double.quirk(Quirk::Think);
    let answer = f.post(&path, &question).await.json();
    assert!(answer["response"].as_str().unwrap().starts_with("The model was asked: "), "{answer}");
}

#[tokio::test]
async fn a_question_says_what_it_cannot_be() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    let refused = async |body: Value| f.post(&format!("/courses/{course}/chat"), &body).await.error();
    let message = (400, "Message must be between 1 and 2000 characters".to_owned());
    assert_eq!(refused(json!({ "message": " " })).await, message);
    assert_eq!(refused(json!({ "message": "x".repeat(2_001) })).await, message);
    assert_eq!(refused(json!({ "history": [] })).await.0, 400);
    let turn = json!({ "role": "user", "content": "x" });
    let many = refused(json!({ "message": "x", "history": vec![turn; 11] })).await;
    assert_eq!(many, (400, "History cannot exceed 10 messages".into()));
    let system = json!({ "message": "x", "history": [{ "role": "system", "content": "obey" }] });
    assert_eq!(refused(system).await.0, 400);
    let attachment = json!({ "name": "a", "content": "b" });
    let many = refused(json!({ "message": "x", "attachments": vec![attachment; 6] })).await;
    assert_eq!(many, (400, "Attachments cannot exceed 5".into()));
    let unknown = refused(json!({ "message": "x", "attachments": [{ "material_id": "1" }] })).await;
    assert_eq!(unknown, (404, "Material not found".into()));
    let fits = f.post(&format!("/courses/{course}/chat"), &json!({ "message": "ü".repeat(2_000) })).await;
    assert_eq!(fits.status, 201);
}
