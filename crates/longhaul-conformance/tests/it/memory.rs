//! The suite on [`MemoryStore`], which is also its own model: its answers are compared with themselves, and
//! with what must hold on any store.

use longhaul::{Clock, MemoryStore};
use longhaul_conformance::{Fixture, conformance, histories};

async fn fixture() -> Fixture {
    let clock = Clock::manual();
    Fixture::new(MemoryStore::with_clock(clock.clone()), clock)
}

conformance!(fixture);
histories!(fixture);
