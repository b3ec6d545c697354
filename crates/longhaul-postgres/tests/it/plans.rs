//! Statements find their rows by the indexes that their headers name, whatever the server has counted: a wrong one costs
//! nothing in an empty table, and everything in a busy one.

use longhaul::Store;
use longhaul_conformance::jobs::{claim, completed, finish, named};
use longhaul_postgres::PostgresStore;
use longhaul_postgres::tokio_postgres::Client;

use crate::releases::client;
use crate::server::shared;

/// The settings of the writing connection.
const WRITING: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; \
    SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan; SET jit = off";

/// The plan of a statement, for arguments that do not matter.
async fn plan(client: &Client, sql: &str, arguments: &str) -> String {
    client.batch_execute("DEALLOCATE ALL").await.unwrap();
    client.batch_execute(&format!("PREPARE statement AS {sql}")).await.unwrap();
    let rows = client.query(&format!("EXPLAIN EXECUTE statement({arguments})"), &[]).await.unwrap();
    rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

#[tokio::test]
async fn a_run_is_found_by_its_id_where_the_server_has_counted_no_running_jobs() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let jobs = (0..500).map(|number| named(&format!("job-{number}"))).collect();
    store.enqueue(jobs).await.unwrap();
    loop {
        let claimed = store.claim(claim()).await.unwrap();
        if claimed.is_empty() {
            break;
        }
        store.finish(claimed.iter().map(|job| finish(&job.lease, completed())).collect()).await.unwrap();
    }
    let client = client(&options).await;
    client.batch_execute(WRITING).await.unwrap();
    client.batch_execute("ANALYZE jobs").await.unwrap();
    let finish_and_claim = "'{}', '{}', '{}', '{}', '{}', '{}', '{}', 1, 'w', 1, '', 1";
    for (sql, arguments) in [
        (include_str!("../../src/sql/finish_and_claim.sql"), finish_and_claim),
        (include_str!("../../src/sql/complete_simple_jobs.sql"), "'{}', '{}', '{}', 1"),
        (include_str!("../../src/sql/heartbeat.sql"), "1, '{}', '{}', '{}', '{}', '{}'"),
        (include_str!("../../src/sql/find_lease.sql"), "'a', 1"),
    ] {
        let plan = plan(&client, sql, arguments).await;
        assert!(plan.contains("jobs_by_id") && !plan.contains("jobs_running"), "{sql}\n{plan}");
    }
}
