use fakes::{Double, Fault};
use serde_json::{Value, json};

const PATH: &str = "/v1/chat/completions";

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn ask(double: &Double, body: &Value) -> (u16, Value) {
    let answer = client().post(format!("{}{PATH}", double.url())).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn said(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

fn schema() -> Value {
    json!({
        "type": "object", "properties": { "title": { "type": "string" }, "verse": { "type": "string" } },
        "required": ["title", "verse"], "additionalProperties": false,
    })
}

fn question(more: Value) -> Value {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "About leaves" }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn held_to(schema: Value) -> Value {
    let asked = json!({ "name": "lesson", "strict": true, "schema": schema });
    question(json!({ "response_format": { "type": "json_schema", "json_schema": asked } }))
}

#[tokio::test]
async fn json_fits_the_schema_however_it_is_asked_for() {
    let double = Double::start().await;
    let expected = json!({ "title": "title of: About leaves", "verse": "verse of: About leaves" });
    let (_, answer) = ask(&double, &held_to(schema())).await;
    assert_eq!(serde_json::from_str::<Value>(said(&answer)).unwrap(), expected);

    let told = format!("Reply with JSON. It must fit this JSON Schema: {}", schema());
    let messages =
        json!([{ "role": "system", "content": told }, { "role": "user", "content": "About leaves" }]);
    let object = json!({ "messages": messages, "response_format": { "type": "json_object" } });
    let (_, answer) = ask(&double, &question(object)).await;
    assert_eq!(serde_json::from_str::<Value>(said(&answer)).unwrap(), expected);

    // A model that is not held to it chats around the JSON.
    let (_, answer) = ask(&double, &question(json!({ "messages": messages }))).await;
    let fenced = said(&answer).split("```json").nth(1).unwrap().trim_end_matches("```");
    assert_eq!(serde_json::from_str::<Value>(fenced).unwrap(), expected);

    double.say("No.");
    assert_eq!(said(&ask(&double, &held_to(schema())).await.1), "No.");
}

#[tokio::test]
async fn what_the_protocol_refuses_is_refused() {
    let double = Double::start().await;
    let mut loose = schema();
    loose["additionalProperties"] = json!(true);
    let (status, answer) = ask(&double, &held_to(loose)).await;
    assert_eq!(status, 400);
    assert!(answer["error"]["message"].as_str().unwrap().starts_with("Invalid schema for response_format"));
    let object = json!({ "response_format": { "type": "json_object" } });
    assert_eq!(ask(&double, &question(object)).await.0, 400, "no message speaks of JSON");
    assert_eq!(ask(&double, &json!({ "model": "m" })).await.0, 400);
}

#[tokio::test]
async fn fields_can_be_missing() {
    let double = Double::start().await;
    double.fail(PATH, Fault::MissingFields);
    let (status, answer) = ask(&double, &held_to(schema())).await;
    assert_eq!(status, 200);
    let value: Value = serde_json::from_str(said(&answer)).unwrap();
    assert_eq!(value, json!({ "title": "title of: About leaves" }));
}

#[tokio::test]
async fn words_go_out_one_by_one_when_they_are_held() {
    let double = Double::start().await;
    double.say("They absorb light.");
    double.hold();
    let request = client().post(format!("{}{PATH}", double.url())).json(&question(json!({ "stream": true })));
    let mut answer = request.send().await.unwrap();
    let mut text = String::new();
    for expected in ["They ", "absorb ", "light."] {
        assert!(!text.contains(&format!("\"content\":\"{expected}\"")), "{text}");
        double.release(1);
        while !text.contains(&format!("\"content\":\"{expected}\"")) {
            let piece = answer.chunk().await.unwrap().expect("the stream goes on");
            text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
    while let Some(piece) = answer.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn a_stream_can_be_cut_after_some_words() {
    let double = Double::start().await;
    double.say("They absorb light.");
    double.fail(PATH, Fault::CutAfter(2));
    let request = client().post(format!("{}{PATH}", double.url())).json(&question(json!({ "stream": true })));
    let mut answer = request.send().await.unwrap();
    let mut text = String::new();
    let cut = loop {
        match answer.chunk().await {
            Ok(Some(piece)) => text.push_str(std::str::from_utf8(&piece).unwrap()),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(cut && text.contains("They ") && !text.contains("absorb"), "{text}");
}

#[tokio::test]
async fn keywords_are_answered_by_the_python_api() {
    let double = Double::start().await;
    let url = format!("{}/llm/query", double.python_api());
    let ask = async |body: String| {
        let answer = client().post(&url).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, answer) = ask(json!({ "topic": "React", "sub_topics": ["hooks"] }).to_string()).await;
    assert_eq!((status, answer["response"].as_array().unwrap().len()), (200, 10));
    let refused = |reason: &str| (400, json!({ "error": reason }));
    assert_eq!(ask("{".into()).await, refused("Request must be JSON"));
    assert_eq!(ask("[]".into()).await, refused("Request body must be a JSON object"));
    let both = "Request body must contain 'topic' (string) and 'sub_topics' (list)";
    assert_eq!(ask("{\"topic\": 1}".into()).await, refused(both));
    double.fail("/api/v1/llm/query", Fault::Status(500));
    assert_eq!(ask("{}".into()).await.0, 500);
}
