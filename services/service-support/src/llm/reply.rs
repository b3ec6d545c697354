use serde_json::Value;

/// The part of a reply that one message of the server brings: a chunk of a stream, or the whole.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Part {
    /// Words of the reply.
    pub(crate) text: String,
    /// Words with which the model declines.
    pub(crate) refusal: String,
    /// The name of a tool that the model wants to be called.
    pub(crate) tool: Option<String>,
    /// True if it holds words that the server itself has told apart as reasoning.
    pub(crate) has_reasoning: bool,
    pub(crate) end: Option<End>,
}

/// The reason why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is whole.
    Whole,
    /// The server's or the model's limit of length.
    Length,
    /// A filter of the provider's.
    Filter,
    /// The server gave up.
    Stopped,
}

impl End {
    fn read(reason: &str) -> Self {
        match reason.to_ascii_lowercase().as_str() {
            "length" | "max_tokens" | "model_length" | "max_output_tokens" => Self::Length,
            "content_filter" | "safety" | "recitation" | "prohibited_content" | "blocklist" | "refusal" => {
                Self::Filter
            }
            "error" | "abort" | "aborted" | "cancelled" | "insufficient_system_resource" => Self::Stopped,
            // Servers have dozens of words for an end that is none of these.
            _ => Self::Whole,
        }
    }
}

impl Part {
    /// Reads a message. Null is as good as absent throughout: servers differ in which they send. `None` where it has no
    /// choice of the number that is followed; the first choice that comes is, for servers do not agree on where they begin
    /// to count.
    pub(crate) fn read(message: &Value, followed: &mut Option<u64>) -> Option<Self> {
        let mut choices = message["choices"].as_array().into_iter().flatten();
        let choice = choices.find(|choice| {
            let number = choice["index"].as_u64().unwrap_or(0);
            choice.is_object() && *followed.get_or_insert(number) == number
        })?;
        let said = ["delta", "message"].iter().map(|name| &choice[*name]).find(|said| said.is_object());
        let said = said.unwrap_or(&Value::Null);
        let mut part = Self::default();
        part.take(if said["content"].is_null() { &choice["text"] } else { &said["content"] });
        part.refusal.push_str(said["refusal"].as_str().unwrap_or_default());
        let reasoning = ["reasoning_content", "reasoning", "thinking"].iter().map(|name| &said[*name]);
        part.has_reasoning |= reasoning.into_iter().any(|words| !words.is_null() && words != "");
        let call = said["tool_calls"].get(0).map(|call| &call["function"]).unwrap_or(&said["function_call"]);
        part.tool =
            if call.is_null() { None } else { Some(call["name"].as_str().unwrap_or("unnamed").to_owned()) };
        part.end = choice["finish_reason"].as_str().filter(|reason| !reason.is_empty()).map(End::read);
        Some(part)
    }

    /// True if the model says or thinks something, or ends: a chunk with nothing in it is a sign of life.
    pub(crate) fn says_something(&self) -> bool {
        let words = !self.text.is_empty() || !self.refusal.is_empty();
        words || self.has_reasoning || self.tool.is_some() || self.end.is_some()
    }

    /// Takes content: a text, or parts of which those that are text are taken.
    fn take(&mut self, content: &Value) {
        match content {
            Value::String(text) => self.text.push_str(text),
            Value::Array(parts) => parts.iter().for_each(|part| self.take(part)),
            Value::Object(part) => {
                let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
                match kind {
                    "text" | "output_text" => {
                        let text = part.get("text").unwrap_or(&Value::Null);
                        self.text.push_str(text.as_str().or(text["value"].as_str()).unwrap_or_default());
                    }
                    "refusal" => {
                        let refusal = part.get("refusal").and_then(Value::as_str);
                        self.refusal.push_str(refusal.unwrap_or_default());
                    }
                    "thinking" | "reasoning" => self.has_reasoning = true,
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(choice: Value) -> Part {
        Part::read(&json!({ "choices": [choice] }), &mut None).unwrap()
    }

    #[test]
    fn content_comes_in_many_forms() {
        for choice in [
            json!({ "delta": { "content": "ab" } }),
            json!({ "index": 1, "message": { "content": "ab", "refusal": null } }),
            json!({ "delta": null, "message": { "content": ["a", "b"] } }),
            json!({ "text": "ab", "delta": {} }),
            json!({ "message": { "content": [
                { "type": "thinking", "thinking": [{ "type": "text", "text": "hm" }] },
                { "type": "text", "text": "a" }, { "type": "image_url" }, { "type": "text", "text": { "value": "b" } },
            ] } }),
        ] {
            assert_eq!(read(choice.clone()).text, "ab", "{choice}");
        }
        for nothing in [
            json!({}),
            json!({ "delta": null }),
            json!({ "delta": { "content": null, "role": "assistant" } }),
        ] {
            assert_eq!(read(nothing), Part::default());
        }
    }

    #[test]
    fn null_is_as_absent() {
        for message in
            [json!({}), json!({ "choices": null }), json!({ "choices": [] }), json!({ "choices": [null] })]
        {
            assert_eq!(Part::read(&message, &mut None), None, "{message}");
        }
    }

    #[test]
    fn one_of_several_choices_is_followed() {
        let mut followed = None;
        let message = |index: u64| json!({ "choices": [{ "index": index, "delta": { "content": "a" } }] });
        assert!(Part::read(&message(1), &mut followed).is_some());
        assert!(Part::read(&message(0), &mut followed).is_none());
        assert!(Part::read(&message(1), &mut followed).is_some());
    }

    #[test]
    fn refusals_tools_and_ends_are_told_apart() {
        let refused = read(json!({ "delta": { "refusal": "No." }, "finish_reason": "stop" }));
        assert_eq!((refused.refusal.as_str(), refused.end), ("No.", Some(End::Whole)));
        let called =
            json!({ "message": { "content": null, "tool_calls": [{ "function": { "name": "search" } }] } });
        assert_eq!(read(called).tool.as_deref(), Some("search"));
        let end = |reason: &str| read(json!({ "delta": {}, "finish_reason": reason })).end;
        assert_eq!([end("length"), end("MAX_TOKENS")], [Some(End::Length); 2]);
        assert_eq!([end("content_filter"), end("SAFETY")], [Some(End::Filter); 2]);
        assert_eq!((end("end_turn"), end("abort"), end("")), (Some(End::Whole), Some(End::Stopped), None));
        assert!(read(json!({ "delta": { "content": "", "reasoning_content": "hm {" } })).has_reasoning);
    }
}
