use std::io::{self, Write};

use axum::http::Method;
use clap::{Args as ClapArgs, Subcommand};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{Place, encoded};
use crate::terminal::Table;
use crate::{Coded, Result};

/// Make, list and delete the secrets that messages of webhooks are signed with. Two may be there at once, so that receivers can change over.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// One JSON object a line, as `longhaul webhook-secrets list --json` prints
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the secrets by their names; this is what `longhaul webhook-secrets` alone does
    List(Json),
    /// Make a secret, and print it: it is told this once
    Add(Json),
    /// Delete a secret: nothing is signed with it any more
    Delete(Delete),
}

#[derive(Debug, ClapArgs)]
struct Json {
    /// As the HTTP API has it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
struct Delete {
    /// The secret's name, as the list shows it
    id: String,
}

const EXAMPLES: &str = "\
Examples:
  longhaul webhook-secrets add                    the first one: give it to the receivers
  longhaul webhook-secrets add                    a second one: messages carry both signatures now
  longhaul webhook-secrets delete whs_0199c1f2…   once every receiver knows the second one

Receivers verify with a library of https://www.standardwebhooks.com: Webhook(secret).verify(body, headers).";

#[derive(Debug, Deserialize)]
struct Page {
    secrets: Vec<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct Secret {
    id: String,
    created_at: String,
    #[serde(default)]
    secret: Option<String>,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let what = args.what.unwrap_or(What::List(Json { json: args.json }));
    if args.json && !matches!(what, What::List(_)) {
        return Err(Coded::misplaced_json().into());
    }
    let client = args.place.open().await?;
    let mut out = io::stdout().lock();
    match what {
        What::List(list) => {
            let page: Page = client.get("/webhook-secrets").await?;
            if list.json || args.json {
                for secret in &page.secrets {
                    writeln!(out, "{}", secret.get())?;
                }
            } else if page.secrets.is_empty() {
                writeln!(
                    out,
                    "there is no secret, so messages are not signed: longhaul webhook-secrets add makes one"
                )?;
            } else {
                let mut rows = vec![["SECRET", "CREATED"].map(str::to_owned)];
                for secret in &page.secrets {
                    let Secret { id, created_at, .. } = serde_json::from_str(secret.get())?;
                    rows.push([id, created_at]);
                }
                Table::<2>::new(&[1]).write(&mut out, &rows)?;
            }
        }
        What::Add(Json { json }) => {
            let text = client.text(Method::POST, "/webhook-secrets", None).await?;
            match json {
                true => writeln!(out, "{text}")?,
                // Alone, so that a script can read it.
                false => {
                    let Secret { id, secret, .. } = serde_json::from_str(&text)?;
                    writeln!(out, "{}", secret.unwrap_or_default())?;
                    crate::output::tell(format_args!(
                        "{id} signs from now on; this secret is not told again"
                    ));
                }
            }
        }
        What::Delete(Delete { id }) => {
            client.text(Method::DELETE, &format!("/webhook-secrets/{}", encoded(&id)), None).await?;
            writeln!(out, "{id} is deleted")?;
        }
    }
    Ok(())
}
