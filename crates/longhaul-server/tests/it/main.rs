//! The real binary, started as its users start it: on a free port, in a folder of its own.

mod cli;
mod dependencies;
mod lifecycle;
mod readme;
mod server;
mod states;
