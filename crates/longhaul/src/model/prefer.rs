use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::enqueue::invalid;
use super::id::check_name;
use crate::store::{Error, Result};

/// The most labels that a job prefers a worker to have.
pub const MAX_PREFERRED: usize = 4;
/// The most labels of a worker.
pub const MAX_WORKER_LABELS: usize = 32;

/// The workers that a job prefers: those that have all of these labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Prefer {
    /// Labels and their values, 1 to [`MAX_PREFERRED`]; both are names, as limit keys are.
    pub labels: BTreeMap<String, String>,
    /// Whether other workers may claim the job.
    #[serde(default)]
    pub strength: Strength,
}

/// The rule for workers without the preferred labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// They may claim the job once it has been due for [`PREFER_FOR`](crate::PREFER_FOR).
    #[default]
    Soft,
    /// They may never claim it.
    Hard,
}

impl Prefer {
    /// Prefers workers that have these labels, and is claimed by any other worker a second later.
    #[must_use]
    pub fn soft<L: Into<String>, V: Into<String>>(labels: impl IntoIterator<Item = (L, V)>) -> Self {
        let labels = labels.into_iter().map(|(label, value)| (label.into(), value.into()));
        Self { labels: labels.collect(), strength: Strength::Soft }
    }

    /// Is claimed by workers alone that have these labels.
    #[must_use]
    pub fn hard<L: Into<String>, V: Into<String>>(labels: impl IntoIterator<Item = (L, V)>) -> Self {
        Self { strength: Strength::Hard, ..Self::soft(labels) }
    }

    /// True if a worker with these labels has all the preferred ones.
    #[must_use]
    pub fn is_met_by(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(label, value)| labels.get(label) == Some(value))
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if !(1..=MAX_PREFERRED).contains(&self.labels.len()) {
            return invalid(
                "prefer",
                format!("must have 1 to {MAX_PREFERRED} labels, and has {}", self.labels.len()),
            );
        }
        for (label, value) in &self.labels {
            check_name("prefer", label)?;
            check_name(&format!("prefer.{label}"), value)?;
        }
        Ok(())
    }
}

/// As stores keep it: `gpu=a100;zone=eu`, and `!gpu=a100` where it is hard. Jobs of the same text prefer the same.
impl Display for Prefer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.strength == Strength::Hard {
            f.write_str("!")?;
        }
        for (place, (label, value)) in self.labels.iter().enumerate() {
            let separator = if place > 0 { ";" } else { "" };
            write!(f, "{separator}{label}={value}")?;
        }
        Ok(())
    }
}

impl FromStr for Prefer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (strength, pairs) = match text.strip_prefix('!') {
            Some(pairs) => (Strength::Hard, pairs),
            None => (Strength::Soft, text),
        };
        let pair =
            |pair: &str| pair.split_once('=').map(|(label, value)| (label.to_owned(), value.to_owned()));
        let labels: Option<BTreeMap<String, String>> = pairs.split(';').map(pair).collect();
        match labels {
            Some(labels) => Ok(Self { labels, strength }),
            None => invalid("prefer", "must be label=value, and others behind a semicolon"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_kept_as_a_text_that_is_the_same_for_the_same_labels() {
        for (prefer, text) in [
            (Prefer::soft([("zone", "eu"), ("gpu", "a100")]), "gpu=a100;zone=eu"),
            (Prefer::hard([("host", "w-1.local:80")]), "!host=w-1.local:80"),
        ] {
            assert_eq!(prefer.to_string(), text);
            assert_eq!(text.parse::<Prefer>().unwrap(), prefer);
            prefer.validate().unwrap();
        }
        for text in ["", "!", "gpu", "a=b;", "a=b;c"] {
            assert!(text.parse::<Prefer>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_preference_has_some_labels_and_all_of_them_are_names() {
        let field = |prefer: Prefer| match prefer.validate() {
            Err(Error::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field(Prefer::soft::<String, String>([])), "prefer");
        assert_eq!(field(Prefer::soft((0..5).map(|n| (format!("l{n}"), "v")))), "prefer");
        assert_eq!(field(Prefer::soft([("a b", "v")])), "prefer");
        assert_eq!(field(Prefer::soft([("a", "x;y=z")])), "prefer.a");
    }

    #[test]
    fn a_worker_is_preferred_that_has_all_of_the_labels() {
        let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(label, value)| ((*label).into(), (*value).into())).collect()
        };
        let prefer = Prefer::soft([("gpu", "a100"), ("zone", "eu")]);
        assert!(prefer.is_met_by(&of(&[("gpu", "a100"), ("zone", "eu"), ("disk", "ssd")])));
        assert!(!prefer.is_met_by(&of(&[("gpu", "a100")])));
        assert!(!prefer.is_met_by(&of(&[("gpu", "h100"), ("zone", "eu")])));
    }
}
