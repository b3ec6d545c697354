#![doc = include_str!("../README.md")]

pub mod access;
pub mod admit;
mod again;
pub mod backoff;
mod batch;
pub mod clock;
mod collection;
mod handle;
mod job;
pub mod lifecycle;
mod maintenance;
mod memory;
mod model;
pub mod moving;
mod panics;
mod runtime;
pub mod schedule;
pub mod search;
pub mod stats;
mod store;
pub mod testing;
pub mod trace;
mod wait_tokens;
pub mod webhook;
pub mod why;
mod worker;

pub use again::FromStep;
pub use backoff::Backoff;
pub use clock::{Clock, TimedOut, Timestamp};
pub use handle::{CANCEL_GRACE, Done, EnqueueOptions, KindInfo, Longhaul};
pub use job::{Job, JobError, JobResult, Verdict};
pub use maintenance::Maintenance;
pub use memory::MemoryStore;
pub use model::{
    Acted, Action, AttemptError, CancelReason, Change, Children, Claim, Claimed, Condition, Cost,
    DEFAULT_MAX_ATTEMPTS, DEFAULT_QUEUE, Deadline, Dependency, Edge, EnqueueStatus, Enqueued, Entry,
    ErrorKind, Event, EventBody, Finish, FinishAndClaim, Full, Idempotency, JobFilter, JobId, JobPage,
    JobRecord, Json, JsonBreach, JsonRule, Keep, KeptChange, KeyConfig, KeyFilter, KeyInfo, Lane, Lease,
    LeaseStatus, LogLevel, Lookup, MAX_ARGS_BYTES, MAX_DEPENDENCIES, MAX_JSON_DEPTH, MAX_LIMIT_KEYS,
    MAX_PREFERRED, MAX_RATE_PERIOD, MAX_UNITS, MAX_WAITING, MAX_WEIGHT, MAX_WORKER_LABELS, NewJob,
    NoTraceParent, OnClash, OnExhausted, OnFailure, OnFull, Outcome, Page, Payloads, Policy, Prefer,
    Progress, QueueConfig, QueueInfo, QueueSlots, Rate, Record, Retention, SHORT_PAYLOAD_BYTES,
    SIGNAL_PREFIX, Sample, Signalled, Start, State, StepRecord, Strength, SupportedKind, Swept, Term,
    TraceParent, Unique, UniqueKey, WaitsFor, WorkerInfo, check_json, check_json_within, default_max_crashes,
    joined_keys, process_id, split_keys, split_prefer,
};
pub use runtime::{Runtime, Spawn};
pub use schedule::{CatchUp, Schedule, ScheduleInfo, Scheduler, Schedules, Timing};
pub use store::{
    AWAITED_FOR, Changes, DEPENDANTS_AT_ONCE, DEPENDANTS_LOOKED_AT, Error, GONE_FOR, KEPT_ERRORS,
    KEPT_EVENT_BYTES, KEPT_EVENTS, Listener, MAX_KEYS, MAX_LANES, MAX_POSITION, MAX_SAMPLES, Observer,
    PREFER_FOR, PRIORITY_STEP, Result, STOP_GRACE, Signals, Store, WORKER_SEEN_FOR,
};
pub use wait_tokens::WaitTokens;
pub use webhook::{Webhook, WebhookEvent};
pub use worker::{
    Collect, Collected, Context, DEFAULT_LEASE, Registry, Shutdown, StepOptions, Worker, WorkerBuilder, layer,
};
