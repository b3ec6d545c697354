use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::check_name;
use super::queue::check_max_waiting;
use super::{OnFull, Prefer};
use crate::clock::Timestamp;
use crate::store::{Error, Result};

/// The most limit keys of a job.
pub const MAX_LIMIT_KEYS: usize = 4;
/// The most slots of a limit key, starts of a rate, and units of a cost.
pub const MAX_UNITS: u32 = 1_000_000;
/// The highest weight of a limit key.
pub const MAX_WEIGHT: u32 = 1_000;
/// The longest period of a rate: 31 days.
pub const MAX_RATE_PERIOD: Duration = Duration::from_secs(31 * 86_400);

/// The limits of a limit key, or of all keys whose names begin alike. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyConfig {
    /// The most that run at a time, over all workers: units of [`Cost::slots`], 1 to [`MAX_UNITS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// The most that start in a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Its share of the turns of a [fair](super::QueueConfig::fair) queue beside other keys', 1 to [`MAX_WEIGHT`]; 1 where it
    /// is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The most jobs of it that may wait (scheduled or available), in all queues, when another is enqueued, 1 to
    /// [`MAX_WAITING`](super::MAX_WAITING).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_waiting: Option<u64>,
    /// The fate of a job that is enqueued while as many wait.
    #[serde(skip_serializing_if = "OnFull::is_default")]
    pub on_full: OnFull,
}

/// A bound on starts. In any window of a time t, at most `burst` + `n` · t / `per` units start (a GCRA, as ATM Forum's
/// Traffic Management 4.0 has it); a job that costs more than a burst starts where no unit of a burst is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Rate {
    /// Units of [`Cost::rate`], 1 to [`MAX_UNITS`].
    pub n: u32,
    /// The time for them, 1 ms to [`MAX_RATE_PERIOD`].
    #[cfg_attr(feature = "schema", schema(value_type = f64))]
    pub per: Duration,
    /// Units that may start at once after a rest, 1 to [`MAX_UNITS`]; a tenth of `n`, rounded up, where it is not set. Stores
    /// count milliseconds, so that a rate of hundreds a second is used up only with a burst of some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// The units of its limit keys' limits that a run takes: 1 of each where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Cost {
    /// Slots that are taken while it runs, 1 to [`MAX_UNITS`].
    pub slots: u32,
    /// Units of the rate that its start takes, 0 to [`MAX_UNITS`].
    pub rate: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self { slots: 1, rate: 1 }
    }
}

/// A limit key, or the default of a prefix, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    /// The name; one that ends in `*` is the default of its prefix, and has nothing but `config`.
    pub key: String,
    /// The limits that were set for this very name.
    pub config: Option<KeyConfig>,
    /// The limits that hold: its own, or else those of its longest configured prefix.
    pub limits: KeyConfig,
    /// Its available jobs; at most [`MAX_POSITION`](crate::MAX_POSITION) are counted.
    pub waiting: u64,
    /// The slots that its running jobs take.
    pub used: u64,
    /// Until when it is paused; [`Timestamp::MAX`] until it is resumed.
    pub closed_until: Option<Timestamp>,
    /// From when on the rate lets a job of the [cost asked for](KeyFilter::cost) start, where that is later than now.
    pub rate_free_at: Option<Timestamp>,
}

/// The limit keys that a list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFilter {
    /// These names; empty is all.
    pub names: Vec<String>,
    /// Names that begin so.
    pub prefix: String,
    /// Keys of which jobs wait in this queue.
    pub queue: Option<String>,
    /// Names behind this one.
    pub after: Option<String>,
    /// The most keys, at most [`MAX_KEYS`](crate::MAX_KEYS).
    pub limit: usize,
    /// The cost for which [`KeyInfo::rate_free_at`] is computed.
    #[serde(default)]
    pub cost: Cost,
}

