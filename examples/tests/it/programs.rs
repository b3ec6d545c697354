use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fakes::Double;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Longer than anything here takes on a busy machine. It guards against hanging, and measures nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// An example that serves, in a folder of its own. Killed when dropped.
struct Serving {
    _child: Child,
    _folder: TempDir,
    url: String,
}

impl Serving {
    async fn start(program: &str, variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut command = command(program, folder.path());
        command.env("LISTEN", "127.0.0.1:0").envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let line = tokio::time::timeout(PATIENCE, out.lines().next_line()).await;
        let url = line.expect("it listens in time").expect("it can be read").expect("it says where");
        Self { _child: child, _folder: folder, url }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The job once it has ended.
    async fn ended(&self, id: &Value) -> Value {
        let id = id.as_str().expect("an id");
        let asked = client().get(self.at(&format!("/api/jobs/{id}"))).header("prefer", "wait=60");
        asked.send().await.expect("an answer").json().await.expect("a job")
    }

    /// All events of a job, to its end.
    async fn events(&self, id: &Value) -> String {
        let path = format!("/api/jobs/{}/events", id.as_str().expect("an id"));
        let stream = client().get(self.at(&path)).send().await.expect("a stream");
        tokio::time::timeout(PATIENCE, stream.text()).await.expect("it ends").expect("a text")
    }
}

fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(2 * PATIENCE).build().expect("a client")
}

