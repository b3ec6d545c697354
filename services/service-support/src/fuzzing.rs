//! The functions that the fuzz targets call, behind the feature `fuzzing`.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use longhaul::{Clock, Timestamp};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use crate::provider::{Provider, wait};

/// It names itself in errors and calls nobody.
static PROVIDER: LazyLock<Provider> = LazyLock::new(|| {
    let second = Duration::from_secs(1);
    let provider = Provider::new("fuzzed", second, 1 << 20, second, Clock::system());
    provider.unwrap_or_else(|error| panic!("the machine's TLS set-up cannot be used: {error}"))
});

/// The names and data of the events of a stream that comes in pieces of `size` bytes, as far as it can be read.
pub async fn events(bytes: &[u8], size: usize) -> Vec<(String, String)> {
    let pieces: Vec<_> = bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let mut events = crate::llm::sse::Events::new(PROVIDER.clone(), stream::iter(pieces).boxed());
    let mut seen = Vec::new();
    while let Ok(Some(event)) = events.next().await {
        seen.push((event.name, event.data));
    }
    seen
}

/// Reads a text as each of the ways in which a wait is told.
pub fn retry_after(text: &str) {
    let now = Timestamp(1_700_000_000_000);
    wait::parse(text, now);
    let mut headers = HeaderMap::new();
    wait::told(StatusCode::TOO_MANY_REQUESTS, &headers, text, now);
    if let Ok(value) = HeaderValue::from_str(text) {
        for name in [RETRY_AFTER.as_str(), "retry-after-ms", "x-ratelimit-reset"] {
            headers.clear();
            headers.insert(reqwest::header::HeaderName::from_static(name), value.clone());
            wait::told(StatusCode::TOO_MANY_REQUESTS, &headers, "", now);
        }
    }
}
