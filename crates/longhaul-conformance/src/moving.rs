//! The contracts of [`Store::export`] and [`Store::import`].

use std::time::Duration;

use longhaul::moving::{Exported, ExportedJob, ExportedRemoval, Imported};
use longhaul::{
    Action, CancelReason, Entry, Error, Finish, JobId, KeyConfig, MemoryStore, NewJob, Outcome, QueueConfig,
    Result, Sample, Signalled, Start, State, Store, Timestamp, Unique, WaitsFor,
};

use crate::Fixture;
use crate::depends::{after, after_any_end};
use crate::fixture::ok;
use crate::jobs::{
    HOUR, LEASE, QUEUE, chunk, completed, delayed, failed, finish, id, idempotent, job, json, limited, log,
    named, progress, retry, secs, step, unique,
};

/// All records of a store.
async fn read(store: &dyn Store) -> Result<Vec<Exported>> {
    let mut export = store.export().await?;
    let mut records = Vec::new();
    loop {
        let page = export.next().await?;
        if page.is_empty() {
            return Ok(records);
        }
        records.extend(page);
    }
}

/// All records of a store that nobody writes to.
pub(crate) async fn export(fx: &Fixture) -> Vec<Exported> {
    ok("export", read(fx.store.as_ref()).await)
}

/// Imports records, each of which is answered.
pub(crate) async fn import(fx: &Fixture, records: &[Exported]) -> Vec<Imported> {
    let imported = ok("import", fx.store.import(records.to_vec()).await);
    assert_eq!(imported.len(), records.len(), "an import answers once for each record");
    imported
}

/// True for a store that is a view of another one, which is moved itself.
pub(crate) async fn is_a_view(fx: &Fixture) -> bool {
    // It is forgotten already, and so leaves nothing.
    let forgotten = Exported::Removed(ExportedRemoval { id: id("gone"), until: Timestamp(0) });
    match fx.store.import(vec![forgotten]).await {
        Ok(imported) => {
            assert_eq!(imported, [Imported::Present]);
            false
        }
        Err(Error::Store { operation: "import", source, .. }) => {
            let told = source.to_string();
            assert!(told.starts_with("jobs are moved between the stores themselves"), "{told}");
            let refused = fx.store.export().await.map(drop);
            assert!(matches!(refused, Err(Error::Store { operation: "export", .. })), "{refused:?}");
            true
        }
        Err(error) => panic!("{error}"),
    }
}

/// The jobs among records.
fn jobs(records: &[Exported]) -> Vec<&ExportedJob> {
    let mut jobs = Vec::new();
    for record in records {
        if let Exported::Job(job) = record {
            jobs.push(&**job);
        }
    }
    jobs
}

/// A store in memory on the clock of the one under test.
pub(crate) fn beside(fx: &Fixture) -> Fixture {
    Fixture::new(MemoryStore::with_clock(fx.clock.clone()), fx.clock.clone())
}

