//! The store's batch operations as JSON: what a remote worker sends and is answered. Durations are in seconds and
//! times in RFC 3339, as everywhere in the contract; what the engine itself says without either goes as the engine
//! writes it. The server and [`RemoteStore`](crate::RemoteStore) read and write the same types.

mod claim;
mod deadline;
mod dependency;
mod finish;
mod item;
mod job;
mod prefer;
mod seconds;
mod store;
mod unique;
mod webhook;

#[cfg(feature = "remote")]
pub(crate) use claim::WorkerBody;
pub(crate) use claim::{
    ClaimAnswer, ClaimBody, ClaimedBody, HeartbeatBody, KindBody, SlotsBody, TurnAnswer, TurnBody,
};
pub(crate) use deadline::DeadlineBody;
pub(crate) use dependency::{DependencyBody, DependencyRequest};
#[cfg(feature = "remote")]
pub(crate) use finish::OutcomeBody;
pub(crate) use finish::{FinishBody, FinishesBody, RecordsBody, StatusesAnswer};
pub(crate) use item::{Item, refused};
#[cfg(feature = "remote")]
pub(crate) use job::NewJobBody;
pub(crate) use job::{EnqueueAnswer, EnqueueBody};
pub(crate) use prefer::{is_hard, prefer};
pub(crate) use seconds::Seconds;
pub(crate) use store::{
    AbandonAnswer, AbandonBody, ActAnswer, ActBody, DependantsAnswer, DependantsBody, EventsAnswer,
    EventsBody, GetAnswer, GetBody, KeyNameBody, KeysAnswer, KeysBody, LanesAnswer, ListBody, NothingBody,
    PauseKeyBody, PutSamplesBody, QueueNameBody, QueuesAnswer, SamplesAnswer, SamplesBody, SetKeyBody,
    SetQueueBody, SignalAnswer, SignalBody, SignalTokenAnswer, SignalTokenBody, StepsAnswer, StepsBody,
    SweepBody, UpdateQueueBody, UpdatedQueueAnswer, WorkersAnswer,
};
pub(crate) use unique::{ClashWord, UniqueBody, on_clash};
pub(crate) use webhook::WebhookBody;

/// The most bytes of a body under `/worker`. More than elsewhere, because finishes carry outputs.
pub(crate) const MAX_WORKER_BODY_BYTES: usize = 16 * 1024 * 1024;
/// The longest that an answer is held open, in real time: proxies give up at 60 s. Whoever wants to wait longer asks
/// again, for what the answer says is left of the wait.
pub(crate) const LONGEST_HOLD: std::time::Duration = std::time::Duration::from_secs(25);
/// The most items of one request or answer under `/worker`.
pub(crate) const MAX_ITEMS: usize = 10_000;
