//! The service on a real store, with a real worker, over HTTP on a real listener; the model is the double.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bad_input;
mod chain;
mod contract;
mod crash;
mod edits;
mod fairness;
mod fixture;
mod frontend;
mod history;
mod model;
mod page;
mod repeat;
