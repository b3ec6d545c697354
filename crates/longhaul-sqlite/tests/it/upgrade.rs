//! A file that an older binary has written, with jobs in every state, is brought up to date and goes on.

use std::path::Path;
use std::sync::Arc;

use longhaul::{
    Action, Children, Clock, EnqueueStatus, Finish, JobFilter, JobId, Lease, LeaseStatus, NewJob, OnClash,
    Outcome, Start, State, Unique,
};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{HOUR, completed, finish, id, idempotent, named, secs, step};
use longhaul_sqlite::SqliteStore;
use longhaul_sqlite::rusqlite::Connection;

const VERSION_1: &str = include_str!("version_1.sql");
const VERSION_3: &str = include_str!("version_3.sql");

/// A file of schema version 1, opened by this binary a moment after the older one has left it.
async fn upgraded() -> Fixture {
    upgraded_from(VERSION_1, 1).await
}

async fn upgraded_from(file: &str, schema: u32) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    Connection::open(&path).unwrap().execute_batch(file).unwrap();
    assert_eq!(version(&path), schema);
    let clock = Clock::manual();
    clock.advance(secs(60));
    let store = SqliteStore::open_with_clock(&path, clock.clone()).await.unwrap();
    assert!(version(&path) > schema);
    Fixture { keep: Arc::new(folder), ..Fixture::new(store, clock) }
}

fn version(path: &Path) -> u32 {
    let connection = Connection::open(path).unwrap();
    connection.query_row("SELECT user_version FROM pragma_user_version", [], |row| row.get(0)).unwrap()
}

/// The lease under which the older binary's worker, which lives on in another process, runs a job.
fn lease(name: &str, token: u64) -> Lease {
    Lease { id: id(name), token }
}

