//! Tables that another release has made, or works on at the same time.

use longhaul::{
    Backoff, CancelReason, Claim, Clock, Dependency, JobRecord, Lease, LeaseStatus, NewJob, Policy, Record,
    State, Store,
};
use longhaul_conformance::jobs::{HOUR, KIND, QUEUE, claim, completed, finish, id, named, slots, step};
use longhaul_postgres::tokio_postgres::types::ToSql;
use longhaul_postgres::tokio_postgres::{Client, NoTls, Row};
use longhaul_postgres::{PostgresOptions, PostgresStore};

use crate::server::shared;

async fn record(store: &PostgresStore, name: &str) -> JobRecord {
    store.get(&[id(name)]).await.unwrap().remove(0).found().unwrap()
}

/// Runs the one job that is available to its end.
async fn run_one(store: &PostgresStore, name: &str) {
    let claimed = store.claim(claim()).await.unwrap();
    assert_eq!(claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(), [name]);
    store.finish(vec![finish(&claimed[0].lease, completed())]).await.unwrap();
    assert_eq!(record(store, name).await.state, State::Completed);
}

/// A newer release migrates the tables before the last process of the one before it has ended.
#[tokio::test]
async fn the_statements_of_the_previous_release_work_on_the_newest_schema() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    store.enqueue(vec![named("theirs"), named("fails")]).await.unwrap();
    let previous = Previous(client(&options).await);
    previous.insert("mine").await;

    let claimed = previous.claim(3).await;
    assert_eq!(claimed.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["fails", "mine", "theirs"]);
    assert_eq!(record(&store, "mine").await.worker.as_deref(), Some("previous"));
    previous.heartbeat(&claimed[1]).await;
    previous.complete(&claimed[1..]).await;
    previous.fail(&claimed[0]).await;

    for (name, state) in [("mine", State::Completed), ("theirs", State::Completed), ("fails", State::Failed)]
    {
        let job = record(&store, name).await;
        assert_eq!((job.state, job.attempt, job.children), (state, 1, None), "{name}");
        assert_eq!(job.output.map(|output| output.to_value()), (name != "fails").then(|| "sent".into()));
        assert!(store.events(&id(name), 0, 10, std::time::Duration::ZERO).await.unwrap().is_some());
    }
    let counts = store.queues().await.unwrap().remove(0).counts;
    let counts: Vec<_> = counts.into_iter().filter(|(_, jobs)| *jobs > 0).collect();
    assert_eq!(counts, [(State::Completed, 2), (State::Failed, 1)]);
}

/// The previous release knows no dependants, and a process of it may end with very many of them left.
#[tokio::test]
async fn a_sweep_tells_the_dependants_of_jobs_that_the_previous_release_has_ended() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let previous = Previous(client(&options).await);
    let after = |name: String, on: &str| NewJob { depends_on: vec![Dependency::on(id(on))], ..named(&name) };
    let mut jobs = vec![named("fails"), named("mine"), named("theirs")];
    jobs.extend((0..2_500).map(|n| after(format!("after-{n}"), "theirs")));
    jobs.push(after("never".into(), "fails"));
    store.enqueue(jobs).await.unwrap();
    let claimed = previous.claim(3).await;
    previous.complete(&claimed[1..]).await;
    previous.fail(&claimed[0]).await;
    assert_eq!(record(&store, "after-0").await.state, State::Blocked);
    for _ in 0..3 {
        store.sweep(10_000).await.unwrap();
    }
    let counts = store.queues().await.unwrap().remove(0).counts;
    assert_eq!(
        counts.get(&State::Available),
        Some(&2_500),
        "though the job that they depended on is pruned by then"
    );
    assert_eq!(record(&store, "never").await.cancel_reason, Some(CancelReason::Dependency));
}

/// Jobs that both releases have written are worked on by both, and pruned whoever has counted them.
#[tokio::test]
async fn both_releases_work_on_the_same_jobs_at_the_same_time() {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = PostgresStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    let policy = Policy { backoff: Some(Backoff::default()), ..Policy::default() };
    let policy = Policy { timeout: Some(HOUR), ..policy };
    store.enqueue(vec![NewJob { policy, ..named("a") }, NewJob { policy, ..named("b") }]).await.unwrap();
    let previous = Previous(client(&options).await);
    let theirs = previous.finish_and_claim(None).await;
    assert_eq!(theirs.0, "a");
    let ours = store.claim(Claim { queues: vec![slots(QUEUE, 1)], ..claim() }).await.unwrap().remove(0);
    assert_eq!((ours.lease.id.as_str(), ours.policy), ("b", policy));
    store.finish(vec![finish(&ours.lease, completed())]).await.unwrap();
    previous.insert("c").await;
    let next = previous.finish_and_claim(Some(&theirs)).await;
    assert_eq!((next.0.as_str(), record(&store, "a").await.state), ("c", State::Completed));
    let lease = Lease { id: id("a"), token: u64::try_from(theirs.1).unwrap() };
    assert_eq!(store.finish(vec![finish(&lease, completed())]).await.unwrap(), [LeaseStatus::Held]);
    previous.rows(include_str!("previous_release/fold_counts.sql"), &[]).await;
    clock.advance(25 * HOUR);
    store.sweep(10).await.unwrap();
    assert_eq!(store.queues().await.unwrap()[0].counts.get(&State::Completed), None, "both are pruned");
}

