//! `longhaul tokens`

use std::io::{self, Write};

use axum::http::Method;
use clap::{Args as ClapArgs, Subcommand};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::client::{Place, encoded};
use crate::run::{RateArg, seconds};
use crate::terminal::Table;
use crate::{Coded, Result};

/// Make, list and revoke tokens with scopes: for applications, workers and people that are to do some things and no others.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// One JSON object a line, as `longhaul tokens list --json` prints
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the tokens; this is what `longhaul tokens` alone does
    List(Json),
    /// Make a token, and print it: it is told this once
    Create(Create),
    /// Revoke a token: nobody is let in with it any more
    Revoke(Revoke),
}

#[derive(Debug, ClapArgs)]
struct Json {
    /// As the HTTP API has it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
struct Create {
    /// Its name, for people
    name: String,
    /// What it may do, once for each right: enqueue:KIND, enqueue:KIND@QUEUE, read:own, worker:QUEUE, viewer, operator or admin;
    /// KIND and QUEUE may end in *
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    /// The requests that it may make in a time: 100/1m, say
    #[arg(long, value_name = "N/TIME")]
    rate: Option<RateArg>,
    /// When it ends by itself: 30d, say
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires_in: Option<f64>,
    /// As the HTTP API has it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
struct Revoke {
    /// The token's id, as the list shows it
    id: String,
}

const EXAMPLES: &str = "\
Examples:
  longhaul tokens create shop --scope 'enqueue:mail.*' --scope read:own --rate 100/1m
  longhaul tokens create painter --scope worker:images --expires-in 90d
  longhaul tokens create \"The wall\" --scope viewer      to sign in to /admin with, and look on
  longhaul tokens revoke tok_0199c1f2…

`longhaul token` prints tokens that are signed instead of kept: for users of the services, and roles until they expire.";

#[derive(Debug, Deserialize)]
struct Page {
    tokens: Vec<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct Token {
    id: String,
    #[serde(default)]
    token: Option<String>,
    name: String,
    scopes: Vec<String>,
    rate: Option<Rate>,
    created_at: String,
    expires_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Rate {
    n: u32,
    per: f64,
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
            let page: Page = client.get("/tokens").await?;
            if list.json || args.json {
                for token in &page.tokens {
                    writeln!(out, "{}", token.get())?;
                }
            } else if page.tokens.is_empty() {
                writeln!(out, "there is no token: longhaul tokens create makes one")?;
            } else {
                let headings = ["TOKEN", "NAME", "SCOPES", "RATE", "CREATED", "EXPIRES"];
                let mut rows = vec![headings.map(str::to_owned)];
                for token in &page.tokens {
                    rows.push(row(serde_json::from_str(token.get())?));
                }
                Table::<6>::new(&[1, 2, 3, 4, 5]).write(&mut out, &rows)?;
            }
        }
        What::Create(Create { name, scopes, rate, expires_in, json }) => {
            let rate = rate.map(|rate| rate.to_json(None));
            let body = json!({ "name": name, "scopes": scopes, "rate": rate, "expires_in": expires_in });
            let text = client.text(Method::POST, "/tokens", Some(&body)).await?;
            match json {
                true => writeln!(out, "{text}")?,
                // Alone, so that a script can read it.
                false => {
                    let Token { id, token, .. } = serde_json::from_str(&text)?;
                    writeln!(out, "{}", token.unwrap_or_default())?;
                    crate::output::tell(format_args!("this is {id}, and it is not told again"));
                }
            }
        }
        What::Revoke(Revoke { id }) => {
            client.text(Method::DELETE, &format!("/tokens/{}", encoded(&id)), None).await?;
            writeln!(out, "{id} is revoked: no server takes it a second from now")?;
        }
    }
    Ok(())
}

fn row(Token { id, name, scopes, rate, created_at, expires_at, .. }: Token) -> [String; 6] {
    let rate = rate.map_or_else(|| "any".to_owned(), |Rate { n, per }| format!("{n} in {per} s"));
    [id, name, scopes.join(" "), rate, created_at, expires_at.unwrap_or_else(|| "never".into())]
}
