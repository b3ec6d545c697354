//! The counts of a process, as metrics.

use std::fmt;
use std::time::Duration;

use longhaul::stats::{Counted, Counts, Histogram};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// The ends of the buckets of times, in milliseconds: from what an idle worker takes to what an hour's job does.
const BUCKETS: [u64; 16] =
    [1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 600_000, 3_600_000];

/// The changes of jobs and the times of runs, by queue and kind.
#[derive(Debug)]
pub(super) struct ByKind(pub(super) Vec<Counted>);

/// A histogram without labels.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) times: Histogram,
}

/// Takes one of its times of a queue and kind.
type Of = fn(&Counted) -> &Histogram;

/// Takes three ends and their counts of a queue and kind.
type Ends = fn(&Counts) -> [(&'static str, u64); 3];

impl Collector for ByKind {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut enqueued = encoder.encode_descriptor(
            "jobs_enqueued",
            "Jobs that were created",
            None,
            MetricType::Counter,
        )?;
        for counted in &self.0 {
            let labels = [("queue", counted.queue.as_str()), ("kind", &counted.kind)];
            count(&mut enqueued, &labels, counted.counts.enqueued)?;
        }
        let ends: [(_, _, _, Ends); 2] = [
            ("jobs_finished", "Jobs that have ended", "state", |counts| {
                [("completed", counts.completed), ("failed", counts.failed), ("cancelled", counts.cancelled)]
            }),
            ("attempts", "Attempts that have ended, by how", "outcome", |counts| {
                [("completed", counts.completed), ("failed", counts.failed), ("retried", counts.retried)]
            }),
        ];
        for (name, help, label, of) in ends {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for Counted { queue, kind, counts, .. } in &self.0 {
                for (end, number) in of(counts) {
                    let labels = [("queue", queue.as_str()), ("kind", kind), (label, end)];
                    count(&mut metric, &labels, number)?;
                }
            }
        }
        let times: [(_, _, Of); 2] = [
            ("wait", "From when a job fell due to its start", |counted| &counted.wait),
            ("run", "From the start of a run to its end", |counted| &counted.run),
        ];
        for (name, help, of) in times {
            let mut metric =
                encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
            for counted in self.0.iter().filter(|counted| !of(counted).is_empty()) {
                let labels = [("queue", counted.queue.as_str()), ("kind", &counted.kind)];
                distribution(metric.encode_family(&labels)?, of(counted))?;
            }
        }
        Ok(())
    }
}

impl Collector for Times {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        distribution(
            encoder.encode_descriptor(self.name, self.help, unit, MetricType::Histogram)?,
            &self.times,
        )
    }
}

fn count(metric: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, number: u64) -> fmt::Result {
    metric.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&number, None)
}

fn distribution(mut metric: MetricEncoder<'_>, times: &Histogram) -> fmt::Result {
    let mut below = 0;
    let mut buckets: Vec<(f64, u64)> = Vec::with_capacity(BUCKETS.len() + 1);
    for end in BUCKETS.map(Duration::from_millis) {
        let up_to = times.up_to(end);
        buckets.push((end.as_secs_f64(), up_to - below));
        below = up_to;
    }
    buckets.push((f64::INFINITY, times.len() - below));
    metric.encode_histogram::<NoLabelSet>(times.sum().as_secs_f64(), times.len(), &buckets, None)
}
