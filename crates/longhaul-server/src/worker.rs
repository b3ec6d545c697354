//! `longhaul worker`

use std::io::Write;
use std::net::SocketAddr;

use clap::Args as ClapArgs;
use longhaul_http::HttpConfig;
use tokio_util::sync::CancellationToken;

use crate::serve::listen;
use crate::services::{self, Selection, Services};
use crate::stores::{DurabilityArgs, StoreArgs};
use crate::work::{self, Work};
use crate::{Result, logging, signals, systemd};

/// Run jobs without serving anything: more hands for a server that runs with --no-worker, on the same store.
///
/// With the embedded store all processes share one file, so this is of use on the server's machine only.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    stores: StoreArgs,
    #[command(flatten)]
    durability: DurabilityArgs,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    work: Work,
    /// The address to answer /health, /ready and /metrics on, for whoever watches over this worker; port 0 takes a free one
    /// [default: none]
    #[arg(long, env = "LONGHAUL_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
}

const EXAMPLES: &str = "\
Examples:
  longhaul serve --no-worker &                    answers requests and does nothing else
  nice longhaul worker --slots 4                  reads documents, and yields to everything else
  longhaul worker --metrics-listen 127.0.0.1:9090 for Prometheus, and for probes";

pub(crate) async fn run(args: Args) -> Result<()> {
    let traces = logging::start()?;
    let stop = signals::listen()?;
    // Before anything is opened: a worker that cannot be monitored is not to run.
    let listener = match args.metrics_listen {
        Some(address) => Some(listen::bind(address, "--metrics-listen").await?),
        None => None,
    };
    let stores = args.stores.open_durable(args.durability.durability).await?;
    let services = services::open(&args.selection, &args.stores, &stores, None, "").await?;
    stores.announce();
    services.announce();
    let worker = args.work.start(&services, crate::stores::redaction()?)?;
    // Answers while jobs drain, too.
    let watched = CancellationToken::new();
    let _unwatched = watched.clone().drop_guard();
    if let Some(listener) = listener {
        watch(listener, &services, watched);
    }
    systemd::ready("running jobs");
    stop.cancelled().await;
    systemd::stopping();
    work::stop(worker, args.work.grace()).await;
    tracing::info!("stopped");
    if let Some(traces) = traces {
        traces.finish().await;
    }
    Ok(())
}

/// Answers those who watch over the worker.
fn watch(listener: listen::Listener, services: &Services, stop: CancellationToken) {
    let config = HttpConfig { health: services.details(), ..HttpConfig::default() };
    let app = longhaul_http::worker_router(services.deps.longhaul.clone(), config);
    tracing::info!("metrics are at http://{}/metrics", listener.address());
    // For a parent process that has started the worker with port 0: the one line on standard output. A closed output
    // does not keep it from working.
    let _ = writeln!(std::io::stdout(), "http://{}", listener.address());
    tokio::spawn(listener.serve(app, stop));
}
