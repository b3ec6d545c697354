//! Deterministic simulation: the whole engine (workers, servers, maintenance, schedules) on a simulated store, network and
//! clock, with faults. All of a run follows from its seed, so that a run that broke a promise can be looked at again.
//!
//! | file | what |
//! |---|---|
//! | `scenario` | what happens in a run, drawn from its seed |
//! | `run` | one run: a storm, a calm, and the end |
//! | `world` | time, processes and tasks, on one thread |
//! | `network` | calls that are late, lost, doubled, or take effect in part |
//! | `client` | what a server does for others |
//! | `jobs` | the jobs, which note what they do |
//! | `witness` | the check of the engine's promises |
//! | `planted` | stores with a fault, which the runs must find |
//! | `shrink` | the shortest scenario that breaks a promise |
//! | `many` | many seeds, counted |
//! | `proof` | the page that reports them |

mod client;
mod jobs;
mod many;
mod network;
mod planted;
mod proof;
mod random;
mod run;
mod scenario;
mod shrink;
mod trace;
mod witness;
mod world;

pub use many::{SEEDS, Seeds, Sum, catch, run_many, silence_planned_panics};
pub use planted::Planted;
pub use proof::{Histories, Proof};
pub use run::{Outcome, run};
pub use shrink::{Shrunk, shrink};
pub use trace::Lines;
pub use witness::{Broken, PROMISES};
