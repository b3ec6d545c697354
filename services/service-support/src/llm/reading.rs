use std::time::Duration;

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
    /// The time, on the provider's clock, since which it has said nothing.
    silent_since: Duration,
    meter: Meter,
}

/// A server that sends no word but signs of life may do so for this many times its time limit.
pub(crate) const MAX_SIGNS: u32 = 10;
/// The longest wait for what comes behind the end of a reply, which is nothing that the reply needs: its usage, and `[DONE]`.
const BEHIND_END: Duration = Duration::from_secs(5);

impl Reading {
    pub(crate) fn new(provider: Provider, reasoning: Reasoning, meter: Meter) -> Self {
        let silent_since = provider.clock().monotonic();
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
            silent_since,
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
        self.silent_since = self.provider.clock().monotonic();
        loop {
            if !self.ready.is_empty() {
                return Ok(Some(std::mem::take(&mut self.ready)));
            }
            let Some(events) = &mut self.events else { return Ok(None) };
            let most = if self.end.is_some() { BEHIND_END } else { self.provider.timeout() * MAX_SIGNS };
            let patience = most.saturating_sub(self.provider.clock().since(self.silent_since));
            let no_word = || self.provider.timed_out("no word came, only signs of life");
            // What is there already is read without a wait, so that a time limit alone would not end a stream of empty chunks.
            let event = if patience.is_zero() {
                Err(no_word())
            } else {
                let event = self.provider.clock().timeout(patience, events.next()).await;
                event.unwrap_or_else(|_| Err(no_word()))
            };
            match event {
                // The server has said that the reply is whole: whatever becomes of the connection takes nothing away from it.
                Err(error) if self.end.is_some() && is_of_connection(&error) => self.end_here()?,
                Err(error) => return Err(error),
                Ok(None) if self.end.is_none() => return Err(self.provider.cut_off()),
                Ok(Some(event)) if event.data.trim() != "[DONE]" => self.take_event(&event)?,
                Ok(_) => self.end_here()?,
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
        if part.says_something() {
            self.silent_since = self.provider.clock().monotonic();
        }
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

fn is_of_connection(error: &ProviderError) -> bool {
    matches!(error.cause, Cause::Connection | Cause::Timeout)
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use longhaul::Clock;

    use super::*;
    use crate::llm::reasoning::Form;
    use crate::llm::{ChatRequest, Tokens};

    const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Leaves\"}}]}\n\n";
    const END: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const NOTHING: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n";
    const THOUGHT: &str = "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n";

    fn provider(clock: &Clock) -> Provider {
        Provider::new("LLM", Duration::from_secs(60), 1_000, Duration::ZERO, clock.clone()).unwrap()
    }

    type Pieces = Vec<Result<&'static str, ProviderError>>;

    /// Pieces, before each of which the clock goes on by `pause`.
    fn paced(
        clock: &Clock,
        pause: Duration,
        pieces: Pieces,
    ) -> BoxStream<'static, Result<Bytes, ProviderError>> {
        let clock = clock.clone();
        let piece = move |piece: Result<&'static str, ProviderError>| {
            clock.advance(pause);
            piece.map(|piece| Bytes::from_static(piece.as_bytes()))
        };
        stream::iter(pieces).map(piece).boxed()
    }

    fn reading(clock: &Clock, pieces: BoxStream<'static, Result<Bytes, ProviderError>>) -> Reading {
        let meter = Meter::new(Tokens::default(), &ChatRequest::default());
        let mut reading = Reading::new(provider(clock), Reasoning::new(Form::Words), meter);
        reading.follow(pieces);
        reading
    }

    async fn read(mut reading: Reading) -> Result<String, ProviderError> {
        let mut text = String::new();
        while let Some(words) = reading.next().await? {
            text.push_str(&words);
        }
        Ok(text)
    }

    #[tokio::test]
    async fn a_reply_that_was_said_to_be_whole_is_whole_however_its_connection_ends() {
        let clock = Clock::manual();
        let at_once = |pieces: Pieces| paced(&clock, Duration::ZERO, pieces);
        for cause in [Cause::Connection, Cause::Timeout] {
            let broken = || Err(provider(&clock).error(cause, "broken"));
            let whole = at_once(vec![Ok(WORD), Ok(END), broken()]);
            assert_eq!(read(reading(&clock, whole)).await.unwrap(), "Leaves");
            let half = at_once(vec![Ok(WORD), broken()]);
            assert_eq!(read(reading(&clock, half)).await.unwrap_err().cause, cause);
        }
        // A server that neither says [DONE] nor closes the connection.
        let open = at_once(vec![Ok(WORD), Ok(END)]).chain(stream::pending()).boxed();
        let (text, ()) = tokio::join!(read(reading(&clock, open)), async {
            while clock.next_wake().is_none() {
                tokio::task::yield_now().await;
            }
            clock.advance(BEHIND_END);
        });
        assert_eq!(text.unwrap(), "Leaves");
    }

    #[tokio::test]
    async fn signs_of_life_are_no_words_in_whatever_form_they_come() {
        let (clock, pause) = (Clock::manual(), Duration::from_secs(5));
        // Ten minutes of them are ten time limits.
        let empty = paced(&clock, pause, (0..1_000).map(|_| Ok(NOTHING)).collect());
        let error = read(reading(&clock, empty)).await.unwrap_err();
        let told = "no word came, only signs of life for 60 s";
        assert_eq!((error.cause, error.message.as_str()), (Cause::Timeout, told));
        // A model that thinks is at work for as long as it does.
        let mut thinking: Pieces = (0..1_000).map(|_| Ok(THOUGHT)).collect();
        thinking.extend([Ok(WORD), Ok(END)]);
        assert_eq!(read(reading(&clock, paced(&clock, pause, thinking))).await.unwrap(), "Leaves");
    }
}
