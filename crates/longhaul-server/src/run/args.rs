//! What is written on a command line, read as JSON and as durations.

use std::io::Read;
use std::str::FromStr;

use serde_json::{Map, Value, json};

/// A job's args: one JSON value, `KEY=VALUE` words, or `-` for JSON on standard input.
pub(super) fn read(words: &[String], mut stdin: impl Read) -> Result<Value, String> {
    match words {
        [] => Ok(Value::Object(Map::new())),
        [word] if word == "-" => {
            let mut text = String::new();
            stdin.read_to_string(&mut text).map_err(|error| format!("failed to read standard input: {error}"))?;
            serde_json::from_str(&text).map_err(|error| format!("standard input is not JSON: {error}"))
        }
        [word] if !word.contains('=') || word.starts_with(['{', '[', '"']) => {
            serde_json::from_str(word).map_err(|error| {
                format!("ARGS is not JSON ({error}): quote it for the shell, as in '{{\"name\": 1}}', or use name=1")
            })
        }
        words => words.iter().map(|word| field(word)).collect::<Result<Map<_, _>, _>>().map(Value::Object),
    }
}

fn field(word: &str) -> Result<(String, Value), String> {
    let Some((key, value)) = word.split_once('=').filter(|(key, _)| !key.is_empty()) else {
        return Err(format!(
            "'{word}' is not KEY=VALUE; one JSON value must be one word: quote it for the shell"
        ));
    };
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((key.to_owned(), value))
}

/// A job's args, with those that come in on standard input.
pub(crate) fn read_args(words: &[String]) -> Result<Value, String> {
    read(words, std::io::stdin())
}

/// Seconds of a duration: `30`, `30s`, `10m`, `2h`, `7d`.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(format!("'{unit}' is no unit: use 30s, 10m, 2h or 7d")),
    };
    let number: f64 = number.trim().parse().map_err(|_| "use 30s, 10m, 2h or 7d".to_owned())?;
    let seconds = number * factor;
    if (0.0..=315_360_000.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("must be 0 s to ten years".into())
    }
}

/// Starts in a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RateArg {
    n: u32,
    /// In seconds.
    per: f64,
}

impl FromStr for RateArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rate = text
            .split_once('/')
            .and_then(|(n, per)| Some(Self { n: n.trim().parse().ok()?, per: seconds(per.trim()).ok()? }));
        rate.ok_or_else(|| format!("'{text}' is no rate: use 100/1s, 90000/1m or 500/1h"))
    }
}

impl RateArg {
    /// As the contract has it.
    pub(crate) fn to_json(self, burst: Option<u32>) -> Value {
        match burst {
            Some(burst) => json!({"n": self.n, "per": self.per, "burst": burst}),
            None => json!({"n": self.n, "per": self.per}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_words(words: &[&str]) -> Result<Value, String> {
        read(&words.iter().map(|word| word.to_string()).collect::<Vec<_>>(), &b"{\"a\": [1]}"[..])
    }

    #[test]
    fn args_are_json_or_fields_or_what_comes_in() {
        assert_eq!(read_words(&[]), Ok(json!({})));
        assert_eq!(read_words(&["{\"a\":\"x=y\"}"]), Ok(json!({"a": "x=y"})));
        assert_eq!(read_words(&["7"]), Ok(json!(7)));
        assert_eq!(read_words(&["-"]), Ok(json!({"a": [1]})));
        let fields =
            read_words(&["email=ada@example.com", "n=3", "ok=true", "list=[1,2]", "empty=", "eq=a=b"]);
        let expected =
            json!({"email": "ada@example.com", "n": 3, "ok": true, "list": [1, 2], "empty": "", "eq": "a=b"});
        assert_eq!(fields, Ok(expected));
    }

    #[test]
    fn what_is_no_json_is_refused_with_what_is() {
        assert!(read_words(&["{name:"]).unwrap_err().contains("quote it for the shell"));
        assert!(read_words(&["a=1", "b"]).unwrap_err().starts_with("'b' is not KEY=VALUE"));
        assert!(read_words(&["=1", "b=2"]).unwrap_err().starts_with("'=1' is not KEY=VALUE"));
    }

    #[test]
    fn a_rate_is_a_number_in_a_time() {
        assert_eq!("100/1s".parse(), Ok(RateArg { n: 100, per: 1.0 }));
        assert_eq!("90000 / 1m".parse(), Ok(RateArg { n: 90_000, per: 60.0 }));
        for text in ["100", "100/", "/1s", "many/1s", "1.5/1s"] {
            assert!(text.parse::<RateArg>().unwrap_err().contains("use 100/1s"), "{text}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(
            ["30", "30s", "1.5m", "2h", "1d", "250ms"].map(|text| seconds(text).ok()),
            [Some(30.0), Some(30.0), Some(90.0), Some(7_200.0), Some(86_400.0), Some(0.25)]
        );
        for text in ["", "s", "-1s", "5 weeks", "nan", "infs", "99999999h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
