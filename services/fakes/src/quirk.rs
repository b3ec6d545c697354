use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A way in which servers of language models depart from the protocol, or models from what they were asked for; each was
/// met in the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// Reasoning with braces in it before the reply, in `<think>`.
    Think,
    /// The same in `<thinking>`.
    Thinking,
    /// The same in `<reasoning>`.
    ReasoningTag,
    /// Reasoning that is never closed, and then the reply.
    UnclosedThink,
    /// Reasoning alone.
    OnlyThink,
    /// Reasoning that is closed and was opened before the reply.
    LoneEndOfThink,
    /// Reasoning within the first text of a JSON reply.
    ThinkInside,
    /// Reasoning in a field of its own.
    ReasoningContent,
    /// JSON in a fence, with talk and braces around it.
    Fence,
    /// JSON in a fence.
    PlainFence,
    /// JSON in the middle of a sentence, with braces before and after it.
    Talk,
    /// A comma too many.
    TrailingComma,
    /// A raw line break in a text of the JSON.
    RawNewline,
    /// Half a character in a text of the JSON.
    LoneSurrogate,
    /// A NUL in a text of the JSON.
    Nul,
    /// The object in a list.
    InList,
    /// The object under a name.
    Named,
    /// The last byte of the JSON is missing.
    TruncatedJson,
    /// Words where JSON was asked for.
    NoJson,
    /// Content as a list of parts.
    Parts,
    /// The model declines in the field for that.
    Refusal,
    /// Content that is null.
    NullContent,
    /// Content that is empty.
    Empty,
    /// A call of a tool.
    ToolCalls,
    /// Half the reply, ended by the limit of length.
    Length,
    /// Half the reply, ended by a content filter.
    ContentFilter,
    /// A last chunk with `choices: null` and the usage.
    NullChoices,
    /// A last chunk with `choices: []` and the usage.
    NoChoices,
    /// A first chunk with `delta: null`.
    NullDelta,
    /// A first chunk with the role and no content.
    RoleOnly,
    /// The only choice has the number 1.
    IndexOne,
    /// An event without data.
    BlankData,
    /// Comments between the chunks.
    Comments,
    /// Lines that end in CR LF.
    Crlf,
    /// Chunks whose JSON stands on several `data:` lines.
    MultiLineData,
    /// Every byte in a piece of its own.
    Bytewise,
    /// An event of the name `error` after half the reply.
    EventError,
    /// An error object with a good status, at once.
    ErrorObject,
    /// An error in words with a good status, at once.
    ErrorText,
    /// A web page with a good status.
    HtmlPage,
    /// The connection ends in an orderly way after half the reply.
    Cut,
    /// The stream ends without `[DONE]`.
    NoDone,
    /// `[DONE]` and nothing else.
    OnlyDone,
    /// Half the reply, then `[DONE]` without a reason to finish.
    DoneEarly,
    /// A whole answer where a stream was asked for.
    IgnoresStream,
    /// `response_format` is taken and does nothing.
    IgnoresFormat,
    /// 400 for `json_schema`.
    RefusesSchema,
    /// 400 for every `response_format`.
    RefusesFormat,
    /// 400 for `stream_options`, which it does not know.
    RefusesUsage,
    /// 400 for another reason than the format.
    ContextLength,
    /// 400 that repeats the request.
    Echo,
    /// 401 that shows a part of the key.
    BadKey,
}

impl Quirk {
    /// All of them.
    pub const ALL: [Quirk; 52] = {
        use Quirk::*;
        [
            Think,
            Thinking,
            ReasoningTag,
            UnclosedThink,
            OnlyThink,
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
            TruncatedJson,
            NoJson,
            Parts,
            Refusal,
            NullContent,
            Empty,
            ToolCalls,
            Length,
            ContentFilter,
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
            EventError,
            ErrorObject,
            ErrorText,
            HtmlPage,
            Cut,
            NoDone,
            OnlyDone,
            DoneEarly,
            IgnoresStream,
            IgnoresFormat,
            RefusesSchema,
            RefusesFormat,
            RefusesUsage,
            ContextLength,
            Echo,
            BadKey,
        ]
    };

