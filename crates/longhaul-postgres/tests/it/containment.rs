//! Faults that concern one call, job, row or queue, beside others that must not notice.

use std::time::Duration;

use longhaul::{
    Claim, Error, Finish, JobRecord, LeaseStatus, NewJob, Outcome, QueueSlots, Record, State, Store,
};
use longhaul_conformance::jobs::{
    chunk, claim, completed, finish, id, json, kind, log, named, slots, unique, worker,
};
use longhaul_postgres::{PostgresOptions, PostgresStore};

use crate::releases::client;
use crate::server::shared;

const LONG: Duration = Duration::from_secs(300);

/// A store on tables that refuse what is called poison, as a server refuses what breaks a bound of its own.
async fn store_that_refuses_poison() -> (PostgresStore, PostgresOptions) {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let refuse = "ALTER TABLE jobs ADD CHECK (kind <> 'poison'), ADD CHECK (output <> '\"poison\"');
                  ALTER TABLE events ADD CHECK (body NOT LIKE '%poison%');
                  ALTER TABLE steps ADD CHECK (name <> 'poison');";
    client(&options).await.batch_execute(refuse).await.unwrap();
    (store, options)
}

async fn record(store: &PostgresStore, name: &str) -> JobRecord {
    store.get(&[id(name)]).await.unwrap().remove(0).found().unwrap()
}

