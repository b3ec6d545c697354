//! Jobs that are enqueued in the caller's own transaction.

use std::time::Duration;

use longhaul::{
    Action, Claim, Context, Dependency, Error, JobError, JobFilter, JobId, JobResult, Json, Lease,
    LeaseStatus, Longhaul, Lookup, NewJob, Outcome, Start, Store,
};
use longhaul_conformance::jobs::{claim, completed, finish, id, idempotent, json, named, unique};
use longhaul_postgres::{FinishStepIn, PostgresStore, tokio_postgres};

use crate::server::shared;

const LONG: Duration = Duration::from_secs(300);

/// A store, and a connection of somebody else to the same database.
async fn store_and_client() -> (PostgresStore, tokio_postgres::Client) {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&shared().url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("CREATE TEMPORARY TABLE orders (id BIGINT PRIMARY KEY)").await.unwrap();
    (store, client)
}

async fn orders(client: &tokio_postgres::Client) -> i64 {
    client.query_one("SELECT count(*) FROM orders", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_job_and_a_row_are_committed_together_and_a_waiting_claim_hears_of_it() {
    let (store, mut client) = store_and_client().await;
    let mut waiting = Box::pin(store.claim(Claim { wait: LONG, ..claim() }));
    assert!(futures::poll!(&mut waiting).is_pending());

    let transaction = client.transaction().await.unwrap();
    let enqueued = store.enqueue_in(&transaction, vec![named("a")]).await.unwrap();
    assert!(!enqueued[0].is_duplicate());
    // The caller's own names are found as before.
    transaction.execute("INSERT INTO orders VALUES (7)", &[]).await.unwrap();
    assert_eq!(store.get(&[id("a")]).await.unwrap(), [Lookup::Unknown], "nobody sees it before the commit");
    assert!(futures::poll!(&mut waiting).is_pending());
    transaction.commit().await.unwrap();

    let claimed = tokio::time::timeout(LONG / 5, waiting).await.unwrap().unwrap();
    assert_eq!(claimed[0].lease.id, id("a"));
    assert_eq!(orders(&client).await, 1);
}

#[tokio::test]
async fn a_job_whose_transaction_is_rolled_back_was_never_there() {
    let (store, mut client) = store_and_client().await;
    let transaction = client.transaction().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES (7)", &[]).await.unwrap();
    let jobs = vec![named("a"), unique("key", None), idempotent("request", "digest")];
    assert_eq!(store.enqueue_in(&transaction, jobs).await.unwrap().len(), 3);
    transaction.rollback().await.unwrap();

    assert_eq!(orders(&client).await, 0);
    assert_eq!(store.get(&[id("a")]).await.unwrap(), [Lookup::Unknown]);
    assert!(store.queues().await.unwrap().is_empty(), "nothing is counted");
    assert!(!store.enqueue(vec![unique("key", None)]).await.unwrap()[0].is_duplicate(), "the key is free");
}

#[tokio::test]
async fn a_key_that_a_transaction_holds_is_waited_for() {
    let (store, mut client) = store_and_client().await;
    let transaction = client.transaction().await.unwrap();
    let first = store.enqueue_in(&transaction, vec![unique("key", None)]).await.unwrap().remove(0);
    let mut second = Box::pin(store.enqueue(vec![unique("key", None)]));
    assert!(futures::poll!(&mut second).is_pending());
    transaction.commit().await.unwrap();
    let second = second.await.unwrap().remove(0);
    assert!(second.is_duplicate());
    assert_eq!(second.id, first.id);
}

#[tokio::test]
async fn a_transaction_that_holds_a_key_for_long_does_not_delay_other_calls() {
    let (store, mut client) = store_and_client().await;
    let transaction = client.transaction().await.unwrap();
    store.enqueue_in(&transaction, vec![unique("key", None)]).await.unwrap();
    let mut kept = Box::pin(store.enqueue(vec![unique("key", None)]));
    assert!(futures::poll!(&mut kept).is_pending());
    // The store has both before it can ask for either.
    let other = store.enqueue(vec![named("a"), unique("another", None)]).await.unwrap();
    assert_eq!(other.len(), 2);
    assert!(futures::poll!(&mut kept).is_pending(), "it waits for the verdict");
    transaction.rollback().await.unwrap();
    assert!(!kept.await.unwrap()[0].is_duplicate());
}

#[tokio::test]
async fn a_batch_can_be_enqueued_in_a_transaction() {
    let (store, mut client) = store_and_client().await;
    let transaction = client.transaction().await.unwrap();
    let jobs = NewJob::batch(named("closing"), vec![named("one"), named("two")]);
    assert_eq!(jobs[0].start, Start::AfterChildren);
    store.enqueue_in(&transaction, jobs).await.unwrap();
    transaction.commit().await.unwrap();
    let claimed: Vec<JobId> =
        store.claim(claim()).await.unwrap().into_iter().map(|job| job.lease.id).collect();
    assert_eq!(claimed, [id("one"), id("two")]);
}

#[tokio::test]
async fn a_job_that_breaks_a_bound_is_refused_before_anything_is_written() {
    let (store, mut client) = store_and_client().await;
    let transaction = client.transaction().await.unwrap();
    let refused = store.enqueue_in(&transaction, vec![NewJob { max_attempts: 0, ..named("a") }]).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    transaction.execute("INSERT INTO orders VALUES (7)", &[]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(orders(&client).await, 1);
}

/// A running job, whose step an application's transaction finishes.
async fn running(store: &PostgresStore, name: &str) -> Lease {
    store.enqueue(vec![named(name)]).await.unwrap();
    store.claim(claim()).await.unwrap().remove(0).lease
}

async fn steps(store: &PostgresStore, name: &str) -> Vec<(String, Option<Json>)> {
    let steps = store.steps(&id(name)).await.unwrap().unwrap();
    steps.into_iter().map(|step| (step.name, step.output)).collect()
}

#[tokio::test]
async fn a_step_and_a_row_are_committed_together_or_neither_is() {
    let (store, mut client) = store_and_client().await;
    let lease = running(&store, "a").await;
    let transaction = client.transaction().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES (7)", &[]).await.unwrap();
    let status = store.finish_step_in(&transaction, &lease, "order", &json("7")).await.unwrap();
    assert_eq!(status, LeaseStatus::Held);
    transaction.execute("INSERT INTO orders VALUES (8)", &[]).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!((orders(&client).await, steps(&store, "a").await), (0, Vec::new()));

    let transaction = client.transaction().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES (7)", &[]).await.unwrap();
    store.finish_step_in(&transaction, &lease, "order", &json("7")).await.unwrap();
    // The first output stays.
    store.finish_step_in(&transaction, &lease, "order", &json("8")).await.unwrap();
    assert_eq!(steps(&store, "a").await, [], "nobody sees it before the commit");
    transaction.commit().await.unwrap();
    assert_eq!(orders(&client).await, 1);
    assert_eq!(steps(&store, "a").await, [("order".to_owned(), Some(json("7")))]);
    // The run ends as it would, and a next attempt finds the step.
    let again = Outcome::Snoozed { delay: Duration::ZERO };
    assert_eq!(store.finish(vec![finish(&lease, again)]).await.unwrap(), [LeaseStatus::Held]);
    assert_eq!(store.claim(claim()).await.unwrap()[0].steps["order"], json("7"));
}

#[tokio::test]
async fn a_step_of_a_lost_lease_is_not_recorded_and_says_so() {
    let (store, mut client) = store_and_client().await;
    let lease = running(&store, "a").await;
    store.finish(vec![finish(&lease, Outcome::Released)]).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let status = store.finish_step_in(&transaction, &lease, "order", &json("7")).await.unwrap();
    assert_eq!(status, LeaseStatus::Lost);
    transaction.commit().await.unwrap();
    assert_eq!(steps(&store, "a").await, []);
    let transaction = client.transaction().await.unwrap();
    let refused = store.finish_step_in(&transaction, &lease, "", &json("7")).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_step_of_a_run_that_was_asked_to_stop_is_recorded_and_says_so() {
    let (store, mut client) = store_and_client().await;
    let lease = running(&store, "a").await;
    let of_job = JobFilter { ids: vec![id("a")], ..JobFilter::default() };
    store.act(&of_job, Action::cancel(LONG), 1).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let status = store.finish_step_in(&transaction, &lease, "order", &json("7")).await.unwrap();
    assert_eq!(status, LeaseStatus::CancelRequested);
    transaction.commit().await.unwrap();
    assert_eq!(steps(&store, "a").await.len(), 1);
}

/// Ships an order once, though its first attempt fails right after.
#[derive(serde::Serialize, serde::Deserialize)]
struct Ship;

#[derive(Clone)]
struct Shop {
    store: PostgresStore,
    client: std::sync::Arc<tokio::sync::Mutex<tokio_postgres::Client>>,
}

impl longhaul::Job for Ship {
    const KIND: &'static str = "ship";
    type State = Shop;
    type Output = i64;

    fn backoff() -> longhaul::Backoff {
        longhaul::Backoff { base: Duration::from_millis(1), ..longhaul::Backoff::default() }
    }

    async fn run(self, cx: Context<Shop>) -> JobResult<i64> {
        if let Some(order) = cx.finished_step("order")? {
            return Ok(order);
        }
        let mut client = cx.state().client.lock().await;
        let transaction = client.transaction().await?;
        transaction.execute("INSERT INTO orders VALUES (7)", &[]).await?;
        cx.finish_step_in(&cx.state().store, &transaction, "order", &7).await?;
        transaction.commit().await?;
        Err(JobError::retry("the power went out"))
    }
}

#[tokio::test]
async fn a_handler_ends_a_step_in_its_own_transaction_and_finds_it_in_the_next_attempt() {
    let (store, client) = store_and_client().await;
    let client = std::sync::Arc::new(tokio::sync::Mutex::new(client));
    let longhaul = Longhaul::new(store.clone());
    let shop = Shop { store, client: client.clone() };
    let worker = longhaul.worker().register::<Ship>(shop).queue("default", 1).start();
    let job = longhaul.enqueue(Ship).await.unwrap().id;
    let ended = longhaul.wait(&job, LONG).await.unwrap().found().unwrap();
    worker.shutdown(LONG).await;
    assert_eq!((ended.attempt, ended.errors.len(), ended.output), (2, 1, Some(json("7"))));
    assert_eq!(orders(&*client.lock().await).await, 1);
}

#[tokio::test]
async fn a_dependency_that_ends_while_a_transaction_adds_a_dependant_frees_it_and_blocks_no_other_call() {
    let (store, mut client) = store_and_client().await;
    let lease = running(&store, "a").await;
    let other = running(&store, "other").await;
    let transaction = client.transaction().await.unwrap();
    let dependant = NewJob { depends_on: vec![Dependency::on(id("a"))], ..named("b") };
    store.enqueue_in(&transaction, vec![dependant]).await.unwrap();
    let (ended, ()) = futures::join!(store.finish(vec![finish(&lease, completed())]), async {
        assert_eq!(store.finish(vec![finish(&other, completed())]).await.unwrap(), [LeaseStatus::Held]);
        transaction.commit().await.unwrap();
    });
    assert_eq!(ended.unwrap(), [LeaseStatus::Held]);
    assert_eq!(store.claim(claim()).await.unwrap()[0].lease.id, id("b"));
}
