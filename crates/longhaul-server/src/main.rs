//! The `longhaul` binary: a server for jobs and the services on them, and the commands to look after it.

mod belonging;
mod cli;
mod jobs;
mod late;
mod logging;
mod migrate;
mod queues;
mod serve;
mod services;
mod signals;
mod store_url;
mod stores;
mod token;
mod work;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The result of a command: nothing, or a message that a person can act on.
pub(crate) type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A reader that went away (`longhaul jobs list | head`) is no failure to report.
            if error.downcast_ref::<std::io::Error>().is_some_and(is_broken_pipe) {
                return ExitCode::SUCCESS;
            }
            eprintln!("longhaul: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("failed to start the runtime: {e}"))?;
    let done = runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::run(args).await,
            Command::Worker(args) => worker::run(args).await,
            Command::Jobs(args) => jobs::run(args).await,
            Command::Queues(args) => queues::run(args).await,
            Command::Token(args) => token::run(&args),
            Command::Migrate(args) => migrate::run(args).await,
            Command::Bench(args) => longhaul_bench::run(args, serve::listen::on_loopback).await,
        }
    });
    // Whatever still blocks a thread (a copy to disk, a lookup) must not hold the exit up: all that was answered
    // is durable, and all that was handed back is with the store.
    runtime.shutdown_background();
    done
}

fn is_broken_pipe(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe
}
