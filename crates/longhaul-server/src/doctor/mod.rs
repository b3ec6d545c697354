//! `longhaul doctor`

mod machine;
mod server;
mod services;
mod store;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::json;

use crate::Result;
use crate::client::Place;
use crate::terminal::{Colour, Paint};

/// Look at everything that a server or a worker needs here: what is reachable, writable, configured and missing. It changes
/// nothing but what opening a store changes, and says of each fault what to do.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The address that the server is to listen on
    #[arg(long, env = "LONGHAUL_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// One JSON object: {"version", "healthy", "checks": [{"check", "status", "detail", "advice"}]}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul doctor
  longhaul doctor --data /var/lib/longhaul --listen 127.0.0.1:9000
  longhaul doctor --url https://jobs.example      a server from afar
  longhaul doctor --json | jq '.checks[] | select(.status != \"ok\")'

Exit code: 1 if anything failed, else 0. A warning is about something that may be meant so.";

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
struct Check {
    check: String,
    status: Status,
    detail: String,
    /// The remedy; null where nothing is to be done.
    advice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Warn,
    Fail,
}

impl Check {
    fn ok(check: &str, detail: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Ok, detail: detail.into(), advice: None }
    }

    fn warn(check: &str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: Status::Warn, advice: Some(advice.into()), ..Self::ok(check, detail) }
    }

    fn fail(check: &str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: Status::Fail, advice: Some(advice.into()), ..Self::ok(check, detail) }
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let mut checks = vec![Check::ok("version", concat!("longhaul ", env!("CARGO_PKG_VERSION")))];
    checks.extend(machine::variables());
    match args.place.named_url() {
        Some(url) => checks.extend(server::look(&args.place, url).await),
        None => {
            checks.extend(machine::redaction());
            checks.push(machine::clock());
            checks.extend(machine::folder(&args.place.stores.data));
            checks.extend(store::look(&args.place).await);
            checks.extend(services::look(&args.place.stores.data).await);
            checks.push(machine::listener(args.listen).await);
            checks.push(machine::admin_token(args.listen));
        }
    }
    let count = |status: Status| checks.iter().filter(|check| check.status == status).count();
    let (warnings, failures) = (count(Status::Warn), count(Status::Fail));
    let mut out = io::stdout().lock();
    if args.json {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(out, "{}", json!({"version": version, "healthy": failures == 0, "checks": checks}))?;
    } else {
        write(&mut out, &checks)?;
        writeln!(out, "\n{} checks, {warnings} warnings, {failures} failures", checks.len())?;
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(out: &mut impl Write, checks: &[Check]) -> io::Result<()> {
    let paint = Paint::of_output();
    let width = checks.iter().map(|check| check.check.chars().count()).max().unwrap_or_default();
    for Check { check, status, detail, advice } in checks {
        let (word, colour) = match status {
            Status::Ok => ("ok  ", Colour::Green),
            Status::Warn => ("warn", Colour::Yellow),
            Status::Fail => ("FAIL", Colour::Red),
        };
        let word = paint.word(word, colour);
        writeln!(out, "{word}  {check:<width$}  {detail}")?;
        if let Some(advice) = advice {
            writeln!(out, "      {:<width$}  → {advice}", "")?;
        }
    }
    Ok(())
}