#[tokio::test]
async fn every_job_of_a_version_1_file_is_as_it_was() {
    let fx = upgraded().await;
    let found = fx.list_records(&JobFilter::default()).await;
    let states: Vec<(&str, State)> = found.iter().map(|job| (job.id.as_str(), job.state)).collect();
    let expected = [
        ("asked", State::Available),
        ("urgent", State::Available),
        ("waits", State::Available),
        ("scheduled", State::Scheduled),
        ("retrying", State::Scheduled),
        ("running-keyed", State::Running),
        ("running", State::Running),
        ("cancelled", State::Cancelled),
        ("failed", State::Failed),
        ("cached", State::Completed),
    ];
    assert_eq!(states, expected);
    assert!(found.iter().all(|job| job.limit_keys.is_empty() && job.children.is_none()));
    let running = fx.job(&id("running")).await;
    assert_eq!(running.progress.unwrap().message, "page 2 of 5");
    assert_eq!(fx.job(&id("cached")).await.output.unwrap().as_str(), r#"{"bytes":512}"#);
    assert_eq!(fx.job(&id("failed")).await.errors[0].message, "no such image");
    let children = JobFilter { parents: vec![id("cached")], ..JobFilter::default() };
    assert_eq!(fx.list(&children).await, [id("waits")], "what named a parent is found by it");
    assert_eq!(fx.job(&id("waits")).await.labels["user"], "ada");
}

#[tokio::test]
async fn the_jobs_of_a_version_1_file_go_on() {
    let fx = upgraded().await;
    assert_eq!(fx.claim_ids().await, [id("urgent"), id("waits"), id("asked")]);
    fx.clock.advance(secs(90));
    let claimed = fx.claim(longhaul_conformance::jobs::claim()).await;
    let attempts: Vec<(&str, u32)> = claimed.iter().map(|c| (c.lease.id.as_str(), c.attempt)).collect();
    assert_eq!(attempts, [("retrying", 2), ("scheduled", 1)]);

    // Runs that began under the older binary end under this one.
    let follow_up = Finish {
        follow_ups: vec![named("next")],
        ..finish(&lease("running", 1809639075840001), completed())
    };
    let keyed = finish(&lease("running-keyed", 1809639075840003), Outcome::RateLimited { delay: secs(5) });
    let repeated = finish(&lease("failed", 1809639014400003), completed());
    let lost = finish(&lease("failed", 1809639014400002), completed());
    let statuses = fx.finish_all(vec![follow_up, keyed, repeated, lost]).await;
    assert_eq!(statuses, [LeaseStatus::Held, LeaseStatus::Held, LeaseStatus::Held, LeaseStatus::Lost]);
    assert_eq!(fx.claim_ids().await, [id("next")], "a job without a limit key pauses nobody");
    fx.clock.advance(secs(5));
    assert_eq!(fx.claim_ids().await, [id("running-keyed")]);

    assert_eq!(fx.act(&id("failed"), Action::Retry).await, 1);
    let retried = fx.claim_one().await;
    assert_eq!(retried.steps["read"].as_str(), "[1,2]", "its steps are there still");
    // Those of both releases are listed, each with what is known of it.
    fx.record(&retried.lease, vec![step("read", "[]"), step("count", "2")]).await;
    let steps = fx.store.steps(&id("failed")).await.unwrap().unwrap();
    let steps: Vec<_> =
        steps.iter().map(|step| (step.name.as_str(), step.attempt, step.finished_at)).collect();
    assert_eq!(steps, [("read", 0, None), ("count", 1, Some(fx.now()))]);
    assert_eq!(fx.act(&id("cancelled"), Action::Delete).await, 1);
    // Whatever crashed under the older binary's worker is found when its lease is over.
    fx.clock.advance(HOUR);
    assert!(fx.sweep().await.rescued > 0);
    assert_eq!(fx.job(&id("running-keyed")).await.state, State::Available);
}

#[tokio::test]
async fn the_keys_of_a_version_1_file_are_held_still() {
    let fx = upgraded().await;
    let unique = |key: &str, on_clash| Unique { period: Some(HOUR), on_clash, ..Unique::new(key) };
    let join = |key| NewJob { unique: Some(unique(key, OnClash::Join)), ..named("another") };
    assert_eq!(fx.offer(join("report:7")).await.id, id("running-keyed"));
    assert_eq!(fx.offer(join("thumbnail:1")).await.id, id("cached"));
    let asked = fx.offer(NewJob { id: Some(id("asked-again")), ..idempotent("request-1", "digest-1") }).await;
    assert_eq!((asked.id.as_str(), asked.status), ("asked", EnqueueStatus::Duplicate));
    let refresh = NewJob { unique: Some(unique("thumbnail:1", OnClash::Refresh)), ..named("fresh") };
    assert_eq!(fx.enqueue(refresh).await, id("fresh"));
    assert_eq!(fx.offer(join("thumbnail:1")).await.id, id("fresh"));
}

#[tokio::test]
async fn a_version_1_file_takes_batches_and_limit_keys() {
    let fx = upgraded().await;
    assert_eq!(fx.claim_ids().await.len(), 3, "what was there is out of the way");
    let closing = NewJob { start: Start::AfterChildren, ..named("closing") };
    let child = |name: &str| NewJob {
        parent: Some(JobId::new("closing").unwrap()),
        limit_keys: vec!["provider".into()],
        ..named(name)
    };
    fx.enqueue_all(vec![closing, child("a"), child("b")]).await;
    let first = fx.claim_one().await;
    fx.end(&first.lease, Outcome::RateLimited { delay: secs(10) }).await;
    assert!(fx.claim_ids().await.is_empty());
    fx.clock.advance(secs(10));
    for _ in 0..2 {
        let claimed = fx.claim_one().await;
        fx.end(&claimed.lease, completed()).await;
    }
    let counted = Children { total: 2, completed: 2, failed: 0, cancelled: 0 };
    assert_eq!(fx.job(&id("closing")).await.children, Some(counted));
    assert_eq!(fx.claim_ids().await, [id("closing")]);
}

#[tokio::test]
async fn a_file_of_the_release_of_25_november_goes_on_and_its_runs_end() {
    let fx = upgraded_from(VERSION_3, 3).await;
    let states = fx.list_records(&JobFilter::default()).await;
    let states: Vec<(&str, State)> = states.iter().map(|job| (job.id.as_str(), job.state)).collect();
    let expected = [
        ("later", State::Scheduled),
        ("waits", State::Available),
        ("runs", State::Running),
        ("child", State::Running),
        ("all", State::Blocked),
        ("limited", State::Scheduled),
        ("fails", State::Failed),
        ("cached", State::Completed),
        ("mail-2", State::Completed),
        ("mail-1", State::Completed),
    ];
    assert_eq!(states, expected);
    let child = fx.job(&id("child")).await;
    assert_eq!((child.policy.timeout, child.labels["user"].as_str()), (Some(secs(90)), "ada"));
    assert_eq!(fx.job(&id("runs")).await.progress.unwrap().message, "page 2 of 5");
    assert_eq!(fx.claim_ids().await, [id("waits"), id("limited")], "its pause is over");

    // Its leases are kept and its runs end, once.
    let (child, runs) = (lease("child", 1809639015424003), lease("runs", 1809639015424004));
    let ends = vec![finish(&child, completed()), finish(&runs, completed())];
    for _ in 0..2 {
        assert_eq!(fx.finish_all(ends.clone()).await, [LeaseStatus::Held; 2]);
    }
    let counted = Children { total: 1, completed: 1, failed: 0, cancelled: 0 };
    assert_eq!(fx.job(&id("all")).await.children, Some(counted));
    assert_eq!(fx.claim_ids().await, [id("all")]);
    let unique = Unique { period: Some(HOUR), ..Unique::new("thumbnail:1") };
    assert_eq!(fx.offer(NewJob { unique: Some(unique), ..named("another") }).await.id, id("cached"));

    // What was set for a queue holds on, and what it retries waits as it was told to.
    assert_eq!(fx.sweep().await.pruned, 1);
    let kept = JobFilter { queues: vec!["mail".into()], ..JobFilter::default() };
    assert_eq!(fx.list(&kept).await, [id("mail-2")]);
    assert_eq!(fx.act(&id("child"), Action::Retry).await, 1);
    let again = fx.claim_one().await;
    assert_eq!((again.policy.timeout, again.policy.backoff.unwrap().base), (Some(secs(90)), secs(7)));
}
