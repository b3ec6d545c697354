//! The service on a real store, with a real worker, on a real listener; outside systems are the fakes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod changes;
mod contract;
mod dispatch;
mod errors;
mod fairness;
mod fixture;
mod lists;
mod log;
mod page;
mod postgres;
mod query;
