//! What users have made moves from SQLite to Postgres and back with its jobs, and is found there.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fakes::Double;
use longhaul::{JobId, Json, NewJob, Store};
use longhaul_redis::RedisStore;
use longhaul_sqlite::rusqlite::Connection;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::erase::{Made, ask, furnish, shown};
use crate::server::{Place, Server, client, ended, output, stderr};

const USER: &str = "ada";

/// The rows of a file, in an order that is the same for all databases: these sort texts differently.
fn rows(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("a file");
    let rows = text.lines().filter(|line| line.starts_with("{\"type\":\"row\""));
    let mut rows: Vec<String> = rows.map(str::to_owned).collect();
    rows.sort();
    rows
}

fn tables(rows: &[String]) -> Vec<String> {
    let table = |row: &String| {
        let row: Value = serde_json::from_str(row).expect("JSON");
        row["table"].as_str().expect("a table").to_owned()
    };
    let mut tables: Vec<String> = rows.iter().map(table).collect();
    tables.dedup();
    tables
}

/// The command of docs/operations.md.
async fn copy_files(from: &Place, to: &Place) {
    let mut copy = tokio::process::Command::new("cp");
    copy.arg("-a").arg(from.data().join("files")).arg(from.data().join("jwt-secret")).arg(to.data());
    assert!(copy.status().await.expect("cp runs").success());
}

