//! Every sentence of the store's contract, the races and the model test, each with a prefix of its own: on one server,
//! and on a cluster. A claim that waits looks again by itself long after a test has lost its patience, so that one that nobody wakes
//! is found.

mod single {
    use longhaul::Clock;
    use longhaul_conformance::jobs::HOUR;
    use longhaul_conformance::{Fixture, conformance, histories};
    use longhaul_redis::{RedisOptions, RedisStore};

    use crate::server;

    async fn fixture() -> Fixture {
        let clock = Clock::manual();
        let options = RedisOptions { look_every: 1_000 * HOUR, ..server::shared().options() };
        let store = RedisStore::open_with_clock(options, clock.clone()).await.unwrap();
        Fixture::new(store, clock)
    }

    conformance!(fixture);
    histories!(fixture);
}

mod cluster {
    use longhaul::Clock;
    use longhaul_conformance::jobs::HOUR;
    use longhaul_conformance::{Fixture, conformance};
    use longhaul_redis::{RedisOptions, RedisStore};

    use crate::server::Cluster;

    async fn fixture() -> Fixture {
        let clock = Clock::manual();
        let options = RedisOptions { look_every: 1_000 * HOUR, ..Cluster::shared().options() };
        let store = RedisStore::open_with_clock(options, clock.clone()).await.unwrap();
        Fixture::new(store, clock)
    }

    conformance!(fixture);
}
