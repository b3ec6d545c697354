use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::ChatRequest;

/// Counts the tokens that calls of a model take: as its server tells them, or else by the length of what was sent and came
/// back. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Arc<AtomicU64>);

/// Tokenizers make a token of about so many bytes of most texts.
const BYTES_PER_TOKEN: u64 = 4;

impl Tokens {
    /// The tokens of a text, by its length.
    #[must_use]
    pub fn of(text: &str) -> u64 {
        Self::of_bytes(text.len() as u64)
    }

    fn of_bytes(bytes: u64) -> u64 {
        bytes.div_ceil(BYTES_PER_TOKEN)
    }

    /// The tokens that calls have taken so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts some more.
    pub fn add(&self, tokens: u64) {
        self.0.fetch_add(tokens, Ordering::Relaxed);
    }
}

impl ChatRequest {
    /// The tokens of the request itself, by its length.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        let said: u64 = self.messages.iter().map(|message| Tokens::of(&message.content)).sum();
        let schema = self.schema.as_ref().map_or(0, |schema| Tokens::of(&schema.schema.to_string()));
        said + schema
    }
}

/// Counts one call, however it ends: a reply that is given up was paid for as far as it went.
#[derive(Debug)]
pub(crate) struct Meter {
    tokens: Tokens,
    /// Tokens of the request, estimated.
    sent: u64,
    received_bytes: u64,
    told: Option<u64>,
}

impl Meter {
    pub(crate) fn new(tokens: Tokens, request: &ChatRequest) -> Self {
        Self { tokens, sent: request.tokens(), received_bytes: 0, told: None }
    }

    pub(crate) fn receive(&mut self, words: &str) {
        self.received_bytes += words.len() as u64;
    }

    /// Reads the usage that a message of the server tells. Servers that tell it in each chunk count up.
    pub(crate) fn read(&mut self, message: &Value) {
        let told = [&message["usage"], &message["x_groq"]["usage"]].into_iter().find_map(usage);
        self.told = self.told.max(told);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.tokens.add(self.told.unwrap_or(self.sent + Tokens::of_bytes(self.received_bytes)));
    }
}

/// The tokens of a `usage` of OpenAI's protocol; `None` where it tells none.
pub(crate) fn usage(usage: &Value) -> Option<u64> {
    let count = |name: &str| usage[name].as_u64();
    let parts = || Some(count("prompt_tokens")?.saturating_add(count("completion_tokens").unwrap_or(0)));
    count("total_tokens").or_else(parts).filter(|tokens| *tokens > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn usage_is_read_in_each_form_and_null_or_zero_tells_nothing() {
        assert_eq!(usage(&json!({ "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 9 })), Some(9));
        assert_eq!(usage(&json!({ "prompt_tokens": 3, "completion_tokens": 4 })), Some(7));
        assert_eq!(usage(&json!({ "prompt_tokens": 3 })), Some(3));
        for nothing in
            [json!(null), json!({}), json!({ "total_tokens": 0 }), json!({ "completion_tokens": 4 })]
        {
            assert_eq!(usage(&nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_call_is_counted_once_by_what_was_told_last_or_else_by_its_length() {
        let tokens = Tokens::default();
        let mut meter = Meter::new(tokens.clone(), &ChatRequest::default());
        meter.receive("twelve bytes");
        drop(meter);
        assert_eq!(tokens.taken(), 3);
        let mut meter = Meter::new(tokens.clone(), &ChatRequest::default());
        for total in [5, 8] {
            meter.read(&json!({ "usage": { "total_tokens": total } }));
        }
        meter.read(&json!({ "usage": null }));
        assert_eq!(tokens.taken(), 3);
        drop(meter);
        assert_eq!(tokens.taken(), 11);
        let mut meter = Meter::new(tokens.clone(), &ChatRequest::default());
        meter.read(&json!({ "x_groq": { "usage": { "total_tokens": 4 } } }));
        drop(meter);
        assert_eq!(tokens.taken(), 15);
    }
}
