//! The suite on the store that needs nothing, and a trial of the suite itself.

mod faulty;
mod memory;
