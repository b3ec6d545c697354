//! Every sentence of the store's contract, the races and the model test, each with a prefix of its own: on one server,
//! and on a cluster.

mod single {
    use longhaul::Clock;
    use longhaul_conformance::{Fixture, conformance};
    use longhaul_redis::RedisStore;

    use crate::server;

    async fn fixture() -> Fixture {
        let clock = Clock::manual();
        let store = RedisStore::open_with_clock(server::shared().options(), clock.clone()).await.unwrap();
        Fixture::new(store, clock)
    }

    conformance!(fixture);
}

mod cluster {
    use longhaul::Clock;
    use longhaul_conformance::{Fixture, conformance};
    use longhaul_redis::RedisStore;

    use crate::server::Cluster;

    async fn fixture() -> Fixture {
        let clock = Clock::manual();
        let store = RedisStore::open_with_clock(Cluster::shared().options(), clock.clone()).await.unwrap();
        Fixture::new(store, clock)
    }

    conformance!(fixture);
}
