//! Readings are written many at a time, those of a sensor in one statement, and each ends as a job of its own.
//!
//!     cargo run -p examples --bin collect

use std::time::Duration;

use longhaul::{Collect, Collected, Context, Job, JobError, JobResult, Longhaul, NewJob, State};
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Reading {
    sensor: String,
    celsius: f64,
}

impl Job for Reading {
    const KIND: &'static str = "reading";
    type State = Table;
    type Output = usize;

    // For workers that do not collect the kind.
    async fn run(self, cx: Context<Table>) -> JobResult<usize> {
        cx.state().insert(&[&self]).await
    }
}

/// A table that is written in bulk.
#[derive(Clone)]
struct Table;

impl Table {
    async fn insert(&self, readings: &[&Reading]) -> JobResult<usize> {
        let sensor = readings.first().map_or("none", |reading| &reading.sensor);
        println!("{sensor}: {} in one statement", readings.len());
        Ok(readings.len())
    }
}

async fn write(table: Table, readings: Vec<Collected<Reading>>) -> JobResult<()> {
    let (good, bad): (Vec<_>, Vec<_>) = readings.into_iter().partition(|one| one.args.celsius > -273.15);
    for reading in bad {
        reading.end(Err(JobError::fatal("colder than cold")));
    }
    let rows: Vec<&Reading> = good.iter().map(|reading| &reading.args).collect();
    // Where this fails, each of those that are left is tried again.
    let written = table.insert(&rows).await?;
    for reading in good {
        reading.end(Ok(written));
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let longhaul = Longhaul::new(SqliteStore::open("collect.db").await?);
    let readings = [("roof", 21.5), ("cellar", 12.0), ("roof", 21.7), ("roof", -300.0), ("cellar", 12.1)];
    let jobs = readings.map(|(sensor, celsius)| NewJob::of(&Reading { sensor: sensor.into(), celsius }));
    let ids = longhaul.enqueue_many(jobs.into_iter().collect::<Result<_, _>>()?).await?;

    let collect = Collect { max: 500, wait: Duration::from_millis(200), by: Some("sensor") };
    let worker = longhaul.worker().queue("default", 1).collect(Table, collect, write)?.start();
    for id in ids {
        let job =
            longhaul.wait(&id.id, Duration::from_secs(60)).await?.found().ok_or("the job was deleted")?;
        match job.state {
            State::Completed => {}
            state => println!("{state}: {}", job.errors.last().map_or("", |error| &error.message)),
        }
    }
    worker.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
