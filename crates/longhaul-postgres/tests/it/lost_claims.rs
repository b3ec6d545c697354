//! Claims that were committed and never answered, and tokens after a failover.

use std::time::Duration;

use longhaul::{Action, Claim, Finish, JobFilter, JobRecord, LeaseStatus, Outcome, State, Store};
use longhaul_conformance::jobs::{claim, completed, finish, id, named};
use longhaul_conformance::retry_until_available;
use longhaul_postgres::{PostgresOptions, PostgresStore};
use tokio::sync::watch;

use crate::releases::client;
use crate::server::{PATIENCE, late_proxy, shared};

const LONG: Duration = Duration::from_secs(300);

/// A store, and another one on the same tables whose server's answers can be held back.
async fn store_and_late() -> (PostgresStore, PostgresStore, watch::Sender<bool>) {
    let options = shared().options();
    let (hold, held) = watch::channel(false);
    let address = late_proxy(options.config.get_ports()[0], held).await;
    let url = format!("postgres://longhaul@{address}/postgres?schema={}", options.schema);
    // Long enough for a busy machine to answer within it.
    let short = Duration::from_secs(3);
    let late = PostgresOptions {
        response_timeout: short,
        connect_timeout: short,
        ..PostgresOptions::new(&url).unwrap()
    };
    let late = retry_until_available(PATIENCE, async || PostgresStore::open(late.clone()).await).await;
    (PostgresStore::open(options).await.unwrap(), late, hold)
}

async fn job(store: &PostgresStore, name: &str) -> JobRecord {
    store.get(&[id(name)]).await.unwrap().remove(0).found().unwrap()
}

async fn until_state(store: &PostgresStore, name: &str, state: State) -> JobRecord {
    let reached = async {
        loop {
            let job = job(store, name).await;
            if job.state == state {
                return job;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG / 5, reached).await.expect("it never gets there")
}

/// A finish and a claim that the server has committed, as one statement, and whose answer is lost; `meanwhile` is done
/// before the connection is given up. Answers the finish.
async fn lose_the_answer(
    store: &PostgresStore,
    late: &PostgresStore,
    hold: &watch::Sender<bool>,
    meanwhile: impl AsyncFnOnce(),
) -> Finish {
    store.enqueue(vec![named("first")]).await.unwrap();
    // Where a busy machine takes longer than its patience for this claim, too, the job comes back for the next one.
    let first = Claim { wait: LONG, ..claim() };
    let claimed = retry_until_available(PATIENCE, async || late.claim(first.clone()).await).await;
    let end = finish(&claimed[0].lease, completed());
    store.enqueue(vec![named("a")]).await.unwrap();
    hold.send_replace(true);
    let claiming = tokio::spawn({
        let (late, end) = (late.clone(), end.clone());
        async move { late.finish_and_claim(vec![end], claim()).await }
    });
    until_state(store, "a", State::Running).await;
    meanwhile().await;
    let lost = claiming.await.unwrap();
    assert!(lost.is_err(), "{lost:?}");
    hold.send_replace(false);
    end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_a_claim_whose_answer_was_lost_come_back_without_a_crash() {
    let (store, late, hold) = store_and_late().await;
    let end = lose_the_answer(&store, &late, &hold, async || {}).await;
    let back = until_state(&store, "a", State::Available).await;
    assert_eq!((back.crashes, back.attempt, back.interruptions, back.worker), (0, 0, 0, None));
    let again = async {
        loop {
            if let Ok(statuses) = late.finish(vec![end.clone()]).await {
                return statuses;
            }
            tokio::task::yield_now().await;
        }
    };
    let again = tokio::time::timeout(LONG / 5, again).await.expect("the store never came back");
    assert_eq!(again, [LeaseStatus::Held], "the finish was kept, and is repeated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_cancelled_before_its_claim_was_taken_back_ends_as_cancelled() {
    let (store, late, hold) = store_and_late().await;
    let cancel = Action::cancel(LONG);
    let cancelling =
        async || assert_eq!(store.act(&JobFilter::id(id("a")), cancel, 1).await.unwrap().done, 1);
    lose_the_answer(&store, &late, &hold, cancelling).await;
    let ended = until_state(&store, "a", State::Cancelled).await;
    assert_eq!((ended.crashes, ended.attempt), (0, 0));
}

/// After an asynchronous failover the sequence may stand where it stood a while ago.
#[tokio::test]
async fn no_token_comes_again_although_the_sequence_goes_back() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let client = client(&options).await;
    store.enqueue(vec![named("a")]).await.unwrap();
    let mut tokens = Vec::new();
    for _ in 0..20 {
        let lease = store.claim(claim()).await.unwrap().remove(0).lease;
        tokens.push(lease.token);
        assert_eq!(store.finish(vec![finish(&lease, Outcome::Released)]).await.unwrap(), [LeaseStatus::Held]);
        client.batch_execute("SELECT setval('numbers', 100)").await.unwrap();
    }
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
}
