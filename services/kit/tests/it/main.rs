//! The kit against a real store and, over sockets, the doubles of the outside systems.

mod ai_brain;
mod auth;
mod db;
mod embedding;
mod llm;
mod provider;
