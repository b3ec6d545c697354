//! Jobs with keys and parents are created by a number of statements that does not grow with them.

use longhaul::{Enqueued, Finish, NewJob, Start, Store};
use longhaul_conformance::jobs::{claim, completed, finish, id, idempotent, named, unique};
use longhaul_postgres::PostgresStore;
use longhaul_postgres::tokio_postgres::Client;

use crate::releases::client;
use crate::server::Server;

/// Jobs of one call or finish.
const MANY: usize = 1_000;

/// The statements that the server has been asked for until now.
async fn statements(client: &Client) -> i64 {
    let calls = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements";
    client.query_one(calls, &[]).await.unwrap().get(0)
}

/// Children of one closing job, each with a unique key, an idempotency key and an id.
fn children() -> Vec<NewJob> {
    let child = |n: usize| NewJob {
        id: Some(id(&format!("child-{n}"))),
        unique: unique(&format!("unique-{n}"), None).unique,
        parent: Some(id("all")),
        ..idempotent(&format!("request-{n}"), "digest")
    };
    (0..MANY).map(child).collect()
}

#[tokio::test]
async fn a_thousand_keyed_children_take_a_handful_of_statements() {
    let server = Server::start(&["fsync=off", "shared_preload_libraries=pg_stat_statements"]);
    let options = server.options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let client = client(&options).await;
    client.batch_execute("CREATE EXTENSION pg_stat_statements SCHEMA public").await.unwrap();
    client.batch_execute("SET search_path = public").await.unwrap();

    let closing = NewJob { start: Start::AfterChildren, ..named("all") };
    let batch: Vec<NewJob> = std::iter::once(closing).chain(children()).collect();
    let before = statements(&client).await;
    let created = store.enqueue(batch.clone()).await.unwrap();
    let took = statements(&client).await - before;
    assert!(took > 0 && took < 40, "{took} statements");
    assert!(!created.iter().any(Enqueued::is_duplicate));
    let all = store.get(&[id("all")]).await.unwrap().remove(0).found().unwrap();
    assert_eq!(all.children.unwrap().total, MANY as u64);

    let before = statements(&client).await;
    assert!(store.enqueue(batch).await.unwrap().iter().all(Enqueued::is_duplicate));
    let took = statements(&client).await - before;
    assert!(took < 40, "{took} statements");

    let lease = store.claim(claim()).await.unwrap().remove(0).lease;
    let follow_ups = (0..MANY).map(|n| unique(&format!("next-{n}"), None)).collect();
    let end = Finish { follow_ups, ..finish(&lease, completed()) };
    let before = statements(&client).await;
    store.finish(vec![end]).await.unwrap();
    let took = statements(&client).await - before;
    assert!(took < 60, "{took} statements");
}
