//! The embedded store against the conformance suite, and what only it promises.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod application;
mod changes;
mod conformance;
mod containment;
mod crossing;
mod disk;
mod limits;
mod liveness;
mod owner;
mod releases;
mod space;
mod steps_in;
mod transact;
mod upgrade;
