use std::io::{self, Write};

use axum::http::Method;
use clap::Args as ClapArgs;
use longhaul::{Clock, State, Timestamp};
use serde::Deserialize;

use crate::Result;
use crate::client::{Place, encoded, one_line};
use crate::jobs::named::named;
use crate::terminal::until;

/// Say why a job does not run: what it waits for, for how long, and what to do about it.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul why materials-0199c1f2
  longhaul why materials-0199c1f2 --json --url http://127.0.0.1:8000")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The job's id, or a prefix of it that no other has
    id: String,
    /// As the HTTP API has it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
struct Why {
    state: State,
    #[serde(default)]
    position: Option<u64>,
    #[serde(default)]
    eta_seconds: Option<u64>,
    #[serde(default)]
    reasons: Vec<Reason>,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default)]
    cancel_reason: Option<String>,
}

/// One thing that keeps a job from running. The fields that it has depend on the rule.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reason {
    rule: String,
    key: Option<String>,
    used: Option<u64>,
    of: Option<u64>,
    until: Option<String>,
    freed_at: Option<String>,
    waits_for: Vec<String>,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let client = args.place.open().await?;
    let ask = async |id: &str| client.text(Method::GET, &format!("/jobs/{}/why", encoded(id)), None).await;
    let (id, text) = named(&client, &args.id, ask).await?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{text}")?;
        return Ok(());
    }
    let Why { state, position, eta_seconds, reasons, ends_at, cancel_reason } = serde_json::from_str(&text)?;
    let position = position.map(|position| format!(", at place {position} of its queue")).unwrap_or_default();
    let eta = eta_seconds.map(|eta| format!(", to be done in about {eta} s")).unwrap_or_default();
    writeln!(out, "{id} is {state}{position}{eta}")?;
    let now = Clock::system().now();
    if let Some(reason) = cancel_reason {
        writeln!(out, "  {}", cancelled(state, &reason))?;
    }
    if reasons.is_empty() {
        writeln!(out, "  {}", nothing(state))?;
    }
    if let Some(at) = ends_at {
        writeln!(out, "  it is cancelled unless it is started, or has ended, by {at}{}", until(&at, now))?;
    }
    for reason in &reasons {
        writeln!(out, "  {}", one_line(&reason.in_words(now), 1_000))?;
    }
    Ok(())
}

/// The end that a job was brought to, or asked to come to, in words.
pub(crate) fn cancelled(state: State, reason: &str) -> String {
    let asked = if state == State::Cancelled { "it was cancelled" } else { "it was asked to stop" };
    let because = match reason {
        "asked" => "somebody asked, or its own code chose to",
        "expired" => "it was not started in time",
        "deadline" => "it did not end in time",
        "superseded" => "a newer job has taken its unique key",
        "dependency" => "a job that it depended on did not complete",
        "dropped" => "too many jobs waited",
        "parent" => "the job that it belongs to was cancelled",
        other => other,
    };
    format!("{asked}: {because} ({reason})")
}

fn nothing(state: State) -> &'static str {
    match state {
        State::Running => "it runs: longhaul jobs tail follows it",
        State::Completed | State::Failed | State::Cancelled => "it has ended: longhaul jobs show tells how",
        State::Available | State::Scheduled | State::Blocked => {
            "nothing keeps it: a worker takes it as soon as it has a slot"
        }
    }
}

impl Reason {
    fn in_words(&self, now: Timestamp) -> String {
        let key = self.key.as_deref().unwrap_or("?");
        let moment = self.until.as_deref().or(self.freed_at.as_deref());
        let until = moment.map(|at| format!(" until {at}{}", until(at, now))).unwrap_or_default();
        let counts = match (self.used, self.of) {
            (Some(used), Some(of)) => format!(" ({used} of {of} used)"),
            _ => String::new(),
        };
        let others = match self.waits_for.as_slice() {
            [] => String::new(),
            some if some.len() > 5 => format!(": {} and {} more", some[..5].join(", "), some.len() - 5),
            some => format!(": {}", some.join(", ")),
        };
        match self.rule.as_str() {
            "run_at" => format!("its time has not come: it waits{until}"),
            "retry" => format!("an attempt failed, and the next one waits{until}"),
            "depends_on" => format!("jobs that it depends on have not ended{counts}{others}"),
            "children" => format!("its children have not all ended{counts}{others}"),
            "signal" => format!("it waits for the signal {key}{until}: longhaul jobs signal gives it"),
            "paused_queue" => format!("its queue {key} is paused: longhaul queues resume {key} goes on"),
            "paused_key" => format!("its limit key {key} is paused{until}"),
            "slots_queue" => format!(
                "all slots of its queue {key} are taken{counts}{until}{others}: longhaul queues set changes them"
            ),
            "slots_key" => format!("all slots of its limit key {key} are taken{counts}{until}{others}"),
            "rate_queue" => format!("the rate of its queue {key} is used up{counts}{until}: longhaul queues set changes it"),
            "rate_key" => format!("the rate of its limit key {key} is used up{counts}{until}"),
            "turn" => format!("jobs of other limit keys have their turns in its queue first{counts}{others}"),
            "no_worker" if key.contains('=') => format!(
                "no worker that knows its kind has the labels {key}: start one with --labels {}, or see longhaul workers",
                key.replace(';', ",")
            ),
            "no_worker" => {
                format!("no worker serves its queue {key}: start one with longhaul serve or longhaul worker")
            }
            "unknown_kind" => {
                format!(
                    "no worker that is there runs its kind {key}, or not this version of it: see longhaul kinds"
                )
            }
            "exhausted" => "it has no attempt left, and waits for a person: longhaul jobs retry gives it all of them again, longhaul jobs \
                            cancel ends it".into(),
            // A rule of a newer server's: its own word is better than none.
            other => format!("{other} {key}{counts}{until}{others}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_said_in_words_with_what_to_do() {
        let rules = "run_at retry depends_on children signal paused_queue paused_key slots_queue slots_key rate_queue \
                     rate_key turn no_worker unknown_kind exhausted";
        for rule in rules.split_whitespace() {
            let reason = Reason { rule: rule.into(), key: Some("mail".into()), ..Reason::default() };
            let words = reason.in_words(Timestamp(0));
            assert!(words.len() > 20 && !words.starts_with(rule) && !words.contains('?'), "{rule}: {words}");
            let guide = include_str!("../../../../docs/guides/watch.md");
            let row = guide.lines().filter(|line| line.starts_with("| `"));
            let named =
                row.filter_map(|line| line.split('|').nth(1)).any(|cell| cell.contains(&format!("`{rule}`")));
            assert!(named, "the guide does not tell what {rule} means");
        }
        let labels = Some("gpu=a100;zone=eu".to_owned());
        let reason = Reason { rule: "no_worker".into(), key: labels, ..Reason::default() };
        assert!(reason.in_words(Timestamp(0)).contains("--labels gpu=a100,zone=eu"));
        let until = Some("1970-01-01T00:01:30Z".to_owned());
        let reason =
            Reason { rule: "paused_key".into(), key: Some("openai".into()), until, ..Reason::default() };
        let expected = "its limit key openai is paused until 1970-01-01T00:01:30Z (in 1 min 30 s)";
        assert_eq!(reason.in_words(Timestamp(0)), expected);
        let waits_for = ["a", "b", "c", "d", "e", "f"].map(String::from).to_vec();
        let reason =
            Reason { rule: "children".into(), used: Some(2), of: Some(8), waits_for, ..Reason::default() };
        assert!(reason.in_words(Timestamp(0)).ends_with("(2 of 8 used): a, b, c, d, e and 1 more"));
    }
}
