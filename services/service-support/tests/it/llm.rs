use std::time::Duration;

use fakes::{Double, Fault};
use futures::StreamExt;
use longhaul::Clock;
use serde_json::{Value, json};
use service_support::{
    Cause, ChatClient, ChatRequest, Composer, Draft, JsonMode, JsonSchema, LlmConfig, Message, MessageRole,
};

const PATH: &str = "/v1/chat/completions";

fn client(double: &Double, json_mode: JsonMode) -> ChatClient {
    let config = LlmConfig {
        base_url: double.v1(),
        model: "double-1".into(),
        api_key: Some("key".into()),
        timeout: Duration::from_secs(10),
        json_mode,
    };
    ChatClient::new(&config, Duration::from_secs(900), Clock::system()).unwrap()
}

/// A question without an outline.
struct Question;

impl Draft for Question {
    fn request(&self) -> ChatRequest {
        let say = |role, content: &str| Message { role, content: content.into() };
        let asked = say(MessageRole::User, "What do leaves absorb?");
        ChatRequest { messages: vec![say(MessageRole::System, "Be brief."), asked], schema: None }
    }

    fn outline(&self) -> String {
        unreachable!("a model is configured")
    }
}

fn sent(double: &Double) -> Value {
    serde_json::from_slice(&double.seen(PATH).last().unwrap().body).unwrap()
}

#[tokio::test]
async fn a_draft_goes_out_as_its_request_and_comes_back_whole() {
    let double = Double::start().await;
    double.say("They absorb light.");
    let client = client(&double, JsonMode::JsonSchema);
    assert_eq!(client.generator(), "double-1");
    assert_eq!(client.write_whole(&Question).await.unwrap(), "They absorb light.");
    let sent = sent(&double);
    assert_eq!(sent["model"], "double-1");
    let said = |number: usize| sent["messages"][number]["content"].as_str().unwrap();
    assert_eq!([said(0), said(1)], ["Be brief.", "What do leaves absorb?"]);
    assert_eq!(double.seen(PATH)[0].headers["authorization"], "Bearer key");
}

#[tokio::test]
async fn an_answer_comes_as_it_is_written() {
    let double = Double::start().await;
    double.say("They absorb light.");
    let pieces = client(&double, JsonMode::None).write(&Question).await.unwrap();
    let pieces: Vec<String> = pieces.map(|piece| piece.unwrap()).collect().await;
    assert_eq!(pieces, ["They ", "absorb ", "light."]);
    assert_eq!(sent(&double)["stream"], true);
}

#[tokio::test]
async fn a_cut_stream_is_never_a_whole_answer() {
    let double = Double::start().await;
    double.say("They absorb light and use it to make sugar of water and air.");
    double.fail(PATH, Fault::Cut);
    let pieces = client(&double, JsonMode::None).write(&Question).await.unwrap();
    let pieces: Vec<_> = pieces.collect().await;
    assert!(pieces.len() > 1);
    assert_eq!(pieces.last().unwrap().as_ref().unwrap_err().cause, Cause::Connection);

    // An orderly end of the connection in the middle of a reply is a cut all the same.
    let half = "data: {\"choices\":[{\"delta\":{\"content\":\"They\"}}]}\n\n";
    double.fail(PATH, Fault::Body(half.into()));
    let pieces: Vec<_> = client(&double, JsonMode::None).write(&Question).await.unwrap().collect().await;
    assert_eq!(pieces[0].as_ref().unwrap(), "They");
    assert_eq!(pieces[1].as_ref().unwrap_err().cause, Cause::Connection);
}

#[tokio::test]
async fn an_error_within_a_stream_is_told() {
    let double = Double::start().await;
    double.fail(PATH, Fault::Body("data: {\"error\":{\"message\":\"out of memory\"}}\n\n".into()));
    let pieces: Vec<_> = client(&double, JsonMode::None).write(&Question).await.unwrap().collect().await;
    assert!(pieces[0].as_ref().unwrap_err().to_string().contains("out of memory"));
}

#[tokio::test]
async fn a_reply_that_makes_no_sense_may_be_asked_for_again() {
    let double = Double::start().await;
    for fault in [Fault::Malformed, Fault::Body("{\"choices\":[]}".into())] {
        double.fail(PATH, fault);
        let error = client(&double, JsonMode::None).write_whole(&Question).await.unwrap_err();
        assert_eq!(error.cause, Cause::BadReply);
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn json_is_asked_for_in_the_servers_own_way() {
    // The demands of servers on a schema in their strict mode.
    let schema = json!({
        "type": "object", "properties": { "title": { "type": "string" } },
        "required": ["title"], "additionalProperties": false,
    });
    let request = || ChatRequest {
        messages: vec![Message { role: MessageRole::User, content: "A title, please".into() }],
        schema: Some(JsonSchema { name: "lesson", schema: schema.clone() }),
    };
    for (mode, format) in [
        (JsonMode::JsonSchema, json!("json_schema")),
        (JsonMode::JsonObject, json!("json_object")),
        (JsonMode::None, Value::Null),
    ] {
        let double = Double::start().await;
        double.say("Here it is: ```json\n{\"title\": \"Leaves\"}\n```");
        let value: Value = client(&double, mode).complete_json(&request()).await.unwrap();
        assert_eq!(value, json!({ "title": "Leaves" }));
        let sent = sent(&double);
        assert_eq!(sent["response_format"]["type"], format);
        let told_in_words = sent["messages"][0]["content"].as_str().unwrap().contains("JSON Schema");
        assert_eq!(told_in_words, mode != JsonMode::JsonSchema);
        double.say("I would rather not.");
        let refused = client(&double, mode).complete_json::<Value>(&request()).await;
        assert_eq!(refused.unwrap_err().cause, Cause::BadReply);
    }
}
