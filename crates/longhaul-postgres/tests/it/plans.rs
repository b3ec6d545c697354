//! Statements find their rows by the indexes that their headers name, whatever the server has counted: a wrong one costs
//! nothing in an empty table, and everything in a busy one.

use longhaul::{NewJob, Store};
use longhaul_conformance::jobs::{claim, completed, finish, named};
use longhaul_postgres::PostgresStore;
use longhaul_postgres::tokio_postgres::Client;

use crate::releases::client;
use crate::server::shared;

/// The settings of the writing connection.
const WRITING: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; \
    SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan; SET jit = off";
/// Those of connections that read.
const READING: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off";

/// The plan of a statement, for arguments that do not matter.
async fn plan(client: &Client, sql: &str, arguments: &str) -> String {
    let arguments = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
    client.batch_execute("DEALLOCATE ALL").await.unwrap();
    client.batch_execute(&format!("PREPARE statement AS {sql}")).await.unwrap();
    let rows = client.query(&format!("EXPLAIN EXECUTE statement{arguments}"), &[]).await.unwrap();
    rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

/// Claims ask a table that is empty nearly always, before they look at any job; and completions look for the steps of what
/// they have ended, which the server may believe to be none.
#[tokio::test]
async fn pauses_and_steps_are_found_by_their_keys_however_few_the_server_has_counted() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    store.enqueue((0..500).map(|number| named(&format!("job-{number}"))).collect()).await.unwrap();
    let client = client(&options).await;
    client.batch_execute(WRITING).await.unwrap();
    client.batch_execute("ANALYZE").await.unwrap();
    let place = |plan: &str, what: &str| plan.find(what).unwrap_or_else(|| panic!("no {what} in\n{plan}"));
    let claim = plan(
        &client,
        include_str!("../../src/sql/claim_jobs.sql"),
        "'q', '{}', '{}', 1, 1, 'w', 1, 1, false",
    )
    .await;
    assert!(place(&claim, "One-Time Filter: ((NOT $") < place(&claim, "jobs_available"), "{claim}");
    let turn = include_str!("../../src/sql/finish_and_claim.sql");
    let turn = plan(&client, turn, "'{}', '{}', '{}', '{}', '{}', '{}', '{}', 1, 'w', 1, '', 1").await;
    assert!(turn.contains("Index Cond: (queue = source.queue)"), "{turn}");
    assert!(place(&turn, "Function Scan on source") < place(&turn, "jobs_available"), "{turn}");
    let complete = include_str!("../../src/sql/complete_simple_jobs.sql");
    for plan in [turn, plan(&client, complete, "'{}', '{}', '{}', 1").await] {
        assert!(plan.contains("Tid Scan on steps") && plan.contains("Index Cond: (job = ended"), "{plan}");
    }
}

/// A page of the children of a job, as `read/list.rs` puts it together: where the server believes them to be few it would sort them all,
/// and where it believes nearly all jobs to be its children it would go through the others.
#[tokio::test]
async fn a_page_of_children_reads_no_more_of_them_than_it_has() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let parent = Some(named("parent").id.unwrap());
    let child = |number| NewJob { parent: parent.clone(), ..named(&format!("child-{number}")) };
    store.enqueue((0..20).map(child).collect()).await.unwrap();
    let client = client(&options).await;
    client.batch_execute(READING).await.unwrap();
    let page = "SELECT * FROM (
        SELECT *, row_number() OVER (ORDER BY parent DESC, seq DESC) AS place FROM (
          SELECT * FROM jobs WHERE (parent, seq) < ($2::text, $1::bigint) AND parent >= $2::text
          ORDER BY parent DESC, seq DESC LIMIT 10000
        ) AS source
      ) AS read WHERE state = ANY ($3::text[]) ORDER BY parent DESC, seq DESC LIMIT 501";
    for others in [0, 3_000] {
        store.enqueue((0..others).map(|number| named(&format!("other-{number}"))).collect()).await.unwrap();
        client.batch_execute("ANALYZE").await.unwrap();
        for mode in ["force_custom_plan", "force_generic_plan"] {
            client.batch_execute(&format!("SET plan_cache_mode = {mode}")).await.unwrap();
            let page = plan(&client, page, "1000000, 'parent', '{}'").await;
            assert!(
                page.contains("Index Scan Backward using jobs_of_parent"),
                "{others} others, {mode}\n{page}"
            );
            assert!(!page.contains("Sort"), "{others} others, {mode}\n{page}");
        }
    }
}

#[tokio::test]
async fn dependants_and_waits_are_found_by_their_indexes_however_few_the_server_has_counted() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    store.enqueue((0..500).map(|number| named(&format!("job-{number}"))).collect()).await.unwrap();
    let client = client(&options).await;
    client.batch_execute(WRITING).await.unwrap();
    client.batch_execute("ANALYZE").await.unwrap();
    for (sql, arguments, indexes) in [
        (include_str!("../../src/sql/promote_due.sql"), "1, 1", ["jobs_scheduled", "jobs_waking"]),
        (include_str!("../../src/sql/next_due.sql"), "1", ["jobs_scheduled", "jobs_waking"]),
        (
            include_str!("../../src/sql/settle_dependencies.sql"),
            "'{}', '{}', 1",
            ["dependencies_awaited", "Tid Scan"],
        ),
        (
            include_str!("../../src/sql/forget_ended_dependencies.sql"),
            "'{}'",
            ["ended_dependencies_pkey", "dependencies_awaited"],
        ),
        (
            include_str!("../../src/sql/next_ended_dependencies.sql"),
            "1",
            ["ended_dependencies_pkey", "ended_dependencies_of"],
        ),
        (include_str!("../../src/sql/dependants_that_wait.sql"), "'{}'", ["jobs_pkey", "LockRows"]),
        (include_str!("../../src/sql/dependencies_by_id.sql"), "'{}'", ["jobs_by_id", "LockRows"]),
        (include_str!("../../src/sql/queue_facts.sql"), "'q'", ["queues_", "jobs_running_of_limited"]),
        (include_str!("../../src/sql/queue_limits.sql"), "", ["queues_limited", "jobs_running_of_limited"]),
        (
            include_str!("../../src/sql/complete_children.sql"),
            "'{}', '{}', '{}', 1, '{}'",
            ["jobs_by_id", "jobs_pkey"],
        ),
        (
            include_str!("../../src/sql/unblock_jobs.sql"),
            "1, '{}', '{}', '{}', '{}'",
            ["jobs_pkey", "Function Scan on next"],
        ),
    ] {
        let plan = plan(&client, sql, arguments).await;
        assert!(
            indexes.iter().all(|index| plan.contains(index)) && !plan.contains("Seq Scan"),
            "{sql}\n{plan}"
        );
    }
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
