//! Lists that hold each job against terms read a bounded part of the history.

use longhaul::{JobFilter, JobPage, NewJob, Outcome, Page, Payloads, Store};
use longhaul_conformance::jobs::{claim, finish, job, json};
use longhaul_redis::RedisStore;

use crate::server::shared;

async fn page(store: &RedisStore, words: &str, cursor: Option<String>, limit: usize) -> JobPage {
    let filter = JobFilter::default().with_query(words).unwrap();
    store.list(&filter, Page { cursor, limit, payloads: Payloads::Short }).await.unwrap()
}

/// Every page of a search, one after the other.
async fn all_pages(store: &RedisStore, words: &str, limit: usize) -> Vec<JobPage> {
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        pages.push(page(store, words, cursor, limit).await);
        cursor = pages.last().and_then(|page| page.next.clone());
        if cursor.is_none() {
            return pages;
        }
    }
}

#[tokio::test]
async fn a_search_that_few_jobs_fit_finds_them_in_few_pages_without_gap_or_overlap() {
    let store = RedisStore::open(shared().options()).await.unwrap();
    let numbered =
        |n: i64| NewJob { args: json(&format!("{{\"n\": {n}, \"even\": {}}}", n % 2 == 0)), ..job() };
    store.enqueue((0..1_700).map(numbered).collect()).await.unwrap();
    let rare = page(&store, "args.n:3", None, 5).await;
    assert_eq!((rare.jobs.len(), rare.searched, rare.next), (1, 1_700, None));
    let pages = all_pages(&store, "args.even:true", 70).await;
    assert_eq!(pages.len(), 850 / 70 + 1);
    let found: Vec<i64> = pages
        .iter()
        .flat_map(|page| &page.jobs)
        .map(|job| job.args.to_value()["n"].as_i64().unwrap())
        .collect();
    assert_eq!(found, (0..1_700).rev().filter(|n| n % 2 == 0).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_search_of_large_jobs_reads_a_bounded_number_of_bytes_for_a_page() {
    let store = RedisStore::open(shared().options()).await.unwrap();
    let large = |n: usize| NewJob { args: json(&format!("[{n}, \"{}\"]", "x".repeat(200_000))), ..job() };
    for from in (0..120).step_by(30) {
        store.enqueue((from..from + 30).map(large).collect()).await.unwrap();
    }
    let first = page(&store, "args.0:7", None, 10).await;
    assert!(first.next.is_some() && first.searched < 100, "{} of 24 MB", first.searched);
    let pages = all_pages(&store, "args.0:7", 10).await;
    assert_eq!(pages.iter().map(|page| page.jobs.len()).sum::<usize>(), 1);
    assert_eq!(pages.iter().map(|page| page.searched).sum::<u64>(), 120);
}

#[tokio::test]
async fn large_outputs_make_the_pages_of_a_search_no_shorter() {
    let store = RedisStore::open(shared().options()).await.unwrap();
    let output = Outcome::Completed { output: json(&format!("\"{}\"", "x".repeat(500_000))) };
    for _ in 0..40 {
        store.enqueue(vec![job()]).await.unwrap();
        let lease = store.claim(claim()).await.unwrap().remove(0).lease;
        store.finish(vec![finish(&lease, output.clone())]).await.unwrap();
    }
    let found = page(&store, "args.width:640", None, 100).await;
    assert_eq!((found.jobs.len(), found.searched, found.next), (40, 40, None));
    assert!(found.jobs.iter().all(|job| job.output.is_none() && job.output_bytes == Some(500_002)));
}