async fn printed(program: &str) -> (String, String) {
    let folder = TempDir::new().expect("a folder");
    let mut outputs = Vec::new();
    for _ in 0..2 {
        let running = command(program, folder.path()).output();
        let output = tokio::time::timeout(PATIENCE, running).await.expect("it ends").expect("it runs");
        assert!(
            output.status.success() || !outputs.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        outputs.push(String::from_utf8(output.stdout).expect("a text"));
    }
    (outputs.remove(0), outputs.remove(0))
}

#[tokio::test]
async fn hello_greets_behind_a_route() {
    let hello = Serving::start(env!("CARGO_BIN_EXE_hello"), &[]).await;
    let asked =
        client().post(hello.at("/greet")).json(&json!({ "name": "Ada" })).send().await.expect("an answer");
    assert_eq!(asked.status(), 202);
    let told: Value = asked.json().await.expect("JSON");
    let job = hello.ended(&told["id"]).await;
    assert_eq!((&job["state"], &job["output"]), (&json!("completed"), &json!("Hello, Ada!")));
}

#[tokio::test]
async fn an_upload_is_read_with_its_progress() {
    let upload = Serving::start(env!("CARGO_BIN_EXE_upload"), &[]).await;
    let text = "so it goes\n".repeat(2_000);
    let file = reqwest::multipart::Part::text(text).file_name("book.txt");
    let form = reqwest::multipart::Form::new().text("title", "a book").part("file", file);
    let told = client().post(upload.at("/upload")).multipart(form).send().await.expect("an answer");
    assert_eq!(told.status(), 202);
    let told: Value = told.json().await.expect("JSON");
    let events = upload.events(&told["id"]).await;
    assert!(events.contains("event: progress") && events.contains("words so far"), "{events}");
    assert_eq!(upload.ended(&told["id"]).await["output"], 6_000);
    let empty = reqwest::multipart::Form::new().text("title", "no file");
    let refused = client().post(upload.at("/upload")).multipart(empty).send().await.expect("an answer");
    assert_eq!(refused.status(), 400);
}

#[tokio::test]
async fn a_models_answer_is_streamed_piece_by_piece() {
    let double = Double::start().await;
    double.say("Whales sing in the deep");
    let url = double.v1();
    let ask = Serving::start(env!("CARGO_BIN_EXE_llm_stream"), &[("LLM_BASE_URL", &url)]).await;
    let page = client().get(ask.at("/")).send().await.expect("a page").text().await.expect("a text");
    assert!(page.contains("new EventSource"), "{page}");
    let asked = client().post(ask.at("/")).json(&json!({ "question": "What do whales do?" })).send().await;
    let told: Value = asked.expect("an answer").json().await.expect("JSON");
    let events = ask.events(&told["id"]).await;
    assert!(events.matches("event: chunk").count() > 1, "{events}");
    assert_eq!(ask.ended(&told["id"]).await["output"], "Whales sing in the deep");
}

#[tokio::test]
async fn a_batch_is_closed_once_and_is_the_same_when_it_is_enqueued_again() {
    let (first, second) = printed(env!("CARGO_BIN_EXE_fan_out")).await;
    assert_eq!(first, "\"2 of 3 chapters: BOATS, HARBOURS\"\n");
    assert_eq!(second, first);
}

#[tokio::test]
async fn tenants_take_turns_however_many_jobs_one_has() {
    let (first, _) = printed(env!("CARGO_BIN_EXE_tenants")).await;
    assert_eq!(first, "large, small, tiny, large, large, large\n");
}

#[tokio::test]
async fn edits_become_one_job_and_a_newer_report_takes_the_place_of_an_older_one() {
    let (first, second) = printed(env!("CARGO_BIN_EXE_unique")).await;
    assert_eq!(first, "Created, Replaced, Replaced: Hello\nsuperseded, then June\n");
    assert_eq!(second, first, "a key is free once its job has ended");
}

#[tokio::test]
async fn readings_of_a_sensor_are_written_in_one_statement_and_one_that_cannot_be_fails_alone() {
    let (first, second) = printed(env!("CARGO_BIN_EXE_collect")).await;
    let mut lines: Vec<&str> = first.lines().collect();
    lines.sort_unstable();
    let expected = ["cellar: 2 in one statement", "failed: colder than cold", "roof: 2 in one statement"];
    assert_eq!(lines, expected);
    assert_eq!(second.lines().count(), 3, "{second}");
}

#[tokio::test]
async fn schedules_are_kept_with_their_next_ticks_and_run_by_hand() {
    let program = Serving::start(env!("CARGO_BIN_EXE_schedules"), &[]).await;
    let listed: Value = client()
        .get(program.at("/api/schedules"))
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let [nightly, visits] = listed["schedules"].as_array().expect("a list").as_slice() else {
        panic!("{listed}")
    };
    assert_eq!(
        (&nightly["description"], &visits["catch_up"]),
        (&json!("At 03:00 (Europe/Berlin)"), &json!("none"))
    );
    assert_eq!(nightly["next"].as_array().map(Vec::len), Some(5));
    let run = client().post(program.at("/api/schedules/nightly-report/run")).send().await.expect("an answer");
    assert_eq!(run.status(), 202);
    let run: Value = run.json().await.expect("JSON");
    assert_eq!(program.ended(&run["id"]).await["output"], "the sales up to now");
}

#[tokio::test]
async fn layers_give_a_job_its_tenant_and_keep_one_without_from_running() {
    let (first, _) = printed(env!("CARGO_BIN_EXE_layers")).await;
    let lines: Vec<&str> = first.lines().collect();
    let [greeted, madrid, refused, atlantis] = lines.as_slice() else { panic!("{first}") };
    assert!(greeted.starts_with("greet ") && greeted.ends_with(" ms: \"Hola, Ada!\""), "{greeted}");
    assert!(refused.ends_with(" ms: no such tenant: Some(\"atlantis\")"), "{refused}");
    assert_eq!((*madrid, *atlantis), ("madrid: completed", "atlantis: failed"));
}

#[tokio::test]
async fn an_order_that_fails_leaves_neither_a_row_nor_a_job() {
    let (first, _) = printed(env!("CARGO_BIN_EXE_transactional")).await;
    assert_eq!(first, "an order needs a price\n\"order 2 is confirmed\"\norders: 1\n");
}

#[tokio::test]
async fn an_account_is_charged_once_though_the_attempt_that_did_it_dies() {
    let (first, second) = printed(env!("CARGO_BIN_EXE_charge")).await;
    assert_eq!(first, "\"15 left, in attempt 2\"\n");
    assert_eq!(second, first);
}

#[tokio::test]
async fn a_report_waits_for_its_pages_and_for_a_person_and_is_sent_once() {
    let (first, second) = printed(env!("CARGO_BIN_EXE_durable")).await;
    assert_eq!(first, "sent\n\"sales are up, visits are up; approved by Grace\"\n");
    assert_eq!(second, first);
}

#[tokio::test]
async fn a_stage_that_fails_cancels_those_that_depend_on_it_but_for_one_that_runs_after_any_end() {
    let (first, second) = printed(env!("CARGO_BIN_EXE_graph")).await;
    assert_eq!(first, "translate: failed\npublish: cancelled (dependency)\nclean: completed\n");
    assert_eq!(second, first);
}