#[tokio::test]
async fn steps_of_both_releases_are_kept_in_the_order_in_which_they_were_recorded() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    store.enqueue(vec![named("a")]).await.unwrap();
    let lease = store.claim(claim()).await.unwrap().remove(0).lease;
    let previous = Previous(client(&options).await);
    let token = i64::try_from(lease.token).unwrap();
    let found = previous.rows(include_str!("previous_release/find_lease.sql"), &[&"a", &token]).await;
    let seq: i64 = found[0].get("seq");
    let insert = include_str!("previous_release/insert_step.sql");
    for name in ["theirs", "again"] {
        previous.rows(insert, &[&seq, &name, &"7"]).await;
    }
    let entries = vec![step("ours", "8"), step("theirs", "9")];
    store.record(vec![Record { lease: lease.clone(), entries }]).await.unwrap();
    let steps = store.steps(&id("a")).await.unwrap().unwrap();
    let told: Vec<_> = steps
        .iter()
        .map(|step| (step.name.as_str(), step.attempt, step.output.as_ref().map_or("", |out| out.as_str())))
        .collect();
    assert_eq!(told, [("theirs", 0, "7"), ("again", 0, "7"), ("ours", 1, "8")]);
    assert!(steps[0].finished_at.is_none() && steps[2].finished_at.is_some());
    // The release before leaves the outputs of what it completes in place.
    previous.complete(&[("a".into(), token)]).await;
    let steps = store.steps(&id("a")).await.unwrap().unwrap();
    assert!(steps.len() == 3 && steps.iter().all(|step| step.output.is_none()));
}

/// A process of the previous release, as far as its statements go.
struct Previous(Client);

pub(crate) async fn client(options: &PostgresOptions) -> Client {
    let (client, connection) = options.config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("SET search_path = \"{}\"", options.schema)).await.unwrap();
    client
}

const NOW: i64 = 1_000;