impl KeyConfig {
    /// Checks the bounds of each limit.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming the field and what it must be.
    pub fn validate(&self) -> Result<()> {
        check_units("slots", self.slots, 1, MAX_UNITS)?;
        check_units("weight", self.weight, 1, MAX_WEIGHT)?;
        check_max_waiting(self.max_waiting)?;
        let Some(rate) = self.rate else { return Ok(()) };
        check_units("rate.n", Some(rate.n), 1, MAX_UNITS)?;
        check_units("rate.burst", rate.burst, 1, MAX_UNITS)?;
        if !(Duration::from_millis(1)..=MAX_RATE_PERIOD).contains(&rate.per) {
            return Err(Error::Invalid {
                field: "rate.per".into(),
                reason: "must be from 0.001 seconds to 31 days".into(),
            });
        }
        Ok(())
    }
}

impl Rate {
    /// Units that may start at once after a rest.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst.unwrap_or(self.n.div_ceil(10)).max(1)
    }
}

impl Cost {
    pub(super) fn validate(&self) -> Result<()> {
        check_units("cost.slots", Some(self.slots), 1, MAX_UNITS)?;
        check_units("cost.rate", Some(self.rate), 0, MAX_UNITS)
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn check_units(field: &str, units: Option<u32>, least: u32, most: u32) -> Result<()> {
    match units {
        Some(units) if !(least..=most).contains(&units) => {
            Err(Error::Invalid { field: field.into(), reason: format!("must be from {least} to {most}") })
        }
        _ => Ok(()),
    }
}

/// Checks a job's limit keys: at most [`MAX_LIMIT_KEYS`] names, none of them twice.
pub(super) fn check_limit_keys(keys: &[String]) -> Result<()> {
    let invalid = |reason| Err(Error::Invalid { field: "limit_keys".into(), reason });
    if keys.len() > MAX_LIMIT_KEYS {
        return invalid(format!("must be at most {MAX_LIMIT_KEYS}, and are {}", keys.len()));
    }
    for (n, key) in keys.iter().enumerate() {
        check_name(&format!("limit_keys[{n}]"), key)?;
        if keys[..n].contains(key) {
            return invalid(format!("must not name {key} twice"));
        }
    }
    Ok(())
}

/// A job's limit keys and what it prefers, as stores keep them: one text, `a,b;gpu=a100`, of characters that no name has. Jobs of
/// the same text, queue, kind and version wait as one group. `None` where there is neither: such a job is plain.
#[must_use]
pub fn joined_keys(keys: &[String], prefer: Option<&Prefer>) -> Option<String> {
    match prefer {
        Some(prefer) => Some(format!("{};{prefer}", keys.join(","))),
        None => (!keys.is_empty()).then(|| keys.join(",")),
    }
}

/// The limit keys that [`joined_keys`] has joined.
#[must_use]
pub fn split_keys(joined: Option<&str>) -> Vec<String> {
    let keys = joined.and_then(|joined| joined.split(';').next()).filter(|keys| !keys.is_empty());
    keys.map(|keys| keys.split(',').map(str::to_owned).collect()).unwrap_or_default()
}

/// The preference of workers in a text that [`joined_keys`] has made; `None` if it has none.
#[must_use]
pub fn split_prefer(joined: Option<&str>) -> Option<Prefer> {
    joined?.split_once(';')?.1.parse().ok()
}

/// Checks the name of a limit key, or of a prefix with its `*`.
pub(crate) fn check_key_name(key: &str) -> Result<()> {
    match key.strip_suffix('*') {
        Some("") => Ok(()),
        Some(prefix) => check_name("key", prefix),
        None => check_name("key", key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_preference_are_one_text() {
        let keys = ["a".to_owned(), "b".to_owned()];
        let prefer = Prefer::hard([("zone", "eu"), ("gpu", "a100")]);
        for (keys, prefer, text) in [
            (&keys[..0], None, None),
            (&keys[..1], None, Some("a")),
            (&keys, Some(&prefer), Some("a,b;!gpu=a100;zone=eu")),
            (&keys[..0], Some(&prefer), Some(";!gpu=a100;zone=eu")),
        ] {
            let joined = joined_keys(keys, prefer);
            assert_eq!(joined.as_deref(), text);
            assert_eq!(split_keys(joined.as_deref()), keys);
            assert_eq!(split_prefer(joined.as_deref()).as_ref(), prefer);
        }
    }
}
