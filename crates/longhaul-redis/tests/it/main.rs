//! The Redis store against the conformance suite, and what only it promises.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod alike;
mod bounds;
mod changes;
mod configuration;
mod conformance;
mod containment;
mod crossing;
mod direct;
mod lost_data;
mod maintenance;
mod outage;
mod processes;
mod releases;
mod search;
mod server;
mod tls;
mod uncounted;
mod waits;
