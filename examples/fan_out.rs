//! Many jobs at once, and one that starts when the last of them has ended, however it ended.
//!
//!     cargo run -p examples --bin fan_out

use std::time::Duration;

use longhaul::{Context, Job, JobError, JobId, JobResult, Longhaul, NewJob, State};
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Translate {
    chapter: String,
}

impl Job for Translate {
    const KIND: &'static str = "translate";
    type State = ();
    type Output = String;

    async fn run(self, _cx: Context<()>) -> JobResult<String> {
        if self.chapter.is_empty() {
            return Err(JobError::fatal("an empty chapter"));
        }
        Ok(self.chapter.to_uppercase())
    }
}

#[derive(Serialize, Deserialize)]
struct Bind;

impl Job for Bind {
    const KIND: &'static str = "bind";
    type State = ();
    type Output = String;

    async fn run(self, cx: Context<()>) -> JobResult<String> {
        let chapters = cx.longhaul().children(cx.id()).await?;
        let done = chapters.iter().filter(|chapter| chapter.state == State::Completed);
        let texts: Vec<String> = done.filter_map(|chapter| chapter.output.as_ref()?.to().ok()).collect();
        Ok(format!("{} of {} chapters: {}", texts.len(), chapters.len(), texts.join(", ")))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let longhaul = Longhaul::new(SqliteStore::open("fan_out.db").await?);
    let worker = longhaul.worker().register::<Translate>(()).register::<Bind>(()).queue("default", 8).start();

    // Its id makes it the same batch when this program is run again.
    let book = NewJob { id: Some(JobId::new("book-7")?), ..NewJob::of(&Bind)? };
    let mut chapters = Vec::new();
    for chapter in ["boats", "", "harbours"] {
        chapters.push(NewJob::of(&Translate { chapter: chapter.into() })?);
    }
    let book = longhaul.enqueue_batch(book, chapters).await?.id;

    let ended = longhaul.wait(&book, Duration::from_secs(60)).await?;
    let bound = ended.found().and_then(|book| book.output.clone()).ok_or("the book was not bound")?;
    println!("{}", bound.to_value());
    worker.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
