//! The fakes, asked over the socket as a service asks them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod llm;
mod pages;
mod wikipedia;
