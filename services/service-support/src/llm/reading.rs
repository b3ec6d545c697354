use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;

use super::reasoning::Reasoning;
use super::reply::{End, Part};
use super::sse::{Event, Events};
use super::tokens::Meter;
use crate::provider::{Cause, Provider, ProviderError, Told};

/// A reply that is being read: its words, and how far it is.
pub(crate) struct Reading {
    provider: Provider,
    reasoning: Reasoning,
    /// The rest of the reply; `None` once it has ended, or where it came whole.
    events: Option<Events>,
    /// Words that are ready to be given out.
    ready: String,
    /// The number of the choice that is read.
    followed: Option<u64>,
    refusal: String,
    tool: Option<String>,
    /// True once there were words or marks of reasoning.
    has_reasoned: bool,
    has_words: bool,
    end: Option<End>,
    meter: Meter,
}

/// A server that sends no word but signs of life may do so for this many times its time limit.
const MAX_SIGNS: u32 = 10;

impl Reading {
    pub(crate) fn new(provider: Provider, reasoning: Reasoning, meter: Meter) -> Self {
        Self {
            provider,
            reasoning,
            events: None,
            ready: String::new(),
            followed: None,
            refusal: String::new(),
            tool: None,
            has_reasoned: false,
            has_words: false,
            end: None,
            meter,
        }
    }

    /// Reads a stream of events from here on.
    pub(crate) fn follow(&mut self, pieces: BoxStream<'static, Result<Bytes, ProviderError>>) {
        self.events = Some(Events::new(self.provider.clone(), pieces));
    }

    /// Reads a reply that comes whole.
    pub(crate) async fn take_whole(
        &mut self,
        mut pieces: BoxStream<'static, Result<Bytes, ProviderError>>,
    ) -> Result<(), ProviderError> {
        let mut body = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece?);
        }
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
        let reply: Value = serde_json::from_slice(body).map_err(|_| {
            let told = Told::read(body).message;
            let told = if told.is_empty() { "a web page" } else { told.as_str() };
            self.provider.bad_reply(format!("the reply is not a chat completion: {told}"))
        })?;
        if let Some(told) = Told::in_reply(&reply) {
            return Err(self.provider.failed_within(&told));
        }
        self.meter.read(&reply);
        let Some(part) = Part::read(&reply, &mut self.followed) else {
            return Err(self.provider.bad_reply("the reply holds no choice"));
        };
        self.end = Some(End::Whole);
        self.take(part)
    }

    /// True once after the reply showed that all words before the last ones were reasoning, which the server's template had
    /// opened.
    pub(crate) fn takes_back(&mut self) -> bool {
        std::mem::take(&mut self.reasoning.closes_unopened)
    }

    /// The next words; `None` at the end of a reply that is whole.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, ProviderError> {
        loop {
            if !self.ready.is_empty() {
                return Ok(Some(std::mem::take(&mut self.ready)));
            }
            let Some(events) = &mut self.events else { return Ok(None) };
            let patience = self.provider.timeout() * MAX_SIGNS;
            let event = self.provider.clock().timeout(patience, events.next()).await;
            let event = event.map_err(|_| self.provider.timed_out("no word came, only signs of life"))??;
            match event {
                None if self.end.is_none() => return Err(self.provider.cut_off()),
                Some(event) if event.data.trim() != "[DONE]" => self.take_event(&event)?,
                _ => self.end_here()?,
            }
        }
    }

    fn take_event(&mut self, event: &Event) -> Result<(), ProviderError> {
        if event.data.trim().is_empty() {
            return Ok(());
        }
        let message: Result<Value, _> = serde_json::from_str(&event.data);
        if event.name == "error" {
            return Err(self.provider.failed_within(&Told::read(event.data.as_bytes())));
        }
        let message = message.map_err(|e| {
            self.provider.bad_reply(format!("the stream holds something else than chunks: {e}"))
        })?;
        if let Some(told) = Told::in_reply(&message) {
            return Err(self.provider.failed_within(&told));
        }
        self.meter.read(&message);
        match Part::read(&message, &mut self.followed) {
            Some(part) => self.take_part(part),
            None => Ok(()),
        }
    }

    fn take(&mut self, part: Part) -> Result<(), ProviderError> {
        self.take_part(part)?;
        self.end_here()
    }

    fn take_part(&mut self, part: Part) -> Result<(), ProviderError> {
        self.meter.receive(&part.text);
        self.has_reasoned |= part.has_reasoning || !part.text.trim().is_empty();
        self.refusal.push_str(&part.refusal);
        self.tool = self.tool.take().or(part.tool);
        let shown = self.reasoning.push(&part.text);
        self.give(shown);
        self.end = part.end.or(self.end);
        match part.end {
            Some(End::Length) => Err(self
                .provider
                .error(Cause::TooLarge, "reply too long: the model stopped at its limit of length")),
            Some(End::Filter) => Err(self.declined("the provider's content filter withheld the reply")),
            Some(End::Stopped) => {
                Err(self.provider.bad_reply("the server stopped before the reply was complete"))
            }
            Some(End::Whole) | None => Ok(()),
        }
    }

    fn give(&mut self, words: String) {
        self.has_words |= !words.trim().is_empty();
        self.ready.push_str(&words);
    }

    /// The reply has ended: what was held back is given out, and a reply without words is a failure.
    fn end_here(&mut self) -> Result<(), ProviderError> {
        self.events = None;
        let rest = self.reasoning.finish();
        self.give(rest);
        let refusal = self.refusal.trim();
        if !refusal.is_empty() {
            return Err(self.declined(&format!("the model declined: {refusal}")));
        }
        if self.has_words {
            return Ok(());
        }
        Err(match &self.tool {
            Some(name) => {
                self.declined(&format!("the model wants to call a tool ('{name}') instead of answering"))
            }
            None if self.has_reasoned => self.declined("the reply holds nothing but the model's reasoning"),
            None => self.declined("the reply is empty"),
        })
    }

    /// The same request would end in the same way.
    fn declined(&self, reason: &str) -> ProviderError {
        self.provider.error(Cause::Refused, reason)
    }
}
