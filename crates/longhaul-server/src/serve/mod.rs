//! `longhaul serve`

mod access;
mod app;
pub(crate) mod arrival;
mod banner;
mod connections;
mod cors;
mod dashboard;
mod guard;
pub(crate) mod listen;
mod pace;
mod schedules;
mod sign_on;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use longhaul::clock::Stopwatch;
use longhaul::{Maintenance, Scheduler, Worker};
use longhaul_http::{Redaction, UnknownKinds};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::arrival::BasePath;
use self::banner::Banner;
use crate::services::{self, Selection};
use crate::stores::{DurabilityArgs, StoreArgs};
use crate::work::{self, Work};
use crate::{Result, logging, signals, systemd};

/// Serve the API and the services, and run their jobs.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, env = "LONGHAUL_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    #[command(flatten)]
    stores: StoreArgs,
    #[command(flatten)]
    durability: DurabilityArgs,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    work: Work,
    /// The most connections at a time; beyond it the one goes that has idled for longest [default: 4096, or half the
    /// files that the process may open]
    #[arg(long, env = "LONGHAUL_MAX_CONNECTIONS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: Option<u32>,
    /// The path under which a proxy serves this server: in front of all links, whether or not the proxy takes it away
    #[arg(long, env = "LONGHAUL_BASE_PATH", value_name = "PATH", default_value = "")]
    base_path: BasePath,
    /// The folder of the built guide, which /docs serves [default: book, beside the binary or its folder]
    #[arg(long, env = "LONGHAUL_DOCS", value_name = "FOLDER")]
    docs: Option<PathBuf>,
    /// A file of schedules in TOML, kept at each start; those that came from it and are in it no more are deleted
    #[arg(long, env = "LONGHAUL_SCHEDULES", value_name = "FILE")]
    schedules: Option<PathBuf>,
    /// Values of jobs that nobody is shown, by their paths: args.password,output.token,args.*.secret
    #[arg(long, env = "LONGHAUL_REDACT", value_name = "PATHS", default_value = "")]
    redact: Redaction,
    #[command(flatten)]
    sign_on: sign_on::SignOnArgs,
    /// Only serve; the jobs wait for a `longhaul worker`
    #[arg(long, env = "LONGHAUL_NO_WORKER")]
    no_worker: bool,
    /// Accept jobs of kinds that nothing here runs; they wait for a worker that does
    #[arg(long, env = "LONGHAUL_ACCEPT_UNKNOWN_KINDS")]
    accept_unknown_kinds: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul serve                                    on http://127.0.0.1:8000, data in ./data
  longhaul serve --listen 127.0.0.1:0 --data /tmp/try
  LONGHAUL_ADMIN_TOKEN=$(openssl rand -hex 32) longhaul serve --listen 0.0.0.0:8000
  LLM_BASE_URL=http://127.0.0.1:11434/v1 longhaul serve      chat with a local model

On a loopback address the admin API (/api/jobs and its like) is open unless LONGHAUL_ADMIN_TOKEN is set; on any
other address the server does not start without it. Users of the services need a token: longhaul token --help.

SIGTERM drains: nothing new is accepted, requests and jobs finish within the grace, unfinished jobs are handed
back. A second signal ends at once. A server that was killed loses nothing: the next one takes its jobs over.

Environment: LONGHAUL_LOG (info), LONGHAUL_LOG_FORMAT (text on a terminal, else json), LONGHAUL_MAX_CRASHES (5),
LLM_BASE_URL, EMBEDDING_BASE_URL, AI_BRAIN_ENDPOINT, STORAGE_URL, JWT_SECRET: see docs/configuration.md.";

/// The least time that requests have to end after the last job has: for answers that are on their way.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// The longest that a server which has drained waits for its statistics to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: Args) -> Result<()> {
    let traces = logging::start()?;
    let stop = signals::listen()?;
    // Before anything is opened or made: a server that must not run leaves nothing behind.
    let admin = access::admin(args.listen)?;
    let mut listener = listen::bind(args.listen, "--listen").await?;
    listener.most_connections = args.max_connections;
    let stores = args.stores.open_as_owner(args.durability.durability).await?;
    let services =
        services::open(&args.selection, &args.stores, &stores, Some(listener.address()), &args.base_path.0)
            .await?;
    stores.announce();
    services.announce();
    admin.announce();

    if let Some(file) = &args.schedules {
        schedules::load(&services.deps.longhaul, file).await?;
    }
    let sign_on = args.sign_on.open(&services.deps.config.trusted_proxies, longhaul::Clock::system())?;
    let stopping = CancellationToken::new();
    let shown = app::Shown {
        store: stores.kind(),
        durability: stores.durability(),
        works: !args.no_worker,
        guide: args.docs.clone(),
        base_path: args.base_path.clone(),
        sign_on,
    };
    let app = app::app(&services, args.redact.clone(), admin, args.unknown_kinds(), shown, stopping.clone())?;
    let role = if args.no_worker {
        Role::Maintenance {
            _maintenance: Maintenance::start(services.deps.longhaul.store().clone()),
            _scheduler: Scheduler::start(services.deps.longhaul.clone()),
        }
    } else {
        Role::Worker(args.work.start(&services, args.redact.clone())?)
    };
    tracing::info!("listening on http://{}", listener.address());
    Banner {
        address: listener.address(),
        services: services.details().get("services").map_or("", String::as_str),
        stores: stores.described(),
        data: &args.stores.data,
        grace: args.work.grace().as_secs(),
    }
    .show();
    // For a parent process that has started the server with port 0, and for scripts: the one line on standard output. A
    // closed output does not keep the server from serving.
    let _ = writeln!(std::io::stdout(), "http://{}", listener.address());

    let address = listener.address();
    let server = tokio::spawn(listener.serve(app, stop.clone()));
    services.start();
    systemd::ready(&format!("listening on http://{address}"));
    stop.cancelled().await;
    systemd::stopping();
    drain(role, server, &args.work, &stopping).await;
    // The worker has done so, too; the last requests may have changed something since.
    match tokio::time::timeout(FLUSH_TIMEOUT, stores.longhaul.flush()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("the last second is missing in the statistics: {error}"),
        Err(_) => tracing::warn!("the last second is missing in the statistics: the store did not answer"),
    }
    tracing::info!("stopped");
    if let Some(traces) = traces {
        traces.finish().await;
    }
    Ok(())
}

/// The part of this process in running jobs.
enum Role {
    Worker(Worker),
    /// No jobs run here; delayed ones still fall due, schedules still fire and old jobs are still pruned.
    Maintenance {
        _maintenance: Maintenance,
        _scheduler: Scheduler,
    },
}

/// Requests and jobs finish in parallel. Answers that are held open end after the jobs, so that readers of a job that
/// ends still get its end.
async fn drain(role: Role, mut server: JoinHandle<()>, work: &Work, stopping: &CancellationToken) {
    let draining = Stopwatch::start();
    if let Role::Worker(worker) = role {
        work::stop(worker, work.grace()).await;
    }
    stopping.cancel();
    let left = work.grace().saturating_sub(draining.elapsed()).max(LAST_ANSWERS);
    if tokio::time::timeout(left, &mut server).await.is_err() {
        tracing::warn!("cutting off requests that did not end in time");
        server.abort();
    }
}

impl Args {
    fn unknown_kinds(&self) -> UnknownKinds {
        if self.accept_unknown_kinds { UnknownKinds::Accept } else { UnknownKinds::Refuse }
    }
}
