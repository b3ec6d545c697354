use serde_json::Value;

use super::{ChatRequest, Composer, Draft, Message, MessageRole, Tokens, json};
use crate::provider::{Cause, ProviderError};

/// A text in JSON that is asked for, and once more with the fault where the reply cannot be used: never a third time, since
/// each reply is paid for. It is itself the [`Draft`] of what is to be asked next.
///
/// ```ignore
/// let mut asking = Asking::new(&draft);
/// loop {
///     let text = composer.write_whole(&asking).await?;
///     if let Some(content) = asking.read(composer, &text, Content::read)? {
///         return Ok(content);
///     }
/// }
/// ```
pub struct Asking<'a> {
    draft: &'a dyn Draft,
    tokens: Tokens,
    unusable: Option<Unusable>,
}

/// A reply, and the reason why it cannot be used.
struct Unusable {
    reply: String,
    fault: String,
}

/// The bytes of an unusable reply that are shown to the model again: enough to mend, and no second price for a long text.
const MAX_REPEATED: usize = 16 * 1024;

impl<'a> Asking<'a> {
    /// Asks for a draft whose request has a schema.
    #[must_use]
    pub fn new(draft: &'a dyn Draft) -> Self {
        Self { draft, tokens: draft.meter(), unusable: None }
    }

    /// The same with the tokens of each reply counted.
    #[must_use]
    pub fn counting(self, tokens: &Tokens) -> Self {
        Self { tokens: tokens.clone(), ..self }
    }

    /// True where the next request is the second one.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.unusable.is_some()
    }

    /// Reads a reply: the JSON in it that fits the schema, then what the service makes of it. `None` where it cannot be used
    /// and is to be asked for once more.
    ///
    /// # Errors
    /// An error where the second reply cannot be used either; no later attempt would help.
    pub fn read<T>(
        &mut self,
        composer: &dyn Composer,
        reply: &str,
        accept: impl FnOnce(Value) -> Result<T, String>,
    ) -> Result<Option<T>, ProviderError> {
        let schema = self.draft.request().schema.map_or(Value::Null, |asked| asked.schema);
        let fault = match json::find(reply, &schema).and_then(accept) {
            Ok(value) => return Ok(Some(value)),
            Err(fault) => fault,
        };
        tracing::warn!("the reply of {} cannot be used: {fault}", composer.generator());
        if self.unusable.is_some() {
            let message = format!("the reply cannot be used: {fault}");
            return Err(ProviderError::new("LLM", Cause::Refused, message));
        }
        self.unusable = Some(Unusable { reply: shortened(reply), fault });
        Ok(None)
    }

    /// Asks and reads, in one.
    ///
    /// # Errors
    /// As for [`Composer::write_whole`] and [`read`](Self::read).
    pub async fn write<T>(
        mut self,
        composer: &dyn Composer,
        accept: impl Fn(Value) -> Result<T, String>,
    ) -> Result<T, ProviderError> {
        loop {
            let reply = composer.write_whole(&self).await?;
            if let Some(value) = self.read(composer, &reply, &accept)? {
                return Ok(value);
            }
        }
    }
}

impl Draft for Asking<'_> {
    fn request(&self) -> ChatRequest {
        let mut request = self.draft.request();
        let Some(Unusable { reply, fault }) = &self.unusable else { return request };
        let schema = request.schema.as_ref().map_or(&Value::Null, |asked| &asked.schema);
        let correction = format!(
            "That reply cannot be used: {fault}. Reply again with one JSON object and nothing else. It must fit this JSON \
             Schema: {schema}"
        );
        request.messages.push(Message { role: MessageRole::Assistant, content: reply.clone() });
        request.messages.push(Message { role: MessageRole::User, content: correction });
        request
    }

    fn outline(&self) -> String {
        self.draft.outline()
    }

    fn meter(&self) -> Tokens {
        self.tokens.clone()
    }
}

fn shortened(text: &str) -> String {
    let end = (0..=text.len().min(MAX_REPEATED)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}
