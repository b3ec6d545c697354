//! `longhaul erase`: nothing of a user is left anywhere, and nothing of others is touched.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fakes::{Double, Fault};
use longhaul_postgres::PostgresStore;
use longhaul_redis::redis;
use longhaul_sqlite::rusqlite::Connection;
use longhaul_testservers::Redis;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::server::{PATIENCE, Place, Server, client, output, stderr, stdout};

/// The user who is erased. The other one's id is the beginning of this one's.
const USER: &str = "mallory-x7";
const OTHER: &str = "mallory";
/// A word of the user's texts alone, as far as stemming leaves it.
const WORD: &str = "xylophon";

const CHAT: &str = "/v1/chat/completions";

/// A place with its store, its outside systems and a server.
struct Scene {
    place: Place,
    double: Double,
    environment: Vec<(&'static str, String)>,
}

/// What was made for a user.
pub(crate) struct Made {
    pub(crate) token: String,
    pub(crate) session: String,
    pub(crate) course: String,
    pub(crate) material: String,
    workflow: String,
    lessons: Vec<String>,
}

impl Scene {
    async fn new(store: Vec<(&'static str, String)>) -> Self {
        let double = Double::start().await;
        let mut environment = double.exports();
        environment.push(("PYTHON_API_URL", double.python_api()));
        environment.extend(store);
        Self { place: Place::new(), double, environment }
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    async fn serve(&self) -> Server {
        self.place.serve_with(&[], &self.variables()).await
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command(args);
        command.envs(self.variables());
        command
    }

    async fn erase(&self, user: &str, args: &[&str]) -> std::process::Output {
        output(&mut self.command(&[&["erase", "--user", user], args].concat())).await
    }

    /// The report of a command that must succeed.
    async fn erased(&self, user: &str, args: &[&str]) -> Value {
        let output = self.erase(user, &[&["--json"], args].concat()).await;
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).expect("JSON")
    }
}

pub(crate) async fn ask(
    server: &Server,
    token: &str,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, String) {
    let request = client().request(method, server.at(path)).bearer_auth(token);
    let request = if body.is_null() { request } else { request.header("idempotency-key", path).json(&body) };
    let answer = request.send().await.expect("an answer");
    (answer.status(), answer.text().await.expect("a text"))
}

async fn made(server: &Server, token: &str, path: &str, body: Value) -> Value {
    let (status, text) = ask(server, token, Method::POST, path, body).await;
    assert!(status.is_success(), "{path} answered {status}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

async fn ended(server: &Server, job: &str) {
    let job = crate::server::ended(client().get(server.at(&format!("/api/jobs/{job}")))).await;
    assert_eq!(job["state"], "completed", "{job}\n{}", server.log());
}

async fn lesson(server: &Server, user: &str, subject: &str, topic: &str) -> String {
    let body = json!({ "subject": subject, "topic": topic, "user_id": user, "include_wikipedia": false });
    let answer = client().post(server.at("/lessons")).json(&body).send().await.expect("an answer");
    text(&answer.json::<Value>().await.expect("JSON")["task_id"])
}

/// Makes something of each sort for a user, and waits until all of it is done.
pub(crate) async fn furnish(place: &Place, server: &Server, user: &str, word: &str) -> Made {
    let token = place.token(user).await;
    let skill = json!({ "name": format!("{word} {user}"), "category": "Music", "type": "teaching", "proficiency": 85 });
    let skill = text(&made(server, &token, "/skills", skill).await["_id"]);
    let session = json!({
        "title": format!("{word} of {user}"), "teachSkillId": skill, "focusKeywords": [word, user],
        "date": "2030-01-15", "startTime": "14:00", "endTime": "16:00", "skillCategory": "Music",
        "isTeaching": true, "isPublic": true,
    });
    let session = text(&made(server, &token, "/sessions", session).await["_id"]);
    ended(server, &format!("sessions-dispatch-{session}")).await;
    let lessons = vec![
        lesson(server, user, word, &format!("{word} by {user}")).await,
        lesson(server, user, "music", "scales").await,
    ];
    for lesson in &lessons {
        ended(server, lesson).await;
    }
    let module = json!({ "code": "M1", "title": format!("{word} {user}"), "contactHours": 2 });
    let workflow = json!({ "title": format!("{word} {user}"), "modules": [module] });
    let workflow = text(&made(server, &token, "/api/v3/workflow", workflow).await["data"]["_id"]);
    made(server, &token, &format!("/api/v3/workflow/{workflow}/step10"), json!({})).await;
    ended(server, &format!("step10-{workflow}-module-0")).await;
    let course =
        text(&made(server, &token, "/courses", json!({ "name": format!("{word} {user}") })).await["id"]);
    let document = format!("{word} and {word}, said {user}. ").repeat(200);
    let part = Part::text(document).file_name(format!("{word}-{user}.txt"));
    let upload = client().post(server.at(&format!("/courses/{course}/materials"))).bearer_auth(&token);
    let upload = upload.multipart(Form::new().part("file", part)).send().await.expect("an answer");
    let material = text(&upload.json::<Value>().await.expect("JSON")["id"]);
    ended(server, &format!("materials-{material}")).await;
    let question = json!({ "message": format!("what of {word}, asks {user}") });
    let chat = client().post(server.at(&format!("/courses/{course}/chat"))).bearer_auth(&token);
    assert!(chat.json(&question).send().await.expect("an answer").status().is_success());
    Made { token, session, course, material, workflow, lessons }
}

/// All that a user can see of what was made.
pub(crate) async fn shown(server: &Server, made: &Made) -> Vec<(String, StatusCode, String)> {
    let Made { token, session: _, course, material, workflow, lessons } = made;
    let mut paths = vec![
        "/skills".to_owned(),
        "/courses".to_owned(),
        format!("/courses/{course}/materials"),
        format!("/courses/{course}/chat"),
        format!("/materials/{material}"),
        format!("/materials/{material}/download"),
        format!("/api/v3/workflow/{workflow}"),
        format!("/api/v3/workflow/{workflow}/step10"),
    ];
    paths.extend(lessons.iter().map(|lesson| format!("/lessons/status/{lesson}")));
    let mut shown = Vec::new();
    for path in paths {
        let (status, text) = ask(server, token, Method::GET, &path, Value::Null).await;
        shown.push((path, status, text));
    }
    shown
}

/// The session that a user hosts.
async fn hosted(server: &Server, made: &Made) -> (StatusCode, Value) {
    let path = format!("/sessions/{}", made.session);
    let (status, text) = ask(server, &made.token, Method::GET, &path, Value::Null).await;
    (status, serde_json::from_str(&text).expect("JSON"))
}

/// True if bytes hold the user's id or word, whatever their case.
fn tell_of_the_user(bytes: &[u8]) -> bool {
    let bytes = bytes.to_ascii_lowercase();
    [USER, WORD].iter().any(|mark| bytes.windows(mark.len()).any(|some| some == mark.as_bytes()))
}

/// The files that tell of the user, in name or content.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.display().to_string();
        if path.is_dir() {
            found.extend(files(&path));
        } else if tell_of_the_user(name.as_bytes())
            || std::fs::read(&path).is_ok_and(|bytes| tell_of_the_user(&bytes))
        {
            found.push(name);
        }
    }
    found
}

/// The tables of a schema that tell of the user.
async fn tables(url: &str) -> Vec<String> {
    let store = PostgresStore::connect(url).await.expect("a store");
    let client = store.connection().await.expect("a connection");
    let sql = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()";
    let mut found = Vec::new();
    for table in client.query(sql, &[]).await.expect("tables") {
        let table: String = table.get(0);
        let sql = format!("SELECT t::text FROM \"{table}\" t");
        let rows = client.query(&sql, &[]).await.expect("rows");
        if rows.iter().any(|row| tell_of_the_user(row.get::<_, String>(0).as_bytes())) {
            found.push(table);
        }
    }
    found
}

/// The keys that tell of the user, by themselves or by what they hold.
fn keys(url: &str) -> Vec<String> {
    let client = redis::Client::open(url).expect("a client");
    let mut connection = client.get_connection().expect("a connection");
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut connection).expect("keys");
    let mut found = Vec::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query(&mut connection).expect("a type");
        let mut read = match kind.as_str() {
            "string" => redis::cmd("GET"),
            "hash" => redis::cmd("HGETALL"),
            "set" => redis::cmd("SMEMBERS"),
            "list" => redis::cmd("LRANGE"),
            "zset" => redis::cmd("ZRANGE"),
            "stream" => redis::cmd("XRANGE"),
            kind => panic!("a {kind}"),
        };
        read.arg(&key);
        match kind.as_str() {
            "list" | "zset" => drop(read.arg(0).arg(-1)),
            "stream" => drop(read.arg("-").arg("+")),
            _ => {}
        }
        let value: redis::Value = read.query(&mut connection).expect("a value");
        let mut bytes = key.clone();
        flatten(&value, &mut bytes);
        if tell_of_the_user(&bytes) {
            found.push(String::from_utf8_lossy(&key).into_owned());
        }
    }
    found
}

