//! The service on a real store, with a real worker, on a real listener; outside systems are the fakes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod clients;
mod contract;
mod crash;
mod errors;
mod fairness;
mod field;
mod fixture;
mod generation;
mod page;
mod postgres;
mod stream;
mod versions;
