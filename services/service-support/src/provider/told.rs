use serde_json::Value;

/// The words of a refusal or of an error within a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The reason, for people.
    pub(crate) message: String,
    /// The names by which a program knows the reason, in lower case.
    pub(crate) codes: Vec<String>,
    /// The status that it stands for, where it names one.
    pub(crate) status: Option<u16>,
}

/// The longest reason, in characters.
const MAX_REASON: usize = 300;
/// Codes of an account that has nothing left: waiting does not help.
const SPENT: [&str; 6] = [
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "insufficient_balance",
    "account_deactivated",
    "credit_balance_too_low",
];

impl Told {
    /// Reads a refusal's body: JSON in one of the usual forms, or else its beginning. A web page says nothing.
    pub(crate) fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        if let Ok(json) = serde_json::from_str::<Value>(&text) {
            return Self::in_reply(&json).unwrap_or_else(|| Self::of(&json)).or_text(&text);
        }
        let is_page = text.trim_start().starts_with('<');
        let text = if is_page { "" } else { text.as_ref() };
        Self { message: shortened(text), ..Self::default() }
    }

    /// The error that a reply with a good status holds in place of an answer.
    pub(crate) fn in_reply(reply: &Value) -> Option<Self> {
        // Some gateways wrap the error in a list.
        let reply = if reply[0].is_object() { &reply[0] } else { reply };
        let error = &reply["error"];
        let is_none = error.is_null() || *error == Value::Bool(false) || error == "";
        if !is_none {
            let mut told = Self::of(error).or_text(&error.to_string());
            told.codes.extend(Self::of(reply).codes);
            return Some(told);
        }
        let is_error = reply["object"] == "error" || reply["type"] == "error";
        let says_why =
            reply["choices"].is_null() && (reply["message"].is_string() || reply["detail"].is_string());
        (is_error || says_why).then(|| Self::of(reply))
    }

    /// True for an account that has nothing left.
    pub(crate) fn is_spent(&self) -> bool {
        self.codes.iter().any(|code| SPENT.contains(&code.as_str()))
            || self.message.contains("exceeded your current quota")
            || self.message.contains("credit balance is too low")
    }

    fn of(error: &Value) -> Self {
        if let Value::String(text) = error {
            return Self { message: shortened(text), ..Self::default() };
        }
        let words = ["message", "detail", "error", "msg", "error_description"];
        let message = words.iter().find_map(|name| error[*name].as_str()).unwrap_or_default();
        let codes = ["code", "type", "status"].iter().map(|name| &error[*name]);
        let number = |code: &Value| code.as_u64().or_else(|| code.as_str()?.parse().ok());
        let status = codes.clone().find_map(number).and_then(|code| u16::try_from(code).ok());
        Self {
            message: shortened(message),
            codes: codes.filter_map(Value::as_str).map(str::to_lowercase).collect(),
            status: status.filter(|status| (400..600).contains(status)),
        }
    }

    fn or_text(mut self, text: &str) -> Self {
        if self.message.is_empty() {
            self.message = shortened(text);
        }
        self
    }
}

fn shortened(text: &str) -> String {
    text.trim().chars().take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_is_found_in_every_form() {
        for body in [
            "{\"error\":{\"message\":\"out of memory\",\"code\":500}}",
            "{\"error\":\"out of memory\"}",
            "[{\"error\":{\"message\":\"out of memory\"}}]",
            "{\"detail\":\"out of memory\"}",
            "{\"object\":\"error\",\"message\":\"out of memory\"}",
            "\"out of memory\"",
            " out of memory ",
        ] {
            assert_eq!(Told::read(body.as_bytes()).message, "out of memory", "{body}");
        }
        assert_eq!(Told::read(b"<html>login</html>").message, "");
        assert!(
            Told::read(b"{\"detail\":[{\"loc\":[\"body\",\"response_format\"]}]}")
                .message
                .contains("response_format")
        );
    }

    #[test]
    fn an_answer_is_no_error() {
        let choices = json!([{ "message": { "content": "a" } }]);
        for reply in [
            json!({ "choices": choices }),
            json!({ "choices": choices, "error": null }),
            json!({ "choices": choices, "message": "ok" }),
            json!({ "choices": null, "usage": {} }),
        ] {
            assert_eq!(Told::in_reply(&reply), None, "{reply}");
        }
        let told =
            Told::in_reply(&json!({ "choices": [], "error": { "message": "m", "code": "429" } })).unwrap();
        assert_eq!((told.message.as_str(), told.status), ("m", Some(429)));
    }

    #[test]
    fn a_spent_account_is_told_from_a_limit() {
        let told = |code: &str| {
            Told::read(json!({ "error": { "message": "m", "code": code } }).to_string().as_bytes())
        };
        assert!(told("insufficient_quota").is_spent() && !told("rate_limit_exceeded").is_spent());
    }
}
