//! The original document's clients, run as they stand. Only the address of the server is given to them, and their pauses are cut
//! short.

use std::path::Path;
use std::process::Output;

use fakes::{Double, Fault};
use serde_json::Value;

use crate::fixture::{CHAT, Fixture, both, wikipedia};

const SEED: &str = include_str!("seed.md");

/// As much of the library of this name as the original document's client uses; machines that run the tests need not have it.
const REQUESTS: &str = "
import json as _json, urllib.error, urllib.request

class Response:
    def __init__(self, status, body):
        self.status_code, self.body = status, body
    def json(self):
        return _json.loads(self.body)

def _send(request):
    try:
        with urllib.request.urlopen(request) as answer:
            return Response(answer.status, answer.read())
    except urllib.error.HTTPError as answer:
        return Response(answer.code, answer.read())

def get(url):
    return _send(urllib.request.Request(url))

def post(url, json):
    headers = {'Content-Type': 'application/json'}
    return _send(urllib.request.Request(url, _json.dumps(json).encode(), headers, method='POST'))
";

/// The original document's block in a language.
fn snippet(language: &str) -> &'static str {
    let fence = format!("```{language}\n");
    let blocks: Vec<&str> =
        SEED.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 1, "{language}");
    blocks[0]
}

async fn run(program: &str, folder: &Path, arguments: &[&str]) -> Output {
    let command = tokio::process::Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("PYTHONPATH", folder)
        .env("NO_PROXY", "127.0.0.1")
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(crate::fixture::PATIENCE, command)
        .await
        .expect("the client did not end in time")
    {
        Ok(output) => output,
        Err(error) => panic!("failed to run {program} (scripts/install-tools test installs it): {error}"),
    }
}

async fn javascript(f: &Fixture) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let harness = format!(
        "const [send, wait] = [fetch, setTimeout];\n\
         globalThis.fetch = (path, options) => send('{}' + path, options);\n\
         globalThis.setTimeout = (run, pause, ...more) => wait(run, pause === 3000 ? 10 : pause, ...more);\n\
         console.error = () => {{}};\n\
         {}\n\
         createLessonAsync('english', 'verbs', 'user123')\n\
             .then((lesson) => console.log(JSON.stringify(lesson)))\n\
             .catch((error) => {{ process.stderr.write(error.message); process.exit(1); }});\n",
        f.url,
        snippet("javascript"),
    );
    std::fs::write(folder.path().join("client.js"), harness).unwrap();
    run("node", folder.path(), &["client.js"]).await
}

async fn python(f: &Fixture) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("requests.py"), REQUESTS).unwrap();
    std::fs::write(folder.path().join("client.py"), snippet("python")).unwrap();
    let harness = format!(
        "import json, time\n\
         wait = time.sleep\n\
         time.sleep = lambda seconds: wait(seconds / 300)\n\
         from client import generate_lesson_async\n\
         print(json.dumps(generate_lesson_async('english', 'verbs', 'user123', base_url='{}')))\n",
        f.url
    );
    std::fs::write(folder.path().join("main.py"), harness).unwrap();
    run("python3", folder.path(), &["main.py"]).await
}

#[track_caller]
fn lesson(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn the_original_clients_get_their_lessons() {
    let double = Double::start().await;
    let f = Fixture::with(both(&double)).await;
    let _worker = f.work();
    let (first, second) = (lesson(&javascript(&f).await), lesson(&python(&f).await));
    for (lesson, version) in [(first, "1.0"), (second, "1.1")] {
        let mut kept = f.get(&format!("/lessons/english/verbs?version={version}")).await.body;
        kept.as_object_mut().unwrap().remove("version");
        assert_eq!(lesson, kept);
    }
}

#[tokio::test]
async fn the_original_clients_wait_and_are_told_of_a_failure() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    // They poll a task that nobody works on yet.
    let polled = async {
        while f.get("/lessons/tasks").await.body["total_tasks"] == 0 {}
        f.work()
    };
    let (output, worker) = tokio::join!(python(&f), polled);
    assert!(lesson(&output)["title"].is_string());
    worker.shutdown(crate::fixture::PATIENCE).await;

    let f = f.reopen(both(&double)).await;
    let _worker = f.work();
    for client in ["node", "python3"] {
        // No retry mends this one.
        double.fail(CHAT, Fault::Status(401));
        let output = if client == "node" { javascript(&f).await } else { python(&f).await };
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains("LLM failed: 401"), "{client}: {told}");
    }
}
