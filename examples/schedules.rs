//! A report each night and a look around every minute, without a cron daemon: what fires is the worker itself.
//!
//!     curl -s http://127.0.0.1:3000/api/schedules
//!     curl -s -X POST http://127.0.0.1:3000/api/schedules/nightly-report/run -H 'prefer: wait=10'

use std::time::Duration;

use axum::Router;
use longhaul::{CatchUp, Context, Job, JobResult, Longhaul, NewJob, Schedule};
use longhaul_http::HttpConfig;
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[derive(Serialize, Deserialize)]
struct Report {
    of: String,
}

impl Job for Report {
    const KIND: &'static str = "report";
    type State = ();
    type Output = String;

    async fn run(self, cx: Context<()>) -> JobResult<String> {
        // The tick that a job is for, however late it runs; a run by hand has none.
        let tick = cx.labels().get("tick").map_or("now", String::as_str);
        Ok(format!("the {} up to {tick}", self.of))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let longhaul = Longhaul::new(SqliteStore::open("schedules.db").await?);
    let sales = NewJob::of(&Report { of: "sales".into() })?;
    let nightly = Schedule::cron("nightly-report", "0 3 * * *", sales)
        .timezone("Europe/Berlin")
        // Each night has its report, though the program was down.
        .catch_up(CatchUp::All);
    let visits = NewJob::of(&Report { of: "visits".into() })?;
    let often = Schedule::every("visits", Duration::from_secs(60), visits)
        .catch_up(CatchUp::None)
        .jitter(Duration::from_secs(10));
    // Kept in the store: once more with the same changes nothing, and other programs see them too.
    for schedule in [nightly, often] {
        longhaul.schedules().put(schedule).await?;
    }
    let worker = longhaul.worker().register::<Report>(()).queue("default", 4).run_schedules().start();

    let app = Router::new().nest("/api", longhaul_http::router(longhaul, HttpConfig::default()));
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    worker.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