fn flatten(value: &redis::Value, into: &mut Vec<u8>) {
    match value {
        redis::Value::BulkString(bytes) => into.extend(bytes),
        redis::Value::SimpleString(text) => into.extend(text.bytes()),
        redis::Value::Array(values) => values.iter().for_each(|value| flatten(value, into)),
        redis::Value::Map(pairs) => {
            for (key, value) in pairs {
                flatten(key, into);
                flatten(value, into);
            }
        }
        _ => {}
    }
    into.push(b'\n');
}

/// Two users with something in each service, one of them with jobs that run, and both in a session of the other's. One is erased.
async fn erase_one_of_two(scene: &Scene) -> Server {
    let server = scene.serve().await;
    let user = furnish(&scene.place, &server, USER, "Xylophonist").await;
    let other = furnish(&scene.place, &server, OTHER, "Trombone").await;
    for (guest, host) in [(&user, &other), (&other, &user)] {
        let path = format!("/sessions/{}/join", host.session);
        let (status, text) = ask(&server, &guest.token, Method::POST, &path, Value::Null).await;
        assert!(status.is_success(), "{text}");
    }
    let before = shown(&server, &other).await;
    assert!(before.iter().all(|(_, status, _)| status.is_success()), "{before:?}");

    // A lesson in the middle of its text, and a batch of which an analysis hears nothing.
    scene.double.hold();
    let held = scene.double.seen(CHAT).len() + 1;
    let running = lesson(&server, USER, "running", &format!("Xylophonist {USER}")).await;
    scene.double.wait_for(CHAT, held).await;
    let path = format!("{}/users/hangs", scene.double_github());
    scene.double.fail(&path, Fault::Hang);
    made(&server, &user.token, "/api/v1/github/analyze/batch", json!({ "usernames": ["hangs"] })).await;
    scene.double.wait_for(&path, 1).await;

    let unanswered = scene.erase(USER, &[]).await;
    assert!(!unanswered.status.success());
    assert!(stderr(&unanswered).contains("would be erased: add --yes"), "{}", stderr(&unanswered));
    let counted = scene.erased(USER, &["--dry-run"]).await;
    let all = shown(&server, &user).await;
    assert!(all.iter().all(|(_, status, _)| status.is_success()), "a look changes nothing: {all:?}");
    let erased = scene.erased(USER, &["--yes"]).await;
    assert_eq!(counted["services"], erased["services"], "a look tells what the deed does");
    let services = &erased["services"];
    for (service, what, count) in [
        ("sessions", "sessions", 1),
        ("sessions", "skills", 1),
        ("sessions", "session_members", 3),
        ("sessions", "jobs", 1),
        ("github", "github_tasks", 1),
        ("github", "jobs", 2),
        ("lessons", "lessons", 2),
        ("lessons", "lesson_topics", 1),
        ("lessons", "jobs", 3),
        ("curriculum", "curriculum_workflows", 1),
        ("curriculum", "curriculum_modules", 1),
        ("curriculum", "jobs", 1),
        ("materials", "courses", 1),
        ("materials", "materials", 1),
        ("materials", "files", 1),
        ("materials", "course_chats", 1),
        ("materials", "jobs", 1),
    ] {
        assert_eq!(services[service][what], count, "{service} {what}: {services:#}");
    }
    for part in ["material_pages", "material_chunks", "material_terms", "material_vectors"] {
        assert!(services["materials"][part].as_u64() > Some(0), "{part}: {services:#}");
    }
    assert!(services["all services"]["answers"].as_u64() > Some(3), "{services:#}");
    assert_eq!(erased["stays"][0]["count"], 1, "the session of the other's that the user was in: {erased:#}");

    scene.double.release_all();
    let gone = shown(&server, &user).await;
    let lists = ["/skills", "/courses"];
    for (path, status, text) in &gone {
        if lists.contains(&path.as_str()) {
            assert_eq!(text, "[]", "{path}");
        } else {
            assert_eq!(*status, StatusCode::NOT_FOUND, "{path}: {text}");
        }
    }
    let status = ask(&server, "", Method::GET, &format!("/api/jobs/{running}"), Value::Null).await.0;
    assert!([StatusCode::NOT_FOUND, StatusCode::GONE].contains(&status), "{status}");
    assert_eq!(shown(&server, &other).await, before, "the other's is as it was");
    let (status, session) = hosted(&server, &other).await;
    assert_eq!((status, &session["participants"]), (StatusCode::OK, &json!([])), "{session}");
    let topic = ask(&server, "", Method::GET, "/lessons/music/scales", Value::Null).await;
    assert_eq!(topic.0, StatusCode::OK, "a topic stays for the lessons of others: {}", topic.1);

    let again = scene.erase(USER, &["--yes"]).await;
    assert_eq!(again.status.code(), Some(1), "{}", stdout(&again));
    assert!(stderr(&again).contains("nothing is kept of a user 'mallory-x7'"), "{}", stderr(&again));
    let audit = output(&mut scene.command(&["audit", "--json"])).await;
    let audit = stdout(&audit);
    assert!(audit.contains("\"user.erase\"") && audit.contains("(longhaul command)"), "{audit}");
    assert!(!tell_of_the_user(audit.as_bytes()), "{audit}");
    server
}

