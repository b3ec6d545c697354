//! The HTTP contract, held request by request against a store in memory and a real worker.

#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod access;
mod actions;
mod app;
mod audit;
mod away;
mod batch;
mod create;
mod described;
mod disconnect;
mod docs;
mod door;
mod errors;
mod estimates;
mod events;
mod fault;
mod health;
mod idempotency;
mod keys;
mod kinds;
mod list;
mod metrics;
mod openapi;
mod queues;
mod read;
mod redaction;
mod remote;
mod repeated;
mod roles;
mod schedules;
mod seen;
mod symptoms;
mod tokens;
mod traced;
mod unique;
mod wait;
mod waits;
mod webhooks;
mod worker;
mod ws;
