use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{JobId, check_name};
use crate::store::{Error, Result};

/// Another job that must end before a job may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The other job, which is there already or stands before this one in the same call.
    pub id: JobId,
    /// The effect of its failure on the job that waits.
    #[serde(default)]
    pub on_failure: OnFailure,
}

impl Dependency {
    /// A dependency whose failure cancels the job that waits.
    #[must_use]
    pub fn on(id: JobId) -> Self {
        Self { id, on_failure: OnFailure::Cancel }
    }

    /// A dependency that may end in any way.
    #[must_use]
    pub fn on_any_end(id: JobId) -> Self {
        Self { id, on_failure: OnFailure::Run }
    }
}

/// What becomes of a job when one that it depends on fails or is cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is cancelled, and so are those that depend on it in turn.
    #[default]
    Cancel,
    /// It runs: a failure is an end like any other.
    Run,
}

impl OnFailure {
    /// The word used for it everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            OnFailure::Cancel => "cancel",
            OnFailure::Run => "run",
        }
    }
}

impl FromStr for OnFailure {
    type Err = String;

    fn from_str(word: &str) -> std::result::Result<Self, Self::Err> {
        [OnFailure::Cancel, OnFailure::Run]
            .into_iter()
            .find(|on_failure| on_failure.as_str() == word)
            .ok_or_else(|| {
                format!("a dependency that fails means nothing called '{word}': use cancel or run")
            })
    }
}

/// The most jobs that one job may depend on. A batch, whose children depend on what they like, waits for more.
pub const MAX_DEPENDENCIES: usize = 1_000;

/// Checks that dependencies are few, each is named once, and none is the job itself.
pub(crate) fn check_dependencies(own: Option<&JobId>, dependencies: &[Dependency]) -> Result<()> {
    let invalid = |field: String, reason: String| Err(Error::Invalid { field, reason });
    if dependencies.len() > MAX_DEPENDENCIES {
        let reason = format!(
            "must be at most {MAX_DEPENDENCIES} jobs, and are {}; a batch waits for more",
            dependencies.len()
        );
        return invalid("depends_on".into(), reason);
    }
    let mut seen = std::collections::HashSet::new();
    for (n, Dependency { id, .. }) in dependencies.iter().enumerate() {
        let field = format!("depends_on[{n}]");
        check_name(&field, id.as_str())?;
        if own == Some(id) {
            return invalid(field, "must be another job".into());
        }
        if !seen.insert(id) {
            return invalid(field, format!("'{id}' stands there already"));
        }
    }
    Ok(())
}

/// The event that a blocked job waits for.
///
/// Stored and sent as text: `dependencies`, `children`, `signal:NAME` or `person`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WaitsFor {
    /// The ends of the jobs that it depends on.
    Dependencies,
    /// The ends of its children.
    Children,
    /// A signal of this name.
    Signal(String),
    /// A person, who retries or cancels it: its attempts are used up.
    Person,
}

/// The prefix of the name of a signal's step; the signal's name follows.
pub const SIGNAL_PREFIX: &str = "signal:";

impl WaitsFor {
    /// The name of the step that the awaited signal is kept as.
    #[must_use]
    pub fn signal_step(&self) -> Option<String> {
        match self {
            WaitsFor::Signal(name) => Some(format!("{SIGNAL_PREFIX}{name}")),
            WaitsFor::Dependencies | WaitsFor::Children | WaitsFor::Person => None,
        }
    }
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitsFor::Dependencies => f.write_str("dependencies"),
            WaitsFor::Children => f.write_str("children"),
            WaitsFor::Signal(name) => write!(f, "{SIGNAL_PREFIX}{name}"),
            WaitsFor::Person => f.write_str("person"),
        }
    }
}

impl FromStr for WaitsFor {
    type Err = String;

    fn from_str(word: &str) -> std::result::Result<Self, Self::Err> {
        match word {
            "dependencies" => Ok(WaitsFor::Dependencies),
            "children" => Ok(WaitsFor::Children),
            "person" => Ok(WaitsFor::Person),
            other => match other.strip_prefix(SIGNAL_PREFIX) {
                Some(name) => Ok(WaitsFor::Signal(name.to_owned())),
                None => Err(format!(
                    "nothing to wait for is called '{other}': use dependencies, children, signal:NAME or person"
                )),
            },
        }
    }
}

impl Serialize for WaitsFor {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WaitsFor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The fate of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signalled {
    /// It is kept, and a job that waited for it goes on.
    Accepted,
    /// An earlier one of the name stands.
    Sent,
    /// The job has ended.
    Ended,
    /// There is no such job.
    Unknown,
}

/// What becomes of a job when its last attempt fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// It fails.
    #[default]
    Fail,
    /// It waits for a person, who retries or cancels it.
    Pause,
}

impl OnExhausted {
    /// True for what need not be written.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_for_waits_are_read_as_they_are_written() {
        let waits = [
            WaitsFor::Dependencies,
            WaitsFor::Children,
            WaitsFor::Signal("approve: now".into()),
            WaitsFor::Signal("signal:signal".into()),
            WaitsFor::Person,
        ];
        for waits in waits {
            assert_eq!(waits.to_string().parse(), Ok(waits.clone()));
            let json = serde_json::to_string(&waits).unwrap();
            assert_eq!(serde_json::from_str::<WaitsFor>(&json).unwrap(), waits);
        }
        assert!("childs".parse::<WaitsFor>().unwrap_err().contains("use dependencies, children"));
    }

    #[test]
    fn dependencies_are_few_named_once_and_of_others() {
        let on = |name: &str| Dependency::on(JobId::from_store(name.into()));
        let check = |own: &str, names: &[&str]| {
            let names: Vec<Dependency> = names.iter().map(|name| on(name)).collect();
            let own = JobId::from_store(own.into());
            check_dependencies(Some(&own), &names).map_err(|error| error.to_string())
        };
        assert_eq!(check("a", &["b", "c"]), Ok(()));
        for (names, field) in
            [(["b", "a"], "depends_on[1]"), (["b", "b"], "depends_on[1]"), (["/", "b"], "depends_on[0]")]
        {
            assert!(check("a", &names).unwrap_err().contains(field), "{names:?}");
        }
        let many: Vec<Dependency> = (0..=MAX_DEPENDENCIES).map(|n| on(&n.to_string())).collect();
        let error = check_dependencies(None, &many).unwrap_err().to_string();
        assert!(error.contains("at most 1000 jobs, and are 1001"), "{error}");
        assert!(check_dependencies(None, &many[1..]).is_ok());
    }
}
