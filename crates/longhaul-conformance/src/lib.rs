//! The suite that every Longhaul store passes: one public async fn per sentence of the
//! [`Store`](longhaul::Store) contract, races, and a model test that compares a store with
//! [`MemoryStore`](longhaul::MemoryStore). [`conformance!`] makes a store's tests of all of them.
//!
//! No test sleeps: each has a store with a manual clock, and moves it.

mod fixture;
pub mod jobs;
mod several;
mod suite;

pub mod access;
pub mod act;
pub mod admission;
pub mod batches;
pub mod changes;
pub mod claim;
pub mod claim_order;
pub mod claim_wait;
pub mod depends;
pub mod enqueue;
pub mod events;
pub mod fair;
pub mod finish;
pub mod finish_again;
pub mod follow_ups;
pub mod gap;
pub mod heartbeat;
pub mod idempotency;
pub mod keys;
pub mod lanes;
pub mod limits;
pub mod max_waiting;
pub mod migrate;
pub mod model;
pub mod moving;
pub mod moving_batches;
pub mod paused_queues;
pub mod prefer;
pub mod prune;
pub mod queue_limits;
pub mod queues;
pub mod races;
pub mod races_by_hand;
pub mod races_of_leases;
pub mod races_of_waits;
pub mod read;
pub mod record;
pub mod restart;
pub mod samples;
pub mod search;
pub mod settle;
pub mod signals;
pub mod steps;
pub mod sweep;
pub mod symptoms;
pub mod times;
pub mod unique;
pub mod unique_modes;
pub mod waits;
pub mod walk;
pub mod webhooks;

pub use fixture::{Fixture, retry_until_available, within};
pub use several::several;
pub use suite::{SENTENCES, on_many_threads, on_one_thread};
