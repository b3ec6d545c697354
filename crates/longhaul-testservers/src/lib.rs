//! Database servers for tests: on free ports, in folders of their own, and gone when the test process is, however it
//! ends. Dev only: a fault of theirs is a panic.

mod cpu;
mod guarded;
mod postgres;
mod redis;
mod size;

pub use cpu::cpu_seconds;
pub use guarded::free_port;
pub use postgres::{Postgres, postgres};
pub use redis::Redis;
pub use size::{disk_bytes, memory_bytes};
