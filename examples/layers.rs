//! Code around every run: what each took, and the tenant that a job works for.
//!
//!     cargo run -p examples --bin layers

use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::layer::{Next, Run, RunResult, from_fn};
use longhaul::{Context, EnqueueOptions, Job, JobError, JobResult, Longhaul};
use longhaul_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

/// What a layer finds out once for all kinds of jobs.
struct Tenant {
    language: &'static str,
}

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl Job for Greet {
    const KIND: &'static str = "greet";
    type State = ();
    type Output = String;

    async fn run(self, cx: Context<()>) -> JobResult<String> {
        let tenant: &Tenant = cx.extension().ok_or_else(|| JobError::fatal("no tenant"))?;
        let greeting = if tenant.language == "es" { "Hola" } else { "Hello" };
        Ok(format!("{greeting}, {}!", self.name))
    }
}

/// Tells how each run ended, and how long it took with all that the other layers did.
async fn timed(run: Run, next: Next) -> RunResult {
    let (what, watch) = (format!("{} {}", run.job().kind, run.id()), Stopwatch::start());
    let result = next.run(run).await;
    let end = result.as_ref().map_or_else(ToString::to_string, |output| output.to_value().to_string());
    println!("{what} took {} ms: {end}", watch.elapsed().as_millis());
    result
}

/// Gives each job its tenant. A job of a tenant who is closed fails without having run.
async fn with_tenant(mut run: Run, next: Next) -> RunResult {
    let language = match run.job().labels.get("tenant").map(String::as_str) {
        Some("madrid") => "es",
        Some("leeds") => "en",
        other => return Err(JobError::fatal(format!("no such tenant: {other:?}")).into()),
    };
    run.extensions.insert(Tenant { language });
    next.run(run).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let longhaul = Longhaul::new(SqliteStore::open("layers.db").await?);
    let worker = longhaul.worker().register::<Greet>(()).queue("default", 4);
    // The first is the outermost: it sees what the second answers.
    let worker = worker.layer(from_fn(timed)).layer(from_fn(with_tenant)).start();

    for tenant in ["madrid", "atlantis"] {
        let options = EnqueueOptions {
            labels: [("tenant".to_owned(), tenant.to_owned())].into(),
            ..EnqueueOptions::default()
        };
        let id = longhaul.enqueue_with(Greet { name: "Ada".into() }, options).await?.id;
        let job = longhaul.wait(&id, Duration::from_secs(60)).await?.found().ok_or("the job is gone")?;
        println!("{tenant}: {}", job.state);
    }
    worker.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
