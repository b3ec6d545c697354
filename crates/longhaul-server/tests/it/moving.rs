//! Jobs in all states go from SQLite to Redis, on to Postgres and back to SQLite, and workers finish them there.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use longhaul::{
    Action, Claim, Dependency, Entry, Finish, JobFilter, JobId, JobRecord, Json, KeyConfig, LogLevel, NewJob,
    Outcome, Page, QueueConfig, QueueSlots, Sample, Start, State, Store, SupportedKind, Timestamp, Unique,
    WaitsFor, WorkerInfo,
};
use longhaul_postgres::PostgresStore;
use longhaul_redis::RedisStore;

use crate::crew::{Act, Crew};
use crate::server::{PATIENCE, Place, output, stderr};

const HOUR: Duration = Duration::from_secs(3600);

fn id(name: &str) -> JobId {
    JobId::new(name).expect("an id")
}

/// A job that a worker of the crew finishes.
fn act(name: &str) -> NewJob {
    let args = Json::new(&Act { how: "talk".into(), n: 7 }).expect("args");
    NewJob { id: Some(id(name)), queue: "stage".into(), ..NewJob::new("act", args) }
}

fn claim(slots: usize) -> Claim {
    Claim {
        worker: WorkerInfo { id: "gone".into(), ..WorkerInfo::default() },
        queues: vec![QueueSlots { queue: "stage".into(), slots }],
        kinds: vec![SupportedKind { kind: "act".into(), version: 1 }],
        lease_for: HOUR,
        wait: Duration::ZERO,
    }
}

fn end(lease: longhaul::Lease, outcome: Outcome) -> Finish {
    Finish { lease, outcome, entries: Vec::new(), follow_ups: Vec::new(), cost: None }
}

/// A job in every state, with what may belong to it.
async fn furnish(store: &dyn Store) {
    let config = QueueConfig { slots: Some(5), ..QueueConfig::default() };
    store.set_queue("stage", &config).await.expect("a queue");
    store.pause_queue("mail").await.expect("a pause");
    let limits = KeyConfig { slots: Some(2), ..KeyConfig::default() };
    store.set_key("tenant*", Some(&limits)).await.expect("limits");
    for name in ["completed", "failed", "waits", "running"] {
        store.enqueue(vec![act(name)]).await.expect("a job");
        let lease = store.claim(claim(1)).await.expect("a claim").pop().expect("a job").lease;
        let entries = vec![
            Entry::Log { level: LogLevel::Info, message: format!("{name} begins") },
            Entry::Step { name: "one".into(), output: Json::new(&1).expect("json"), took: Duration::ZERO },
        ];
        let record = longhaul::Record { lease: lease.clone(), entries };
        store.record(vec![record]).await.expect("entries");
        let error = longhaul::AttemptError::new(longhaul::ErrorKind::Fatal, "no such play");
        let outcome = match name {
            "completed" => Outcome::Completed { output: Json::new(&"applause").expect("json") },
            "failed" => Outcome::Failed { error },
            "waits" => Outcome::Waits { on: WaitsFor::Signal("curtain".into()), timeout: None, error: None },
            _ => continue,
        };
        store.finish(vec![end(lease, outcome)]).await.expect("an end");
    }
    store.enqueue(vec![act("cancelled")]).await.expect("a job");
    let cancel = Action::cancel(HOUR);
    store.act(&JobFilter::id(id("cancelled")), cancel, 1).await.expect("a cancel");
    let unique = Some(Unique::new("only one"));
    let keyed = vec!["tenant-a".to_owned()];
    let on = |name: &str| vec![Dependency::on(id(name))];
    let child = || Some(id("batch"));
    let jobs = vec![
        NewJob { start: Start::AfterChildren, ..act("batch") },
        NewJob { parent: child(), unique, ..act("available") },
        NewJob { parent: child(), limit_keys: keyed, ..act("limited") },
        NewJob { depends_on: on("available"), ..act("blocked") },
        NewJob { start: Start::After(HOUR), ..act("scheduled") },
    ];
    store.enqueue(jobs).await.expect("jobs");
    let sample = Sample {
        series: "secret".into(),
        at: Timestamp(0),
        source: "test".into(),
        keep_for: HOUR,
        body: Json::new(&"s").expect("json"),
    };
    store.put_samples(&[sample]).await.expect("a sample");
}

