//! What breaks systems like this one, by public reports: a test for each symptom that a store alone can show. The letter
//! and number are the symptom's in `docs/conformance.md`, which lists those that are tested elsewhere, too.
//!
//! They run on several threads, because many of the reports are of calls that met.

pub mod bulk;
pub mod families;
pub mod keys;
pub mod ownership;
pub mod schedules;
pub mod times;
pub mod values;
