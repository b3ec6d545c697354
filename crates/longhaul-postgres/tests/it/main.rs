//! The Postgres store against the conformance suite, and what only it promises.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod conformance;
mod server;