    /// The refusal of a request with this body, where it is refused.
    pub(crate) fn refusal(self, body: &[u8]) -> Option<Response> {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let format = request["response_format"]["type"].as_str().unwrap_or("text");
        let refuse = |status: u16, message: String| {
            let error = json!({ "error": { "message": message, "type": "invalid_request_error" } });
            Some((StatusCode::from_u16(status).unwrap_or_default(), axum::Json(error)).into_response())
        };
        match self {
            Quirk::RefusesSchema if format == "json_schema" => {
                refuse(400, "'response_format.type' json_schema is not supported".into())
            }
            Quirk::RefusesFormat if format != "text" => {
                refuse(400, format!("'response_format.type' {format} is not supported"))
            }
            Quirk::RefusesUsage if !request["stream_options"].is_null() => {
                refuse(400, "body.stream_options: Extra inputs are not permitted".into())
            }
            Quirk::ContextLength => refuse(400, "This model's maximum context length is 8192 tokens.".into()),
            Quirk::Echo => refuse(400, format!("cannot use the prompt {}", request["messages"])),
            Quirk::BadKey => refuse(
                401,
                "Incorrect API key provided: sk-abc***xyz. See http://user:pass@10.0.0.7:4000/keys?token=1"
                    .into(),
            ),
            Quirk::ErrorObject => refuse(200, "CUDA out of memory".into()),
            Quirk::ErrorText => Some(axum::Json(json!({ "error": "CUDA out of memory" })).into_response()),
            Quirk::HtmlPage => Some(axum::response::Html("<html>Sign in</html>").into_response()),
            _ => None,
        }
    }

    /// The model's text, as this model would write it.
    pub(crate) fn written(self, text: &str) -> String {
        match self {
            Quirk::Think => format!("<think>Let me see {{braces}} and [lists].</think>\n{text}"),
            Quirk::Thinking => format!("<thinking>\nLet me see {{\"a\": 1}}.\n</thinking>\n\n{text}"),
            Quirk::ReasoningTag => format!("<reasoning>Let me see.</reasoning>{text}"),
            Quirk::UnclosedThink => format!("<think>Let me see {{braces}}.\n\n{text}"),
            Quirk::OnlyThink => "<think>Let me see.</think>\n".to_owned(),
            Quirk::LoneEndOfThink => format!("Let me see {{braces}}.\n</think>\n\n{text}"),
            Quirk::ThinkInside => {
                text.replacen(": \"", ": \"<think>hm</think>", 1).replacen(":\"", ":\"<think>hm</think>", 1)
            }
            Quirk::Fence => format!("Here it is:\n```json\n{text}\n```\nHope that helps {{really}}!"),
            Quirk::PlainFence => format!("```json\n{text}\n```"),
            Quirk::Talk => format!("I thought of {{this}} and [that]: {text} Does {{it}} help?"),
            Quirk::TrailingComma => without_end(text, ",}"),
            Quirk::RawNewline => text.replacen(" of: ", " of:\n", 1),
            Quirk::LoneSurrogate => text.replacen(" of: ", " of: \\ud83d", 1),
            Quirk::Nul => text.replacen(" of: ", " of: \\u0000", 1),
            Quirk::InList => format!("[{text}]"),
            Quirk::Named => format!("{{\"answer\": {text}}}"),
            Quirk::TruncatedJson => without_end(text, ""),
            Quirk::NoJson => "I would rather not.".to_owned(),
            Quirk::Empty => String::new(),
            _ => text.to_owned(),
        }
    }