impl Previous {
    async fn rows(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.0.query(sql, values).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    async fn count(&self, state: &str, change: i64) {
        let sql = include_str!("previous_release/add_counts.sql");
        self.rows(sql, &[&vec![QUEUE], &vec![state], &vec![change]]).await;
    }

    async fn insert(&self, name: &str) {
        let (null, none) = (vec![None::<String>], vec![None::<i64>]);
        let sql = include_str!("previous_release/insert_jobs.sql");
        let created = self
            .rows(
                sql,
                &[
                    &vec![name],
                    &vec![KIND],
                    &vec![1_i64],
                    &vec![QUEUE],
                    &vec!["available"],
                    &vec![0_i64],
                    &vec![NOW],
                    &vec![NOW],
                    &vec![3_i64],
                    &vec![5_i64],
                    &none,
                    &null,
                    &none,
                    &null,
                    &null,
                    &null,
                    &vec!["{}"],
                    &null,
                    &none,
                    &NOW,
                    &none,
                ],
            )
            .await;
        assert_eq!(created.len(), 1);
        self.count("available", 1).await;
    }

    /// The leases of the jobs that it has claimed, by their ids.
    async fn claim(&self, slots: i64) -> Vec<(String, i64)> {
        let sql = include_str!("previous_release/claim_jobs.sql");
        let values: [&(dyn ToSql + Sync); 7] =
            [&QUEUE, &vec![KIND], &vec![1_i64], &slots, &NOW, &"previous", &i64::MAX];
        let mut leases: Vec<(String, i64)> =
            self.rows(sql, &values).await.iter().map(|row| (row.get("id"), row.get("token"))).collect();
        leases.sort_unstable();
        let many = i64::try_from(leases.len()).unwrap();
        self.count("available", -many).await;
        self.count("running", many).await;
        leases
    }

    async fn heartbeat(&self, (id, token): &(String, i64)) {
        let sql = include_str!("previous_release/heartbeat.sql");
        assert_eq!(self.rows(sql, &[&vec![id], &vec![token], &i64::MAX]).await.len(), 1);
    }

    async fn complete(&self, leases: &[(String, i64)]) {
        let (ids, tokens): (Vec<&String>, Vec<i64>) = leases.iter().map(|(id, token)| (id, *token)).unzip();
        let outputs = vec!["\"sent\""; leases.len()];
        let sql = include_str!("previous_release/complete_plain_jobs.sql");
        assert_eq!(self.rows(sql, &[&ids, &tokens, &outputs, &NOW]).await.len(), leases.len());
        self.ended("completed", i64::try_from(leases.len()).unwrap()).await;
    }

    /// Ends a run, where there is one, and claims a job, in the one statement of its workers' turns.
    async fn finish_and_claim(&self, run: Option<&(String, i64)>) -> (String, i64) {
        let (ids, tokens): (Vec<&String>, Vec<i64>) = run.iter().map(|(id, token)| (id, *token)).unzip();
        let outputs = vec!["\"sent\""; ids.len()];
        let (one, first) = (vec![1_i64], NOW + 1);
        let values: [&(dyn ToSql + Sync); 11] = [
            &ids,
            &tokens,
            &outputs,
            &vec![QUEUE],
            &vec![KIND],
            &one,
            &one,
            &first,
            &"previous",
            &i64::MAX,
            &"{}",
        ];
        let rows = self.rows(include_str!("previous_release/turn.sql"), &values).await;
        let claimed = rows.iter().find(|row| row.get::<_, Option<&str>>(2).is_some()).expect("a job");
        (claimed.get(0), claimed.get(1))
    }

    async fn fail(&self, (id, token): &(String, i64)) {
        let found = self.rows(include_str!("previous_release/find_lease.sql"), &[id, token]).await;
        let (seq, last_event): (i64, i64) = (found[0].get("seq"), found[0].get("last_event"));
        let (errors, ended_at) = (None::<String>, Some(NOW));
        let sql = include_str!("previous_release/end_run.sql");
        let values: [&(dyn ToSql + Sync); 12] = [
            &seq,
            &"failed",
            &NOW,
            &NOW,
            &NOW,
            &1_i64,
            &0_i64,
            &0_i64,
            &errors,
            &errors,
            &ended_at,
            &(last_event + 1),
        ];
        self.rows(sql, &values).await;
        self.ended("failed", 1).await;
    }

    async fn ended(&self, state: &str, many: i64) {
        self.count("running", -many).await;
        self.count(state, many).await;
    }
}

/// Makes the tables of this release look like those of a later one, which asks for a binary of schema `oldest`.
async fn write_later_version(options: &PostgresOptions, later: i32, oldest: i32) -> PostgresStore {
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let later = format!(
        "ALTER TABLE jobs ADD COLUMN what_comes_later TEXT DEFAULT 'new';
         UPDATE schema_version SET version = {later}, oldest = {oldest};"
    );
    client(options).await.batch_execute(&later).await.unwrap();
    store
}

#[tokio::test]
async fn an_older_binary_goes_on_with_a_newer_schema_that_allows_it() {
    let options = shared().options();
    let store = write_later_version(&options, 900, 1).await;
    store.enqueue(vec![named("a")]).await.unwrap();
    run_one(&store, "a").await;
    let restarted = PostgresStore::open(options.clone()).await.unwrap();
    restarted.enqueue(vec![named("b")]).await.unwrap();
    run_one(&restarted, "b").await;
    let version = client(&options).await.query_one("SELECT version FROM schema_version", &[]).await.unwrap();
    assert_eq!(version.get::<_, i32>(0), 900, "it is left as it is");
}

#[tokio::test]
async fn a_store_goes_on_while_a_newer_release_migrates_its_tables() {
    let options = shared().options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    store.enqueue(vec![named("a")]).await.unwrap();
    // Every statement is prepared by now, or else was never used.
    run_one(&store, "a").await;
    store.enqueue(vec![named("b")]).await.unwrap();
    let claimed = store.claim(claim()).await.unwrap();
    write_later_version(&options, 900, 1).await;
    store.finish(vec![finish(&claimed[0].lease, completed())]).await.unwrap();
    store.enqueue(vec![named("c")]).await.unwrap();
    run_one(&store, "c").await;
}

#[tokio::test]
async fn an_older_binary_refuses_a_newer_schema_that_does_not_allow_it() {
    let options = shared().options();
    write_later_version(&options, 999, 998).await;
    let refused = PostgresStore::open(options).await.unwrap_err().to_string();
    assert!(refused.contains("is of version 999, for which a binary must know version 998"), "{refused}");
    assert!(refused.contains("use the newer longhaul that wrote it"), "{refused}");
}
