use std::io::{self, Write};

use clap::Args as ClapArgs;
use longhaul::Clock;

use crate::Result;
use crate::client::{Place, Worker, WorkerPage};
use crate::terminal::{Table, since};

/// List the workers that were heard of within the last minute, wherever they run, with the slots that they have.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul workers
  longhaul workers --json --url http://127.0.0.1:8000")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// One JSON object a line, as the HTTP API has it
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let client = args.place.open().await?;
    let page: WorkerPage = client.get("/workers").await?;
    let mut out = io::stdout().lock();
    if args.json {
        for worker in &page.workers {
            writeln!(out, "{}", worker.get())?;
        }
        return Ok(());
    }
    if page.workers.is_empty() {
        writeln!(
            out,
            "no worker was heard of within the last minute: start one with longhaul serve or longhaul worker"
        )?;
        return Ok(());
    }
    let now = Clock::system().now();
    let mut rows = vec![["WORKER", "HOST", "VERSION", "UP", "HEARD", "SLOTS", "LABELS"].map(String::from)];
    for worker in &page.workers {
        let worker: Worker = serde_json::from_str(worker.get())?;
        let slots: Vec<String> =
            worker.queues.iter().map(|served| format!("{}={}", served.queue, served.slots)).collect();
        let started = worker.started_at.as_deref().map(|at| since(at, now));
        let heard = format!("{} ago", since(&worker.seen_at, now));
        let version = worker.version.unwrap_or_default();
        let labels: Vec<String> =
            worker.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        let (started, slots, labels) = (started.unwrap_or_default(), slots.join(" "), labels.join(" "));
        rows.push([worker.id, worker.host, version, started, heard, slots, labels]);
    }
    Table::<7>::new(&[1, 2, 3, 4, 5, 6]).write(&mut out, &rows)?;
    Ok(())
}
