//! The Postgres store against the conformance suite, and what only it promises.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod changes;
mod conformance;
mod containment;
mod crossing;
mod finish_and_claim;
mod keyed;
mod limits;
mod liveness;
mod lost_claims;
mod maintenance;
mod migration;
mod outage;
mod paused_queues;
mod plans;
mod queue_limits;
mod releases;
mod search;
mod server;
mod silence;
mod tls;
mod transactional;
mod unique;
mod unlimited_keys;
mod waits;
