//! Every sentence of the store's contract, the races and the model test, each in a schema of its own; and histories, which take a
//! store in turn.

use std::sync::Arc;

use longhaul::Clock;
use longhaul_conformance::{Fixture, conformance, histories};
use longhaul_postgres::tokio_postgres::Client;
use longhaul_postgres::{PostgresOptions, PostgresStore};
use tokio::sync::Mutex;

use crate::releases::client;
use crate::server;

async fn fixture() -> Fixture {
    open(server::shared().options()).await
}

async fn open(options: PostgresOptions) -> Fixture {
    let clock = Clock::manual();
    let store = PostgresStore::open_with_clock(options, clock.clone()).await.unwrap();
    Fixture::new(store, clock)
}

conformance!(fixture);
histories!(in_turn());

/// Answers with one store again and again, which is empty each time: to make a schema takes longer than most histories do.
fn in_turn() -> impl Fn() -> futures::future::BoxFuture<'static, Fixture> {
    let first: Arc<Mutex<Option<(Fixture, Emptier)>>> = Arc::default();
    move || {
        let first = Arc::clone(&first);
        Box::pin(async move {
            let mut first = first.lock().await;
            if let Some((fixture, emptier)) = &mut *first {
                emptier.empty().await;
                return fixture.clone();
            }
            let options = server::shared().options();
            let fixture = open(options.clone()).await;
            let emptier = Emptier::of(&options).await;
            first.insert((fixture, emptier)).0.clone()
        })
    }
}

/// Deletes all that a schema has.
struct Emptier {
    client: Client,
    delete: String,
    vacuum: String,
    turns: usize,
}

/// Histories after which the space of deleted rows is given back, so that no statement goes through them.
const VACUUMED_AFTER: usize = 20;

impl Emptier {
    async fn of(options: &PostgresOptions) -> Self {
        let client = client(options).await;
        // Without triggers: what they would note is deleted, too.
        client.batch_execute("SET session_replication_role = replica").await.unwrap();
        let sql =
            "SELECT tablename::text FROM pg_tables WHERE schemaname = $1 AND tablename <> 'schema_version'";
        let tables = client.query(sql, &[&options.schema]).await.unwrap();
        let tables: Vec<String> = tables.iter().map(|row| row.get(0)).collect();
        assert!(tables.iter().any(|table| table == "jobs"), "{tables:?}");
        // What the store still does about the last history comes first: it is at jobs, or it has the lock of limits.
        let delete = "BEGIN;
             SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ':limits', 0));
             LOCK TABLE jobs IN EXCLUSIVE MODE;"
            .to_owned();
        let delete = tables.iter().fold(delete, |sql, table| sql + "DELETE FROM " + table + ";") + "COMMIT";
        Self { client, delete, vacuum: format!("VACUUM {}", tables.join(", ")), turns: 0 }
    }

    async fn empty(&mut self) {
        self.client.batch_execute(&self.delete).await.unwrap();
        self.turns += 1;
        if self.turns.is_multiple_of(VACUUMED_AFTER) {
            self.client.batch_execute(&self.vacuum).await.unwrap();
        }
    }
}
