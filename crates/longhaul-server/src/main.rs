//! The `longhaul` binary: a server for jobs and the services on them, and the commands to look after it.

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic on a closed pipe; `output` does not"
)]

mod audit;
mod backup;
mod belonging;
mod cli;
mod client;
mod completions;
mod doctor;
mod erase;
mod jobs;
mod keys;
mod late;
mod logging;
mod look;
mod migrate;
mod moving;
mod output;
mod pages;
mod queues;
mod run;
mod schedules;
mod serve;
mod services;
mod signals;
mod store_url;
mod stores;
mod systemd;
mod terminal;
mod token;
mod tokens;
mod top;
mod traces;
mod webhooks;
mod work;
mod worker;

use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;

use rustix::fs::Mode;

use crate::cli::{Cli, Command};
use crate::client::Refusal;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The result of a command: nothing, or a message that a person can act on.
pub(crate) type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// The bound of a job's crashes (docs/limits.md).
const MOST_CRASHES: u32 = 1_000_000;

fn main() -> ExitCode {
    let Cli { command } = Cli::read(std::env::args_os());
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            if output::is_closed_pipe(&*error) {
                return ExitCode::SUCCESS;
            }
            output::tell(format_args!("longhaul: {error}"));
            code_of(&*error)
        }
    }
}

/// The exit code of a failure: its own, that of a wrong command line where what was asked for is refused for its words, else 1.
fn code_of(error: &(dyn std::error::Error + Send + Sync + 'static)) -> ExitCode {
    let is_wrong = || error.downcast_ref::<Refusal>().is_some_and(Refusal::is_for_the_words);
    match error.downcast_ref::<Coded>() {
        Some(coded) => ExitCode::from(coded.0),
        None if is_wrong() => ExitCode::from(USAGE),
        None => ExitCode::FAILURE,
    }
}

/// The exit code of a wrong command line, as that of the flags' parser.
pub(crate) const USAGE: u8 = 2;

/// A failure with an exit code of its own, and its message.
#[derive(Debug)]
pub(crate) struct Coded(pub(crate) u8, pub(crate) String);

impl Coded {
    /// `--json` before a subcommand that would not heed it, and so give a script a text where it reads JSON.
    pub(crate) fn misplaced_json() -> Self {
        Self(USAGE, "--json stands behind the subcommand, where it has one".into())
    }
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

impl std::error::Error for Coded {}

fn run(command: Command) -> Result<ExitCode> {
    check_environment(std::env::vars_os())?;
    // Where the data folder is a volume that cannot be closed, its files are.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("failed to start the runtime: {e}"))?;
    let done = runtime.block_on(async {
        match command {
            Command::Run(args) => return run::run(*args).await,
            Command::Jobs(args) => return jobs::run(args).await,
            Command::Doctor(args) => return doctor::run(args).await,
            Command::Serve(args) => serve::run(args).await,
            Command::Worker(args) => worker::run(args).await,
            Command::Queues(args) => queues::run(args).await,
            Command::Keys(args) => keys::run(args).await,
            Command::Schedules(args) => schedules::run(args).await,
            Command::Deliveries(args) => webhooks::deliveries::run(args).await,
            Command::WebhookSecrets(args) => webhooks::secrets::run(args).await,
            Command::Tokens(args) => tokens::run(args).await,
            Command::Audit(args) => audit::run(args).await,
            Command::Workers(args) => look::workers::run(args).await,
            Command::Why(args) => look::why::run(args).await,
            Command::Stats(args) => look::stats::run(args).await,
            Command::Errors(args) => look::errors::run(args).await,
            Command::Kinds(args) => look::kinds::run(args).await,
            Command::Whoami(args) => look::whoami::run(args).await,
            Command::Completions(args) => completions::run(&args),
            Command::Top(args) => top::run(args).await,
            Command::Token(args) => token::run(&args),
            Command::Migrate(args) => migrate::run(args).await,
            Command::Backup(args) => backup::run(args).await,
            Command::Erase(args) => erase::run(args).await,
            Command::Export(args) => moving::export::run(args).await,
            Command::Import(args) => moving::import::run(args).await,
            Command::Bench(args) => longhaul_bench::run(args, serve::listen::on_loopback).await,
        }
        .map(|()| ExitCode::SUCCESS)
    });
    // Whatever still blocks a thread (a copy to disk, a lookup) must not hold the exit up: all that was answered
    // is durable, and all that was handed back is with the store.
    runtime.shutdown_background();
    done
}

/// Refuses variables that cannot be used, where they are read in a place that cannot: a token that was set and is not
/// heeded would leave a door open.
fn check_environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<()> {
    for (name, value) in variables {
        let Some(name) =
            name.to_str().filter(|name| name.starts_with("LONGHAUL_") || name.starts_with("JWT_"))
        else {
            continue;
        };
        let Some(value) = value.to_str() else { return Err(format!("{name} is not UTF-8").into()) };
        let is_count = || value.parse::<u32>().is_ok_and(|crashes| crashes <= MOST_CRASHES);
        if name == "LONGHAUL_MAX_CRASHES" && !is_count() {
            let rule = format!("must be a whole number from 0 to {MOST_CRASHES}, and is '{value}'");
            return Err(format!("{name}: {rule}").into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_variable_that_cannot_be_used_is_refused_and_not_ignored() {
        let check = |name: &str, value: &[u8]| {
            check_environment([(name.into(), OsString::from_vec(value.to_vec()))].into_iter())
        };
        assert!(check("LONGHAUL_MAX_CRASHES", b"7").is_ok() && check("PATH", b"\xff").is_ok());
        for value in ["", "five", "-1", "1.5", "1000001", " 5"] {
            assert!(check("LONGHAUL_MAX_CRASHES", value.as_bytes()).is_err(), "{value}");
        }
        assert!(check("LONGHAUL_ADMIN_TOKEN", b"\xff").is_err());
        assert!(check("JWT_SECRET", b"\xff").is_err());
    }
}
