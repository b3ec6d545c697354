//! Symptoms of job queues in public reports: a test for each that a store alone can show. The letter and number are the
//! symptom's in `docs/conformance.md`, which also lists those that are tested elsewhere.
//!
//! They run on several threads, because many of the reports are of concurrent calls.

pub mod bulk;
pub mod families;
pub mod keys;
pub mod ownership;
pub mod schedules;
pub mod times;
pub mod values;
