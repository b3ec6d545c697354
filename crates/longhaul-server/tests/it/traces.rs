//! Traces of servers as they are run, as a collector on the loopback address gets them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::receiver::{next, receiver};
use crate::server::{PATIENCE, Place, Server, client, until};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn one_trace_leads_from_a_request_through_a_restart_to_the_last_attempt_and_the_webhook() {
    let collector = Collector::start().await;
    let (url, mut heard) = receiver(&["503 Away\r\nretry-after: 0", "200 OK"]).await;
    let place = Place::new();
    let exported = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()), ("OTEL_SERVICE_NAME", "shop")];

    let mut first = place.serve_with(&["--no-worker", "--accept-unknown-kinds"], &exported).await;
    let args = json!({ "url": url, "method": "POST", "body": { "n": 1 } });
    let request = client()
        .post(first.at("/api/jobs"))
        .header("traceparent", CALLER)
        .json(&json!({ "kind": "http.request", "queue": "http", "args": args, "webhook": url }));
    let job: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    first.terminate().await;
    assert!(first.ended().await.success(), "{}", first.log());

    let _second = place.serve_with(&["--webhook-allow", "127.0.0.1"], &exported).await;
    let told = [next(&mut heard).await, next(&mut heard).await, next(&mut heard).await];
    let spans = collector.spans(|spans| spans.iter().filter(|span| span.name == "run").count() == 3).await;

    assert!(spans.iter().all(|span| span.trace == CALLER[3..35]), "one trace: {spans:#?}");
    assert!(spans.iter().all(|span| span.service == "shop"));
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let [request] = named("POST /api/jobs")[..] else { panic!("{spans:#?}") };
    assert_eq!((&*request.parent, &*request.fields["http.response.status_code"]), (&CALLER[36..52], "202"));
    let [enqueue] = named("enqueue")[..] else { panic!("{spans:#?}") };
    assert_eq!(enqueue.parent, request.id);

    let runs = named("run");
    let of = |kind: &str| {
        let of_kind = runs.iter().filter(|run| run.fields["kind"] == kind);
        let mut of_kind: Vec<&Seen> = of_kind.copied().collect();
        of_kind.sort_by(|a, b| a.fields["attempt"].cmp(&b.fields["attempt"]));
        of_kind
    };
    let [failed, completed] = of("http.request")[..] else { panic!("{runs:#?}") };
    assert!([failed, completed].iter().all(|run| run.parent == enqueue.id), "{runs:#?}");
    assert!([failed, completed].iter().all(|run| run.fields["job"] == job["id"].as_str().expect("an id")));
    assert_eq!((&*failed.fields["attempt"], failed.has_failed, &failed.links[..]), ("1", true, &[][..]));
    assert_eq!((&*completed.fields["attempt"], completed.has_failed), ("2", false));
    let retried = (failed.trace.clone(), failed.id.clone());
    assert_eq!(completed.links, [retried], "a retry refers to the attempt before it");
    let waits = named("wait");
    assert_eq!(waits.iter().filter(|wait| wait.parent == enqueue.id).count(), 3, "{waits:#?}");
    assert!(waits.iter().all(|wait| wait.begin <= wait.end));

    let [delivery] = of("longhaul.webhook")[..] else { panic!("{runs:#?}") };
    assert_eq!(delivery.parent, enqueue.id);
    let [step] = named("step")[..] else { panic!("{spans:#?}") };
    assert_eq!(step.parent, delivery.id);
    for (told, run) in told.iter().zip([failed, completed, delivery]) {
        let header = format!("\r\ntraceparent: 00-{}-{}-01\r\n", run.trace, run.id);
        assert!(told.contains(&header), "systems outside are told where they are called from: {told}");
    }
    let shown: Value = get(&_second, &format!("/api/jobs/{}", job["id"].as_str().expect("an id"))).await;
    assert_eq!(shown["traceparent"], format!("00-{}-{}-01", enqueue.trace, enqueue.id));
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_no_job() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let away = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let place = Place::new();
    let exported = [("OTEL_EXPORTER_OTLP_ENDPOINT", away.as_str())];
    let server = place.serve_with(&["--webhook-allow", "127.0.0.1"], &exported).await;
    for _ in 0..3 {
        let request = client().post(server.at("/api/jobs")).header("prefer", "wait=60");
        let job = json!({ "kind": "http.request", "args": { "url": server.at("/health") } });
        let ended: Value = request.json(&job).send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!((&ended["state"], &ended["attempt"]), (&json!("completed"), &json!(1)), "{ended}");
    }
    let counted = async {
        loop {
            let told = client().get(server.at("/metrics")).send().await.expect("an answer");
            let told = told.text().await.expect("a body");
            let of = |name: &str| {
                told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
            };
            assert_eq!(of("longhaul_trace_spans_exported_total"), Some(0), "{told}");
            if of("longhaul_trace_spans_dropped_total") >= Some(9) {
                return;
            }
        }
    };
    timeout(PATIENCE, counted).await.expect("they are counted");
    // They are counted before it is logged.
    let log = until(async || server.log(), |log| log.contains("failed to export spans")).await;
    assert_eq!(log.matches("failed to export spans").count(), 1, "told once:\n{log}");
}

