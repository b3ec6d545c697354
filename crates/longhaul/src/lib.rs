#![doc = include_str!("../README.md")]

pub mod admit;
pub mod backoff;
mod batch;
pub mod clock;
mod handle;
mod job;
pub mod lifecycle;
mod maintenance;
mod memory;
mod model;
mod panics;
mod runtime;
pub mod schedule;
pub mod search;
pub mod stats;
mod store;
pub mod testing;
pub mod why;
mod worker;

pub use backoff::Backoff;
pub use clock::{Clock, TimedOut, Timestamp};
pub use handle::{CANCEL_GRACE, Done, EnqueueOptions, KindInfo, Longhaul};
pub use job::{Job, JobError, JobResult, Verdict};
pub use maintenance::Maintenance;
pub use memory::MemoryStore;
pub use model::{
    Acted, Action, AttemptError, Change, Children, Claim, Claimed, Condition, DEFAULT_MAX_ATTEMPTS,
    DEFAULT_QUEUE, EnqueueStatus, Enqueued, Entry, ErrorKind, Event, EventBody, Finish, FinishAndClaim,
    Idempotency, JobFilter, JobId, JobPage, JobRecord, Json, JsonBreach, JsonRule, Keep, KeptChange,
    KeyPause, Lane, Lease, LeaseStatus, LogLevel, Lookup, MAX_ARGS_BYTES, MAX_JSON_DEPTH, NewJob, OnClash,
    Outcome, Page, Payloads, Policy, Progress, QueueConfig, QueueInfo, QueueSlots, Record, Retention,
    SHORT_PAYLOAD_BYTES, Sample, Start, State, StepRecord, SupportedKind, Swept, Term, Unique, WorkerInfo,
    check_json, check_json_within, default_max_crashes, process_id,
};
pub use runtime::{Runtime, Spawn};
pub use schedule::{CatchUp, Schedule, ScheduleInfo, Scheduler, Schedules, Timing};
pub use store::{
    Changes, Error, GONE_FOR, KEPT_ERRORS, KEPT_EVENT_BYTES, KEPT_EVENTS, Listener, MAX_LANES, MAX_PAUSES,
    MAX_POSITION, MAX_SAMPLES, Observer, PRIORITY_STEP, Result, Signals, Store, WORKER_SEEN_FOR,
};
pub use worker::{Context, DEFAULT_LEASE, Registry, Shutdown, Worker, WorkerBuilder, layer};