/// Creates jobs in every state, with all data that a job can have.
async fn furnish(fx: &Fixture) {
    let config = QueueConfig { slots: Some(50), fair: true, ..QueueConfig::default() };
    fx.set_queue(QUEUE, &config).await;
    ok("pause a queue", fx.store.pause_queue("mail").await);
    ok(
        "set a key",
        fx.store.set_key("p*", Some(&KeyConfig { slots: Some(9), ..KeyConfig::default() })).await,
    );
    ok("pause a key", fx.store.pause_key("closed", HOUR).await);
    fx.enqueue(named("done")).await;
    let done = fx.claim_one().await.lease;
    let said = vec![log("begins"), chunk("[1]"), Entry::Progress(progress(50.0)), step("one", "{\"n\":1}")];
    fx.record(&done, said).await;
    fx.clock.advance(secs(3));
    fx.end(&done, completed()).await;
    fx.enqueue(named("failed")).await;
    let lease = fx.claim_one().await.lease;
    fx.record(&lease, vec![log("first"), step("one", "1"), step("two", "2")]).await;
    fx.end(&lease, retry(secs(5))).await;
    fx.clock.advance(secs(5));
    let lease = fx.claim_one().await.lease;
    fx.record(&lease, vec![log("second")]).await;
    fx.end(&lease, failed()).await;
    let kept = Unique { period: Some(HOUR), ..Unique::new("kept") };
    fx.enqueue(NewJob { unique: Some(kept), ..named("kept") }).await;
    fx.end(&fx.claim_one().await.lease, completed()).await;
    fx.enqueue(named("cancelled")).await;
    fx.act(&id("cancelled"), Action::cancel(LEASE)).await;
    fx.enqueue(named("removed")).await;
    fx.act(&id("removed"), Action::cancel(LEASE)).await;
    fx.act(&id("removed"), Action::Delete).await;
    let child = |name: &str| NewJob { parent: Some(id("batch")), ..named(name) };
    let batch = NewJob { start: Start::AfterChildren, ..named("batch") };
    fx.enqueue_all(vec![batch, child("child1"), child("child2")]).await;
    fx.end(&fx.claim_one().await.lease, completed()).await;
    fx.enqueue(named("waits")).await;
    for _ in 0..2 {
        let lease = fx.claim_one().await.lease;
        let on = WaitsFor::Signal("go".into());
        let outcome = match lease.id.as_str() {
            "waits" => Outcome::Waits { on, timeout: Some(HOUR), error: None },
            _ => Outcome::Snoozed { delay: HOUR },
        };
        fx.end(&lease, outcome).await;
    }
    let labels = [("tenant".to_owned(), "ada".to_owned())].into();
    fx.enqueue(NewJob { priority: 7, labels, expires_in: Some(HOUR), ..limited("keyed", &["p1", "q"]) })
        .await;
    fx.enqueue(NewJob { id: Some(id("unique")), ..unique("held", None) }).await;
    fx.enqueue(NewJob { id: Some(id("promised")), ..idempotent("i", "f") }).await;
    fx.enqueue(NewJob { id: Some(id("later")), ..delayed(secs(60)) }).await;
    fx.enqueue_all(vec![after("then", &["promised"]), after_any_end("last", &["then", "done"])]).await;
    let sample = Sample {
        series: "s".into(),
        at: Timestamp(60),
        source: "a".into(),
        keep_for: HOUR,
        body: json("{\"n\": 1.50}"),
    };
    ok("keep a sample", fx.store.put_samples(&[sample]).await);
}

/// The ids of what [`furnish`] makes.
const FURNISHED: [&str; 16] = [
    "done",
    "failed",
    "kept",
    "cancelled",
    "batch",
    "child1",
    "child2",
    "waits",
    "keyed",
    "unique",
    "promised",
    "later",
    "then",
    "last",
    "removed",
    "never",
];

/// All that can be read of both is the same.
async fn compare(one: &Fixture, other: &Fixture) {
    for name in FURNISHED.map(id) {
        assert_eq!(one.lookup(&name).await, other.lookup(&name).await, "{name}");
        let events =
            async |fx: &Fixture| ok("read events", fx.store.events(&name, 0, 1_000, Duration::ZERO).await);
        assert_eq!(events(one).await, events(other).await, "the log of {name}");
        let steps = async |fx: &Fixture| ok("list steps", fx.store.steps(&name).await);
        assert_eq!(steps(one).await, steps(other).await, "the steps of {name}");
        let dependants = async |fx: &Fixture| ok("list dependants", fx.store.dependants(&name, 10).await);
        assert_eq!(dependants(one).await, dependants(other).await, "the dependants of {name}");
    }
    let all = longhaul::JobFilter::default();
    assert_eq!(one.list_records(&all).await, other.list_records(&all).await);
    let queues = async |fx: &Fixture| ok("list queues", fx.store.queues().await);
    assert_eq!(queues(one).await, queues(other).await);
    let keys = async |fx: &Fixture| {
        let filter = longhaul::KeyFilter { limit: 100, ..longhaul::KeyFilter::default() };
        ok("list keys", fx.store.keys(&filter).await)
    };
    assert_eq!(keys(one).await, keys(other).await);
    let samples = async |fx: &Fixture| {
        let samples = ok("read samples", fx.store.samples("s", Timestamp(0)).await);
        samples.into_iter().map(|sample| (sample.at, sample.source, sample.body)).collect::<Vec<_>>()
    };
    assert_eq!(samples(one).await, samples(other).await);
}

