//! The operations that only a whole store needs, with the engine's own types inside.

use longhaul::{
    Acted, Action, Event, JobFilter, JobId, Json, KeyConfig, KeyFilter, KeyInfo, Lane, Lookup, Page,
    QueueConfig, QueueInfo, Sample, Signalled, StepRecord, Timestamp, WorkerInfo,
};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::seconds::Seconds;
use crate::time::Rfc3339;

/// A claim whose answer nobody hears.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkerAbandon)]
pub(crate) struct AbandonBody {
    /// The `Idempotency-Key` of the claim or turn.
    pub(crate) key: String,
}

/// The answer to an abandoned claim.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WorkerAbandoned)]
pub(crate) struct AbandonAnswer {
    /// The number of jobs that it had taken, which others may take now.
    pub(crate) given_back: usize,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreGet)]
pub(crate) struct GetBody {
    #[schema(value_type = Vec<String>)]
    pub(crate) ids: Vec<JobId>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StoreGot)]
pub(crate) struct GetAnswer {
    #[schema(value_type = Vec<serde_json::Value>)]
    pub(crate) jobs: Vec<Lookup>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreList)]
pub(crate) struct ListBody {
    #[schema(value_type = serde_json::Value)]
    pub(crate) filter: JobFilter,
    #[schema(value_type = serde_json::Value)]
    pub(crate) page: Page,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreEvents)]
pub(crate) struct EventsBody {
    #[schema(value_type = String)]
    pub(crate) id: JobId,
    pub(crate) after: u64,
    pub(crate) limit: usize,
    #[schema(value_type = Seconds)]
    pub(crate) wait: Seconds,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StoreEventsRead)]
pub(crate) struct EventsAnswer {
    /// Null where there is no such job.
    #[schema(value_type = Option<Vec<serde_json::Value>>, required)]
    pub(crate) events: Option<Vec<Event>>,
    #[schema(value_type = Seconds)]
    pub(crate) wait_left: Seconds,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreAct)]
pub(crate) struct ActBody {
    #[schema(value_type = serde_json::Value)]
    pub(crate) filter: JobFilter,
    #[serde(deserialize_with = "object")]
    #[schema(value_type = serde_json::Value)]
    pub(crate) action: Action,
    pub(crate) limit: usize,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StoreActed)]
pub(crate) struct ActAnswer {
    /// Jobs that were changed.
    pub(crate) count: u64,
    /// The whole answer of the store; earlier releases do not send it.
    #[schema(value_type = Option<serde_json::Value>)]
    pub(crate) acted: Option<Acted>,
}

/// An internally tagged enum would accept an array.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Action, D::Error> {
    let json = Json::deserialize(deserializer)?;
    if !json.as_str().starts_with('{') {
        return Err(D::Error::custom("expected an object"));
    }
    json.to().map_err(D::Error::custom)
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreSweep)]
pub(crate) struct SweepBody {
    pub(crate) limit: usize,
}

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Nothing)]
pub(crate) struct NothingBody {}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StoreQueues)]
pub(crate) struct QueuesAnswer {
    #[schema(value_type = Vec<serde_json::Value>)]
    pub(crate) queues: Vec<QueueInfo>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreSetQueue)]
pub(crate) struct SetQueueBody {
    pub(crate) queue: String,
    #[schema(value_type = serde_json::Value)]
    pub(crate) config: QueueConfig,
}

/// A queue's configuration in place of the one that was read.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreUpdateQueue)]
pub(crate) struct UpdateQueueBody {
    pub(crate) queue: String,
    #[schema(value_type = serde_json::Value)]
    pub(crate) before: QueueConfig,
    #[schema(value_type = serde_json::Value)]
    pub(crate) config: QueueConfig,
}

/// True where the configuration was still the one that was read.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StoreUpdatedQueue)]
pub(crate) struct UpdatedQueueAnswer {
    pub(crate) updated: bool,
}

