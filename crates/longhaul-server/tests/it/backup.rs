//! `longhaul backup` of a store in use, and a server on the copy.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use longhaul::{JobId, Lookup};
use longhaul_sqlite::rusqlite::Connection;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::crew::Crew;
use crate::server::{PATIENCE, Place, Server, client, stderr, stdout};

/// Jobs that are acknowledged before the backup and after it, each.
const JOBS: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_has_every_job_that_was_acknowledged_before_it() {
    let place = Place::new();
    let server = place.serve(&["--accept-unknown-kinds"]).await;
    // Jobs are finished beside it, so that the copy has all states.
    let crew = Crew::at(&place).await;
    let ended = Arc::new(AtomicBool::new(false));
    let (told, mut acknowledged) = mpsc::unbounded_channel();
    let load: Vec<_> = (0..8)
        .map(|sender| tokio::spawn(enqueue(server.at("/api/jobs"), sender, told.clone(), Arc::clone(&ended))))
        .collect();
    drop(told);
    let mut before = BTreeSet::new();
    let mut next = async || {
        let id = timeout(PATIENCE, acknowledged.recv()).await.expect("a job is acknowledged in time");
        id.expect("the senders go on")
    };
    while before.len() < JOBS {
        before.insert(next().await);
    }
    let copied = place.run(&["backup", "copy.db"]).await;
    assert!(copied.status.success(), "{}", stderr(&copied));
    // The load went on behind it.
    for _ in 0..JOBS {
        next().await;
    }
    ended.store(true, Ordering::Relaxed);
    for sender in load {
        sender.await.expect("no job was refused");
    }
    assert!(stdout(&copied).starts_with("sqlite:"), "{}", stdout(&copied));
    server.kill().await;
    drop(crew);

    let restored = Place::new();
    let copy = place.data().parent().expect("a folder").join("copy.db");
    check(&copy);
    std::fs::create_dir(restored.data()).expect("a folder");
    std::fs::rename(copy, restored.data().join("longhaul.db")).expect("it can be moved");
    // A server does not start on rows whose files are somewhere else.
    std::fs::rename(place.data().join("files"), restored.data().join("files")).expect("it can be moved");
    let server = restored.serve(&["--accept-unknown-kinds"]).await;
    let crew = Crew::at(&restored).await;
    for id in &before {
        let job = read(&server, id).await;
        let id = JobId::new(id).expect("an id");
        let Lookup::Found(job) = crew.longhaul.wait(&id, PATIENCE).await.expect("a store that answers")
        else {
            panic!("{job} was found and is gone");
        };
        assert_eq!(job.state, longhaul::State::Completed, "{job:?}");
    }
}

/// Enqueues job after job, and tells which were acknowledged.
async fn enqueue(
    address: String,
    sender: usize,
    told: mpsc::UnboundedSender<String>,
    ended: Arc<AtomicBool>,
) {
    let client = client();
    for n in 0.. {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("sender-{sender}-{n}");
        let job = json!({ "kind": "act", "queue": "stage", "id": id, "args": { "how": "talk", "n": n } });
        let answer = client.post(&address).json(&job).send().await.expect("the server answers");
        match answer.status().as_u16() {
            202 => drop(told.send(id)),
            // The file's other writers, the worker and the backup, kept it away for too long. Nothing was promised.
            503 => {}
            status => panic!("{id} was answered {status}"),
        }
    }
}

async fn read(server: &Server, id: &str) -> Value {
    let answer = client().get(server.at(&format!("/api/jobs/{id}"))).send().await.expect("it answers");
    assert_eq!(answer.status(), 200, "{id} was acknowledged before the backup and is not in it");
    answer.json().await.expect("JSON")
}

/// The file is whole by SQLite's own rules, and of one moment: what is written in one transaction agrees.
fn check(copy: &std::path::Path) {
    let file = Connection::open(copy).expect("a database");
    let read = |sql: &str| file.query_row(sql, [], |row| row.get::<_, String>(0)).expect("an answer");
    assert_eq!(read("PRAGMA integrity_check"), "ok");
    let counted = "SELECT coalesce(group_concat(state || ' ' || n), '') FROM (SELECT state, count(*) AS n FROM jobs GROUP BY state)";
    let kept = "SELECT coalesce(group_concat(state || ' ' || n), '') FROM (SELECT state, sum(n) AS n FROM counts GROUP BY state HAVING sum(n) > 0)";
    assert_eq!(read(counted), read(kept), "the counts are those of the jobs");
}

#[tokio::test]
async fn a_backup_destroys_nothing_and_says_what_it_leaves_out() {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    let folder = place.data().parent().expect("a folder").to_owned();
    std::fs::write(folder.join("taken"), "a letter").expect("a file");
    let refused = place.run(&["backup", "taken"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("--overwrite replaces it"), "{}", stderr(&refused));
    assert_eq!(std::fs::read_to_string(folder.join("taken")).expect("a file"), "a letter");

    place.token("ada").await;
    let replaced = place.run(&["backup", "taken", "--overwrite"]).await;
    assert!(replaced.status.success(), "{}", stderr(&replaced));
    assert!(stderr(&replaced).contains("jwt-secret"), "{}", stderr(&replaced));
    check(&folder.join("taken"));

    for (args, told) in [
        (&["backup", "data/longhaul.db", "--overwrite"][..], "that is the database itself"),
        (&["backup", "data"], "not a folder"),
        (&["backup", "new", "--store", "sqlite:nowhere.db"], "there is no such file"),
        (&["backup", "new", "--store", "sqlite:log"], "is not a database"),
        (&["backup", "new", "--store", "postgres://127.0.0.1/jobs"], "pg_dump"),
        (&["backup", "new", "--store", "redis://127.0.0.1:1"], "longhaul export"),
        (&["backup", "new", "--store", "http://127.0.0.1:1"], "on that server's machine"),
    ] {
        std::fs::write(folder.join("log"), "no database at all, but long enough to be one's header")
            .expect("a file");
        let refused = place.run(args).await;
        assert!(
            !refused.status.success() && stderr(&refused).contains(told),
            "{args:?}: {}",
            stderr(&refused)
        );
    }
    // The files of materials belong to the other database.
    let server = place.serve(&["--store", "sqlite:other.db", "--services", "lessons"]).await;
    let used = place.run(&["backup", "other.db", "--overwrite"]).await;
    assert!(!used.status.success(), "{}", stdout(&used));
    server.kill().await;
    let left: Vec<_> =
        std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("one").file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("unfinished")), "{left:?}");
    assert!(!folder.join("new").exists());
}