impl Scene {
    /// The path under which the double speaks as GitHub.
    fn double_github(&self) -> String {
        let url =
            &self.environment.iter().find(|(name, _)| *name == "GITHUB_API_URL").expect("it is there").1;
        url.strip_prefix(&self.double.url()).unwrap_or_default().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_user_is_left_in_sqlite_and_nothing_of_others_is_missing() {
    let scene = Scene::new(vec![]).await;
    let server = scene.serve().await;
    furnish(&scene.place, &server, USER, "Xylophonist").await;
    let found = files(&scene.place.data());
    assert!(found.len() >= 2, "the file of the rows, its log and the upload tell of the user: {found:?}");
    server.kill().await;
    assert!(scene.erase(USER, &["--yes"]).await.status.success(), "a server need not run");

    let server = erase_one_of_two(&scene).await;
    assert_eq!(files(&scene.place.data()), Vec::<String>::new(), "{}", server.log());
    server.kill().await;
    assert_eq!(files(&scene.place.data()), Vec::<String>::new(), "nor when the log is folded in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_user_is_left_in_postgres_and_nothing_of_others_is_missing() {
    let url = longhaul_testservers::postgres().url_of_new_schema();
    let scene = Scene::new(vec![("DATABASE_URL", url.clone())]).await;
    let server = erase_one_of_two(&scene).await;
    assert_eq!(tables(&url).await, Vec::<String>::new());
    assert_eq!(files(&scene.place.data()), Vec::<String>::new());
    furnish(&scene.place, &server, USER, "Xylophonist").await;
    let found = tables(&url).await;
    assert!(found.len() > 10, "who comes again is kept again, so the look was no blind one: {found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_user_is_left_where_redis_has_the_jobs_and_nothing_of_others_is_missing() {
    let redis = Redis::start(&[]);
    let url = redis.url();
    let scene = Scene::new(vec![("REDIS_URL", url.clone())]).await;
    let server = erase_one_of_two(&scene).await;
    assert_eq!(keys(&url), Vec::<String>::new());
    assert_eq!(files(&scene.place.data()), Vec::<String>::new());
    furnish(&scene.place, &server, USER, "Xylophonist").await;
    let found = keys(&url);
    assert!(found.len() > 5, "who comes again is kept again, so the look was no blind one: {found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_is_killed_is_gone_on_with_by_the_next_one() {
    let scene = Scene::new(vec![]).await;
    let server = scene.serve().await;
    furnish(&scene.place, &server, USER, "Xylophonist").await;
    let mut kills = 0;
    // It says a line for each service once that is done: sessions, github and so on.
    for lines in 1..=6 {
        let mut command = scene.command(&["erase", "--user", USER, "--yes"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut told = BufReader::new(child.stderr.take().expect("its standard error")).lines();
        for _ in 0..lines {
            let line = tokio::time::timeout(PATIENCE, told.next_line()).await.expect("a line in time");
            assert!(line.expect("a line").is_some(), "it has ended before {lines} lines");
        }
        let _ = child.start_kill();
        let status = child.wait().await.expect("it ends");
        if status.success() {
            // It was faster.
            break;
        }
        kills += 1;
    }
    assert!(kills >= 3, "{kills} kills");
    let last = scene.erase(USER, &["--yes"]).await;
    assert!(last.status.success() || kills < 6, "{}", stderr(&last));
    assert_eq!(files(&scene.place.data()), Vec::<String>::new());
    server.kill().await;
    assert_eq!(files(&scene.place.data()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_a_process_that_stands_still_is_fenced_off_and_writes_nothing_later() {
    let redis = Redis::start(&[]);
    let scene = Scene::new(vec![("REDIS_URL", redis.url())]).await;
    let server = scene.serve().await;
    scene.double.hold();
    let running = lesson(&server, USER, "running", &format!("Xylophonist {USER}")).await;
    scene.double.wait_for(CHAT, 1).await;
    stop_without_lock(&server, &scene.place.data().join("longhaul.db")).await;
    let erased = scene.erased(USER, &["--yes"]).await;
    assert_eq!(erased["services"]["lessons"]["jobs"], 1, "{erased:#}");
    scene.double.release_all();
    signal(&server, "CONT").await;
    let task = lesson(&server, OTHER, "running", "trombone").await;
    ended(&server, &task).await;
    let status = ask(&server, "", Method::GET, &format!("/lessons/status/{running}"), Value::Null).await;
    assert_eq!(status.0, StatusCode::NOT_FOUND, "{}", status.1);
    let versions = ask(&server, "", Method::GET, "/search_lessons?query=xylophonist", Value::Null).await.1;
    assert!(versions.contains("\"count\":0"), "{versions}");
    assert_eq!(keys(&redis.url()), Vec::<String>::new());
}

/// Stops the server while it holds no lock of the rows' database, on which an erasure would wait in vain.
async fn stop_without_lock(server: &Server, rows: &Path) {
    loop {
        signal(server, "STOP").await;
        let rows = Connection::open(rows).expect("the rows' database");
        rows.busy_timeout(Duration::ZERO).expect("a timeout");
        if rows.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
            return;
        }
        signal(server, "CONT").await;
    }
}

async fn signal(server: &Server, name: &str) {
    let script = format!("kill -{name} {}", server.pid());
    let status = Command::new("sh").args(["-c", &script]).status().await.expect("sh runs");
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_that_look_like_others_or_like_patterns_are_compared_to_the_letter() {
    let scene = Scene::new(vec![]).await;
    let server = scene.serve().await;
    let long = "x".repeat(5_000);
    let users =
        ["a", "a%", "a_", "aa", "A", "o'hara \"x\"; --", "\u{fc}", "u\u{308}", "a b", "%", "../a", &long];
    let too_long = "x".repeat(70_000);
    for (user, code, told) in [
        ("", 2, "--user: a user's id must not be empty"),
        (&*too_long, 2, "--user: a user's id must be at most 65536 bytes"),
        ("nobody", 1, "nothing is kept of a user 'nobody'"),
        (" a", 1, "nothing is kept of a user ' a'"),
    ] {
        let refused = scene.erase(user, &["--yes"]).await;
        assert_eq!(refused.status.code(), Some(code), "{}", stderr(&refused));
        assert!(stderr(&refused).contains(told), "{}", stderr(&refused));
    }
    let mut tokens = Vec::new();
    for user in users {
        let token = scene.place.token(user).await;
        made(&server, &token, "/courses", json!({ "name": "c" })).await;
        if user.len() < 200 {
            ended(&server, &lesson(&server, user, "s", "t").await).await;
        }
        tokens.push(token);
    }
    for (number, user) in users.iter().enumerate() {
        let erased = scene.erased(user, &["--yes", "--no-scrub"]).await;
        assert_eq!(erased["services"]["materials"]["courses"], 1, "{user}: {erased:#}");
        for (other, token) in tokens.iter().enumerate() {
            let (_, courses) = ask(&server, token, Method::GET, "/courses", Value::Null).await;
            assert_eq!(courses == "[]", other <= number, "{user} is erased: {courses}");
        }
        let (_, versions) = ask(&server, "", Method::GET, "/lessons/s/t/versions", Value::Null).await;
        let left = users[number + 1..].iter().filter(|user| user.len() < 200).count();
        assert_eq!(versions.matches("\"created_at\"").count(), left, "{user} is erased: {versions}");
    }
    // What was left out is made up for, by a run that finds nothing any more.
    let last = scene.erased("a", &["--yes"]).await;
    assert_eq!((&last["total"], last["scrubbed"].as_array().map(Vec::len)), (&json!(0), Some(1)), "{last}");
    assert_eq!(scene.erase("a", &["--yes"]).await.status.code(), Some(1));
    let nowhere = output(scene.command(&["erase", "--user", "a"]).env("LONGHAUL_DATA", "nowhere")).await;
    assert!(stderr(&nowhere).contains("there is no store at"), "{}", stderr(&nowhere));
}
