use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Schedule;
use crate::clock::Timestamp;
use crate::collection::FOR_EVER;
use crate::model::{Json, Sample};
use crate::store::{Result, Store};

/// The series of samples that schedules are kept in, by their names as sources.
const SERIES: &str = "longhaul.schedules";
/// The moments of the two samples of a schedule: the pause is apart from the definition, so that a pause and a new
/// definition at the same time do not undo each other.
const DEFINITION: Timestamp = Timestamp(0);
const PAUSE: Timestamp = Timestamp(1);

/// A schedule as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    pub(super) definition: Definition,
    pub(super) pause: Option<Pause>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Definition {
    pub(super) schedule: Schedule,
    pub(super) origin: Origin,
    /// Ticks count from then on.
    pub(super) created_at: Timestamp,
    /// Ticks of the present timing count from then on, and those of the one before it until then.
    pub(super) timing_since: Timestamp,
}

/// The place that a schedule's definition comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A call: of an application's code, or over HTTP.
    #[default]
    Call,
    /// The file of schedules that servers are started with.
    File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pause {
    pub(super) paused: bool,
    /// The time of the pause or of the resumption.
    pub(super) at: Timestamp,
}

impl Kept {
    pub(super) fn is_paused(&self) -> bool {
        self.pause.is_some_and(|pause| pause.paused)
    }

    /// The moment after which ticks count: those before it were not the schedule's, or fell into a pause.
    pub(super) fn floor(&self) -> Timestamp {
        let pause = self.pause.map_or(Timestamp::default(), |pause| pause.at);
        self.definition.created_at.max(pause)
    }
}

/// The schedules of a store by name. One that this release cannot read is an error, which concerns it alone.
pub(super) async fn read(store: &dyn Store) -> Result<BTreeMap<String, Result<Kept, String>>> {
    let mut all: BTreeMap<String, Result<Kept, String>> = BTreeMap::new();
    for sample in store.samples(SERIES, DEFINITION).await? {
        let Sample { source, at, body, .. } = sample;
        if at == DEFINITION {
            let definition = body.to::<Definition>();
            let kept = definition.map(|definition| Kept { definition, pause: None });
            all.insert(
                source,
                kept.map_err(|error| format!("failed to read the schedule's definition: {error}")),
            );
        } else if let Some(Ok(kept)) = all.get_mut(&source) {
            kept.pause = body.to::<Pause>().ok();
        }
    }
    Ok(all)
}

pub(super) async fn put_definition(store: &dyn Store, definition: &Definition) -> Result<()> {
    let name = definition.schedule.name.clone();
    store.put_samples(&[sample(DEFINITION, name, FOR_EVER, Json::new(definition)?)]).await
}

pub(super) async fn put_pause(store: &dyn Store, name: &str, pause: Pause) -> Result<()> {
    store.put_samples(&[sample(PAUSE, name.into(), FOR_EVER, Json::new(&pause)?)]).await
}

/// Forgets a schedule.
pub(super) async fn delete(store: &dyn Store, name: &str) -> Result<()> {
    store.put_samples(&[gone(DEFINITION, name), gone(PAUSE, name)]).await
}

/// Forgets the pause of a schedule that is there no more.
pub(super) async fn forget_pause(store: &dyn Store, name: &str) -> Result<()> {
    store.put_samples(&[gone(PAUSE, name)]).await
}

/// Whatever is kept for no time is gone at once.
fn gone(at: Timestamp, name: &str) -> Sample {
    sample(at, name.into(), Duration::ZERO, Json::null())
}

fn sample(at: Timestamp, source: String, keep_for: Duration, body: Json) -> Sample {
    Sample { series: SERIES.into(), at, source, keep_for, body }
}
