//! Statistics, grouped failures and the live feed of a store, made of the [changes](crate::Changes) that it tells.
//!
//! | file | what |
//! |---|---|
//! | `recorder` | hears of changes, counts them, and keeps what it counted as samples of the store |
//! | `bucket` | the counts of a minute or an hour, and their form as samples |
//! | `histogram` | durations, from which percentiles are read |
//! | `report` | reads samples back: throughput, times, groups of failures |
//! | `feed` | the changes themselves, for those who watch |
//!
//! Counters live in memory and are written every few seconds, so that the hot path pays for an addition and no row. A process
//! that is killed loses the counts of these seconds, and nothing of its jobs.

mod bucket;
mod feed;
mod histogram;
mod recorder;
mod report;

pub use bucket::Failure;
pub use feed::{Feed, FeedItem, FeedNews};
pub use histogram::Histogram;
pub use recorder::Recorder;
pub use report::{Counts, Failures, Group, Percentiles, Point, Report, Totals, Window};