    /// The whole answer of a server that does not stream.
    pub(crate) fn whole(self, model: &str, text: &str) -> Response {
        let message = match self {
            Quirk::Parts => json!({ "role": "assistant", "content": parts(text) }),
            Quirk::Refusal => json!({ "role": "assistant", "content": null, "refusal": REFUSAL }),
            Quirk::NullContent => json!({ "role": "assistant", "content": null }),
            Quirk::ToolCalls => json!({ "role": "assistant", "content": null, "tool_calls": [tool()] }),
            Quirk::Length | Quirk::ContentFilter => json!({ "role": "assistant", "content": half(text).0 }),
            Quirk::ReasoningContent => {
                json!({ "role": "assistant", "content": text, "reasoning_content": "hm {" })
            }
            _ => json!({ "role": "assistant", "content": text }),
        };
        let reason = match self {
            Quirk::Length => "length",
            Quirk::ContentFilter => "content_filter",
            Quirk::ToolCalls => "tool_calls",
            _ => "stop",
        };
        let choices = match self {
            Quirk::NullChoices => Value::Null,
            Quirk::NoChoices => json!([]),
            _ => json!([{ "index": 0, "finish_reason": reason, "message": message }]),
        };
        axum::Json(json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": model, "choices": choices,
            "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 },
        }))
        .into_response()
    }

    /// The events of a streamed answer, as they go over the wire; `None` where they are as always.
    pub(crate) fn events(self, text: &str) -> Option<Vec<String>> {
        let content = |text: &str| event(&chunk(json!({ "content": text }), None));
        let stop = event(&chunk(json!({}), Some("stop")));
        let done = || "data: [DONE]\n\n".to_owned();
        let (first, second) = half(text);
        let whole = |before: &str, after: &str| {
            vec![before.to_owned(), content(first), content(second), stop.clone(), after.to_owned(), done()]
        };
        let ended = |reason: &str| vec![content(first), event(&chunk(json!({}), Some(reason))), done()];
        let only = |delta: Value, reason: &str| vec![event(&chunk(delta, Some(reason))), done()];
        Some(match self {
            Quirk::ReasoningContent => {
                let hm =
                    chunk(json!({ "role": "assistant", "content": "", "reasoning_content": "hm {" }), None);
                whole(&event(&hm), "")
            }
            Quirk::Parts => only(json!({ "content": parts(text) }), "stop"),
            Quirk::Refusal => {
                only(json!({ "role": "assistant", "content": null, "refusal": REFUSAL }), "stop")
            }
            Quirk::NullContent => only(json!({ "role": "assistant", "content": null }), "stop"),
            Quirk::ToolCalls => only(json!({ "content": null, "tool_calls": [tool()] }), "tool_calls"),
            Quirk::Length => ended("length"),
            Quirk::ContentFilter => ended("content_filter"),
            Quirk::NullChoices => {
                whole("", &event(&json!({ "choices": null, "usage": { "total_tokens": 3 } })))
            }
            Quirk::NoChoices => whole("", &event(&json!({ "choices": [], "usage": { "total_tokens": 3 } }))),
            Quirk::NullDelta => whole(
                &event(&json!({ "choices": [{ "index": 0, "delta": null, "finish_reason": null }] })),
                "",
            ),
            Quirk::RoleOnly => whole(&event(&chunk(json!({ "role": "assistant" }), None)), ""),
            Quirk::IndexOne => {
                whole("", "").iter().map(|event| event.replace("\"index\":0", "\"index\":1")).collect()
            }
            Quirk::BlankData => whole("data: \n\ndata:\n\n", "data: \n\n"),
            Quirk::Comments => whole(": OPENROUTER PROCESSING\n\n:\n\n", ": still here\n\n"),
            Quirk::Crlf => whole("", "").iter().map(|event| event.replace('\n', "\r\n")).collect(),
            Quirk::MultiLineData => whole("", "")
                .iter()
                .map(|event| event.replace("\"choices\"", "\ndata: \"choices\""))
                .collect(),
            Quirk::Bytewise => whole("", ""),
            Quirk::EventError => {
                vec![content(first), "event: error\ndata: {\"message\":\"overloaded\"}\n\n".to_owned()]
            }
            Quirk::Cut => vec![content(first)],
            Quirk::NoDone => vec![content(first), content(second), stop],
            Quirk::OnlyDone => vec![done()],
            Quirk::DoneEarly => vec![content(first), done()],
            _ => return None,
        })
    }

    /// The pieces in which events go out.
    pub(crate) fn pieces(self, events: Vec<String>) -> Vec<Vec<u8>> {
        let bytes = events.into_iter().map(String::into_bytes);
        match self {
            Quirk::Bytewise => bytes.flatten().map(|byte| vec![byte]).collect(),
            _ => bytes.filter(|bytes| !bytes.is_empty()).collect(),
        }
    }
}

/// The words of a model that declines.
const REFUSAL: &str = "I cannot help with that.";

/// An answer of server-sent events.
pub(crate) fn stream(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// A chunk of a streamed answer.
pub(crate) fn chunk(delta: Value, reason: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "double",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }],
    })
}

/// An event that holds a chunk.
pub(crate) fn event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

fn parts(text: &str) -> Value {
    let (first, second) = half(text);
    json!([
        { "type": "thinking", "thinking": [{ "type": "text", "text": "hm" }] },
        { "type": "text", "text": first }, { "type": "text", "text": second },
    ])
}

fn tool() -> Value {
    json!({ "index": 0, "id": "call_1", "type": "function", "function": { "name": "search", "arguments": "{}" } })
}

fn half(text: &str) -> (&str, &str) {
    let at = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.split_at(at)
}

fn without_end(text: &str, end: &str) -> String {
    format!("{}{end}", text.strip_suffix('}').unwrap_or(text))
}
