//! A graph of jobs: each runs once those that it depends on have ended.

use std::time::Duration;

use longhaul::{Context, Dependency, EnqueueOptions, Job, JobError, JobResult, Longhaul};
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Stage {
    name: String,
}

impl Job for Stage {
    const KIND: &'static str = "stage";
    type State = ();
    type Output = String;

    async fn run(self, _cx: Context<()>) -> JobResult<String> {
        match self.name.as_str() {
            "translate" => Err(JobError::fatal("no such language")),
            _ => Ok(self.name),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let longhaul = Longhaul::new(SqliteStore::open("graph.db").await?);
    let stage = async |name: &str, depends_on: Vec<Dependency>| {
        let options = EnqueueOptions { depends_on, ..EnqueueOptions::default() };
        longhaul.enqueue_with(Stage { name: name.into() }, options).await.map(|enqueued| enqueued.id)
    };
    let read = stage("read", vec![]).await?;
    let index = stage("index", vec![Dependency::on(read.clone())]).await?;
    let translate = stage("translate", vec![Dependency::on(read)]).await?;
    let publish = stage("publish", vec![Dependency::on(index), Dependency::on(translate.clone())]).await?;
    // It runs whatever became of the other.
    let clean = stage("clean", vec![Dependency::on_any_end(publish.clone())]).await?;

    let worker = longhaul.worker().register::<Stage>(()).queue("default", 2).start();
    for id in [translate, publish, clean] {
        let Some(job) = longhaul.wait(&id, Duration::from_secs(60)).await?.found() else { continue };
        let name = job.args.to::<Stage>()?.name;
        let reason = job.cancel_reason.map(|reason| format!(" ({})", reason.as_str()));
        println!("{name}: {}{}", job.state, reason.unwrap_or_default());
    }
    worker.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
