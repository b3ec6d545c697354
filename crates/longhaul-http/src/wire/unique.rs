use std::time::Duration;

use longhaul::{Edge, OnClash, State, Unique};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::seconds::Seconds;

/// One job at a time, or one in a period, per key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UniqueKey)]
pub(crate) struct UniqueBody {
    /// The key, shared by all kinds and queues.
    pub(crate) key: String,
    /// Holds the key for this long after the job has completed; a throttled job holds it for this long from its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Seconds>)]
    pub(crate) period: Option<Seconds>,
    /// The states in which another job that holds the key keeps it from this one; all but `failed` and `cancelled` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) states: Option<Vec<State>>,
    /// The treatment of the second job: `join` unless given.
    #[serde(default)]
    pub(crate) on_clash: ClashWord,
    /// The time without another that ends a succession; `debounce` needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Seconds>)]
    pub(crate) delay: Option<Seconds>,
    /// The longest that a succession may last, for `debounce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Seconds>)]
    pub(crate) max_delay: Option<Seconds>,
    /// The job of a succession that runs, for `debounce`: `trailing` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) edge: Option<Edge>,
}

/// The treatment of a job whose unique key is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OnClash)]
pub(crate) enum ClashWord {
    /// It is not created; the job that holds the key is answered instead.
    #[default]
    Join,
    /// The same while the job that holds the key has not ended; one that has ended gives the key up to this one.
    Refresh,
    /// It is not created, and refused with 409.
    Reject,
    /// A holder that waits takes on this one's args and time; one that runs or has ended is answered as with `join`.
    Replace,
    /// Of jobs in quick succession one runs: the last, or with `edge: leading` the first.
    Debounce,
    /// At most one job is created in each `period`; others join it.
    Throttle,
    /// It takes the key; a holder that waits is cancelled, and one that runs is asked to stop.
    Supersede,
    /// It waits behind a holder that runs, as the one job that does: a later one gives it its args. One that waits is replaced.
    Follow,
}

/// The fault of the fields of a unique key: the field, and the reason.
pub(crate) type UniqueFault = (&'static str, &'static str);

/// The treatment of a second job, of the fields that tell it.
///
/// # Errors
/// The field that is missing, or that the treatment has no use for.
pub(crate) fn on_clash(
    word: ClashWord,
    delay: Option<Duration>,
    max_delay: Option<Duration>,
    edge: Option<Edge>,
) -> Result<OnClash, UniqueFault> {
    if word != ClashWord::Debounce {
        let given =
            [("delay", delay.is_some()), ("max_delay", max_delay.is_some()), ("edge", edge.is_some())];
        if let Some((field, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
            return Err((field, "is for on_clash 'debounce' alone"));
        }
    }
    Ok(match word {
        ClashWord::Join => OnClash::Join,
        ClashWord::Refresh => OnClash::Refresh,
        ClashWord::Reject => OnClash::Reject,
        ClashWord::Replace => OnClash::Replace,
        ClashWord::Throttle => OnClash::Throttle,
        ClashWord::Supersede => OnClash::Supersede,
        ClashWord::Follow => OnClash::Follow,
        ClashWord::Debounce => {
            let delay = delay.ok_or(("delay", "must be given for on_clash 'debounce'"))?;
            OnClash::Debounce { delay, max_delay, edge: edge.unwrap_or_default() }
        }
    })
}

impl From<&Unique> for UniqueBody {
    fn from(unique: &Unique) -> Self {
        let (on_clash, times) = match unique.on_clash {
            OnClash::Join => (ClashWord::Join, None),
            OnClash::Refresh => (ClashWord::Refresh, None),
            OnClash::Reject => (ClashWord::Reject, None),
            OnClash::Replace => (ClashWord::Replace, None),
            OnClash::Throttle => (ClashWord::Throttle, None),
            OnClash::Supersede => (ClashWord::Supersede, None),
            OnClash::Follow => (ClashWord::Follow, None),
            OnClash::Debounce { delay, max_delay, edge } => {
                (ClashWord::Debounce, Some((delay, max_delay, edge)))
            }
        };
        Self {
            key: unique.key.clone(),
            period: unique.period.map(Seconds),
            states: unique.states.clone(),
            on_clash,
            delay: times.map(|(delay, ..)| Seconds(delay)),
            max_delay: times.and_then(|(_, max_delay, _)| max_delay).map(Seconds),
            edge: times.map(|(.., edge)| edge),
        }
    }
}

impl UniqueBody {
    /// The unique key.
    ///
    /// # Errors
    /// [`longhaul::Error::Invalid`] where a field is missing, or of no use.
    pub(crate) fn into_unique(self) -> longhaul::Result<Unique> {
        let seconds = |time: Option<Seconds>| time.map(|time| time.0);
        let on_clash = on_clash(self.on_clash, seconds(self.delay), seconds(self.max_delay), self.edge)
            .map_err(|(field, reason)| longhaul::Error::Invalid {
                field: format!("unique.{field}"),
                reason: reason.into(),
            })?;
        Ok(Unique { key: self.key, period: seconds(self.period), states: self.states, on_clash })
    }
}
