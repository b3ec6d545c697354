use std::convert::Infallible;
use std::time::Duration;

use futures::future::{join, try_join, try_join_all};
use longhaul::clock::Stopwatch;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::fill::{KINDS, queue};
use super::percent;
use crate::Result;
use crate::figure::{Bar, Figure};
use crate::measure::MeasureArgs;
use crate::measure::served::Served;
use crate::target::Target;

/// Turns of a measurement, each without the dashboard and with it.
const TURNS: u32 = 3;
/// Parts of a second in which the load comes.
const BEATS: usize = 10;

/// The requests that an open page repeats, and the shortest interval of each while jobs change.
type Readings = &'static [(&'static str, Duration)];

const OVERVIEW: Readings = &[
    ("/api/queues", Duration::from_secs(1)),
    ("/api/stats?window=3600&step=60", Duration::from_secs(5)),
    ("/api/errors?window=3600", Duration::from_secs(5)),
];
const JOBS: Readings =
    &[("/api/jobs?limit=100&q=", Duration::from_millis(1_500)), ("/api/queues", Duration::from_secs(2))];

/// CPU time so far.
#[derive(Clone, Copy, Default)]
struct Cpu {
    longhaul: f64,
    store: f64,
}

/// The CPU time that a page costs while it is open and jobs come and go, which makes it read as often as it ever does.
pub(super) async fn measure(args: &MeasureArgs, target: &Target, served: &Served) -> Result<Vec<Figure>> {
    let turn = Duration::from_secs(args.seconds) / TURNS;
    let mut figures = Vec::new();
    for (page, readings) in [("Overview", OVERVIEW), ("Jobs", JOBS)] {
        let (mut without, mut with) = (Cpu::default(), Cpu::default());
        for _ in 0..TURNS {
            without += watched(target, served, put_load(served, args.load, turn)).await?;
            with += watched(target, served, async {
                let open = timeout(turn, keep_open(served, readings));
                let (loaded, closed) = join(put_load(served, args.load, turn), open).await;
                if let Ok(Err(failed)) = closed { Err(failed) } else { loaded }
            })
            .await?;
        }
        let all = turn * TURNS;
        let figure = |whose: &str, without: f64, with: f64| {
            let (less, more) = (percent(without, all), percent(with, all));
            Figure::held(
                format!("CPU of {whose} beside {} jobs/s, without and with {page} open", args.load),
                format!("{less:.2} → {more:.2} % of a core ({:+.2})", more - less),
                Bar::at_most(more - less, 2.0, "% more"),
            )
        };
        figures.push(figure("Longhaul", without.longhaul, with.longhaul));
        if target.has_server() {
            figures.push(figure("the store's server", without.store, with.store));
        }
    }
    Ok(figures)
}

impl std::ops::AddAssign for Cpu {
    fn add_assign(&mut self, other: Self) {
        self.longhaul += other.longhaul;
        self.store += other.store;
    }
}

/// The CPU time that passes while something is done.
async fn watched(target: &Target, served: &Served, work: impl Future<Output = Result<()>>) -> Result<Cpu> {
    let used = || (served.process.cpu().unwrap_or_default(), target.server_cpu().unwrap_or_default());
    let before = used();
    work.await?;
    let after = used();
    Ok(Cpu { longhaul: after.0 - before.0, store: after.1 - before.1 })
}

/// Follows the feed and reads again what a page shows, until this is dropped.
async fn keep_open(served: &Served, readings: Readings) -> Result<Infallible> {
    let readings = try_join_all(readings.iter().map(|(path, every)| read_again(served, path, *every)));
    let (never, _) = try_join(follow_feed(served), readings).await?;
    Ok(never)
}

async fn follow_feed(served: &Served) -> Result<Infallible> {
    let feed = served.http.get(format!("{}/api/events", served.url));
    let mut answer = feed.send().await?.error_for_status()?;
    while answer.chunk().await?.is_some() {}
    Err("the feed has ended".into())
}

async fn read_again(served: &Served, path: &str, every: Duration) -> Result<Infallible> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        served.read(path).await?;
    }
}

/// Enqueues jobs evenly and runs them, as a worker in another language does.
async fn put_load(served: &Served, load: usize, time: Duration) -> Result<()> {
    let (passing, name) = (Stopwatch::start(), queue(1));
    let mut beat = interval(Duration::from_secs(1) / u32::try_from(BEATS)?);
    while passing.elapsed() < time {
        beat.tick().await;
        let jobs = vec![
            json!({ "kind": "load", "queue": "load", "args": { "about": KINDS[0], "of": name } });
            load / BEATS
        ];
        served.post("/api/jobs/batch", &Value::Array(jobs)).await?;
        let claim = json!({
            "worker": { "id": "bears-the-load" }, "queues": [{ "queue": "load", "slots": load }], "kinds": [{ "kind": "load" }],
            "lease_for": 30,
        });
        let mut claimed = served.post("/api/worker/claim", &claim).await?;
        let claimed = claimed["claimed"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let finish = |mut job: Value| json!({ "lease": job["lease"].take(), "outcome": { "completed": { "output": null } } });
        let finishes: Vec<Value> = claimed.into_iter().map(finish).collect();
        served.post("/api/worker/finish", &json!({ "finishes": finishes })).await?;
    }
    Ok(())
}