#[tokio::test]
async fn a_sampler_that_keeps_nothing_exports_nothing_and_jobs_say_so() {
    let collector = Collector::start().await;
    let place = Place::new();
    let exported =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()), ("OTEL_TRACES_SAMPLER", "always_off")];
    let mut server = place.serve_with(&["--no-worker", "--accept-unknown-kinds"], &exported).await;
    let job = json!({ "kind": "http.request", "queue": "http", "args": {} });
    let request = client().post(server.at("/api/jobs")).header("traceparent", CALLER).json(&job);
    let job: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    let place_of_job = job["traceparent"].as_str().expect("a place").to_owned();
    assert!(place_of_job.starts_with(&CALLER[..36]) && place_of_job.ends_with("-00"), "{place_of_job}");
    server.terminate().await;
    assert!(server.ended().await.success(), "{}", server.log());
    assert!(collector.seen.borrow().is_empty());
}

#[tokio::test]
async fn variables_that_cannot_be_followed_are_refused() {
    let place = Place::new();
    let mut command = place.command(&["serve"]);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let refused = crate::server::output(&mut command).await;
    assert!(!refused.status.success());
    let said = crate::server::stderr(&refused);
    assert!(
        said.contains("OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not spoken here: use http/protobuf"),
        "{said}"
    );
}

async fn get(server: &Server, path: &str) -> Value {
    client().get(server.at(path)).send().await.expect("an answer").json().await.expect("JSON")
}

/// A span as the collector got it.
#[derive(Clone, Debug)]
struct Seen {
    service: String,
    name: String,
    trace: String,
    id: String,
    parent: String,
    fields: BTreeMap<String, String>,
    /// Traces and spans.
    links: Vec<(String, String)>,
    has_failed: bool,
    begin: Duration,
    end: Duration,
}

/// A collector that keeps what it gets.
struct Collector {
    url: String,
    seen: watch::Receiver<Vec<Seen>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, seen) = watch::channel(Vec::new());
        let sender = Arc::new(sender);
        let take = async move |body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
            sender.send_modify(|seen| seen.extend(read(request)));
        };
        let routes = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, seen }
    }

    /// All spans, once there are those that are waited for.
    async fn spans(&self, are_enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let mut seen = self.seen.clone();
        let spans = timeout(PATIENCE, seen.wait_for(|spans| are_enough(spans))).await;
        spans.expect("they come in time").expect("the collector is there").clone()
    }
}

fn read(request: ExportTraceServiceRequest) -> Vec<Seen> {
    let mut all = Vec::new();
    for resource in request.resource_spans {
        let fields = fields(resource.resource.map(|resource| resource.attributes).unwrap_or_default());
        let service = fields.get("service.name").cloned().unwrap_or_default();
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        all.extend(spans.map(|span| seen(&service, span)));
    }
    all
}

fn seen(service: &str, span: Span) -> Seen {
    Seen {
        service: service.to_owned(),
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        fields: fields(span.attributes),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        // 2 is STATUS_CODE_ERROR.
        has_failed: span.status.is_some_and(|status| status.code == 2),
        begin: Duration::from_nanos(span.start_time_unix_nano),
        end: Duration::from_nanos(span.end_time_unix_nano),
    }
}

fn fields(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value| match value {
        AnyValue::StringValue(text) => text,
        AnyValue::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let attributes = attributes.into_iter();
    attributes.filter_map(|KeyValue { key, value, .. }| Some((key, text(value?.value?)))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
