use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::Context;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use reqwest::redirect::Policy;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Result;

/// The spans that were taken to the collector, and those that were not.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) exported: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// Takes ended spans without blocking: if the buffer is full, a span is dropped.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) spans: mpsc::Sender<SpanData>,
    pub(super) counts: Arc<Counts>,
}

/// Takes spans from the outbox to the collector.
pub(super) struct Export<E> {
    pub(super) exporter: E,
    pub(super) waiting: mpsc::Receiver<SpanData>,
    pub(super) counts: Arc<Counts>,
    pub(super) stop: CancellationToken,
}

/// Requests of the exporter, by the client that all else here uses.
#[derive(Debug)]
pub(super) struct Client(reqwest::Client);

/// The most spans of one request.
const SPANS_AT_ONCE: usize = 512;
/// The time in which spans gather for a request.
const GATHER: Duration = Duration::from_secs(1);
/// The longest that the collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

impl SpanProcessor for Outbox {
    fn on_start(&self, _span: &mut Span, _cx: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl<E: SpanExporter> Export<E> {
    /// Exports until it is stopped, and then the spans that have ended by then.
    pub(super) async fn run(mut self) {
        let mut is_away = false;
        while let Some(batch) = self.gather().await {
            let spans = batch.len() as u64;
            let fault = match tokio::time::timeout(TIMEOUT, self.exporter.export(batch)).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("the collector did not answer within {} s", TIMEOUT.as_secs())),
            };
            match fault {
                None => {
                    self.counts.exported.fetch_add(spans, Ordering::Relaxed);
                    if std::mem::take(&mut is_away) {
                        tracing::info!("spans reach the collector again");
                    }
                }
                Some(fault) => {
                    self.counts.dropped.fetch_add(spans, Ordering::Relaxed);
                    // Logged once, and not each second of an outage.
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!(
                            "failed to export spans, which are dropped until it can be done: {fault}"
                        );
                    }
                }
            }
        }
    }

    /// The next spans; `None` once all are gone after the stop.
    async fn gather(&mut self) -> Option<Vec<SpanData>> {
        let mut batch = Vec::new();
        let first = self.stop.run_until_cancelled(self.waiting.recv_many(&mut batch, SPANS_AT_ONCE)).await;
        if first == Some(0) {
            return None;
        }
        let stop = self.stop.clone();
        let more = async {
            while batch.len() < SPANS_AT_ONCE && self.waiting.recv_many(&mut batch, SPANS_AT_ONCE).await > 0 {
            }
        };
        let gathered = stop.run_until_cancelled(tokio::time::timeout(GATHER, more)).await;
        if gathered.is_none() {
            while batch.len() < SPANS_AT_ONCE
                && let Ok(span) = self.waiting.try_recv()
            {
                batch.push(span);
            }
        }
        (!batch.is_empty()).then_some(batch)
    }
}

impl Client {
    pub(super) fn new() -> Result<Self> {
        let builder = || reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none());
        longhaul_http::https_client(builder)
            .map(Self)
            .map_err(|e| format!("failed to make a client for traces: {e}").into())
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> std::result::Result<Response<Bytes>, HttpError> {
        let answer = self.0.execute(reqwest::Request::try_from(request)?).await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        Ok(response.body(answer.bytes().await?)?)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    #[test]
    fn spans_that_find_no_room_are_dropped_and_counted() {
        let counts = Arc::new(Counts::default());
        let (spans, mut waiting) = mpsc::channel(2);
        let outbox = Outbox { spans, counts: Arc::clone(&counts) };
        let provider = SdkTracerProvider::builder().with_span_processor(outbox).build();
        let tracer = provider.tracer("test");
        for name in ["a", "b", "c", "d", "e"] {
            tracer.start(name).end();
        }
        assert_eq!(counts.dropped.load(Ordering::Relaxed), 3);
        let kept = [waiting.try_recv(), waiting.try_recv()].map(|span| span.expect("it waits").name);
        assert_eq!(kept, ["a", "b"]);
    }
}