async fn sql(options: &PostgresOptions, sql: &str) {
    client(options).await.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn an_enqueue_at_fault_fails_alone() {
    let (store, _) = store_that_refuses_poison().await;
    let calls = (0..200).map(|n| {
        let store = store.clone();
        let job = if n % 50 == 25 {
            NewJob { kind: "poison".into(), ..named("bad") }
        } else if n % 3 == 0 {
            unique(&format!("key-{n}"), None)
        } else {
            named(&format!("job-{n}"))
        };
        async move { (n, store.enqueue(vec![job]).await) }
    });
    for (n, answer) in futures::future::join_all(calls).await {
        assert_eq!(answer.is_ok(), n % 50 != 25, "{n}: {answer:?}");
        assert!(matches!(answer, Ok(_) | Err(Error::Store { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn a_finish_that_cannot_be_kept_fails_its_own_job_and_others_complete() {
    let (store, _) = store_that_refuses_poison().await;
    store.enqueue((0..12).map(|n| named(&format!("job-{n:02}"))).collect()).await.unwrap();
    let claimed = store.claim(claim()).await.unwrap();
    let end = |n: usize| {
        let lease = &claimed[n].lease;
        let poison = Outcome::Completed { output: json("\"poison\"") };
        match n {
            2 | 7 => finish(lease, poison),
            4 => Finish { entries: vec![chunk("\"poison\"")], ..finish(lease, completed()) },
            9 => Finish {
                follow_ups: vec![named("follow-up"), NewJob { kind: "poison".into(), ..named("bad") }],
                ..finish(lease, completed())
            },
            _ => finish(lease, completed()),
        }
    };
    // Some share a call, some a transaction, and one comes with a claim.
    let (several, one, other, with_claim) = futures::join!(
        store.finish((0..6).map(end).collect()),
        store.finish(vec![end(6)]),
        store.finish(vec![end(7), end(8)]),
        store.finish_and_claim(vec![end(9), end(10), end(11)], claim()),
    );
    assert_eq!(several.unwrap(), [LeaseStatus::Held; 6]);
    assert_eq!(one.unwrap(), [LeaseStatus::Held]);
    assert_eq!(other.unwrap(), [LeaseStatus::Held; 2]);
    assert_eq!(with_claim.unwrap().finished, [LeaseStatus::Held; 3]);
    for n in 0..12 {
        let job = record(&store, &format!("job-{n:02}")).await;
        if [2, 4, 7, 9].contains(&n) {
            assert_eq!(job.state, State::Failed, "{n}");
            assert!(
                job.errors[0].message.contains("failed to keep what the job returned"),
                "{:?}",
                job.errors
            );
        } else {
            assert_eq!(job.state, State::Completed, "{n}");
        }
    }
    assert!(store.get(&[id("follow-up")]).await.unwrap().remove(0).found().is_none(), "all or none follow");
}

#[tokio::test]
async fn an_entry_that_cannot_be_kept_fails_its_own_job_and_other_entries_are_kept() {
    let (store, _) = store_that_refuses_poison().await;
    store.enqueue(vec![named("a"), named("b"), named("c")]).await.unwrap();
    let claimed = store.claim(claim()).await.unwrap();
    let entry = |n: usize, entry| Record { lease: claimed[n].lease.clone(), entries: vec![entry] };
    let records = vec![entry(0, log("fine")), entry(1, log("poison")), entry(2, log("fine"))];
    let statuses = store.record(records).await.unwrap();
    assert_eq!(statuses, [LeaseStatus::Held, LeaseStatus::Lost, LeaseStatus::Held]);
    assert_eq!(record(&store, "b").await.state, State::Failed);
    for name in ["a", "c"] {
        assert_eq!(record(&store, name).await.state, State::Running);
        assert!(store.events(&id(name), 0, 10, Duration::ZERO).await.unwrap().unwrap().len() > 1);
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_fails_its_own_job_at_the_claim() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let names = ["backoff", "labels", "args", "fine-1", "fine-2", "again", "fine-3"];
    store.enqueue(names.map(named).into()).await.unwrap();
    sql(&options, "UPDATE jobs SET backoff = '{\"base\":1}' WHERE id IN ('backoff', 'again')").await;
    sql(&options, "UPDATE jobs SET labels = '[1]' WHERE id = 'labels'").await;
    sql(&options, "UPDATE jobs SET args = '{' WHERE id = 'args'").await;

    let claimed = store.claim(Claim { queues: vec![slots("images", 5)], ..claim() }).await.unwrap();
    assert_eq!(claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(), ["fine-1", "fine-2"]);
    // The finish is accepted although the claim with it meets an unreadable row.
    let ends = vec![finish(&claimed[0].lease, completed())];
    let turn = store.finish_and_claim(ends, claim()).await.unwrap();
    assert_eq!(turn.finished, [LeaseStatus::Held]);
    assert_eq!(turn.claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(), ["fine-3"]);
    store.set_queue("images", &longhaul::QueueConfig::default()).await.unwrap();
    for (name, field) in
        [("backoff", "backoff"), ("labels", "labels"), ("args", "args"), ("again", "backoff")]
    {
        let job = record(&store, name).await;
        assert_eq!(job.state, State::Failed, "{name}");
        assert!(job.errors[0].message.contains(&format!("read the stored job: {field}")), "{:?}", job.errors);
    }
    let counts = store.queues().await.unwrap().remove(0).counts;
    let counts: Vec<_> = counts.into_iter().filter(|(_, jobs)| *jobs > 0).collect();
    assert_eq!(counts, [(State::Running, 2), (State::Completed, 1), (State::Failed, 4)]);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_concerns_its_own_queue() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let other = NewJob { queue: "other".into(), ..named("lost") };
    store.enqueue(vec![named("done"), other]).await.unwrap();
    sql(&options, "INSERT INTO queues VALUES ('images', '{\"retention\":[],\"paused\":false}')").await;
    let lease = store.claim(claim()).await.unwrap().remove(0).lease;
    store.finish(vec![finish(&lease, completed())]).await.unwrap();
    let dead = Claim { lease_for: Duration::ZERO, queues: vec![slots("other", 1)], ..claim() };
    store.claim(dead).await.unwrap();
    let mut swept = store.sweep(10).await.unwrap();
    while swept.rescued == 0 {
        // The server's clock has not moved on by a millisecond yet.
        swept = store.sweep(10).await.unwrap();
    }
    assert_eq!(record(&store, "lost").await.state, State::Available);
    assert!(store.queues().await.unwrap().iter().any(|queue| queue.name == "images"), "and it is listed");
}

/// Numbers that can never be null, removed by hand.
#[tokio::test]
async fn a_damaged_row_does_not_stop_other_jobs() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let child = |name: &str| NewJob { parent: Some(id("closing")), ..named(name) };
    store.enqueue(NewJob::batch(named("closing"), vec![named("one")])).await.unwrap();
    sql(&options, "UPDATE jobs SET children_completed = NULL, children_failed = NULL WHERE id = 'closing'")
        .await;
    store.enqueue(vec![child("two")]).await.unwrap();
    sql(&options, "ALTER TABLE jobs ALTER COLUMN priority DROP NOT NULL").await;
    sql(&options, "UPDATE jobs SET priority = NULL WHERE id = 'closing'").await;
    let (refused, other) =
        futures::join!(store.enqueue(vec![child("three")]), store.enqueue(vec![named("other")]));
    assert!(matches!(refused, Err(Error::Store { .. })), "{refused:?}");
    assert_eq!(other.unwrap().len(), 1);
    store.enqueue(vec![named("after")]).await.unwrap();
    store.ready().await.unwrap();
}

#[tokio::test]
async fn a_row_of_a_newer_release_is_listed_with_what_can_be_read() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    store.enqueue(vec![named("a"), named("b")]).await.unwrap();
    sql(&options, "UPDATE jobs SET state = 'dreaming', labels = '7', progress = '{}' WHERE id = 'a'").await;
    let page = store.list(&longhaul::JobFilter::default(), longhaul::Page::default()).await.unwrap();
    assert_eq!(page.jobs.len(), 2);
    assert_eq!(record(&store, "a").await.state, State::Blocked, "it waits for something");
}

#[tokio::test]
async fn a_claim_that_names_a_queue_or_kind_twice_takes_each_job_once() {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    store.enqueue(vec![named("a"), named("b")]).await.unwrap();
    let twice = Claim {
        queues: vec![QueueSlots { queue: "images".into(), slots: 5 }, slots("images", 5)],
        kinds: vec![kind("resize", 1), kind("resize", 1)],
        ..claim()
    };
    let claimed = store.claim(twice.clone()).await.unwrap();
    assert_eq!(claimed.len(), 2);
    let ends = claimed.iter().map(|job| finish(&job.lease, completed())).collect();
    let turn = store.finish_and_claim(ends, twice).await.unwrap();
    assert_eq!((turn.finished, turn.claimed.len()), (vec![LeaseStatus::Held; 2], 0));
}

#[tokio::test]
async fn versions_that_are_dates_are_claimed_in_order_with_small_ones() {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    let versions = [3, 20_260_101, 1, 20_270_101, 5, 20_260_101];
    let jobs = versions.iter().enumerate();
    let jobs = jobs.map(|(n, version)| NewJob { version: *version, ..named(&format!("job-{n}")) }).collect();
    store.enqueue(jobs).await.unwrap();
    let dated = Claim { kinds: vec![kind("resize", 20_260_101)], ..claim() };
    let claimed = store.claim(Claim { queues: vec![slots("images", 3)], ..dated.clone() }).await.unwrap();
    let first: Vec<u32> = claimed.iter().map(|job| job.version).collect();
    assert_eq!(first, [3, 20_260_101, 1]);
    let ends = claimed.iter().map(|job| finish(&job.lease, completed())).collect();
    let turn = store.finish_and_claim(ends, dated).await.unwrap();
    let rest: Vec<u32> = turn.claimed.iter().map(|job| job.version).collect();
    assert_eq!(rest, [5, 20_260_101], "and the one of next year is left alone");
}

#[tokio::test]
async fn a_server_without_room_is_full_until_there_is_some() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    store.enqueue(vec![named("before")]).await.unwrap();
    let lease = store.claim(claim()).await.unwrap().remove(0).lease;
    let full = "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
                  $$BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END$$;
                CREATE TRIGGER no_room BEFORE INSERT ON jobs EXECUTE FUNCTION no_room();";
    sql(&options, full).await;
    let refused = store.enqueue(vec![named("meanwhile")]).await;
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    assert!(matches!(store.ready().await, Err(Error::Full { .. })));
    let beaten = store.heartbeat(&worker("w1"), std::slice::from_ref(&lease), LONG).await.unwrap();
    assert_eq!(beaten, [LeaseStatus::Held], "heartbeats go on where they can");
    assert!(store.get(&[id("before")]).await.is_ok());
    sql(&options, "DROP TRIGGER no_room ON jobs").await;
    store.enqueue(vec![named("after")]).await.unwrap();
    store.ready().await.unwrap();
}

#[tokio::test]
async fn a_server_that_was_made_read_only_is_broken_until_it_writes_again() {
    let options = shared().options();
    let role = format!("role_of_{}", options.schema);
    sql(&options, &format!("CREATE ROLE {role} SUPERUSER LOGIN")).await;
    let mut theirs = options.clone();
    theirs.config.user(&role);
    let store = PostgresStore::open(theirs).await.unwrap();
    store.enqueue(vec![named("before")]).await.unwrap();
    let set = async |setting: &str| {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_role_of";
        let end = end.replace("current_role_of", &format!("'{role}'"));
        sql(&options, &format!("ALTER ROLE {role} {setting}; {end}")).await;
    };
    let until = async |wanted: fn(&Result<(), Error>) -> bool| {
        let reached = async {
            while !wanted(&store.ready().await) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG / 5, reached).await.expect("it never becomes so");
    };
    set("SET default_transaction_read_only = on").await;
    until(|ready| matches!(ready, Err(Error::Broken { .. }))).await;
    let refused = store.enqueue(vec![named("meanwhile")]).await;
    assert!(matches!(refused, Err(Error::Broken { .. })), "{refused:?}");
    assert!(store.get(&[id("before")]).await.unwrap().remove(0).found().is_some(), "it is read all the same");
    set("RESET default_transaction_read_only").await;
    until(Result::is_ok).await;
    store.enqueue(vec![named("after")]).await.unwrap();
}

/// Ids and sequences beyond 2³¹, as an old database has them.
#[tokio::test]
async fn sequences_beyond_two_to_the_31_change_nothing() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    sql(&options, "SELECT setval('numbers', 3000000000)").await;
    store.enqueue(vec![named("a"), named("b")]).await.unwrap();
    let claimed = store.claim(claim()).await.unwrap();
    let released = claimed.iter().map(|job| finish(&job.lease, Outcome::Released)).collect();
    assert_eq!(store.finish(released).await.unwrap(), [LeaseStatus::Held; 2]);
    let again = store.claim(claim()).await.unwrap();
    assert_eq!(again.iter().map(|job| job.attempt).collect::<Vec<_>>(), [1, 1], "no attempt was spent");
    assert!(again.iter().all(|job| job.lease.token < 1 << 53), "JSON's numbers can tell it");
}