/// "An export shows the store as it was when it began or fails."
pub async fn an_export_shows_the_store_as_it_was_when_it_began_or_fails(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    fx.enqueue_all(vec![named("a"), named("b")]).await;
    let mut export = ok("begin an export", fx.store.export().await);
    let reads = async {
        let mut records = Vec::new();
        loop {
            let page = export.next().await?;
            if page.is_empty() {
                // Whoever waits for the end of it may go on.
                drop(export);
                return Ok::<_, Error>(records);
            }
            records.extend(page);
        }
    };
    let (read_meanwhile, _) = tokio::join!(reads, fx.enqueue(named("late")));
    if let Ok(records) = read_meanwhile {
        let names: Vec<&JobId> = jobs(&records).into_iter().map(|job| &job.job.id).collect();
        assert_eq!(names, [&id("a"), &id("b")]);
    }
    assert_eq!(jobs(&self::export(fx).await).len(), 3, "the next one has what has come since");
}

/// "An export of an empty store has no records."
pub async fn an_export_of_an_empty_store_has_no_records(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    assert_eq!(export(fx).await, []);
    assert_eq!(import(fx, &[]).await, []);
}

/// "An export has settings before jobs and jobs in the order in which they were enqueued."
pub async fn an_export_has_settings_before_jobs_and_jobs_in_the_order_in_which_they_were_enqueued(
    fx: &Fixture,
) {
    if is_a_view(fx).await {
        return;
    }
    furnish(fx).await;
    let records = export(fx).await;
    let place = |record: &Exported| match record {
        Exported::Queue(_) | Exported::Key(_) => 0,
        Exported::Job(_) => 1,
        Exported::IdempotencyKey(_) | Exported::Removed(_) | Exported::Sample(_) => 2,
    };
    assert!(records.iter().map(place).is_sorted(), "{records:#?}");
    let names: Vec<&str> = jobs(&records).into_iter().map(|job| job.job.id.as_str()).collect();
    assert_eq!(names, FURNISHED[..14]);
    assert_eq!(records.iter().filter(|record| place(record) == 0).count(), 4);
    assert_eq!(records.iter().filter(|record| place(record) == 2).count(), 3);
}

/// "What was exported and imported is as it was."
pub async fn what_was_exported_and_imported_is_as_it_was(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    furnish(&source).await;
    let records = export(&source).await;
    let imported = import(fx, &records).await;
    assert!(imported.iter().all(|imported| *imported == Imported::Created), "{imported:?}");
    compare(fx, &source).await;
    // And back.
    let back = beside(fx);
    import(&back, &export(fx).await).await;
    compare(&back, &source).await;
}

/// "Importing twice adds nothing."
pub async fn importing_twice_adds_nothing(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    furnish(&source).await;
    let records = export(&source).await;
    import(fx, &records).await;
    let again = import(fx, &records).await;
    assert!(again.iter().all(|imported| *imported == Imported::Present), "{again:?}");
    compare(fx, &source).await;
}

/// "A record that a call has twice is created once."
pub async fn a_record_that_a_call_has_twice_is_created_once(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    furnish(&source).await;
    let records = export(&source).await;
    let twice: Vec<Exported> = records.iter().chain(&records).cloned().collect();
    let imported = import(fx, &twice).await;
    let (first, second) = imported.split_at(records.len());
    assert!(first.iter().all(|imported| *imported == Imported::Created), "{first:?}");
    assert!(second.iter().all(|imported| *imported == Imported::Present), "{second:?}");
    compare(fx, &source).await;
}

/// "A record that is there already stays as it is."
pub async fn a_record_that_is_there_already_stays_as_it_is(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    furnish(&source).await;
    let records = export(&source).await;
    let kept = QueueConfig { slots: Some(3), ..QueueConfig::default() };
    fx.set_queue(QUEUE, &kept).await;
    fx.enqueue(NewJob { args: json("\"mine\""), start: Start::After(HOUR), ..named("done") }).await;
    let before = fx.job(&id("done")).await;
    let imported = import(fx, &records).await;
    for (record, imported) in records.iter().zip(imported) {
        let is_there = match record {
            Exported::Queue(queue) => queue.queue == QUEUE,
            Exported::Job(job) => job.job.id == id("done"),
            _ => false,
        };
        assert_eq!(imported == Imported::Present, is_there, "{record:?}");
    }
    assert_eq!(fx.job(&id("done")).await, before);
    assert_eq!(fx.queue(QUEUE).await.config, kept);
}

