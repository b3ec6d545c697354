//! The original document's frontend, run as it stands.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::fixture::{Fixture, PATIENCE};

/// JavaScript knows one sort of numbers, and writes 10.0 as 10.
fn as_javascript(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 => Value::from(float as i64),
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(as_javascript).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, as_javascript(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        value => value,
    }
}

async fn run(f: &Fixture, username: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seed/run.js");
    let mut node = tokio::process::Command::new("node");
    node.arg(script)
        .arg(&f.url)
        .arg(username)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let node = node.spawn().unwrap_or_else(|e| {
        panic!("node is needed to run the seed's snippet; scripts/install-tools installs it: {e}")
    });
    let output =
        tokio::time::timeout(PATIENCE, node.wait_with_output()).await.expect("the snippet ends").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stdout)))
}

#[tokio::test]
async fn the_original_frontend_polls_until_there_is_something_to_display() {
    let f = Fixture::new().await;
    let _worker = f.work();
    let displayed = run(&f, "octocat").await;
    let task = "github_profile_octocat_1767225600";
    assert_eq!(displayed["result"], as_javascript(f.task(task).await.json()["result"].clone()));
    // The second time the result is there at once, and the snippet, which only knows how to poll, finds it too.
    assert_eq!(run(&f, "octocat").await, displayed);
    assert_eq!(f.jobs("github.analyze").await.len(), 1);
    let failed = run(&f, "ghost").await;
    assert_eq!(failed, serde_json::json!({ "error": "GitHub user 'ghost' not found" }));
}
