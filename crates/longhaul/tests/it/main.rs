//! The runtime against the store in memory: real threads and real time, but nothing that sleeps. A test waits
//! for a signal, and where time must pass on the store's clock it moves that clock by hand.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod batches;
mod cancel;
mod faults;
mod faulty;
mod harness;
mod leases;
mod log;
mod outcomes;
mod panics;
mod script;
mod shutdown;
mod slots;
