use bytes::Bytes;
use eventsource_stream::{EventStreamError, Eventsource};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::provider::{Cause, Provider, ProviderError};

/// The `data` of a stream of server-sent events, one by one.
pub(crate) struct Events {
    provider: Provider,
    data: BoxStream<'static, Result<String, EventStreamError<ProviderError>>>,
    /// True once the reader has seen that the reply is whole.
    pub(crate) complete: bool,
}

impl Events {
    pub(crate) fn new(provider: Provider, pieces: BoxStream<'static, Result<Bytes, ProviderError>>) -> Self {
        let data = pieces.eventsource().map(|event| event.map(|event| event.data)).boxed();
        Self { provider, data, complete: false }
    }

    /// The next event's data, its lines joined; `None` at the end of the stream. An event that the end cuts off is
    /// dropped, as the standard says.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, ProviderError> {
        match self.data.next().await {
            None => Ok(None),
            Some(Ok(data)) => Ok(Some(data)),
            Some(Err(EventStreamError::Transport(error))) => Err(error),
            Some(Err(error)) => Err(self.provider.bad_reply(format!("the stream cannot be read: {error}"))),
        }
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self, data: &str) -> Result<T, ProviderError> {
        serde_json::from_str(data)
            .map_err(|e| self.provider.bad_reply(format!("the stream holds something else than chunks: {e}")))
    }

    pub(crate) fn cut_off(&self) -> ProviderError {
        let message = "the reply ended before it was complete";
        ProviderError::new(self.provider.name(), Cause::Connection, message)
    }

    pub(crate) fn refused(&self, error: &Value) -> ProviderError {
        let told =
            error.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
        self.provider.bad_reply(told.chars().take(300).collect::<String>())
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
        while let Some(data) = events.next().await.unwrap() {
            all.push(data);
        }
        all
    }

    #[tokio::test]
    async fn events_are_found_however_the_bytes_are_cut() {
        let whole =
            ": hello\r\ndata: {\"a\":\"é\"}\r\n\r\nevent: x\ndata:1\ndata: 2\n\ndata: cut off".as_bytes();
        let expected = ["{\"a\":\"é\"}", "1\n2"];
        assert_eq!(events(&[whole]).await, expected);
        let single: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(events(&single).await, expected);
    }
}
