//! A report is made of pages, waits for a person, and is sent once: in one function, which goes on where it was after every crash
//! and restart, and holds no slot while it waits.

use std::time::Duration;

use longhaul::{Context, Job, JobError, JobResult, Longhaul, NewJob, StepOptions, WaitsFor};
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Page {
    about: String,
}

impl Job for Page {
    const KIND: &'static str = "page";
    type State = ();
    type Output = String;

    async fn run(self, _cx: Context<()>) -> JobResult<String> {
        Ok(format!("{} are up", self.about))
    }
}

#[derive(Serialize, Deserialize)]
struct Report {
    pages: Vec<String>,
}

impl Job for Report {
    const KIND: &'static str = "report";
    type State = ();
    type Output = String;

    async fn run(self, cx: Context<()>) -> JobResult<String> {
        // Children run on any worker. This job gives its slot back until the last of them has ended.
        let pages = self.pages.iter().map(|about| NewJob::of(&Page { about: about.clone() }));
        cx.enqueue_children("pages", pages.collect::<longhaul::Result<_>>()?).await?;
        cx.wait_for_children().await?;
        let pages: Vec<String> =
            cx.children().await?.into_iter().filter_map(|page| page.output?.to().ok()).collect();

        let draft = cx.step("draft", async || Ok(pages.join(", "))).await?;
        let week = Duration::from_secs(7 * 86_400);
        let Some(by) = cx.wait_for::<String>("approved", Some(week)).await? else {
            return Err(JobError::cancel("nobody has approved it within a week"));
        };
        let options =
            StepOptions { tries: 3, timeout: Some(Duration::from_secs(10)), ..StepOptions::default() };
        let send = async || {
            println!("sent");
            Ok(())
        };
        cx.step_with("send", options, send).await?;
        Ok(format!("{draft}; approved by {by}"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let longhaul = Longhaul::new(SqliteStore::open("durable.db").await?);
    let start = || longhaul.worker().register::<Page>(()).register::<Report>(()).queue("default", 1).start();
    let minute = Duration::from_secs(60);

    let worker = start();
    let id = longhaul.enqueue(Report { pages: vec!["sales".into(), "visits".into()] }).await?.id;
    while let Some(job) = longhaul.get(&id).await?.found() {
        if job.waits_for == Some(WaitsFor::Signal("approved".into())) {
            break;
        }
        longhaul.events(&id, job.last_event, 1, minute).await?;
    }
    // Whatever happens to the workers until then: the report waits.
    worker.shutdown(minute).await;
    longhaul.signal(&id, "approved", &"Grace").await?;

    let worker = start();
    let job = longhaul.wait(&id, minute).await?.found();
    println!("{}", job.and_then(|job| job.output).unwrap_or_default().as_str());
    worker.shutdown(minute).await;
    Ok(())
}
