use axum::http::Method;
use clap::Args as ClapArgs;
use longhaul::Json;

use super::act::{again_body, json};
use super::named::named;
use crate::Result;
use crate::client::{Client, Job, encoded};
use crate::output::print;

/// Make a new job of one that is there, with the outputs of its steps. The one that is there stays as it is.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The job's id, or a prefix of it that no other has
    id: String,
    /// The first step that is done anew; the outputs of those before it are kept
    #[arg(long, value_name = "STEP")]
    from_step: Option<String>,
    /// Args of its own: JSON. Without --from-step it then begins from the start
    #[arg(long, value_name = "JSON", value_parser = json)]
    args: Option<Json>,
    /// The new job as JSON in place of its id
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul jobs fork lessons-0199c1f2
  longhaul jobs fork lessons-0199c1f2 --from-step outline
  longhaul jobs fork lessons-0199c1f2 --args '{\"subject\": \"Botany\"}' --json";

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let body = again_body(args.from_step, args.args)?;
    let fork =
        async |id: &str| client.give(Method::POST, &format!("/jobs/{}/fork", encoded(id)), &body).await;
    let (_, text) = named(client, &args.id, fork).await?;
    let job: Job = serde_json::from_str(&text)?;
    Ok(print(if args.json { text } else { job.id })?)
}
