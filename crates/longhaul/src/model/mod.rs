//! Plain data: what a job is, what is said to a store and what a store answers.

mod cancel_reason;
mod change;
mod claim;
mod enqueue;
mod event;
mod filter;
mod finish;
mod id;
mod json;
mod key;
mod policy;
mod prefer;
mod queue;
mod record;
mod sample;
mod state;
mod term;
mod traceparent;
mod unique;
mod wait;

pub use cancel_reason::CancelReason;
pub use change::{Change, KeptChange};
pub use claim::{Claim, Claimed, FinishAndClaim, Lease, LeaseStatus, QueueSlots, SupportedKind, WorkerInfo};
pub use enqueue::{
    DEFAULT_MAX_ATTEMPTS, DEFAULT_QUEUE, Deadline, EnqueueStatus, Enqueued, Full, Idempotency,
    MAX_ARGS_BYTES, NewJob, Start, default_max_crashes,
};
pub use event::{Entry, Event, EventBody, LogLevel, Progress, Record, StepRecord};
pub use filter::{Acted, Action, JobFilter, JobPage, Page, Payloads, SHORT_PAYLOAD_BYTES};
pub use finish::{AttemptError, ErrorKind, Finish, Outcome};
pub(crate) use id::check_name;
pub use id::{JobId, process_id};
pub use json::{Json, JsonBreach, JsonRule, MAX_JSON_DEPTH, check_json, check_json_within};
pub(crate) use key::check_key_name;
pub use key::{
    Cost, KeyConfig, KeyFilter, KeyInfo, MAX_LIMIT_KEYS, MAX_RATE_PERIOD, MAX_UNITS, MAX_WEIGHT, Rate,
    joined_keys, split_keys, split_prefer,
};
pub use policy::Policy;
pub use prefer::{MAX_PREFERRED, MAX_WORKER_LABELS, Prefer, Strength};
pub use queue::{Keep, Lane, MAX_WAITING, OnFull, QueueConfig, QueueInfo, Retention, Swept};
pub use record::{Children, JobRecord, Lookup};
pub use sample::Sample;
pub use state::State;
pub use term::{Condition, Term};
pub use traceparent::{NoTraceParent, TraceParent};
pub use unique::{Edge, OnClash, Unique, UniqueKey};
pub(crate) use wait::check_dependencies;
pub use wait::{Dependency, MAX_DEPENDENCIES, OnExhausted, OnFailure, SIGNAL_PREFIX, Signalled, WaitsFor};
