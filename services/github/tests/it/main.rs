//! The service on a real store, with a real worker, over HTTP; GitHub is the double.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod accounts;
mod batch;
mod contract;
mod figures;
mod fixture;
mod input;
mod limits;
mod live;
mod outage;
mod page;
mod proxies;
mod replies;
mod restart;
mod single_flight;
mod small;
mod snippet;
mod statuses;