/// All jobs, in the order in which they were enqueued.
async fn all(store: &dyn Store) -> Vec<JobRecord> {
    let page = Page { limit: 1_000, ..Page::default() };
    let mut jobs = store.list(&JobFilter::default(), page).await.expect("a list").jobs;
    jobs.reverse();
    jobs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_in_all_states_move_from_store_to_store_and_workers_finish_them() {
    let (place, back) = (Place::new(), Place::new());
    let longhaul = Crew::idle(&place).await;
    let source: &dyn Store = longhaul.store().as_ref();
    furnish(source).await;
    let before = all(source).await;
    let server = longhaul_testservers::Redis::start(&[]);
    let redis = server.url();
    let postgres = longhaul_testservers::postgres().url_of_new_schema();
    let file = |name: &str| place.data().join(name).display().to_string();
    let sqlite = format!("sqlite:{}", back.data().join("longhaul.db").display());
    let from = format!("sqlite:{}", file("longhaul.db"));
    std::fs::create_dir_all(back.data()).expect("a folder");
    let hops = [(&from, &redis), (&redis, &postgres), (&postgres, &sqlite)];
    for (number, (from, to)) in hops.iter().enumerate() {
        let file = file(&format!("{number}.jsonl"));
        place.printed(&["export", &file, "--store", from]).await;
        place.printed(&["import", &file, "--store", to]).await;
        // Again, which adds nothing.
        let again = place.run(&["import", &file, "--store", to]).await;
        assert!(again.status.success(), "{}", stderr(&again));
        assert!(stderr(&again).contains("imported already"), "{}", stderr(&again));
    }
    for store in [
        &RedisStore::connect(&redis).await.expect("a store") as &dyn Store,
        &PostgresStore::connect(&postgres).await.expect("a store"),
    ] {
        assert_eq!(without_runs(all(store).await), without_runs(before.clone()));
    }

    let crew = Crew::at(&back).await;
    let moved: &dyn Store = crew.longhaul.store().as_ref();
    let queues = moved.queues().await.expect("queues");
    let find = |name: &str| queues.iter().find(|queue| queue.name == name).expect("a queue");
    assert_eq!(find("stage").config.slots, Some(5));
    assert!(find("mail").paused);
    let kept = moved.samples("secret", Timestamp(0)).await.expect("samples");
    assert_eq!(kept[0].body.as_str(), "\"s\"");
    moved.signal(&id("waits"), "curtain", &Json::null()).await.expect("a signal");
    for name in ["available", "limited", "batch", "blocked", "running", "waits"] {
        let done = crew.longhaul.wait(&id(name), PATIENCE).await.expect("an end");
        assert_eq!(done.found().map(|job| job.state), Some(State::Completed), "{name}");
    }
    assert_eq!(moved.act(&JobFilter::id(id("failed")), Action::Retry, 1).await.expect("a retry").done, 1);
    let done = crew.longhaul.wait(&id("failed"), PATIENCE).await.expect("an end");
    assert_eq!(done.found().map(|job| job.state), Some(State::Completed), "one retried by hand runs, too");
    let steps = moved.steps(&id("running")).await.expect("steps").expect("a job");
    assert_eq!(steps[0].name, "one", "what was done stays");
}

/// Jobs as they are where they were moved: a run was given back.
fn without_runs(jobs: Vec<JobRecord>) -> Vec<JobRecord> {
    let given_back = |mut job: JobRecord| {
        if job.state == State::Running || job.id == id("running") {
            job.state = State::Available;
            (job.attempt, job.interruptions, job.last_event) = (0, 0, 0);
        }
        job
    };
    jobs.into_iter().map(given_back).collect()
}

#[tokio::test]
async fn an_import_says_what_is_wrong_and_what_to_do() {
    let (place, target) = (Place::new(), Place::new());
    let longhaul = Crew::idle(&place).await;
    furnish(longhaul.store().as_ref()).await;
    let file = place.data().join("all.jsonl");
    let name = file.display().to_string();
    place.printed(&["export", &name]).await;
    let refused = async |place: &Place, args: &[&str], reason: &str| {
        let refused = place.run(args).await;
        assert!(!refused.status.success(), "{args:?}");
        assert!(stderr(&refused).contains(reason), "{args:?}: {}", stderr(&refused));
    };
    refused(&place, &["export", &name], "is there already: name another file").await;
    refused(&place, &["import", &name], "the store has jobs already").await;
    let empty = target.data().join("none.db").display().to_string();
    refused(&target, &["export", "--store", &format!("sqlite:{empty}")], "there is no store at").await;

    let text = std::fs::read_to_string(&file).expect("a file");
    let lines: Vec<&str> = text.lines().collect();
    let write = |lines: &[&str]| {
        let changed = place.data().join("changed.jsonl");
        std::fs::write(&changed, format!("{}\n", lines.join("\n"))).expect("a file");
        changed.display().to_string()
    };
    let mut damaged = lines.clone();
    damaged[4] = &damaged[4][..damaged[4].len() / 2];
    refused(&target, &["import", &write(&damaged)], "line 5 is damaged").await;
    let mut changed = lines.clone();
    let other = changed[6].replace("\"priority\":0", "\"priority\":9");
    changed[6] = &other;
    refused(&target, &["import", &write(&changed)], "its checksum differs").await;
    let later = lines[0].replace("\"format\":1", "\"format\":3");
    refused(&target, &["import", &write(&[&[later.as_str()][..], &lines[1..]].concat())], "of format 3")
        .await;
    refused(&target, &["import", &write(&lines[1..])], "does not begin as an export does").await;
    let cut = write(&lines[..9]);
    refused(&target, &["import", &cut], "was cut after line 9").await;
    assert_eq!(all(Crew::idle(&target).await.store().as_ref()).await, [], "nothing was written");

    // What there is of a cut file, and then the whole one, which goes on from there.
    place_import(&target, &[&cut, "--partial"]).await;
    let part = all(Crew::idle(&target).await.store().as_ref()).await.len();
    assert!(part > 0 && part < all(longhaul.store().as_ref()).await.len());
    let went_on = place_import(&target, &[&name]).await;
    assert!(went_on.contains("going on after line 9"), "{went_on}");
    let jobs = all(Crew::idle(&target).await.store().as_ref()).await;
    assert_eq!(without_runs(jobs), without_runs(all(longhaul.store().as_ref()).await));

    // A pipe carries it as a file does.
    let piped = Place::new();
    let mut import = piped.command(&["import", "-"]);
    import.stdin(std::fs::File::open(&file).expect("a file"));
    let imported = output(&mut import).await;
    assert!(imported.status.success(), "{}", stderr(&imported));
    assert_eq!(all(Crew::idle(&piped).await.store().as_ref()).await.len(), 10);
    // And merges into a store that has others.
    let merged = Place::new();
    let own = Crew::idle(&merged).await;
    own.enqueue_one(act("mine")).await.expect("a job");
    place_import(&merged, &[&name, "--merge"]).await;
    assert_eq!(all(own.store().as_ref()).await.len(), 11);
}

#[tokio::test]
async fn exports_to_one_file_at_once_do_not_write_into_each_other() {
    let place = Place::new();
    furnish(Crew::idle(&place).await.store().as_ref()).await;
    let file = place.data().join("all.jsonl");
    let name = file.display().to_string();
    // What is there beside the file may be another export's, which is under way.
    let other = place.data().join("all.jsonl.part");
    std::fs::write(&other, "of another").expect("a file");
    let args = ["export", name.as_str()];
    let (one, two) = tokio::join!(place.run(&args), place.run(&args));
    let (whole, late): (Vec<_>, Vec<_>) = [one, two].into_iter().partition(|export| export.status.success());
    assert_eq!(whole.len(), 1, "one of them has the name");
    assert!(stderr(&late[0]).contains("is there already"), "{}", stderr(&late[0]));
    assert_eq!(std::fs::read_to_string(&other).expect("a file"), "of another");
    let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o077, 0, "it is as secret as the store");
    place_import(&Place::new(), &[&name]).await;
    let left =
        std::fs::read_dir(place.data()).expect("a folder").map(|entry| entry.expect("one").file_name());
    let parts: Vec<_> = left.filter(|name| name.to_string_lossy().ends_with(".part")).collect();
    assert_eq!(parts, ["all.jsonl.part"]);
}

/// Imports, and answers what it told.
async fn place_import(place: &Place, args: &[&str]) -> String {
    let imported = place.run(&[&["import"], args].concat()).await;
    assert!(imported.status.success(), "{}", stderr(&imported));
    stderr(&imported)
}
