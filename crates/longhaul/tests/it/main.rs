//! The runtime against the store in memory. A test waits for a signal, and where time must pass it moves the clock: that of the
//! store, or with a `Simulation` all of it.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod batches;
mod cancel;
mod collect;
mod durable;
mod faults;
mod faulty;
mod harness;
mod layers;
mod leases;
mod log;
mod maintenance;
mod meanwhile;
mod outage;
mod outcomes;
mod panics;
mod refused;
mod schedules;
mod script;
mod shutdown;
mod slots;
mod stats;
mod times;
mod trace;
mod waiting;
mod why;
