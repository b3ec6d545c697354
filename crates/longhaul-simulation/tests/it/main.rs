//! The seeds of every check, the faults that they must find, and the proof that a seed is a run.

mod planted;
mod seeds;
