//! The service on a real store, with a real worker, over HTTP; GitHub is the double.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod batch;
mod contract;
mod fixture;
mod input;
mod limits;
mod live;
mod outage;
mod page;
mod proxies;
mod restart;
mod single_flight;
mod snippet;
mod statuses;
