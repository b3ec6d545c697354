//! The figures of a process: its workers, its calls of the store, and what it has counted.

use std::fmt;
use std::sync::Arc;

use longhaul::stats::{Counters, Distribution, Recorder};
use longhaul::{Changes, Store};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::counted::{ByKind, Times};
use super::gauged;

/// Registers all figures of this process that concern a store. None of them asks it.
pub(super) fn register(registry: &mut Registry, store: &Arc<dyn Store>) {
    registry.register("build", "What runs here", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    if let Some(operations) = store.operations() {
        let help = "1 unless the last call that this process made of its store found it away or full";
        registry.register("store_up", help, ConstGauge::new(i64::from(operations.is_up())));
        registry.register_collector(Box::new(Operations(Arc::clone(store))));
    }
    if let Some(tracer) = longhaul::trace::tracer() {
        let exported = tracer.exported();
        let (help, spans) = ("Spans that were exported", ConstCounter::new(exported.spans));
        registry.register("trace_spans_exported", help, spans);
        let help = "Spans that were dropped, because the collector was away or too slow";
        registry.register("trace_spans_dropped", help, ConstCounter::new(exported.dropped));
    }
    if store.changes().is_some() {
        registry.register_collector(Box::new(Commits(Arc::clone(store))));
    }
    let Some(recorder) = Recorder::of(store) else { return };
    registry.register_collector(Box::new(ByKind(recorder.counted())));
    register_counters(registry, recorder.counters());
    registry.register_collector(Box::new(Workers(recorder)));
}

fn register_counters(registry: &mut Registry, counters: &Counters) {
    for (name, help, counter) in [
        ("leases_lost", "Runs that were stopped because their lease was another's", &counters.leases_lost),
        ("jobs_rescued", "Jobs taken from workers that were not heard of", &counters.rescued),
        ("jobs_poisoned", "Jobs that had crashed too often and failed", &counters.poisoned),
        ("jobs_fenced", "Jobs that did not stop within their grace", &counters.fenced),
        ("jobs_pruned", "Finished jobs that were removed", &counters.pruned),
    ] {
        registry.register(name, help, ConstCounter::new(counter.get()));
    }
    let readers = ConstGauge::new(gauged(counters.readers.get()));
    registry.register("event_readers", "Readers that follow a job's events", readers);
    registry.register_collector(Box::new(Times {
        name: "event_lag",
        help: "From when an event was stored to when it was handed to a reader",
        times: counters.lag.lock().clone(),
    }));
}

/// The calls of a store.
#[derive(Debug)]
struct Operations(Arc<dyn Store>);

impl Collector for Operations {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(operations) = self.0.operations() else { return Ok(()) };
        let help = "The calls of the store, from this process' view";
        let mut metric = encoder.encode_descriptor(
            "store_operation",
            help,
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for of in operations.times() {
            let labels = [("operation", of.operation), ("outcome", of.outcome)];
            distribution(metric.encode_family(&labels)?, of.times, MICROS)?;
        }
        Ok(())
    }
}

/// The commits of a store's writer in this process.
#[derive(Debug)]
struct Commits(Arc<dyn Store>);

impl Collector for Commits {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "The calls that one commit of the store has carried";
        let metric = encoder.encode_descriptor("commit_calls", help, None, MetricType::Histogram)?;
        match self.0.changes().map(Changes::commits) {
            Some(commits) => distribution(metric, commits, 1.0),
            None => Ok(()),
        }
    }
}

/// The workers of this process, by queue.
#[derive(Debug)]
struct Workers(Recorder);

impl Collector for Workers {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let workers = self.0.counters().workers();
        let queues = || workers.iter().flat_map(|worker| worker.queues());
        if workers.is_empty() {
            return Ok(());
        }
        let jobs: usize = workers.iter().map(|worker| worker.jobs()).sum();
        encoder
            .encode_descriptor(
                "process_jobs",
                "Jobs whose leases this process keeps",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&gauged(jobs))?;
        let help = "Slots that this process has for a queue";
        let mut slots = encoder.encode_descriptor("process_slots", help, None, MetricType::Gauge)?;
        for queue in queues() {
            slots.encode_family(&[("queue", queue.queue.as_str())])?.encode_gauge(&gauged(queue.slots))?;
        }
        let help = "Slots of this process in which a job or a call runs";
        let mut used = encoder.encode_descriptor("process_slots_used", help, None, MetricType::Gauge)?;
        for queue in queues() {
            used.encode_family(&[("queue", queue.queue.as_str())])?.encode_gauge(&gauged(queue.used()))?;
        }
        let help = "Runs of this process that have ended, by how";
        let mut runs = encoder.encode_descriptor("process_runs", help, None, MetricType::Counter)?;
        for queue in queues() {
            for (outcome, number) in queue.ended() {
                let labels = [("queue", queue.queue.as_str()), ("outcome", outcome)];
                runs.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&number, None)?;
            }
        }
        Ok(())
    }
}

/// The microseconds of a second.
const MICROS: f64 = 1e6;

fn distribution(mut metric: MetricEncoder<'_>, values: &Distribution, per: f64) -> fmt::Result {
    let buckets: Vec<(f64, u64)> = values
        .ranges()
        .map(|(end, count)| (end.map_or(f64::INFINITY, |end| end as f64 / per), count))
        .collect();
    let count = buckets.iter().map(|(_, count)| count).sum();
    metric.encode_histogram::<NoLabelSet>(values.sum() as f64 / per, count, &buckets, None)
}
