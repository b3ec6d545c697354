//! The races, under a prefix that two processes have open: what one of them remembers of a queue the other may have changed.

use std::sync::Arc;

use longhaul::{Clock, Store};
use longhaul_conformance::{Fixture, races_of_processes, several};
use longhaul_redis::RedisStore;

use crate::server;

async fn fixture() -> Fixture {
    let (options, clock) = (server::shared().options(), Clock::manual());
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..2 {
        let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
        stores.push(Arc::new(store));
    }
    Fixture::new(several(stores), clock)
}

races_of_processes!(fixture);
