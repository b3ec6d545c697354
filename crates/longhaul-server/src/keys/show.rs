use axum::http::Method;
use clap::Args as ClapArgs;

use super::print;
use crate::Result;
use crate::client::{Client, encoded};

/// Show one limit key: its limits, what waits and runs of it, and why it keeps jobs back. One that nothing is known of is shown with
/// the limits that its first job would meet.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The key's name, or a prefix with its `*`
    key: String,
    /// The key as the HTTP API has it
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let path = format!("/keys/{}", encoded(&args.key));
    print(&client.text(Method::GET, &path, None).await?, args.json)
}
