use axum::http::Method;
use clap::Args as ClapArgs;
use longhaul::Json;
use serde::Deserialize;

use super::named::named;
use crate::client::{Client, encoded};
use crate::output::print;
use crate::run::{json_or_text, object};
use crate::{Coded, Result, USAGE};

/// Give a job a signal that its code waits for. The first of a name wins, and one that comes early is kept.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The job's id, or a prefix of it that no other has
    id: String,
    /// The signal's name
    name: String,
    /// Its value: JSON, KEY=VALUE for each field (a VALUE that is JSON is taken as such), or a text [default: null]
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    value: Vec<String>,
    /// The answer as the HTTP API has it
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul jobs signal order-17 approve
  longhaul jobs signal order-17 approve by=ada limit=500
  longhaul jobs signal order-17 paid '{\"amount\": 12.5, \"currency\": \"EUR\"}'
  longhaul why order-17                           which signal it waits for, and until when";

#[derive(Debug, Deserialize)]
pub(super) struct Signalled {
    pub(super) accepted: bool,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let value = value(&args.value).map_err(|message| Coded(USAGE, message))?;
    let give = async |id: &str| {
        let path = format!("/jobs/{}/signals/{}", encoded(id), encoded(&args.name));
        client.give(Method::POST, &path, &value).await
    };
    let (id, text) = named(client, &args.id, give).await?;
    if args.json {
        return Ok(print(text)?);
    }
    let Signalled { accepted } = serde_json::from_str(&text)?;
    let name = &args.name;
    Ok(print(match accepted {
        true => format!("{id} has the signal {name}"),
        false => format!("{id} had a signal {name} before, which stands; this one changed nothing"),
    })?)
}

/// A signal's value. Whatever begins as JSON has to be JSON, so that a slip in it does not become a text.
pub(super) fn value(words: &[String]) -> Result<Json, String> {
    match words {
        [] => Ok(Json::null()),
        [word] if word.starts_with(['{', '[', '"']) => serde_json::from_str(word)
            .map_err(|error| format!("VALUE is not JSON ({error}): quote it for the shell, or use name=1")),
        [word] if !word.contains('=') => Ok(json_or_text(word)),
        words => object(words, "a text or one JSON value"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_json_or_fields_or_a_text() {
        let read = |words: &[&str]| {
            value(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
                .map(|json| json.to_value())
        };
        assert_eq!(read(&[]), Ok(json!(null)));
        assert_eq!(read(&["true"]), Ok(json!(true)));
        assert_eq!(read(&["fine by me"]), Ok(json!("fine by me")));
        assert_eq!(read(&["by=ada", "n=3"]), Ok(json!({"by": "ada", "n": 3})));
        assert_eq!(read(&["{\"a\": [1]}"]), Ok(json!({"a": [1]})));
        assert!(read(&["{a"]).unwrap_err().contains("quote it for the shell"));
        assert!(read(&["fine", "by", "me"]).unwrap_err().starts_with("'fine' is not KEY=VALUE"));
    }
}
