use std::time::Duration;

use fakes::{Double, Fault, Quirk};
use futures::StreamExt;
use longhaul::Clock;
use serde_json::{Value, json};
use service_support::{
    Asking, Cause, ChatClient, ChatRequest, Composer, Draft, JsonMode, JsonSchema, LlmConfig, Message,
    MessageRole, ProviderError, Tokens,
};

const PATH: &str = "/v1/chat/completions";

const KEY: &str = "key-1-of-the-operator";

fn client(double: &Double, json_mode: JsonMode) -> ChatClient {
    client_of(double, json_mode, Clock::system())
}

fn client_on(double: &Double, clock: Clock) -> ChatClient {
    client_of(double, JsonMode::None, clock)
}

fn client_of(double: &Double, json_mode: JsonMode, clock: Clock) -> ChatClient {
    let config = LlmConfig {
        base_url: double.v1(),
        provider: "llm".into(),
        model: "double-1".into(),
        api_key: Some(KEY.into()),
        timeout: Duration::from_secs(10),
        json_mode,
    };
    ChatClient::new(&config, Duration::from_secs(900), clock).unwrap()
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
    assert_eq!(double.seen(PATH)[0].headers["authorization"], format!("Bearer {KEY}"));
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

/// A lesson, asked for as JSON.
struct Lesson;

impl Draft for Lesson {
    fn request(&self) -> ChatRequest {
        let text = json!({ "type": "string" });
        // The demands of servers on a schema in their strict mode.
        let schema = json!({
            "type": "object", "properties": { "title": text, "verse": text }, "required": ["title", "verse"],
            "additionalProperties": false,
        });
        ChatRequest {
            messages: vec![Message { role: MessageRole::User, content: "Leaves, please".into() }],
            schema: Some(JsonSchema { name: "lesson", schema }),
        }
    }

    fn outline(&self) -> String {
        unreachable!("a model is configured")
    }
}

async fn lesson(client: &ChatClient) -> Result<Value, ProviderError> {
    Asking::new(&Lesson).write(client, Ok).await
}

fn calls(double: &Double) -> usize {
    double.seen(PATH).len()
}

const ANSWER: &str = "The model was asked: What do leaves absorb?";

#[tokio::test]
async fn words_reach_people_whole_and_without_the_models_reasoning() {
    use Quirk::*;
    for quirk in [
        Think,
        Thinking,
        ReasoningTag,
        LoneEndOfThink,
        ReasoningContent,
        Parts,
        NullChoices,
        NoChoices,
        NullDelta,
        RoleOnly,
        IndexOne,
        BlankData,
        Comments,
        Crlf,
        MultiLineData,
        Bytewise,
        NoDone,
        IgnoresStream,
    ] {
        let double = Double::start().await;
        double.quirk(quirk);
        let said = client(&double, JsonMode::JsonSchema).write_whole(&Question).await.unwrap();
        assert_eq!(said.trim(), ANSWER, "{quirk:?}");
        assert_eq!(calls(&double), 1, "{quirk:?}");
    }
}

#[tokio::test]
async fn a_part_of_an_answer_or_none_is_never_told_as_one() {
    use Quirk::*;
    for (quirk, cause, told) in [
        (UnclosedThink, Cause::Refused, "the reply holds nothing but the model's reasoning"),
        (OnlyThink, Cause::Refused, "the reply holds nothing but the model's reasoning"),
        (Refusal, Cause::Refused, "the model declined: I cannot help with that."),
        (NullContent, Cause::Refused, "the reply is empty"),
        (Empty, Cause::Refused, "the reply is empty"),
        (OnlyDone, Cause::Refused, "the reply is empty"),
        (ToolCalls, Cause::Refused, "the model wants to call a tool ('search') instead of answering"),
        (Length, Cause::TooLarge, "reply too long: the model stopped at its limit of length"),
        (ContentFilter, Cause::Refused, "the provider's content filter withheld the reply"),
        (EventError, Cause::BadReply, "overloaded"),
        (ErrorObject, Cause::BadReply, "CUDA out of memory"),
        (ErrorText, Cause::BadReply, "CUDA out of memory"),
        (HtmlPage, Cause::BadReply, "the reply is not a chat completion: a web page"),
        (Cut, Cause::Connection, "the reply ended before it was complete"),
        (
            ContextLength,
            Cause::Status(400),
            "400 Bad Request: This model's maximum context length is 8192 tokens.",
        ),
    ] {
        let double = Double::start().await;
        double.quirk(quirk);
        let error = client(&double, JsonMode::JsonSchema).write_whole(&Question).await.unwrap_err();
        assert_eq!((error.cause, error.message.as_str()), (cause, told), "{quirk:?}");
        let is_worth_asking_again = matches!(cause, Cause::BadReply | Cause::Connection);
        assert_eq!(error.is_retryable(), is_worth_asking_again, "{quirk:?}");
    }
    // Half a text with the protocol's own mark of its end is whole, as most clients have it.
    let double = Double::start().await;
    double.quirk(DoneEarly);
    assert!(ANSWER.starts_with(&client(&double, JsonMode::None).write_whole(&Question).await.unwrap()));
}

#[tokio::test]
async fn an_answer_that_comes_whole_is_held_to_the_same() {
    for (message, told) in [
        (json!({ "content": null, "refusal": "No." }), "the model declined: No."),
        (json!({ "content": " " }), "the reply is empty"),
        (
            json!({ "tool_calls": [{ "function": { "name": "f" } }] }),
            "the model wants to call a tool ('f') instead of answering",
        ),
    ] {
        let double = Double::start().await;
        let body = json!({ "choices": [{ "message": message, "finish_reason": "stop" }] });
        double.fail(PATH, Fault::Body(body.to_string()));
        let error = client(&double, JsonMode::None).write_whole(&Question).await.unwrap_err();
        assert_eq!((error.cause, error.message.as_str()), (Cause::Refused, told));
    }
    let double = Double::start().await;
    let cut = json!({ "choices": [{ "message": { "content": "Half" }, "finish_reason": "length" }] });
    double.fail(PATH, Fault::Body(cut.to_string()));
    let error = client(&double, JsonMode::None).write_whole(&Question).await.unwrap_err();
    assert_eq!(error.cause, Cause::TooLarge);
}

#[tokio::test]
async fn a_server_whose_replies_begin_within_their_reasoning_is_known_by_the_second_one() {
    let double = Double::start().await;
    double.always(Some(Quirk::LoneEndOfThink));
    let client = client(&double, JsonMode::None);
    let pieces = async || -> Vec<String> {
        client.write(&Question).await.unwrap().map(|piece| piece.unwrap()).collect().await
    };
    assert!(pieces().await.concat().ends_with(ANSWER));
    assert_eq!(pieces().await.concat(), ANSWER, "no word of it is shown, not even while it is written");
}

#[tokio::test]
async fn json_is_read_from_every_reply_that_holds_it_in_one_call() {
    use Quirk::*;
    for quirk in [
        Think,
        Thinking,
        ReasoningTag,
        UnclosedThink,
        LoneEndOfThink,
        ThinkInside,
        ReasoningContent,
        Fence,
        PlainFence,
        Talk,
        TrailingComma,
        RawNewline,
        LoneSurrogate,
        Nul,
        InList,
        Named,
        Parts,
        NullChoices,
        IndexOne,
        BlankData,
        Crlf,
        MultiLineData,
        Bytewise,
        IgnoresStream,
    ] {
        let double = Double::start().await;
        double.quirk(quirk);
        let lesson = lesson(&client(&double, JsonMode::JsonSchema)).await.unwrap();
        let title = lesson["title"].as_str().unwrap();
        assert!(title.starts_with("title of:") && title.ends_with("Leaves, please"), "{quirk:?}: {title}");
        assert!(
            lesson["verse"].as_str().unwrap().contains("Leaves") && !title.contains(['\0', '<']),
            "{quirk:?}"
        );
        assert_eq!(calls(&double), 1, "{quirk:?}");
    }
}

#[tokio::test]
async fn an_unusable_reply_is_asked_for_once_more_with_the_fault() {
    for (quirk, fault) in [
        (Quirk::NoJson, "the reply holds no JSON"),
        (Quirk::IgnoresFormat, "the reply holds no JSON"),
        (Quirk::TruncatedJson, "the reply is not JSON: EOF"),
    ] {
        let double = Double::start().await;
        double.quirk(quirk);
        let lesson = lesson(&client(&double, JsonMode::JsonSchema)).await.unwrap();
        assert!(lesson["verse"].is_string(), "{quirk:?}");
        assert_eq!(calls(&double), 2, "{quirk:?}");
        let sent = sent(&double);
        let said = |number: usize| sent["messages"][number]["content"].as_str().unwrap();
        assert_eq!((said(0), &sent["messages"][1]["role"]), ("Leaves, please", &json!("assistant")));
        assert!(said(2).contains(fault) && said(2).contains("\"required\""), "{quirk:?}: {}", said(2));
    }
}

#[tokio::test]
async fn no_prompt_is_paid_for_three_times() {
    let double = Double::start().await;
    double.always(Some(Quirk::NoJson));
    let error = lesson(&client(&double, JsonMode::JsonSchema)).await.unwrap_err();
    assert_eq!(error.message, "the reply cannot be used: the reply holds no JSON");
    assert!(!error.is_retryable());
    assert_eq!(calls(&double), 2);

    // What would end in the same way is not even asked for twice.
    for quirk in [Quirk::Length, Quirk::Refusal, Quirk::ContentFilter, Quirk::ToolCalls, Quirk::Empty] {
        let double = Double::start().await;
        double.always(Some(quirk));
        let error = lesson(&client(&double, JsonMode::JsonSchema)).await.unwrap_err();
        assert!(!error.is_retryable(), "{quirk:?}");
        assert_eq!(calls(&double), 1, "{quirk:?}");
    }
}

#[tokio::test]
async fn json_is_asked_for_in_the_servers_own_way() {
    for (mode, format) in [
        (JsonMode::JsonSchema, json!("json_schema")),
        (JsonMode::JsonObject, json!("json_object")),
        (JsonMode::None, Value::Null),
    ] {
        let double = Double::start().await;
        lesson(&client(&double, mode)).await.unwrap();
        let sent = sent(&double);
        assert_eq!(sent["response_format"]["type"], format);
        let told_in_words = sent["messages"][0]["content"].as_str().unwrap().contains("JSON Schema");
        assert_eq!(told_in_words, mode != JsonMode::JsonSchema);
    }
}

#[tokio::test]
async fn a_server_that_refuses_a_format_is_asked_a_step_lower_and_remembered() {
    for (quirk, formats) in [
        (Quirk::RefusesSchema, &["json_schema", "json_object"][..]),
        (Quirk::RefusesFormat, &["json_schema", "json_object", "none"]),
    ] {
        let double = Double::start().await;
        double.always(Some(quirk));
        let client = client(&double, JsonMode::JsonSchema);
        lesson(&client).await.unwrap();
        lesson(&client.clone()).await.unwrap();
        let asked = double.seen(PATH).into_iter().map(|seen| {
            let body: Value = serde_json::from_slice(&seen.body).unwrap();
            body["response_format"]["type"].as_str().unwrap_or("none").to_owned()
        });
        let last = *formats.last().unwrap();
        assert_eq!(asked.collect::<Vec<_>>(), [formats, &[last][..]].concat(), "{quirk:?}");
    }
    // Another refusal is no reason to ask for less, and says what might be.
    let double = Double::start().await;
    double.always(Some(Quirk::ContextLength));
    let error = lesson(&client(&double, JsonMode::JsonSchema)).await.unwrap_err();
    assert_eq!(calls(&double), 1);
    assert!(
        error.message.contains("maximum context length") && error.message.contains("LLM_JSON_MODE"),
        "{error}"
    );
}

#[tokio::test]
async fn an_error_shows_neither_key_nor_address_nor_document() {
    let double = Double::start().await;
    double.quirk(Quirk::BadKey);
    let error = client(&double, JsonMode::None).write_whole(&Question).await.unwrap_err();
    assert_eq!(error.message, "401 Unauthorized: Incorrect API key provided: (a key). See (an address)");
    double.fail(PATH, Fault::Answer(400, vec![], format!("no route {} for key {KEY}", double.url())));
    let error = client(&double, JsonMode::None).write_whole(&Question).await.unwrap_err();
    assert_eq!(error.message, "400 Bad Request: no route (an address) for key (hidden)");

    struct Document;
    impl Draft for Document {
        fn request(&self) -> ChatRequest {
            let content = "The patient of room 12 was given 40 mg of the drug.".into();
            ChatRequest { messages: vec![Message { role: MessageRole::User, content }], schema: None }
        }
        fn outline(&self) -> String {
            unreachable!("a model is configured")
        }
    }
    double.quirk(Quirk::Echo);
    let error = client(&double, JsonMode::None).write_whole(&Document).await.unwrap_err();
    assert!(error.message.contains("cannot use the prompt") && !error.message.contains("patient"), "{error}");

    let nobody = Double::start().await;
    let unreachable = client(&nobody, JsonMode::None);
    drop(nobody);
    let error = unreachable.write_whole(&Question).await.unwrap_err();
    assert!(error.cause == Cause::Connection && !error.message.contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn a_stream_may_last_as_long_as_it_lives() {
    let double = Double::start().await;
    double.say("They absorb light.");
    double.hold();
    let clock = Clock::manual();
    let mut pieces = client_on(&double, clock.clone()).write(&Question).await.unwrap();
    // Three words, each just within the limit, are longer than the limit in all.
    for word in ["They ", "absorb ", "light."] {
        clock.advance(Duration::from_secs(9));
        double.release(1);
        assert_eq!(pieces.next().await.unwrap().unwrap(), word);
    }
    assert!(pieces.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_stands_still_is_given_up() {
    let double = Double::start().await;
    double.say("They absorb light.");
    double.hold();
    let clock = Clock::manual();
    let mut pieces = client_on(&double, clock.clone()).write(&Question).await.unwrap();
    double.release(1);
    assert_eq!(pieces.next().await.unwrap().unwrap(), "They ");
    let (next, ()) = tokio::join!(pieces.next(), async {
        while clock.next_wake().is_none() {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(10));
    });
    let error = next.unwrap().unwrap_err();
    assert_eq!((error.cause, error.message.as_str()), (Cause::Timeout, "the reply stood still for 10 s"));
    drop(pieces);
    double.wait_for_hang_up(PATH, 1).await;
}

#[tokio::test]
async fn whoever_stops_listening_ends_the_call() {
    let double = Double::start().await;
    double.hold();
    let pieces = client(&double, JsonMode::None).write(&Question).await.unwrap();
    drop(pieces);
    double.wait_for_hang_up(PATH, 1).await;
}

#[tokio::test]
async fn tokens_are_those_that_the_server_tells_and_a_refused_wish_for_them_is_remembered() {
    let double = Double::start().await;
    let tokens = Tokens::default();
    let question = Counted(tokens.clone());
    double.say("They absorb light.");
    client(&double, JsonMode::None).write_whole(&question).await.unwrap();
    // "Be brief." and "What do leaves absorb?" are six words, the answer is three, and of this model a word is a token.
    assert_eq!((sent(&double)["stream_options"]["include_usage"].as_bool(), tokens.taken()), (Some(true), 9));

    let double = Double::start().await;
    double.always(Some(Quirk::RefusesUsage));
    let client = client(&double, JsonMode::None);
    for _ in 0..2 {
        double.say("They absorb light.");
        client.write_whole(&question).await.unwrap();
    }
    assert_eq!(calls(&double), 3, "it is asked for the usage once");
    assert!(sent(&double)["stream_options"].is_null());
    // 9 + 22 bytes and 18: three and six and five tokens, twice.
    assert_eq!(tokens.taken(), 9 + 2 * 14);
}

#[tokio::test]
async fn a_call_that_is_refused_takes_no_tokens_and_one_that_is_cut_off_takes_its_share() {
    let double = Double::start().await;
    let tokens = Tokens::default();
    let question = Counted(tokens.clone());
    let client = client(&double, JsonMode::None);
    double.fail(PATH, Fault::Status(503));
    client.write_whole(&question).await.unwrap_err();
    assert_eq!(tokens.taken(), 0);
    double.say("They absorb light");
    double.quirk(Quirk::Cut);
    client.write_whole(&question).await.unwrap_err();
    assert_eq!(tokens.taken(), 9 + 2, "the request, and half of the answer");
}

/// The question, with its tokens counted.
struct Counted(Tokens);

impl Draft for Counted {
    fn request(&self) -> ChatRequest {
        Question.request()
    }

    fn outline(&self) -> String {
        Question.outline()
    }

    fn meter(&self) -> Tokens {
        self.0.clone()
    }
}
