use clap::{Parser, Subcommand};

use crate::{jobs, migrate, queues, serve, token, worker};

/// Slow work behind fast APIs: a request enqueues a job and is answered in milliseconds; the job survives
/// crashes, retries, reports progress and can be followed live.
#[derive(Debug, Parser)]
#[command(name = "longhaul", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API and the services, and run their jobs
    Serve(serve::Args),
    /// Run jobs without serving anything
    Worker(worker::Args),
    /// Look at jobs, retry and cancel them
    Jobs(jobs::Args),
    /// Look at queues, and deal with what has failed in them
    Queues(queues::Args),
    /// Print a bearer token for a user
    Token(token::Args),
    /// Create or update the tables, and exit
    Migrate(migrate::Args),
    /// Measure how fast jobs are on this machine, beside what its disk allows
    Bench(longhaul_bench::Args),
}

const EXAMPLES: &str = "\
Examples:
  longhaul serve                                  everything, on http://127.0.0.1:8000, data in ./data
  longhaul token --sub ada                        a token for a user of the services
  longhaul jobs list --state failed               what went wrong
  longhaul jobs retry --state failed --kind materials.process
  longhaul queues list                            what waits, runs and has failed in each queue

  curl -s http://127.0.0.1:8000/health
  curl -s http://127.0.0.1:8000/api/openapi.json

Every flag can be set in the environment instead: --data as LONGHAUL_DATA, and so on.
`longhaul <command> --help` says more about each.";
