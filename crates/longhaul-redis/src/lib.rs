//! The store for many machines at the highest shared throughput: Redis 7 or Valkey, one server or a cluster.
//!
//! ```no_run
//! # async fn connect() -> longhaul::Result<()> {
//! let store = longhaul_redis::RedisStore::connect("redis://localhost:6379?prefix=shop").await?;
//! # Ok(()) }
//! ```
//!
//! - **Every operation is one script**, which the server runs atomically: a finish, its follow-ups and its unique key take
//!   effect together. Each script has a file in `src/lua/`.
//! - **Group commit.** Calls that wait while another is on its way are sent together, at most about a hundred jobs in a
//!   script, so that 64 callers share one round trip and one `fsync`, and the server stays responsive. A single call is
//!   never cut, because it is all or nothing: enqueue ten thousand jobs at once and the server is busy for some 100 ms.
//! - **Durability is the server's setting**, and what is answered is as durable as that:
//!
//!   | setting | what a crash of the server loses |
//!   |---|---|
//!   | `appendonly yes`, `appendfsync always` | nothing that was answered, as far as the disk keeps its word |
//!   | `appendonly yes`, `appendfsync everysec` (usual) | the last second (up to two), acknowledged or not |
//!   | `appendonly no` | all since the last snapshot |
//!
//!   Replicas are written to later: a failover can lose what was answered just before it. No lease's token is given
//!   twice even then, because tokens are made of the server's time.
//! - **An evicting server is refused.** With `maxmemory` set, `maxmemory-policy` must be `noeviction`; then a full server
//!   refuses new jobs and entries as [full](longhaul::Error::Full), and goes on with what it has. Where data vanishes all
//!   the same (a hand, another program), the rest of the job is cleared away when it is met; a job whose record is damaged
//!   fails with that reason.
//! - **The clock is the server's** (`TIME`). No machine that runs an application is asked for the time.
//! - **Wake-ups** cross machines by publish and subscribe, and only if a call waits. They are hints: a waiting call looks by
//!   itself every half minute, and at once when a lost connection is back.
//! - **A thread of its own** holds the connections, so that jobs which block their runtime cannot starve heartbeats, and
//!   heartbeats have a connection of their own, so that they do not wait behind a pipeline of jobs.
//! - **Scripts end whole.** Nothing undoes what a script has written, so each works in memory, and writes when all is
//!   checked. Calls that were sent together and fail for one of them are sent again one by one.
//! - **Limit keys cost where they are used.** Jobs with the same keys wait in a group, and a group that a key keeps back is not read
//!   again before the key opens: a paused or full key costs the same whatever waits behind it. A process of an older release that
//!   works beside this one claims such jobs past their limits; what its runs hold is given back by the next sweeps.
//! - **Bounds on what waits cost where they are set.** Jobs of a bounded queue or limit key stand in one more sorted set while they
//!   wait. A process of an older release knows no bounds, and what it claims is counted until the next sweeps; nor does it end jobs
//!   at their time, or know of modes of unique keys other than to join and to refresh.
//! - **The end of a job is counted by 500 of its dependants at a time**, so that no script keeps the server busy for long. A
//!   process of an older release beside this one does not settle dependants: the next sweeps find the jobs that it has ended. It
//!   does not count the children of a running job, and does not end waits whose time is over.
//! - **Maintenance costs what is due**: sorted sets hold what falls due when, and nothing is counted or scanned, except by a
//!   survey every ten minutes that finds history of the previous release.
//!
//! # What it needs
//! Redis from 7.0, or Valkey. A user of the server's (ACL) needs the keys `{PREFIX}:*`, the channel `{PREFIX}:news`, and the
//! commands `EVALSHA`, `EVAL`, `INFO`, `PING`, `SUBSCRIBE`, `PUBLISH` and what the scripts call: strings, hashes, lists,
//! sets, sorted sets, streams, `TIME` and `UNLINK`; and `CLIENT|PAUSE` and `CLIENT|UNPAUSE` to be exported while it is in use.
//! Nothing else should write to these keys.
//!
//! # On a cluster
//! All keys of a prefix share one hash tag, and are on one node. That is what the promises need: unique keys are
//! shared by all queues, a finish and its follow-ups in other queues are one transaction, and an enqueue is all or
//! nothing, and a script sees one slot only. A tag per queue would spread the load and break all three. To use several
//! nodes, give each application or tenant a prefix of its own.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop"))]

mod act;
mod answer;
mod changes;
mod claim;
mod connection;
mod direct;
mod driver;
mod due;
mod enqueue;
mod error;
mod fields;
mod filter;
mod finish;
mod limit_keys;
mod looks;
mod lost;
mod moving;
mod notifier;
mod options;
mod pack;
mod queues;
mod read;
mod samples;
mod scripts;
mod steps;
mod store;
mod sweep;
mod waits;

pub use options::{RedisOptions, Topology};
pub use redis;
pub use store::RedisStore;