/// A queue that is paused or resumed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreQueueName)]
pub(crate) struct QueueNameBody {
    pub(crate) queue: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StoreLanes)]
pub(crate) struct LanesAnswer {
    #[schema(value_type = Vec<serde_json::Value>)]
    pub(crate) lanes: Vec<Lane>,
}

/// The limits of a limit key; null takes them away.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreSetKey)]
pub(crate) struct SetKeyBody {
    pub(crate) key: String,
    #[schema(value_type = Option<serde_json::Value>, required)]
    pub(crate) config: Option<KeyConfig>,
}

/// A limit key that is paused.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StorePauseKey)]
pub(crate) struct PauseKeyBody {
    pub(crate) key: String,
    #[schema(value_type = Seconds)]
    pub(crate) pause: Seconds,
}

/// A limit key that is resumed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreKeyName)]
pub(crate) struct KeyNameBody {
    pub(crate) key: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreKeysFilter)]
pub(crate) struct KeysBody {
    #[schema(value_type = serde_json::Value)]
    pub(crate) filter: KeyFilter,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StoreKeys)]
pub(crate) struct KeysAnswer {
    #[schema(value_type = Vec<serde_json::Value>)]
    pub(crate) keys: Vec<KeyInfo>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreSteps)]
pub(crate) struct StepsBody {
    #[schema(value_type = String)]
    pub(crate) id: JobId,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StoreStepsRead)]
pub(crate) struct StepsAnswer {
    /// Null where there is no such job.
    #[schema(value_type = Option<Vec<serde_json::Value>>, required)]
    pub(crate) steps: Option<Vec<StepRecord>>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreSignal)]
pub(crate) struct SignalBody {
    #[schema(value_type = String)]
    pub(crate) id: JobId,
    /// The signal's name.
    pub(crate) name: String,
    /// The signal's value; at most 64 KiB.
    #[schema(value_type = serde_json::Value, required = true)]
    pub(crate) value: Json,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StoreSignalled)]
pub(crate) struct SignalAnswer {
    /// `accepted`, `sent` (an earlier one of the name stands), `ended` or `unknown`.
    #[schema(value_type = String)]
    pub(crate) signalled: Signalled,
}

/// A signal of a job that a token is to be made for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkerSignalToken)]
pub(crate) struct SignalTokenBody {
    /// The job.
    #[schema(value_type = String)]
    pub(crate) id: JobId,
    /// The signal's name.
    pub(crate) name: String,
    /// The token's validity in seconds, 1 to 31,536,000; 7 days unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_in: Option<f64>,
}

/// A token that gives one job one signal.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SignalToken)]
pub(crate) struct SignalTokenAnswer {
    /// The token.
    pub(crate) token: String,
    /// The path that redeems it, by a POST with the signal's value as the body: a path of this server.
    #[schema(example = "/api/signals/eyJ0…")]
    pub(crate) path: String,
    /// The end of its validity.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) expires_at: Rfc3339,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreDependants)]
pub(crate) struct DependantsBody {
    #[schema(value_type = String)]
    pub(crate) id: JobId,
    /// At most 10,000.
    pub(crate) limit: usize,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StoreDependantsRead)]
pub(crate) struct DependantsAnswer {
    #[schema(value_type = Vec<String>)]
    pub(crate) dependants: Vec<JobId>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StorePutSamples)]
pub(crate) struct PutSamplesBody {
    #[schema(value_type = Vec<serde_json::Value>)]
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreSamples)]
pub(crate) struct SamplesBody {
    pub(crate) series: String,
    /// The first moment, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub(crate) from: Timestamp,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StoreSamplesRead)]
pub(crate) struct SamplesAnswer {
    #[schema(value_type = Vec<serde_json::Value>)]
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StoreWorkers)]
pub(crate) struct WorkersAnswer {
    #[schema(value_type = Vec<serde_json::Value>)]
    pub(crate) workers: Vec<WorkerInfo>,
}
