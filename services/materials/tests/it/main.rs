//! The service on a real store, with a real worker and real tools, over HTTP; outside systems are the doubles.

mod chat;
mod courses;
mod extract;
mod fixture;
mod lifecycle;
mod process;
mod providers;
mod search;
mod sockets;
mod upload;
