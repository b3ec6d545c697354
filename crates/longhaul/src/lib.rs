#![doc = include_str!("../README.md")]

pub mod backoff;
mod batch;
pub mod clock;
mod handle;
mod job;
mod maintenance;
mod memory;
mod model;
mod store;
pub mod testing;
mod worker;

pub use backoff::Backoff;
pub use clock::{Clock, TimedOut, Timestamp};
pub use handle::{CANCEL_GRACE, Done, EnqueueOptions, KindInfo, Longhaul};
pub use job::{Job, JobError, JobResult, Verdict};
pub use maintenance::Maintenance;
pub use memory::MemoryStore;
pub use model::{
    Action, AttemptError, Children, Claim, Claimed, EnqueueStatus, Enqueued, Entry, ErrorKind, Event,
    EventBody, Finish, FinishAndClaim, Idempotency, JobFilter, JobId, JobPage, JobRecord, Json, Keep, Lease,
    LeaseStatus, LogLevel, Lookup, MAX_ARGS_BYTES, NewJob, OnClash, Outcome, Page, Progress, QueueConfig,
    QueueInfo, QueueSlots, Record, Retention, Start, State, SupportedKind, Swept, Unique, WorkerInfo,
    default_max_crashes, process_id,
};
pub use store::{
    Error, GONE_FOR, KEPT_ERRORS, Listener, MAX_POSITION, PRIORITY_STEP, Result, Signals, Store,
    WORKER_SEEN_FOR,
};
pub use worker::{Context, DEFAULT_LEASE, Registry, Shutdown, Worker, WorkerBuilder};