/// "A job that was removed is not imported again."
pub async fn a_job_that_was_removed_is_not_imported_again(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    source.enqueue(named("a")).await;
    let records = export(&source).await;
    import(fx, &records).await;
    fx.end(&fx.claim_one().await.lease, completed()).await;
    assert_eq!(fx.act(&id("a"), Action::Delete).await, 1);
    assert_eq!(import(fx, &records).await, [Imported::Removed]);
    assert_eq!(fx.list(&longhaul::JobFilter::default()).await, []);
}

/// "A running job is imported as one that was given back."
pub async fn a_running_job_is_imported_as_one_that_was_given_back(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    source.enqueue(named("a")).await;
    source.end(&source.claim_one().await.lease, retry(Duration::ZERO)).await;
    let lease = source.claim_one().await.lease;
    source.record(&lease, vec![log("on my way"), step("one", "1")]).await;
    let running = source.job(&id("a")).await;
    import(fx, &export(&source).await).await;
    let record = fx.job(&id("a")).await;
    assert_eq!((record.state, record.attempt, record.interruptions), (State::Available, 1, 1));
    assert_eq!(
        (record.run_at, record.worker, record.errors),
        (running.run_at, running.worker, running.errors)
    );
    assert_ne!(fx.finish(&lease, completed()).await, longhaul::LeaseStatus::Held, "its lease stays behind");
    let again = fx.claim_one().await;
    assert_eq!((again.attempt, again.steps["one"].as_str()), (2, "1"), "what was done is not done again");
    fx.end(&again.lease, completed()).await;
}

/// "A running job that was asked to stop is cancelled when it is imported."
pub async fn a_running_job_that_was_asked_to_stop_is_cancelled_when_it_is_imported(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    let parent = NewJob { start: Start::AfterChildren, ..named("parent") };
    source.enqueue_all(vec![parent, NewJob { parent: Some(id("parent")), ..named("a") }]).await;
    source.claim_one().await;
    source.enqueue_all(vec![after("then", &["a"]), after_any_end("anyway", &["a"])]).await;
    let cancel = Action::Cancel { grace: HOUR, reason: CancelReason::Asked };
    assert_eq!(source.act(&id("a"), cancel).await, 1);
    import(fx, &export(&source).await).await;
    let record = fx.job(&id("a")).await;
    assert_eq!((record.state, record.cancel_reason), (State::Cancelled, Some(CancelReason::Asked)));
    assert_eq!(fx.state(&id("then")).await, State::Cancelled, "it hears of the end");
    assert_eq!(fx.state(&id("anyway")).await, State::Available);
    let parent = fx.job(&id("parent")).await;
    assert_eq!((parent.state, parent.children.map(|all| all.cancelled)), (State::Available, Some(1)));
}

/// "Imported jobs are claimed in their order and run to their ends."
pub async fn imported_jobs_are_claimed_in_their_order_and_run_to_their_ends(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    source.enqueue_all(vec![named("a"), NewJob { priority: 5, ..named("b") }, named("c")]).await;
    let batch = NewJob { start: Start::AfterChildren, ..named("batch") };
    source.enqueue_all(vec![batch, NewJob { parent: Some(id("batch")), ..named("child") }]).await;
    source.enqueue_all(vec![after("d", &["a", "c"]), after("e", &["d"])]).await;
    source.enqueue(NewJob { id: Some(id("f")), ..delayed(secs(60)) }).await;
    source.enqueue(NewJob { id: Some(id("g")), ..unique("once", None) }).await;
    import(fx, &export(&source).await).await;
    assert_eq!(fx.offer(unique("once", None)).await.id, id("g"), "it holds its key");
    let leases = fx.claim_leases().await;
    let names: Vec<&str> = leases.iter().map(|lease| lease.id.as_str()).collect();
    assert_eq!(names, ["b", "a", "c", "child", "g"]);
    for lease in &leases {
        let follow_ups = if lease.id == id("g") { vec![named("follows")] } else { Vec::new() };
        let finishes = vec![Finish { follow_ups, ..finish(lease, completed()) }];
        assert_eq!(fx.finish_all(finishes).await, [longhaul::LeaseStatus::Held]);
    }
    let mut names = Vec::new();
    fx.clock.advance(secs(60));
    for _ in 0..5 {
        for lease in fx.claim_leases().await {
            names.push(lease.id.to_string());
            fx.end(&lease, completed()).await;
        }
    }
    names.sort_unstable();
    assert_eq!(names, ["batch", "d", "e", "f", "follows"]);
    assert!(fx.offer(unique("once", None)).await.is_created(), "its key is free");
    assert_eq!(fx.counts(QUEUE).await[&State::Completed], 10);
}