/// What a user sees, and what is found by words.
async fn seen(server: &Server, made: &Made) -> Vec<(String, StatusCode, Value)> {
    let mut paths: Vec<(String, StatusCode, String)> = shown(server, made).await;
    for path in [
        "/search_lessons?query=xylophone".to_owned(),
        format!("/courses/{}/materials/search?query=xylophone", made.course),
        format!("/sessions/{}", made.session),
    ] {
        let (status, text) = ask(server, &made.token, Method::GET, &path, Value::Null).await;
        paths.push((path, status, text));
    }
    let parsed = |(path, status, text): (String, StatusCode, String)| {
        assert!(status.is_success(), "{path}: {status} {text}");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (path, status, body)
    };
    paths.into_iter().map(parsed).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lessons_courses_sessions_and_their_searches_move_to_postgres_and_back() {
    let double = Double::start().await;
    let mut variables = double.exports();
    variables.push(("PYTHON_API_URL", double.python_api()));
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (source, middle, back) = (Place::new(), Place::new(), Place::new());
    let server = source.serve_with(&[], &variables).await;
    let made = furnish(&source, &server, USER, "Xylophone").await;
    let before = seen(&server, &made).await;
    let found = |path: &str| {
        let (_, _, body) = before.iter().find(|(seen, ..)| seen.contains(path)).expect("it was asked for");
        body.clone()
    };
    assert!(found("/search_lessons")["count"].as_u64() > Some(0), "{}", found("/search_lessons"));
    assert_eq!(found("/materials/search")[0]["material_id"], made.material, "{}", found("/materials/search"));
    server.kill().await;

    let postgres = longhaul_testservers::postgres().url_of_new_schema();
    let [first, second, third] =
        ["1", "2", "3"].map(|name| back.log().with_file_name(format!("{name}.jsonl")));
    let name = |file: &Path| file.display().to_string();
    let exported = source.run(&["export", &name(&first)]).await;
    assert!(exported.status.success(), "{}", stderr(&exported));
    let of_source = rows(&first);
    let there = tables(&of_source);
    for table in [
        "answers",
        "courses",
        "course_chats",
        "curriculum_modules",
        "curriculum_workflows",
        "lesson_topics",
        "lessons",
        "material_chunks",
        "material_pages",
        "material_terms",
        "material_vectors",
        "materials",
        "session_members",
        "sessions",
        "skills",
        "stamps",
    ] {
        assert!(there.iter().any(|name| name == table), "{table} has rows: {there:?}");
    }
    let header = std::fs::read_to_string(&first).expect("a file");
    assert!(
        header.starts_with("{\"type\":\"export\",\"format\":2,"),
        "a release before refuses it by its number"
    );

    let to_postgres = ["import", &name(&first), "--store", &postgres];
    let imported = middle.run(&to_postgres).await;
    assert!(imported.status.success(), "{}", stderr(&imported));
    assert!(stderr(&imported).contains(&format!("{} new", of_source.len())), "{}", stderr(&imported));
    middle.printed(&["export", &name(&second), "--store", &postgres]).await;
    assert_eq!(rows(&second), of_source);
    let again = middle.run(&to_postgres).await;
    assert!(stderr(&again).contains("imported already"), "{}", stderr(&again));

    // The files are not in it, and a server that finds none says so.
    let without = middle.command(&["serve", "--store", &postgres]).stdout(Stdio::null()).output().await;
    let without = without.expect("it ends");
    assert!(!without.status.success() && stderr(&without).contains("the files of this database are not in"));
    copy_files(&source, &middle).await;
    let server = middle.serve_with(&["--store", &postgres], &variables).await;
    assert_eq!(seen(&server, &made).await, before);
    // It goes on there: a lesson on the same topic is the next version.
    let body = json!({ "subject": "music", "topic": "scales", "user_id": USER, "include_wikipedia": false });
    let answer = client().post(server.at("/lessons")).json(&body).send().await.expect("an answer");
    let task = answer.json::<Value>().await.expect("JSON")["task_id"].as_str().expect("an id").to_owned();
    let job = ended(client().get(server.at(&format!("/api/jobs/{task}")))).await;
    assert_eq!(job["state"], "completed", "{job}");
    let (_, versions) =
        ask(&server, &made.token, Method::GET, "/lessons/music/scales?version=1.1", Value::Null).await;
    assert!(versions.contains("\"1.1\""), "{versions}");
    let before = seen(&server, &made).await;
    server.kill().await;

    middle.printed(&["export", &name(&third), "--store", &postgres]).await;
    back.printed(&["import", &name(&third)]).await;
    copy_files(&middle, &back).await;
    let fourth = back.log().with_file_name("4.jsonl");
    back.printed(&["export", &name(&fourth)]).await;
    assert_eq!(rows(&fourth), rows(&third));
    let server = back.serve_with(&[], &variables).await;
    assert_eq!(seen(&server, &made).await, before);
}

/// A place with so many skills that an import of them takes more than one commit, and the file of its rows.
async fn place_of_many() -> (Place, std::path::PathBuf) {
    let place = Place::new();
    place.printed(&["migrate"]).await;
    let connection = Connection::open(place.data().join("longhaul.db")).expect("a file");
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
               INSERT INTO skills (id, user_id, name, category, type, proficiency, created_at, updated_at)
               SELECT 's' || i, 'ada', 'n' || i, 'Music', 'teaching', i * 0.1, i, i FROM n";
    connection.execute_batch(sql).expect("rows");
    let file = place.log().with_file_name("rows.jsonl");
    place.printed(&["export", &file.display().to_string(), "--only", "services"]).await;
    (place, file)
}

#[tokio::test]
async fn an_import_of_rows_that_was_killed_goes_on() {
    let (_source, file) = place_of_many().await;
    let target = Place::new();
    let text = std::fs::read_to_string(&file).expect("a file");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut import = target.command(&["import", "-"]);
    let mut child = import.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("its standard input");
    stdin.write_all(lines[..900].concat().as_bytes()).await.expect("it reads");
    // It has written the first lines, and waits for more, when it is killed.
    let written = async {
        let path = target.data().join("longhaul.db");
        loop {
            let lines =
                path.exists().then(|| Connection::open(&path).ok()).flatten().and_then(|connection| {
                    connection
                        .query_row("SELECT lines FROM service_imports", [], |row| row.get::<_, i64>(0))
                        .ok()
                });
            match lines {
                Some(lines) if lines > 0 => return lines,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let written = tokio::time::timeout(crate::server::PATIENCE, written).await.expect("rows come");
    child.kill().await.expect("it runs");
    drop(stdin);
    let whole = target.run(&["import", &file.display().to_string()]).await;
    assert!(whole.status.success(), "{}", stderr(&whole));
    assert!(stderr(&whole).contains(&format!("going on after line {written}")), "{}", stderr(&whole));
    let copy = target.log().with_file_name("copy.jsonl");
    target.printed(&["export", &copy.display().to_string(), "--only", "services"]).await;
    assert_eq!(rows(&copy), rows(&file));
}

#[tokio::test]
async fn jobs_that_wait_in_the_outbox_are_enqueued_where_they_are_imported() {
    let (source, target) = (Place::new(), Place::new());
    source.printed(&["migrate"]).await;
    let job = NewJob { id: Some(JobId::new("late").expect("an id")), ..NewJob::new("act", Json::null()) };
    let jobs = Json::new(&[job]).expect("JSON");
    let connection = Connection::open(source.data().join("longhaul.db")).expect("a file");
    let sql = "INSERT INTO outbox (id, jobs) VALUES ('1', $1)";
    connection.execute(sql, [jobs.as_str()]).expect("a row");
    let file = source.log().with_file_name("all.jsonl").display().to_string();
    source.printed(&["export", &file]).await;
    target.printed(&["import", &file]).await;
    let shown = target.printed(&["jobs", "show", "late", "--json"]).await;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["state"], "available", "{shown}");
    let connection = Connection::open(target.data().join("longhaul.db")).expect("a file");
    let left: i64 =
        connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)).expect("a count");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn jobs_in_redis_and_rows_beside_it_become_one_database() {
    let (source, target, elsewhere) = (Place::new(), Place::new(), Place::new());
    let server = longhaul_testservers::Redis::start(&[]);
    let redis = server.url();
    source.printed(&["migrate", "--store", &redis]).await;
    let store = RedisStore::connect(&redis).await.expect("a store");
    let job = NewJob { id: Some(JobId::new("one").expect("an id")), ..NewJob::new("act", Json::null()) };
    store.enqueue(vec![job]).await.expect("a job");
    let connection = Connection::open(source.data().join("longhaul.db")).expect("a file");
    let sql = "INSERT INTO courses (id, owner, name, created_at) VALUES ('c', 'ada', 'Botany', 1)";
    connection.execute_batch(sql).expect("a row");
    let file = |name: &str| source.log().with_file_name(name);
    let name = |file: &Path| file.display().to_string();
    let (all, copy, jobs) = (file("all.jsonl"), file("copy.jsonl"), file("jobs.jsonl"));
    source.printed(&["export", &name(&all), "--store", &redis]).await;
    let postgres = longhaul_testservers::postgres().url_of_new_schema();
    target.printed(&["import", &name(&all), "--store", &postgres]).await;
    let shown = target.printed(&["jobs", "show", "one", "--json", "--store", &postgres]).await;
    assert!(shown.contains("\"available\""), "{shown}");
    target.printed(&["export", &name(&copy), "--store", &postgres]).await;
    assert_eq!(rows(&copy), rows(&all));
    assert!(rows(&copy).iter().any(|row| row.contains("Botany")));

    // Where no tables are, the jobs are exported all the same, and it is told.
    let alone = elsewhere.run(&["export", &name(&jobs), "--store", &redis]).await;
    assert!(alone.status.success(), "{}", stderr(&alone));
    assert!(stderr(&alone).contains("there is no database of services' tables at"), "{}", stderr(&alone));
    assert_eq!(rows(&jobs), [] as [String; 0]);
}

#[tokio::test]
async fn an_import_of_rows_says_what_is_wrong_before_it_writes() {
    let (source, file) = place_of_many().await;
    let target = Place::new();
    let text = std::fs::read_to_string(&file).expect("a file");
    let changed = |from: &str, to: &str| {
        let line = text.lines().position(|line| line.contains(from)).expect("a line") + 1;
        let changed = target.log().with_file_name("changed.jsonl");
        std::fs::write(&changed, text.replacen(from, to, 1)).expect("a file");
        (changed.display().to_string(), line)
    };
    let refused = async |place: &Place, args: &[&str], reason: &str| {
        let refused = place.run(args).await;
        assert!(!refused.status.success(), "{args:?}");
        assert!(stderr(&refused).contains(reason), "{args:?} says {reason}, not: {}", stderr(&refused));
    };
    for (from, to, reason) in [
        ("\"name\":\"n700\"", "\"name\":700", "column name: it takes text, and the row has a whole number"),
        ("\"created_at\":800,", "", "column created_at: the row has no value for it"),
        ("\"id\":\"s900\"", "\"id\":[]", "column id: it takes no list"),
        ("\"table\":\"skills\"", "\"table\":\"robots\"", "table robots: this release"),
    ] {
        let (changed, line) = changed(from, to);
        refused(&target, &["import", &changed], &format!("line {line}")).await;
        refused(&target, &["import", &changed], reason).await;
    }
    let (other, _) = changed("\"name\":\"n700\"", "\"name\":\"n701\"");
    refused(&target, &["import", &other], "its checksum differs").await;
    assert!(!target.data().exists(), "nothing was written");

    let name = file.display().to_string();
    refused(&target, &["import", &name, "--only", "jobs"], "the file has no jobs").await;
    refused(&source, &["import", &name], "have rows already (in skills)").await;
    let merged = source.run(&["import", &name, "--merge"]).await;
    assert!(merged.status.success(), "{}", stderr(&merged));
    assert!(stderr(&merged).contains(": 0 new, "), "{}", stderr(&merged));
    let jobs = source.log().with_file_name("jobs.jsonl").display().to_string();
    source.printed(&["export", &jobs, "--only", "jobs"]).await;
    let first = std::fs::read_to_string(&jobs).expect("a file");
    assert!(first.starts_with("{\"type\":\"export\",\"format\":1,"), "a release before reads it");
    refused(&target, &["import", &jobs, "--only", "services"], "the file has no rows of services").await;
    let none = target.data().join("none.db").display().to_string();
    let none = format!("sqlite:{none}");
    refused(&target, &["export", "--only", "services", "--database", &none], "there is no store at").await;
    let imported = output(&mut target.command(&["import", &name])).await;
    assert!(imported.status.success(), "{}", stderr(&imported));
}
