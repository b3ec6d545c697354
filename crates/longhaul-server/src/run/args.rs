//! Words of a command line, read as JSON and as durations.

use std::collections::HashSet;
use std::io::Read;
use std::str::FromStr;

use longhaul::Json;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A job's args: one JSON value, `KEY=VALUE` words, or `-` for JSON on standard input. What is JSON stays as it is written,
/// with all digits of its numbers.
pub(super) fn read(words: &[String], mut stdin: impl Read) -> Result<Json, String> {
    match words {
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
        words => object(words, "one JSON value"),
    }
}

/// The object of `KEY=VALUE` words. `or_else` names what may stand in their place, as one word.
pub(crate) fn object(words: &[String], or_else: &str) -> Result<Json, String> {
    let (mut keys, mut members) = (HashSet::new(), Vec::new());
    for word in words {
        let Some((key, value)) = word.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(format!(
                "'{word}' is not KEY=VALUE; {or_else} must be one word: quote it for the shell"
            ));
        };
        if !keys.insert(key) {
            return Err(format!("{key} is given twice"));
        }
        members.push(format!("{}:{}", Value::from(key), json_or_text(value).as_str()));
    }
    Json::parse(format!("{{{}}}", members.join(","))).map_err(|error| error.to_string())
}

/// A word that is JSON as such, and any other as a text.
pub(crate) fn json_or_text(word: &str) -> Json {
    serde_json::from_str(word).or_else(|_| Json::new(&word)).unwrap_or_default()
}

/// A job's args, with those that come in on standard input.
pub(crate) fn read_args(words: &[String]) -> Result<Json, String> {
    read(words, std::io::stdin())
}

/// A request with args that stay as they are written.
#[derive(Debug, Serialize)]
pub(crate) struct WithArgs {
    #[serde(flatten)]
    pub(crate) fields: Map<String, Value>,
    pub(crate) args: Json,
}

impl WithArgs {
    /// As it is sent.
    pub(crate) fn to_json(&self) -> Result<Json, String> {
        Json::new(self).map_err(|error| error.to_string())
    }
}

/// The values of a flag that is given as often as there are names; nothing where it is not given.
pub(crate) fn by_name(flag: &str, pairs: &[(String, String)]) -> Result<Option<Value>, String> {
    let mut named = Map::new();
    for (name, value) in pairs {
        if named.insert(name.clone(), json!(value)).is_some() {
            return Err(format!("{flag} {name} is given twice"));
        }
    }
    Ok((!named.is_empty()).then(|| named.into()))
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
        read_text(words).map(|text| serde_json::from_str(&text).expect("JSON"))
    }

    fn read_text(words: &[&str]) -> Result<String, String> {
        let json = read(&words.iter().map(|word| word.to_string()).collect::<Vec<_>>(), &b"{\"a\": [1]}"[..]);
        json.map(|json| json.as_str().to_owned())
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
    fn what_is_json_is_sent_as_it_is_written() {
        let number = "123456789012345678901234567890.10";
        assert_eq!(read_text(&[number]).as_deref(), Ok(number));
        let fields = read_text(&[&format!("n={number}"), "a \"b\"=x\ny", "far=1e999"]);
        assert_eq!(fields, Ok(format!(r#"{{"n":{number},"a \"b\"":"x\ny","far":1e999}}"#)));
        let twice = r#"{"a":1,"a":2}"#;
        assert_eq!(read_text(&[twice]).as_deref(), Ok(twice), "whoever reads it refuses it with the place");
        let request = WithArgs {
            fields: json!({"kind": "sum"}).as_object().cloned().expect("an object"),
            args: serde_json::from_str(number).expect("JSON"),
        };
        let expected = format!(r#"{{"kind":"sum","args":{number}}}"#);
        assert_eq!(request.to_json().map(|json| json.as_str().to_owned()), Ok(expected));
    }

    #[test]
    fn a_name_that_is_given_twice_is_refused_and_not_dropped() {
        assert_eq!(read_text(&["a=1", "b=2", "a=3"]), Err("a is given twice".into()));
        let pairs =
            |names: &[&str]| names.iter().map(|name| (name.to_string(), "x".to_owned())).collect::<Vec<_>>();
        assert_eq!(by_name("--label", &pairs(&[])), Ok(None));
        assert_eq!(by_name("--label", &pairs(&["a", "b"])), Ok(Some(json!({"a": "x", "b": "x"}))));
        assert_eq!(by_name("--label", &pairs(&["a", "a"])), Err("--label a is given twice".into()));
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
