use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::client::Place;
use crate::{
    audit, backup, completions, doctor, erase, jobs, keys, look, migrate, moving, queues, run, schedules,
    serve, token, tokens, top, webhooks, worker,
};

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
    /// Enqueue a job, and follow it to its end
    Run(Box<run::Args>),
    /// Watch queues, running jobs and failures live
    Top(top::Args),
    /// Look at jobs, follow, retry, cancel and delete them
    Jobs(jobs::Args),
    /// Look at queues, pause them, and deal with what has failed in them
    Queues(queues::Args),
    /// Look at limit keys, set their limits, pause and resume them
    Keys(keys::Args),
    /// Look at schedules, make and change them, pause them, and run them now
    Schedules(schedules::Args),
    /// Look at what was told of a job by its webhook, and send it again
    Deliveries(webhooks::deliveries::Args),
    /// Make, list and delete the secrets that messages of webhooks are signed with
    WebhookSecrets(webhooks::secrets::Args),
    /// Make, list and revoke tokens with scopes
    Tokens(tokens::Args),
    /// Show who has changed what, and when
    Audit(audit::Args),
    /// Say why a job does not run
    Why(look::why::Args),
    /// Show throughput, and how long jobs waited and ran
    Stats(look::stats::Args),
    /// List failures in groups
    Errors(look::errors::Args),
    /// List kinds of jobs, and who knows them
    Kinds(look::kinds::Args),
    /// List the workers that are there
    Workers(look::workers::Args),
    /// Say who the server takes you for, and what you may do there
    Whoami(look::whoami::Args),
    /// Look for what is unreachable, not writable, not configured or missing
    Doctor(doctor::Args),
    /// Print a script that completes commands in a shell
    Completions(completions::Args),
    /// Print a bearer token for a user
    Token(token::Args),
    /// Create or update the tables, and exit
    Migrate(migrate::Args),
    /// Copy an SQLite store to a file while it is in use
    Backup(backup::Args),
    /// Erase what the services keep of a user
    Erase(erase::Args),
    /// Write all jobs and the rows of the services' tables into a file
    Export(moving::export::Args),
    /// Write an export into another store and database
    Import(moving::import::Args),
    /// Measure how fast jobs are on this machine, beside what its disk allows
    Bench(longhaul_bench::Args),
}

const EXAMPLES: &str = "\
Examples:
  longhaul serve                                  everything, on http://127.0.0.1:8000, data in ./data
  longhaul token --sub ada                        a token for a user of the services
  longhaul jobs list state:failed                 what went wrong
  longhaul jobs retry state:failed kind:materials.process
  longhaul queues                                 what waits, runs and has failed in each queue
  longhaul run welcome email=ada@example.com --wait --url http://127.0.0.1:8000

  curl -s http://127.0.0.1:8000/health
  curl -s http://127.0.0.1:8000/api/openapi.json

Every flag can be set in the environment instead: --data as LONGHAUL_DATA, and so on.
`longhaul <command> --help` says more about each.";

impl Cli {
    /// Reads the command line; a wrong one ends the process with what to try.
    pub(crate) fn read(args: impl Iterator<Item = OsString>) -> Self {
        let matches = Cli::command().get_matches_from(jobs::search::protected(args));
        let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if let Some(place) = cli.command.place_mut() {
            // A store that is named here and now goes before a server that the environment names.
            let is_named = |flag| given(&matches, flag) == Some(ValueSource::CommandLine);
            let names_store = is_named("store") || is_named("data");
            match given(&matches, "url") {
                Some(ValueSource::EnvVariable) if names_store => place.url = None,
                Some(ValueSource::CommandLine) if names_store => {
                    let message =
                        "--url names a server, and --store or --data the store itself: give one of them";
                    Cli::command().error(clap::error::ErrorKind::ArgumentConflict, message).exit();
                }
                _ => {}
            }
        }
        cli
    }
}

impl Command {
    fn place_mut(&mut self) -> Option<&mut Place> {
        match self {
            Command::Run(args) => Some(&mut args.place),
            Command::Jobs(args) => Some(&mut args.place),
            Command::Queues(args) => Some(&mut args.place),
            Command::Keys(args) => Some(&mut args.place),
            Command::Schedules(args) => Some(&mut args.place),
            Command::Deliveries(args) => Some(&mut args.place),
            Command::WebhookSecrets(args) => Some(&mut args.place),
            Command::Tokens(args) => Some(&mut args.place),
            Command::Audit(args) => Some(&mut args.place),
            Command::Workers(args) => Some(&mut args.place),
            Command::Why(args) => Some(&mut args.place),
            Command::Stats(args) => Some(&mut args.place),
            Command::Errors(args) => Some(&mut args.place),
            Command::Kinds(args) => Some(&mut args.place),
            Command::Whoami(args) => Some(&mut args.place),
            Command::Top(args) => Some(&mut args.place),
            Command::Doctor(args) => Some(&mut args.place),
            Command::Serve(_)
            | Command::Worker(_)
            | Command::Completions(_)
            | Command::Token(_)
            | Command::Migrate(_)
            | Command::Backup(_)
            | Command::Erase(_)
            | Command::Export(_)
            | Command::Import(_)
            | Command::Bench(_) => None,
        }
    }
}

/// The source of a flag's value, wherever among the subcommands it stands.
fn given(matches: &ArgMatches, flag: &str) -> Option<ValueSource> {
    let here = matches.try_contains_id(flag).ok().and_then(|_| matches.value_source(flag));
    let below = matches.subcommand().and_then(|(_, matches)| given(matches, flag));
    if here == Some(ValueSource::CommandLine) { here } else { below.or(here) }
}
