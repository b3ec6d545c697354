//! Which jobs count as one, and when a job ends by itself, as a command line says it.

use std::str::FromStr;

use clap::Args as ClapArgs;
use longhaul::State;
use serde_json::{Map, Value, json};

use super::args::seconds;

/// The options that say which jobs count as one.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "One job of many")]
pub(crate) struct UniqueArgs {
    /// Jobs of this kind with this key count as one: a second one joins the first, unless --on-clash says otherwise
    #[arg(long, value_name = "KEY", conflicts_with = "unique_on")]
    unique: Option<String>,
    /// The same of jobs whose args have the same values at these paths: order.id,customer
    #[arg(long, value_name = "PATHS", value_delimiter = ',')]
    unique_on: Vec<String>,
    /// The fate of a second one: join, refresh, reject, replace, supersede, follow, throttle (needs --period),
    /// debounce:DELAY[,LONGEST][,leading] [default: join]
    #[arg(long, value_name = "MODE")]
    on_clash: Option<Mode>,
    /// The key outlives a completion by this time; a throttle lets one job through in it
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    period: Option<f64>,
    /// The states in which the first keeps others out [default: all but failed and cancelled]
    #[arg(long, value_name = "STATES", value_delimiter = ',', value_parser = state)]
    unique_states: Vec<State>,
}

/// The fate of a second job of a key.
#[derive(Clone, Debug, PartialEq)]
enum Mode {
    Plain(String),
    Debounce { delay: f64, max_delay: Option<f64>, edge: Option<String> },
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const PLAIN: [&str; 7] = ["join", "refresh", "reject", "replace", "supersede", "follow", "throttle"];
        if PLAIN.contains(&text) {
            return Ok(Self::Plain(text.to_owned()));
        }
        let Some(times) = text.strip_prefix("debounce") else {
            return Err(format!("use {} or debounce:10s", PLAIN.join(", ")));
        };
        let Some(times) = times.strip_prefix(':').filter(|times| !times.is_empty()) else {
            return Err("it needs the time without another that ends a burst: use debounce:10s".into());
        };
        let mut parts = times.split(',').map(str::trim).collect::<Vec<_>>();
        let edge = parts.pop_if(|last| ["leading", "trailing"].contains(last)).map(str::to_owned);
        match parts[..] {
            [delay] => Ok(Self::Debounce { delay: seconds(delay)?, max_delay: None, edge }),
            [delay, longest] => {
                Ok(Self::Debounce { delay: seconds(delay)?, max_delay: Some(seconds(longest)?), edge })
            }
            _ => Err("use debounce:10s, debounce:10s,60s or debounce:10s,leading".into()),
        }
    }
}

impl UniqueArgs {
    /// The member `unique` of the request.
    pub(crate) fn body(&self) -> Result<Option<Value>, String> {
        let mut body = Map::new();
        body.extend(self.unique.as_ref().map(|key| ("key".to_owned(), json!(key))));
        if !self.unique_on.is_empty() {
            body.insert("on".into(), json!(self.unique_on));
        }
        if body.is_empty() {
            let is_given = self.on_clash.is_some() || self.period.is_some() || !self.unique_states.is_empty();
            return match is_given {
                true => Err("say which jobs count as one: --unique KEY or --unique-on PATHS".into()),
                false => Ok(None),
            };
        }
        match &self.on_clash {
            Some(Mode::Plain(word)) if word == "throttle" && self.period.is_none() => {
                return Err(
                    "--on-clash throttle needs --period, the time in which it lets one job through".into()
                );
            }
            Some(Mode::Plain(word)) => drop(body.insert("on_clash".into(), json!(word))),
            Some(Mode::Debounce { delay, max_delay, edge }) => {
                body.insert("on_clash".into(), json!("debounce"));
                body.insert("delay".into(), json!(delay));
                body.extend(max_delay.map(|longest| ("max_delay".to_owned(), json!(longest))));
                body.extend(edge.as_ref().map(|edge| ("edge".to_owned(), json!(edge))));
            }
            None => {}
        }
        body.extend(self.period.map(|period| ("period".to_owned(), json!(period))));
        if !self.unique_states.is_empty() {
            let states: Vec<&str> = self.unique_states.iter().map(|state| state.as_str()).collect();
            body.insert("states".into(), json!(states));
        }
        Ok(Some(body.into()))
    }
}

/// When a job must have ended: a time from now, or a time in RFC 3339.
pub(super) fn deadline(text: &str) -> Result<Value, String> {
    match seconds(text) {
        Ok(seconds) => Ok(json!(seconds)),
        Err(_) if text.parse::<jiff::Timestamp>().is_ok() => Ok(json!(text)),
        Err(_) => Err("use a time from now (30s, 10m, 2h) or one in RFC 3339 (2026-01-01T00:00:00Z)".into()),
    }
}

fn state(text: &str) -> Result<State, String> {
    let found = State::ALL.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| format!("use {}", State::ALL.map(|state| state.as_str()).join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_a_word_and_a_debounce_has_its_times() {
        let debounce = |delay, max_delay, edge: Option<&str>| {
            Ok(Mode::Debounce { delay, max_delay, edge: edge.map(str::to_owned) })
        };
        assert_eq!("replace".parse(), Ok(Mode::Plain("replace".into())));
        assert_eq!("debounce:10s".parse(), debounce(10.0, None, None));
        assert_eq!("debounce:10s,2m".parse(), debounce(10.0, Some(120.0), None));
        assert_eq!("debounce:1m,leading".parse(), debounce(60.0, None, Some("leading")));
        assert_eq!("debounce:1s,9s,trailing".parse(), debounce(1.0, Some(9.0), Some("trailing")));
        for text in ["", "replaced", "debounce", "debounce:", "debounce:1s,2s,3s", "debounce:soon"] {
            assert!(text.parse::<Mode>().unwrap_err().contains("use "), "{text}");
        }
    }

    #[test]
    fn a_deadline_is_a_time_from_now_or_a_moment() {
        assert_eq!(deadline("2h"), Ok(json!(7_200.0)));
        assert_eq!(deadline("2026-01-01T00:00:00Z"), Ok(json!("2026-01-01T00:00:00Z")));
        assert!(deadline("tomorrow").unwrap_err().contains("2026-01-01T00:00:00Z"));
    }
}
