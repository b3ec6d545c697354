//! Searches that hold whole jobs against terms: what a page of them costs, and what an action does with their answers.

use longhaul::{Action, JobFilter, NewJob, Outcome, Page, Payloads, State, Store};
use longhaul_conformance::jobs::{claim, finish, id, json, named};
use longhaul_postgres::PostgresStore;

use crate::releases::client;
use crate::server::shared;

fn query(words: &str) -> JobFilter {
    JobFilter::default().with_query(words).unwrap()
}

#[tokio::test]
async fn a_page_holds_a_bounded_number_of_jobs_against_its_terms() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let insert = "INSERT INTO jobs (seq, version, priority, rank, run_at, max_attempts, max_crashes, state_at, created_at,
                                    id, kind, queue, state, args)
                  SELECT nextval('numbers'), 1, 0, 0, 0, 3, 5, 0, 0, 'j' || g, 'resize', 'q', 'available',
                         CASE g WHEN 3 THEN '{\"user\":7}' ELSE '{\"user\":8}' END FROM generate_series(1, 10050) g";
    client(&options).await.batch_execute(insert).await.unwrap();
    let page = store.list(&query("args.user:7"), Page::default()).await.unwrap();
    assert_eq!((page.jobs.len(), page.searched), (0, 10_000));
    let page =
        store.list(&query("args.user:7"), Page { cursor: page.next, ..Page::default() }).await.unwrap();
    assert_eq!((page.jobs.len(), page.searched, page.next), (1, 50, None));
    // A page that is full looks no further, and the next one goes on behind it.
    let (mut cursor, mut found) = (None, Vec::new());
    for _ in 0..5 {
        let page =
            store.list(&query("-args.user:7"), Page { cursor, limit: 7, ..Page::default() }).await.unwrap();
        assert_eq!(page.searched, 7);
        found.extend(page.jobs.into_iter().map(|job| job.id));
        cursor = page.next;
    }
    assert_eq!(found, (0..35).map(|n| id(&format!("j{}", 10_050 - n))).collect::<Vec<_>>());
    // Statements that know the words alone tell the same.
    let page = store.list(&query("resize"), Page { limit: 7, ..Page::default() }).await.unwrap();
    assert_eq!((page.jobs.len(), page.searched, page.next.is_some()), (7, 7, true));
    let page = store.list(&query("nothing"), Page::default()).await.unwrap();
    assert_eq!((page.jobs.len(), page.searched, page.next.is_some()), (0, 10_000, true));
    let action = Action::SetPriority { priority: 3 };
    let acted = store.act(&query("args.user:7"), action, 10).await.unwrap();
    assert_eq!((acted.matched, acted.done, acted.complete), (1, 1, true), "an action looks at all of them");
}

#[tokio::test]
async fn a_page_reads_a_bounded_number_of_bytes() {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    let large = format!(r#"{{"user": 7, "text": "{}"}}"#, "x".repeat(250_000));
    let job = |n| NewJob { args: json(&large), ..named(&format!("job-{n:02}")) };
    store.enqueue((0..80).map(job).collect()).await.unwrap();
    let (mut cursor, mut found, mut pages) = (None, Vec::new(), Vec::new());
    loop {
        let page = store.list(&query("args.user:7"), Page { cursor, ..Page::default() }).await.unwrap();
        pages.push(page.searched);
        found.extend(page.jobs.into_iter().map(|job| job.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, (0..80).rev().map(|n| id(&format!("job-{n:02}"))).collect::<Vec<_>>());
    assert_eq!(pages, [34, 34, 12]);
}

/// No term looks at outputs: a page brings those of the jobs that it shows, and no others count.
#[tokio::test]
async fn large_outputs_come_with_the_jobs_that_a_search_shows() {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    store.enqueue(["a", "b"].map(named).into()).await.unwrap();
    let output = json(&format!("\"{}\"", "x".repeat(500_000)));
    let end = |job: &longhaul::Claimed| finish(&job.lease, Outcome::Completed { output: output.clone() });
    let claimed = store.claim(claim()).await.unwrap();
    store.finish(claimed.iter().map(end).collect()).await.unwrap();
    let page = |payloads| Page { payloads, ..Page::default() };
    let whole = store.list(&query("-id:b"), page(Payloads::Whole)).await.unwrap().jobs.remove(0);
    assert_eq!((whole.id.as_str(), whole.output.as_ref(), whole.output_bytes), ("a", Some(&output), None));
    let short = store.list(&query("-id:b"), page(Payloads::Short)).await.unwrap().jobs.remove(0);
    assert_eq!((short.output, short.output_bytes), (None, Some(500_002)));
}

/// Jobs change after they were looked for and before they are locked: one is what is sought no more, the other still is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_looks_again_at_a_job_that_has_changed_since_it_was_looked_for() {
    let mut options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let args = json(r#"{"user": 7}"#);
    let jobs = ["changes", "stays"].map(|name| NewJob { args: args.clone(), ..named(name) });
    store.enqueue(jobs.into()).await.unwrap();
    let (mut holder, reader) = (client(&options).await, client(&options).await);
    let transaction = holder.transaction().await.unwrap();
    let change = "UPDATE jobs SET last_event = last_event + 1, state_event = last_event + 1,
                    args = CASE id WHEN 'changes' THEN '{\"user\": 8}' ELSE args END";
    transaction.batch_execute(change).await.unwrap();
    options.config.application_name("acts");
    let acting = PostgresStore::open(options).await.unwrap();
    let acted = tokio::spawn(async move {
        acting.act(&query("args.user:7"), Action::cancel(std::time::Duration::ZERO), 10).await
    });
    let waits =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'acts' AND wait_event_type = 'Lock'";
    while reader.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::task::yield_now().await;
    }
    transaction.commit().await.unwrap();
    let acted = acted.await.unwrap().unwrap();
    assert_eq!((acted.matched, acted.done), (1, 1));
    let jobs = store.get(&[id("changes"), id("stays")]).await.unwrap();
    let states: Vec<State> = jobs.into_iter().map(|job| job.found().unwrap().state).collect();
    assert_eq!(states, [State::Available, State::Cancelled]);
}
