//! Traces over OTLP/HTTP, where the standard variables of OpenTelemetry ask for them.
//!
//! | file | what |
//! |---|---|
//! | `tracer` | gives the spans of requests and runs their places |
//! | `export` | takes spans that have ended to the collector, in the background |
//!
//! Without `OTEL_EXPORTER_OTLP_ENDPOINT` none of this is installed, and a span costs no more than a log line.

mod export;
mod tracer;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanExporter as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::export::{Client, Counts, Export, Outbox};
use self::tracer::OtelTracer;
use crate::Result;

/// The tracer of this process, for the log's layers, and its end.
pub(crate) struct Traces {
    pub(crate) tracer: SdkTracer,
    stop: CancellationToken,
    exporting: JoinHandle<()>,
}

/// Spans that have ended and wait for their way to the collector; what comes beyond is dropped and counted.
const WAITING: usize = 8_192;
/// The longest that a process which ends waits for its last spans to be taken.
const LAST_SPANS: Duration = Duration::from_secs(2);

impl Traces {
    /// Starts to export, where the environment names a collector.
    ///
    /// # Errors
    /// Variables that cannot be followed: a process that was to be traced and is not would be found out too late.
    pub(crate) fn start() -> Result<Option<Self>> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let endpoint = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let Some(endpoint) = endpoint.or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT")) else {
            return Ok(None);
        };
        let is_disabled =
            variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if is_disabled || variable("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none") {
            return Ok(None);
        }
        let protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL");
        let protocol = protocol.or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
        if let Some(other) = protocol.filter(|protocol| protocol != "http/protobuf") {
            return Err(
                format!("OTEL_EXPORTER_OTLP_PROTOCOL={other} is not spoken here: use http/protobuf").into()
            );
        }
        let resource = match variable("OTEL_SERVICE_NAME") {
            Some(_) => Resource::builder(),
            None => Resource::builder().with_service_name("longhaul"),
        };
        let resource = resource.build();
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_http_client(Client::new()?)
            .build()
            .map_err(|e| format!("failed to export traces to {endpoint}: {e}; set OTEL_EXPORTER_OTLP_ENDPOINT to an http:// URL"))?;
        exporter.set_resource(&resource);

        let counts = Arc::new(Counts::default());
        let (spans, waiting) = mpsc::channel(WAITING);
        let stop = CancellationToken::new();
        let export = Export { exporter, waiting, counts: Arc::clone(&counts), stop: stop.clone() };
        let exporting = tokio::spawn(export.run());
        // The sampler is that of OTEL_TRACES_SAMPLER, which the provider reads.
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_span_processor(Outbox { spans, counts: Arc::clone(&counts) })
            .build();
        let tracer = provider.tracer("longhaul");
        longhaul::trace::install(OtelTracer::new(tracer.clone(), counts));
        Ok(Some(Self { tracer, stop, exporting }))
    }

    /// Sends what is left, for a short time.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST_SPANS, self.exporting).await.is_err() {
            tracing::warn!("the last spans did not reach the collector in time");
        }
    }
}
