//! A server from afar: what it says of itself, and whether it takes our token.

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::{Clock, Timestamp};
use serde_json::Value;

use super::{Check, services, store};
use crate::client::{Client, Place, Refusal};

/// The longest that a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The difference of clocks above which the doctor warns.
const SKEW: Duration = Duration::from_secs(60);

pub(super) async fn look(place: &Place, url: &str) -> Vec<Check> {
    let client = match Client::at(url, place.token()) {
        Ok(client) => client,
        Err(error) => return vec![Check::fail("address", error.to_string(), "name the server with --url")],
    };
    let base = &client.described;
    let (health, at) = match read(&format!("{base}/health")).await {
        Ok(answer) => answer,
        Err(error) => {
            let advice =
                "is `longhaul serve` running there, is the address right, and is a firewall between?";
            return vec![Check::fail("server", format!("{base}: {error}"), advice)];
        }
    };
    let Some(version) = health["version"].as_str() else {
        let advice = "name the address of a Longhaul server, with the path that it is under";
        return vec![Check::fail("server", format!("{base} answers, and is no Longhaul server"), advice)];
    };
    let mut checks = vec![if version == env!("CARGO_PKG_VERSION") {
        Check::ok("server", format!("{base}, of version {version}"))
    } else {
        let detail =
            format!("{base} is of version {version}, and this command of {}", env!("CARGO_PKG_VERSION"));
        Check::warn(
            "server",
            detail,
            "use the command of the server's version where something is not understood",
        )
    }];
    checks.extend(at.and_then(|at| skew(at, Clock::system().now())));
    checks.push(match read(&format!("{base}/ready")).await {
        Ok(_) => Check::ok("ready", "its store takes writes"),
        Err(error) => {
            Check::fail("ready", error, "look at the server's log, and at longhaul doctor on its machine")
        }
    });
    let details: BTreeMap<String, String> = serde_json::from_value(health.clone()).unwrap_or_default();
    checks.extend(services::of_details(&details));
    match client.get::<Value>("/queues").await {
        Ok(_) => {
            checks.push(Check::ok("token", "the server takes it"));
            checks.extend(store::work(&client).await);
        }
        Err(error) => {
            let is_refused =
                error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.status.is_client_error());
            let (check, advice) =
                if is_refused { ("token", "see LONGHAUL_TOKEN") } else { ("queues", "see its log") };
            checks.push(Check::fail(check, error.to_string(), advice));
        }
    }
    checks
}

/// The version of the Longhaul server at an address, and its durability if it reports one; `None` if none answers.
pub(super) async fn at(base: &str) -> Option<(String, Option<String>)> {
    let (health, _) = read(&format!("{base}/health")).await.ok()?;
    let text = |name: &str| health[name].as_str().map(str::to_owned);
    Some((text("version")?, text("durability")))
}

fn skew(theirs: jiff::Timestamp, ours: Timestamp) -> Option<Check> {
    let apart = Duration::from_millis((theirs.as_millisecond() - ours.0).unsigned_abs());
    let advice = "let NTP set both: delays and tokens go by the server's clock";
    let check = if apart > SKEW {
        Check::warn(
            "clock",
            format!("the server's is {} s apart from this machine's", apart.as_secs()),
            advice,
        )
    } else {
        Check::ok("clock", "the server's and this machine's agree")
    };
    Some(check)
}

/// An answer as JSON, and its time.
async fn read(url: &str) -> Result<(Value, Option<jiff::Timestamp>), String> {
    let builder = || reqwest::Client::builder().timeout(PATIENCE);
    let http = longhaul_http::https_client(builder).map_err(|error| error.to_string())?;
    let response = http.get(url).send().await.map_err(|error| innermost(&error))?;
    let status = response.status();
    let date = response.headers().get("date").and_then(|date| date.to_str().ok());
    let at = date.and_then(|date| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
    let body = response.bytes().await.map_err(|error| innermost(&error))?;
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status.is_success() {
        return Ok((value, at));
    }
    let detail = value["detail"].as_str().map_or_else(String::new, |detail| format!(": {detail}"));
    Err(format!("answered {status}{detail}"))
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
