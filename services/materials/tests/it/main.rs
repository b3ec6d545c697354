//! The service on a real store, with a real worker and real tools, over HTTP; outside systems are the fakes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod chat;
mod courses;
mod extract;
mod fixture;
mod judged;
mod lifecycle;
mod limits;
mod outage;
mod postgres;
mod process;
mod providers;
mod search;
mod sockets;
mod storage;
mod text_route;
mod upload;
