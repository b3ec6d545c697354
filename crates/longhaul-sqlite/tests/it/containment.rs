//! A job, a row or a call that cannot be stored or read concerns nobody else.

use std::time::Duration;

use longhaul::{
    Error, Finish, JobFilter, JobId, JobRecord, Json, LeaseStatus, LogLevel, NewJob, Outcome, Page, Record,
    State, Store, process_id,
};
use longhaul_sqlite::SqliteStore;

use crate::application::{busy, store};
use crate::owner::{claim, completed, job};

pub(crate) async fn execute(store: &SqliteStore, sql: &'static str) {
    store.transact(move |tx| tx.connection().execute_batch(sql)).await.unwrap().unwrap();
}

async fn record(store: &SqliteStore, name: &str) -> JobRecord {
    store.get(&[JobId::new(name).unwrap()]).await.unwrap().remove(0).found().unwrap()
}

fn reason(record: &JobRecord) -> &str {
    &record.errors.last().unwrap().message
}

/// Has the file refuse a value, as it may refuse one that nobody thought of.
pub(crate) const REFUSES: &str = "
    CREATE TRIGGER refuse_jobs BEFORE INSERT ON jobs WHEN NEW.args = '\"poison\"'
    BEGIN SELECT raise(ABORT, 'no such job, please'); END;
    CREATE TRIGGER refuse_outputs BEFORE UPDATE OF output ON jobs WHEN NEW.output = '\"poison\"'
    BEGIN SELECT raise(ABORT, 'no such output, please'); END;
    CREATE TRIGGER refuse_events BEFORE INSERT ON events WHEN NEW.body LIKE '%poison%'
    BEGIN SELECT raise(ABORT, 'no such entry, please'); END;";

pub(crate) fn poison(name: &str) -> NewJob {
    NewJob { args: Json::new(&"poison").unwrap(), ..job(name) }
}

#[tokio::test]
async fn a_call_that_the_file_refuses_fails_alone_among_those_that_share_its_transaction() {
    let (_folder, store) = store().await;
    execute(&store, REFUSES).await;
    let busy = busy(&store).await;
    let mut calls = Vec::new();
    for n in 0..20 {
        let jobs = if n == 7 { vec![job("with"), poison("poison")] } else { vec![job(&format!("good-{n}"))] };
        calls.push(store.enqueue(jobs));
    }
    let mut calls = std::pin::pin!(futures::future::join_all(calls));
    assert!(futures::poll!(calls.as_mut()).is_pending());
    drop(busy);
    for (n, answer) in calls.await.into_iter().enumerate() {
        match answer {
            Ok(enqueued) => assert!(n != 7 && enqueued[0].is_created()),
            Err(error) => {
                assert!(n == 7 && error.to_string().contains("no such job, please"), "{n}: {error}")
            }
        }
    }
    let queues = store.queues().await.unwrap();
    assert_eq!(queues[0].counts[&State::Available], 19, "what failed is not counted, nor what it came with");
}

#[tokio::test]
async fn a_finish_that_the_file_refuses_fails_its_own_job_and_those_beside_it_stand() {
    let (_folder, store) = store().await;
    execute(&store, REFUSES).await;
    store.enqueue(vec![job("a"), job("output"), job("follow-up"), job("entry"), job("b")]).await.unwrap();
    let claimed = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap();
    let mut finishes: Vec<Finish> = claimed.iter().map(completed).collect();
    finishes[1].outcome = Outcome::Completed { output: Json::new(&"poison").unwrap() };
    finishes[2].follow_ups = vec![job("fine"), poison("poison")];
    finishes[3].entries = vec![longhaul::Entry::Log { level: LogLevel::Info, message: "poison".into() }];
    assert_eq!(store.finish(finishes).await.unwrap(), [LeaseStatus::Held; 5]);
    for (name, word) in [("output", "output"), ("follow-up", "job"), ("entry", "entry")] {
        let record = record(&store, name).await;
        assert_eq!(record.state, State::Failed);
        assert!(reason(&record).contains(&format!("no such {word}, please")), "{}", reason(&record));
    }
    for name in ["a", "b"] {
        assert_eq!(record(&store, name).await.state, State::Completed);
    }
}

