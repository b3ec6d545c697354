use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use longhaul::Timestamp;
use longhaul::stats::{Counts, Percentiles, Report, Totals, Window};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::faults::Faults;
use crate::problem::{Code, Problem};
use crate::query;
use crate::state::Api;
use crate::time::{Rfc3339, in_seconds};

/// The route of statistics.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(stats))
}

/// The longest window, in seconds: a week.
const LONGEST_WINDOW: u64 = 604_800;

/// The counts and durations of a window.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stats)]
pub(crate) struct StatsBody {
    /// The length of the window as it was counted, in seconds: whole steps.
    window: f64,
    /// The length of a step as it was counted, in seconds: whole minutes, and whole hours where the window is longer than a
    /// day.
    step: f64,
    /// The counts of each step, oldest first; the last is the present one.
    series: Vec<PointBody>,
    /// The wait of jobs from when they fell due to their start.
    wait: TimesBody,
    /// The time of runs from their start to their end.
    run: TimesBody,
    /// By queue, those with the most jobs that ended first.
    queues: Vec<QueueTotals>,
    /// By kind, in the same order.
    kinds: Vec<KindTotals>,
    /// When the job fell due that has waited longest for a worker; null where none waits.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    oldest_waiting: Option<Rfc3339>,
}

/// The counts of a step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatsPoint)]
pub(crate) struct PointBody {
    /// Its begin.
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
    #[serde(flatten)]
    counts: CountsBody,
}

/// The numbers of jobs by the change that they made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatsCounts)]
pub(crate) struct CountsBody {
    /// Jobs that were created.
    enqueued: u64,
    /// Jobs that completed.
    completed: u64,
    /// Jobs that failed for good.
    failed: u64,
    /// Jobs that were cancelled.
    cancelled: u64,
    /// Attempts that failed and are followed by another.
    retried: u64,
}

/// Times in seconds, at most an eighth above the true ones; null where there was nothing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Times)]
pub(crate) struct TimesBody {
    /// Half were not longer.
    #[schema(required)]
    p50: Option<f64>,
    /// Nine in ten were not longer.
    #[schema(required)]
    p90: Option<f64>,
    /// All but one in a hundred were not longer.
    #[schema(required)]
    p99: Option<f64>,
    /// The longest.
    #[schema(required)]
    max: Option<f64>,
}

/// Counts and times of a queue.
#[derive(Debug, Serialize, ToSchema)]
struct QueueTotals {
    /// The queue.
    queue: String,
    #[serde(flatten)]
    totals: TotalsBody,
}

/// Counts and times of a kind.
#[derive(Debug, Serialize, ToSchema)]
struct KindTotals {
    /// The kind.
    kind: String,
    #[serde(flatten)]
    totals: TotalsBody,
}

/// Counts and times.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatsTotals)]
pub(crate) struct TotalsBody {
    #[serde(flatten)]
    counts: CountsBody,
    /// The wait of its jobs.
    wait: TimesBody,
    /// The time of its runs.
    run: TimesBody,
}

/// Tells throughput, waits and run times
///
/// Counted by each process that makes changes, and written every second: a process that is killed loses the counts of
/// that, and no job. Minutes are kept for a day and hours for a week, through restarts.
#[utoipa::path(
    get,
    path = "/stats",
    operation_id = "getStats",
    tag = "stats",
    params(
        ("window" = Option<u64>, Query, minimum = 60, maximum = 604_800, description = "How far back, in seconds; 3,600 \
            unless given"),
        ("step" = Option<u64>, Query, minimum = 60, maximum = 604_800, description = "The length of a step, in seconds; 60 \
            unless given. At most 1,440 steps are told: where there would be more, they are longer"),
        ("queue" = Option<String>, Query, description = "Of this queue alone"),
        ("kind" = Option<String>, Query, description = "Of this kind alone"),
    ),
    responses((status = 200, description = "The statistics", body = StatsBody)),
)]
async fn stats(
    State(api): State<Api>,
    _: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<StatsBody>, Problem> {
    let window = window(query.as_deref(), &["window", "step", "queue", "kind"])?;
    let report = api.recorder().report(&window, api.config.clock.now()).await?;
    let lanes = api.longhaul.store().lanes().await?;
    let wanted = |given: &Option<String>, name: &str| given.as_ref().is_none_or(|given| given == name);
    let lanes = lanes.iter().filter(|l| wanted(&window.queue, &l.queue) && wanted(&window.kind, &l.kind));
    Ok(Json(StatsBody::of(report, lanes.map(|lane| lane.oldest_at).min())))
}

/// Reads a window's parameters, of those that are `known`.
pub(super) fn window(query: Option<&str>, known: &[&str]) -> Result<Window, Problem> {
    let mut faults = Faults::default();
    let mut window =
        Window { length: Duration::from_secs(3600), step: Duration::from_secs(60), queue: None, kind: None };
    for (name, value) in query::pairs(query) {
        let mut seconds = |field: &mut Duration| match query::number(&value, 60..=LONGEST_WINDOW) {
            Ok(seconds) => *field = Duration::from_secs(seconds),
            Err(message) => faults.add(Code::Invalid, &name, message),
        };
        match &*name {
            name if !known.contains(&name) => {
                let message = format!("is not a parameter; use {}", known.join(", "));
                faults.add(Code::Invalid, name, message);
            }
            "window" => seconds(&mut window.length),
            "step" => seconds(&mut window.step),
            "queue" => window.queue = Some(value.into_owned()),
            _ => window.kind = Some(value.into_owned()),
        }
    }
    faults.into_result()?;
    Ok(window)
}

impl StatsBody {
    fn of(report: Report, oldest: Option<Timestamp>) -> Self {
        let point = |point: longhaul::stats::Point| PointBody {
            at: Rfc3339(point.at),
            counts: CountsBody::from(point.counts),
        };
        let queues = by_ended(report.queues).map(|(queue, totals)| QueueTotals { queue, totals });
        let kinds = by_ended(report.kinds).map(|(kind, totals)| KindTotals { kind, totals });
        Self {
            window: in_seconds(report.window),
            step: in_seconds(report.step),
            series: report.series.into_iter().map(point).collect(),
            wait: TimesBody::from(report.all.wait),
            run: TimesBody::from(report.all.run),
            queues: queues.collect(),
            kinds: kinds.collect(),
            oldest_waiting: oldest.map(Rfc3339),
        }
    }
}

fn by_ended(totals: BTreeMap<String, Totals>) -> impl Iterator<Item = (String, TotalsBody)> {
    let mut totals: Vec<_> = totals.into_iter().collect();
    totals.sort_by_key(|(_, totals)| std::cmp::Reverse(totals.counts.completed + totals.counts.failed));
    totals.into_iter().map(|(name, totals)| (name, TotalsBody::from(totals)))
}

impl From<Totals> for TotalsBody {
    fn from(Totals { counts, wait, run }: Totals) -> Self {
        Self { counts: counts.into(), wait: wait.into(), run: run.into() }
    }
}

impl From<Counts> for CountsBody {
    fn from(Counts { enqueued, completed, failed, cancelled, retried }: Counts) -> Self {
        Self { enqueued, completed, failed, cancelled, retried }
    }
}

impl From<Percentiles> for TimesBody {
    fn from(Percentiles { p50, p90, p99, max }: Percentiles) -> Self {
        let seconds = |time: Option<Duration>| time.map(in_seconds);
        Self { p50: seconds(p50), p90: seconds(p90), p99: seconds(p99), max: seconds(max) }
    }
}
