//! Deliveries and requests against a receiver on a port of its own. A test moves the clock of its store; the network is the machine's.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod deliveries;
mod faults;
mod guard;
mod receiver;
mod requests;
