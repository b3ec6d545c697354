//! service-support against a real store and, over sockets, the fakes of the outside systems.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod ai_brain;
mod auth;
mod away;
mod db;
mod embedding;
mod llm;
mod moving;
mod once;
mod outbox;
mod provider;
