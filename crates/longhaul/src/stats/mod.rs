//! Statistics, grouped failures and the live feed of a store, made of the [changes](crate::Changes) that it tells.
//!
//! | file | what |
//! |---|---|
//! | `ear` | hears of changes, on the store's threads, and counts them |
//! | `recorder` | keeps what was counted as samples of the store, and tells changes |
//! | `shared` | what the recorders of one store in one process share |
//! | `exchange` | changes that cross from one process to another |
//! | `bucket` | the counts of a minute or an hour, and their form as samples |
//! | `histogram` | durations, from which percentiles are read |
//! | `counters` | all that this process has counted since it began, for Prometheus |
//! | `report` | reads samples back: throughput, times, groups of failures |
//! | `metered` | measures the calls of a store |
//! | `worker` | what a worker does now and how its runs ended, for Prometheus |
//! | `feed`, `item` | the changes themselves, for those who watch |
//!
//! Counters live in memory and are written every second, so that the hot path pays for an addition and no row. A process
//! that is killed loses the counts of that second, and nothing of its jobs; one that ends calls
//! [`Longhaul::flush`](crate::Longhaul::flush).

mod bucket;
mod counters;
mod ear;
mod exchange;
mod feed;
mod histogram;
mod item;
mod metered;
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
