//! Statistics, grouped failures and the live feed of a store, computed from the [changes](crate::Changes) that it
//! reports.
//!
//! | file | what |
//! |---|---|
//! | `observer` | receives changes, on the store's threads, and counts them |
//! | `recorder` | stores the counts as samples, and publishes changes |
//! | `shared` | the state that the recorders of one store in one process share |
//! | `exchange` | changes that cross from one process to another |
//! | `bucket` | the counts of a minute or an hour, and their form as samples |
//! | `histogram` | durations, from which percentiles are read |
//! | `counters` | totals of this process since its start, for Prometheus |
//! | `report` | reads samples back: throughput, times, groups of failures |
//! | `metered` | measures the calls of a store |
//! | `worker` | the slots of a worker and the outcomes of its runs, for Prometheus |
//! | `feed`, `item` | the changes themselves, for readers of the feed |
//!
//! Counters live in memory and are written every second, so that the hot path costs an addition and no row. A process
//! that is killed loses the counts of the last second and nothing of its jobs; one that ends calls
//! [`Longhaul::flush`](crate::Longhaul::flush).

mod bucket;
mod counters;
mod exchange;
mod feed;
mod histogram;
mod item;
mod metered;
mod observer;
mod recorder;
mod report;
mod shared;
mod worker;

pub use bucket::Failure;
pub use counters::{Counted, Counter, Counters, OneMore};
pub use feed::Feed;
pub use histogram::Histogram;
pub use item::{FeedItem, FeedNews};
pub use metered::Metered;
pub use recorder::Recorder;
pub use report::{Counts, Failures, Group, Percentiles, Point, Report, Totals, Window};
pub use worker::{QueueFigures, WorkerFigures};

pub use crate::store::{Distribution, OperationTimes, Operations};
