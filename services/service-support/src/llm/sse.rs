use bytes::Bytes;
use eventsource_stream::{EventStreamError, Eventsource};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::provider::{Provider, ProviderError};

/// A stream of server-sent events, one by one.
pub(crate) struct Events {
    provider: Provider,
    events: BoxStream<'static, Result<Event, EventStreamError<ProviderError>>>,
}

/// An event: its name, `message` where it has none, and its data, lines joined.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Events {
    pub(crate) fn new(provider: Provider, pieces: BoxStream<'static, Result<Bytes, ProviderError>>) -> Self {
        let events = pieces.eventsource();
        let events = events.map(|event| event.map(|event| Event { name: event.event, data: event.data }));
        Self { provider, events: events.boxed() }
    }

    /// The next event; `None` at the end of the stream. An event that the end cuts off is dropped, as the standard says.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, ProviderError> {
        match self.events.next().await {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(EventStreamError::Transport(error))) => Err(error),
            Some(Err(error)) => Err(self.provider.bad_reply(format!("the stream cannot be read: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::stream;
    use longhaul::Clock;

    use super::*;

    async fn events(pieces: &[&[u8]]) -> Vec<String> {
        let provider =
            Provider::new("LLM", Duration::from_secs(1), 1, Duration::ZERO, Clock::system()).unwrap();
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let mut events = Events::new(provider, stream::iter(pieces).boxed());
        let mut all = Vec::new();
        while let Some(event) = events.next().await.unwrap() {
            all.push(format!("{}: {}", event.name, event.data));
        }
        all
    }

    #[tokio::test]
    async fn events_are_found_however_the_bytes_are_cut() {
        let whole =
            ": hello\r\ndata: {\"a\":\"é\"}\r\n\r\nevent: x\ndata:1\ndata: 2\n\ndata: cut off".as_bytes();
        let expected = ["message: {\"a\":\"é\"}", "x: 1\n2"];
        assert_eq!(events(&[whole]).await, expected);
        let single: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(events(&single).await, expected);
    }
}
