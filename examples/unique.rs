//! A document that is edited again and again is indexed once, with the newest text; a report that is asked for anew takes the place
//! of the one that waits.
//!
//!     cargo run -p examples --bin unique

use std::time::Duration;

use longhaul::{CancelReason, Context, Edge, Job, JobResult, Longhaul, NewJob, OnClash, Unique};
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Index {
    document: u32,
    text: String,
}

impl Job for Index {
    const KIND: &'static str = "index";
    type State = ();
    type Output = String;

    fn unique(&self) -> Option<Unique> {
        // Once nobody has edited it for a while, and at the latest after two seconds.
        let (delay, max_delay) = (Duration::from_millis(200), Some(Duration::from_secs(2)));
        let on_clash = OnClash::Debounce { delay, max_delay, edge: Edge::Trailing };
        Some(Unique { on_clash, ..Unique::new(format!("index:{}", self.document)) })
    }

    async fn run(self, _cx: Context<()>) -> JobResult<String> {
        Ok(self.text)
    }
}

#[derive(Serialize, Deserialize)]
struct Report {
    month: String,
}

impl Job for Report {
    const KIND: &'static str = "report";
    type State = ();
    type Output = String;
    // Nobody reads one that was not begun by then.
    const EXPIRES_IN: Option<Duration> = Some(Duration::from_secs(600));

    fn unique(&self) -> Option<Unique> {
        Some(Unique { on_clash: OnClash::Supersede, ..Unique::new("report") })
    }

    async fn run(self, _cx: Context<()>) -> JobResult<String> {
        Ok(self.month)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let longhaul = Longhaul::new(SqliteStore::open("unique.db").await?);
    let edit = |text: &str| NewJob::of(&Index { document: 7, text: text.into() });
    let edits = longhaul.enqueue_many(vec![edit("H")?, edit("He")?, edit("Hello")?]).await?;
    let [may, june] = ["May", "June"].map(|month| longhaul.enqueue(Report { month: month.into() }));
    let (may, june) = (may.await?, june.await?);

    let worker = longhaul.worker().register::<Index>(()).register::<Report>(()).queue("default", 2).start();
    let mut outputs = Vec::new();
    for id in [&edits[0].id, &june.id] {
        let job = longhaul.wait(id, Duration::from_secs(60)).await?.found().ok_or("the job was deleted")?;
        outputs.push(job.output.ok_or("the job has no output")?.to::<String>()?);
    }
    worker.shutdown(Duration::from_secs(10)).await;

    let statuses: Vec<String> = edits.iter().map(|edit| format!("{:?}", edit.status)).collect();
    println!("{}: {}", statuses.join(", "), outputs[0]);
    let superseded = longhaul.get(&may.id).await?.found().and_then(|job| job.cancel_reason);
    println!("{}, then {}", superseded.map_or("none", CancelReason::as_str), outputs[1]);
    Ok(())
}
