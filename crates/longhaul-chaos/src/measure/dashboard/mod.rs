mod fill;
mod open;
mod pages;

use std::time::Duration;

use futures::future::try_join_all;
use longhaul::clock::Stopwatch;

use self::pages::Page;
use super::MeasureArgs;
use super::served::Served;
use crate::Result;
use crate::figure::{Bar, Figure, millis, part};
use crate::target::{self, Target};

/// Each page is opened so often.
const OPENED: usize = 100;

/// The time of each page of the dashboard, from its first request to its last answer, on a store of many jobs; and what the
/// store pays while a page is open.
pub(super) async fn measure(args: &MeasureArgs, target: &Target) -> Result<Vec<Figure>> {
    let filled = fill::fill(target::open(&target.direct).await?, args.jobs).await?;
    let served = Served::start(&args.longhaul, target).await?;
    let mut figures = Vec::new();
    for page in pages::all(&served, filled).await? {
        figures.push(time(&served, &page, args.jobs).await?);
    }
    figures.extend(open::measure(args, target, &served).await?);
    Ok(figures)
}

async fn time(served: &Served, page: &Page, jobs: usize) -> Result<Figure> {
    let mut took = Vec::with_capacity(OPENED);
    for number in 0..OPENED {
        let paths = page.paths(number);
        let opening = Stopwatch::start();
        try_join_all(paths.iter().map(|path| served.read(path))).await?;
        took.push(opening.elapsed());
    }
    took.sort_unstable();
    let [half, most, all] = [0.5, 0.95, 1.0].map(|of| part(&took, of));
    let value = format!("{} / {} / {}", millis(half), millis(most), millis(all));
    eprintln!("measure: {}: {value}", page.name);
    let name = format!("{}, on {jobs} jobs, p50 / p95 / max of {OPENED}", page.name);
    Ok(Figure::held(name, value, Bar::within(most, 200, "p95")))
}

/// Seconds as a share of a time, in percent.
fn percent(seconds: f64, of: Duration) -> f64 {
    seconds / of.as_secs_f64() * 100.0
}
