//! `longhaul jobs`

pub(crate) mod act;
mod create;
mod fork;
mod graph;
mod list;
pub(crate) mod named;
mod redeem;
pub(crate) mod search;
mod show;
mod signal;
mod steps;
mod tail;
mod tokens;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

use crate::Result;
use crate::client::Place;

/// Look at jobs, follow them, retry, cancel and delete them. Works beside a running server, without one, and from afar.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List jobs, newest first
    List(list::Args),
    /// Show one job and what it has logged
    Show(show::Args),
    /// Follow what a job says until it has ended
    Tail(tail::Args),
    /// List the steps of a job that are done
    Steps(steps::Args),
    /// Draw the jobs that one depends on, and those that depend on it
    Graph(graph::Args),
    /// Enqueue many jobs in one call, all of them or none
    Create(create::Args),
    /// Run finished jobs again, with all their attempts
    Retry(act::Again),
    /// Make a new job of one that is there, with the outputs of its steps
    Fork(fork::Args),
    /// Give a job a signal that it waits for
    Signal(signal::Args),
    /// Make a token that gives a job one signal
    SignalToken(tokens::Signal),
    /// Give the signal that such a token is for
    Redeem(redeem::Args),
    /// Make a token that lets a browser follow a job
    Token(tokens::Read),
    /// End waiting jobs, and ask running ones to stop
    Cancel(act::Args),
    /// Give unfinished jobs another priority
    SetPriority(act::Moved),
    /// Remove finished jobs for good
    Delete(act::Args),
}

const EXAMPLES: &str = "\
Examples:
  longhaul jobs list state:failed 'timed out'
  longhaul jobs list --label course=17 --json | head -1
  longhaul jobs show materials-0199c1f2
  longhaul jobs tail materials-0199c1f2
  longhaul jobs graph publish-0199c1f2
  longhaul jobs retry state:failed kind:materials.process
  longhaul jobs retry lessons-0199c1f2 --from-step outline
  longhaul jobs create jobs.jsonl                  many at once
  longhaul jobs signal order-17 approve by=ada
  longhaul jobs cancel materials-0199c1f2 --data /var/lib/longhaul
  longhaul jobs list --url https://jobs.example      with the server's token in LONGHAUL_TOKEN";

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let client = args.place.open().await?;
    let done = match args.what {
        What::List(args) => list::run(&client, args).await,
        What::Show(args) => show::run(&client, args).await,
        What::Tail(args) => return tail::run(&client, args).await,
        What::Steps(args) => steps::run(&client, args).await,
        What::Graph(args) => graph::run(&client, args).await,
        What::Retry(args) => act::again(&client, args).await,
        What::Create(args) => create::run(&client, args).await,
        What::Fork(args) => fork::run(&client, args).await,
        What::Signal(args) => signal::run(&client, args).await,
        What::SignalToken(args) => tokens::signal(&client, args).await,
        What::Redeem(args) => redeem::run(&client, args).await,
        What::Token(args) => tokens::read(&client, args).await,
        What::SetPriority(args) => act::moved(&client, args).await,
        What::Cancel(args) => act::run(&client, args, act::Deed::Cancel).await,
        What::Delete(args) => act::run(&client, args, act::Deed::Delete).await,
    };
    client.flush().await;
    done.map(|()| ExitCode::SUCCESS)
}
