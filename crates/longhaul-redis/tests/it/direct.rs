//! An enqueue that is alone goes over a connection of its caller's runtime.

use std::sync::Arc;

use longhaul::{Clock, State};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{QUEUE, job};
use longhaul_redis::RedisStore;
use longhaul_redis::redis::cmd;

use crate::server::Server;

/// The most jobs that are enqueued before the connection must be there.
const ENOUGH: u64 = 100_000;

fn connections(server: &Server) -> usize {
    let list: String = server.tell(cmd("CLIENT").arg("LIST")).unwrap();
    list.lines().count()
}

#[tokio::test]
async fn what_is_enqueued_from_several_runtimes_and_after_a_cut_is_all_there() {
    let server = Server::start(&[]);
    let clock = Clock::manual();
    let store = RedisStore::open_with_clock(server.options(), clock.clone()).await.unwrap();
    let fx = Fixture::new(store, clock);
    let (before, mut enqueued) = (connections(&server), 0);
    while connections(&server) == before {
        fx.enqueue(job()).await;
        enqueued += 1;
        assert!(enqueued < ENOUGH, "an enqueue that is alone has a connection opened");
    }
    let (store, opened) = (Arc::clone(&fx.store), connections(&server));
    let other = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { store.enqueue(vec![job()]).await.unwrap().len() })
    });
    enqueued += u64::try_from(other.join().unwrap()).unwrap();
    assert_eq!(connections(&server), opened, "callers of other runtimes open none");
    let _: i64 = server.tell(cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal")).unwrap();
    let again = loop {
        // Calls fail until they have noticed that their connections are cut.
        if let Ok(again) = fx.store.enqueue(vec![job()]).await {
            break again;
        }
    };
    assert_eq!(again.len(), 1);
    let stored = fx.counts(QUEUE).await[&State::Available];
    assert!(stored > enqueued, "{stored} of {enqueued} and one");
}
