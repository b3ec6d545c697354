//! A store over HTTP, with a real server behind it.

mod last_release;
mod lost;
mod memory;
mod proxy;
mod server;
mod sqlite;
mod worker;