#[tokio::test]
async fn a_record_that_the_file_refuses_ends_its_own_job() {
    let (_folder, store) = store().await;
    execute(&store, REFUSES).await;
    store.enqueue(vec![job("a"), job("b")]).await.unwrap();
    let claimed = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap();
    let log = |n: usize, message: &str| Record {
        lease: claimed[n].lease.clone(),
        entries: vec![longhaul::Entry::Log { level: LogLevel::Info, message: message.into() }],
    };
    let statuses = store.record(vec![log(0, "poison"), log(1, "fine")]).await.unwrap();
    assert_eq!(statuses, [LeaseStatus::Lost, LeaseStatus::Held]);
    assert_eq!(record(&store, "a").await.state, State::Failed);
    assert_eq!(
        store.events(&JobId::new("b").unwrap(), 2, 10, Duration::ZERO).await.unwrap().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_job_whose_row_cannot_be_read_fails_with_the_field_and_the_others_are_claimed() {
    let (_folder, store) = store().await;
    for (column, value) in [
        ("policy", "{\"timeout\": 5}"),
        ("backoff", "{\"factor\": null}"),
        ("labels", "[1]"),
        ("args", "{no"),
        ("timeout", "soon"),
    ] {
        let (bad, good) = (format!("bad-{column}"), format!("good-{column}"));
        store.enqueue(vec![job(&bad), job(&good)]).await.unwrap();
        let (name, sql) = (bad.clone(), format!("UPDATE jobs SET {column} = ?2 WHERE id = ?1"));
        store.transact(move |tx| tx.connection().execute(&sql, [&name, value])).await.unwrap().unwrap();
        assert_eq!(record(&store, &bad).await.state, State::Available, "it can be looked at");
        let claimed = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap();
        assert_eq!(claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(), [good]);
        let failed = record(&store, &bad).await;
        assert_eq!(failed.state, State::Failed);
        assert!(reason(&failed).contains(&format!("{column}: ")), "{}", reason(&failed));
    }
    let all = store.list(&JobFilter::default(), Page::default()).await.unwrap();
    assert_eq!(all.jobs.len(), 10);
    let labelled = JobFilter { labels: vec![("a".into(), "b".into())], ..JobFilter::default() };
    assert!(store.list(&labelled, Page::default()).await.unwrap().jobs.is_empty());
    let counts = store.queues().await.unwrap().remove(0).counts;
    assert_eq!((counts[&State::Failed], counts[&State::Running]), (5, 5));
}

#[tokio::test]
async fn a_finish_beside_a_row_that_cannot_be_read_is_accepted() {
    let (_folder, store) = store().await;
    store.enqueue(vec![job("a")]).await.unwrap();
    let running = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap().remove(0);
    store.enqueue(vec![job("bad"), job("good")]).await.unwrap();
    execute(&store, "UPDATE jobs SET backoff = 'soon' WHERE id = 'bad'").await;
    let next = claim("w", process_id(), Duration::ZERO);
    let answer = store.finish_and_claim(vec![completed(&running)], next).await.unwrap();
    assert_eq!(answer.finished, [LeaseStatus::Held]);
    assert_eq!(answer.claimed.len(), 1);
    assert_eq!(record(&store, "a").await.state, State::Completed);
}

#[tokio::test]
async fn a_finish_with_another_jobs_token_is_lost() {
    let (_folder, store) = store().await;
    store.enqueue(vec![job("a"), job("b")]).await.unwrap();
    let claimed = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap();
    let mut mixed = completed(&claimed[0]);
    mixed.lease.id = claimed[1].lease.id.clone();
    assert_eq!(store.finish(vec![mixed]).await.unwrap(), [LeaseStatus::Lost]);
    assert_eq!(record(&store, "a").await.state, State::Running);
    assert_eq!(store.finish(vec![completed(&claimed[0])]).await.unwrap(), [LeaseStatus::Held]);
}

#[tokio::test]
async fn a_queue_whose_configuration_is_damaged_is_listed_and_swept_with_the_defaults() {
    let (_folder, store) = store().await;
    store.enqueue(vec![job("a")]).await.unwrap();
    let lost = longhaul::Claim { lease_for: Duration::ZERO, ..claim("dead", "elsewhere", Duration::ZERO) };
    assert_eq!(store.claim(lost).await.unwrap().len(), 1);
    execute(&store, "INSERT INTO queues (name, config) VALUES ('default', '{\"retention\": \"for ever\"}')")
        .await;
    assert_eq!(store.sweep(100).await.unwrap().rescued, 1);
    assert_eq!(store.queues().await.unwrap()[0].config, longhaul::QueueConfig::default());
}

#[tokio::test]
async fn a_search_for_text_looks_through_a_bounded_part_of_large_jobs_a_page() {
    let (_folder, store) = store().await;
    let large =
        |n: usize| NewJob { args: Json::new(&"x".repeat(200_000)).unwrap(), ..job(&format!("large-{n}")) };
    store.enqueue((0..60).map(large).collect()).await.unwrap();
    let wanted = JobFilter { text: Some("LARGE-3".into()), ..JobFilter::default() };
    let (mut found, mut pages, mut cursor) = (Vec::new(), 0, None);
    loop {
        let page = store.list(&wanted, Page { cursor, ..Page::default() }).await.unwrap();
        found.extend(page.jobs.into_iter().map(|job| job.id.to_string()));
        pages += 1;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!((3..=5).contains(&pages), "12 MB in {pages} pages");
    assert_eq!(found.len(), 11, "3 and 30 to 39: {found:?}");
    assert!(matches!(
        store.list(&wanted, Page { cursor: Some("next".into()), ..Page::default() }).await,
        Err(Error::Invalid { .. })
    ));
}
