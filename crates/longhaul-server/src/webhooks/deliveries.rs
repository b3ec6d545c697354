use std::io::{self, Write};

use axum::http::Method;
use clap::{Args as ClapArgs, Subcommand};
use longhaul::Clock;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{Place, State, encoded, one_line};
use crate::jobs::named::named;
use crate::terminal::{Table, until};
use crate::{Coded, Result, USAGE};

/// Look at what was told of a job by its webhook, and send it again. A delivery is a job of its own: longhaul jobs show tells more of it.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The id of the job whose deliveries are listed, or a prefix of it that no other has
    #[arg(value_name = "JOB")]
    job: Option<String>,
    /// One JSON object a line, as the HTTP API has it
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the deliveries of a job, each with its attempts; this is what `longhaul deliveries JOB` does
    List(List),
    /// Send a delivery that has ended once more, with the same webhook-id and body
    Redeliver(Redeliver),
}

#[derive(Debug, ClapArgs)]
struct List {
    /// The job's id, or a prefix of it that no other has
    #[arg(value_name = "JOB")]
    job: String,
    /// One JSON object a line, as the HTTP API has it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
struct Redeliver {
    /// The delivery's id, as the list shows it
    #[arg(value_name = "DELIVERY")]
    id: String,
    /// The new delivery as the HTTP API has it
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul run report year=2026 --webhook https://example.com/hooks/reports     a job that tells its end
  longhaul deliveries 0199c1f2                          what was told of it, and what its receiver answered
  longhaul deliveries redeliver webhook:0199c1f2-…      once more, after the receiver was mended
  longhaul jobs list kind:longhaul.webhook state:failed all deliveries that nobody has taken
  longhaul webhook-secrets add                          what messages are signed with";

/// A delivery, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Delivery {
    id: String,
    url: String,
    #[serde(default)]
    event: Option<String>,
    state: State,
    attempt: u32,
    max_attempts: u32,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    at: Option<String>,
    #[serde(default)]
    next_at: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    skipped: Option<String>,
    #[serde(default)]
    failures: Vec<Failure>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    attempt: u32,
    at: String,
    #[serde(default)]
    status: Option<u16>,
    error: String,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let what = match (args.what, args.job) {
        (Some(what), _) => what,
        (None, Some(job)) => What::List(List { job, json: false }),
        (None, None) => {
            let message = "name a job: longhaul deliveries JOB, or longhaul deliveries redeliver DELIVERY";
            return Err(Coded(USAGE, message.into()).into());
        }
    };
    let client = args.place.open().await?;
    let json = args.json;
    match what {
        What::List(list) => self::list(&client, &list.job, list.json || json).await?,
        What::Redeliver(redeliver) => {
            let path = format!("/deliveries/{}/redeliver", encoded(&redeliver.id));
            let text = client.text(Method::POST, &path, None).await?;
            let mut out = io::stdout().lock();
            if redeliver.json || json {
                writeln!(out, "{text}")?;
            } else {
                let made: Delivery = serde_json::from_str(&text)?;
                writeln!(out, "{} tells {} again", made.id, one_line(&made.url, 200))?;
            }
        }
    }
    client.flush().await;
    Ok(())
}

async fn list(client: &crate::client::Client, job: &str, json: bool) -> Result<()> {
    let ask =
        async |id: &str| client.text(Method::GET, &format!("/jobs/{}/deliveries", encoded(id)), None).await;
    let (id, text) = named(client, job, ask).await?;
    let raw: Vec<Box<RawValue>> = serde_json::from_str(&text)?;
    let mut out = io::stdout().lock();
    if json {
        for delivery in &raw {
            writeln!(out, "{}", delivery.get())?;
        }
        return Ok(());
    }
    if raw.is_empty() {
        writeln!(out, "{id} has no webhook: longhaul run --webhook URL enqueues a job that has one")?;
        return Ok(());
    }
    let now = Clock::system().now();
    let mut rows = vec![["DELIVERY", "EVENT", "STATE", "ATTEMPT", "STATUS", "AT", ""].map(str::to_owned)];
    for delivery in &raw {
        let delivery: Delivery = serde_json::from_str(delivery.get())?;
        rows.extend(delivery.earlier());
        rows.push(delivery.row(now));
    }
    Table::<7>::new(&[1, 2, 5, 6]).write(&mut out, &rows)?;
    Ok(())
}

const NONE: &str = "-";

fn status_of(status: Option<u16>) -> String {
    status.map_or_else(|| NONE.to_owned(), |status| status.to_string())
}

impl Delivery {
    /// The attempts before the last one. They told the same event.
    fn earlier(&self) -> impl Iterator<Item = [String; 7]> {
        let earlier = self.failures.iter().filter(|failure| failure.attempt < self.attempt);
        earlier.map(|failure| {
            [
                self.id.clone(),
                self.event.clone().unwrap_or_else(|| NONE.to_owned()),
                "failed".to_owned(),
                format!("{} of {}", failure.attempt, self.max_attempts),
                status_of(failure.status),
                failure.at.clone(),
                one_line(&failure.error, 120),
            ]
        })
    }

    fn row(self, now: longhaul::Timestamp) -> [String; 7] {
        let none = || NONE.to_owned();
        let next = self.next_at.map(|at| format!("; the next attempt is at {at}{}", until(&at, now)));
        let said = match (self.error, self.skipped, self.state) {
            (Some(error), ..) => error,
            (None, Some(skipped), _) => format!("not told: {skipped}"),
            (None, None, State::Blocked) => format!("waits for the end of the job, to tell {}", self.url),
            (None, None, _) => self.url,
        };
        [
            self.id,
            self.event.unwrap_or_else(none),
            self.state.as_str().to_owned(),
            format!("{} of {}", self.attempt, self.max_attempts),
            status_of(self.status),
            self.at.unwrap_or_else(none),
            format!("{}{}", one_line(&said, 160), next.unwrap_or_default()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_tells_its_event_and_the_status_of_its_answer() {
        let delivery = serde_json::json!({
            "id": "webhook:a", "url": "https://example.com/hook", "event": "failed", "state": "completed", "attempt": 3,
            "max_attempts": 10, "status": 204, "at": "2026-01-01T00:05:00.000Z", "next_at": null,
            "failures": [
                {"attempt": 1, "at": "2026-01-01T00:00:00.000Z", "status": 503, "error": "the receiver answered 503"},
                {"attempt": 2, "at": "2026-01-01T00:00:05.000Z", "status": null, "error": "no answer came"},
            ],
        });
        let delivery: Delivery = serde_json::from_value(delivery).expect("a delivery");
        let mut rows: Vec<_> = delivery.earlier().collect();
        rows.push(delivery.row(longhaul::Timestamp(0)));
        let told = rows.iter().map(|[_, event, state, attempt, status, ..]| {
            [event.as_str(), state.as_str(), attempt.as_str(), status.as_str()]
        });
        let expected = [
            ["failed", "failed", "1 of 10", "503"],
            ["failed", "failed", "2 of 10", "-"],
            ["failed", "completed", "3 of 10", "204"],
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}