/// "An imported job keeps to the limits of its keys and its queue."
pub async fn an_imported_job_keeps_to_the_limits_of_its_keys_and_its_queue(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    let one = KeyConfig { slots: Some(1), ..KeyConfig::default() };
    ok("set a key", source.store.set_key("k", Some(&one)).await);
    fx.set_queue(QUEUE, &QueueConfig { slots: Some(2), ..QueueConfig::default() }).await;
    source.enqueue_all(vec![limited("a", &["k"]), limited("b", &["k"])]).await;
    let run = source.claim_one().await.lease;
    assert_eq!(run.id, id("a"), "its slot is taken there");
    source.enqueue_all(vec![named("c"), named("d")]).await;
    import(fx, &export(&source).await).await;
    let leases = fx.claim_leases().await;
    let names: Vec<&str> = leases.iter().map(|lease| lease.id.as_str()).collect();
    assert_eq!(names, ["a", "c"], "b waits for its key, and d for the queue");
    fx.end(&leases[0], completed()).await;
    assert_eq!(fx.claim_ids().await, [id("b")]);
}

/// "An imported dependant counts the end of a job that has ended since."
pub async fn an_imported_dependant_counts_the_end_of_a_job_that_has_ended_since(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    source.enqueue_all(vec![named("a"), named("b")]).await;
    source.enqueue_all(vec![after("then", &["a", "b"]), after("never", &["b"])]).await;
    source.enqueue(after_any_end("anyway", &["b"])).await;
    let records = export(&source).await;
    // The first of them run here before the others come.
    import(fx, &records[..2]).await;
    let leases = fx.claim_leases().await;
    fx.end(&leases[0], completed()).await;
    fx.end(&leases[1], failed()).await;
    import(fx, &records[2..]).await;
    assert_eq!(fx.state(&id("then")).await, State::Cancelled);
    assert_eq!(fx.state(&id("never")).await, State::Cancelled);
    assert_eq!(fx.claim_ids().await, [id("anyway")]);
}

/// "A dependency that is not there counts as ended for an imported job."
pub async fn a_dependency_that_is_not_there_counts_as_ended_for_an_imported_job(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    source.enqueue(named("a")).await;
    source.enqueue_all(vec![after("then", &["a"]), named("b")]).await;
    let records = export(&source).await;
    import(fx, &records[1..]).await;
    let record = fx.job(&id("then")).await;
    assert_eq!((record.state, record.waits_for), (State::Available, None));
    fx.end(&fx.claim_one().await.lease, completed()).await;
}

/// "A unique key that another job holds stays with that one."
pub async fn a_unique_key_that_another_job_holds_stays_with_that_one(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    source.enqueue(NewJob { id: Some(id("theirs")), ..unique("key", None) }).await;
    fx.enqueue(NewJob { id: Some(id("mine")), ..unique("key", None) }).await;
    assert_eq!(import(fx, &export(&source).await).await, [Imported::Created]);
    assert_eq!(fx.offer(unique("key", None)).await.id, id("mine"));
    fx.end(&fx.claim_one().await.lease, completed()).await;
    assert!(
        fx.offer(unique("key", None)).await.is_created(),
        "the other one frees nothing, and holds nothing"
    );
}

/// "A record that cannot be kept is refused and nothing of its call is written."
pub async fn a_record_that_cannot_be_kept_is_refused_and_nothing_of_its_call_is_written(fx: &Fixture) {
    if is_a_view(fx).await {
        return;
    }
    let source = beside(fx);
    source.enqueue_all(vec![named("a"), job()]).await;
    let mut records = export(&source).await;
    if let Some(Exported::Job(job)) = records.last_mut() {
        job.job.queue = "no queue|at all".into();
    }
    match fx.store.import(records).await {
        Err(Error::Invalid { field, .. }) => assert!(field.starts_with("queue of job "), "{field}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(fx.list(&longhaul::JobFilter::default()).await, []);
    assert_eq!(ok("signal", fx.store.signal(&id("a"), "s", &json("1")).await), Signalled::Unknown);
}
