//! `longhaul worker --metrics-listen`: a worker that is watched.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use crate::server::{PATIENCE, Place, client, ended, output, stderr, until};

#[tokio::test]
async fn a_worker_tells_its_slots_its_runs_and_its_calls_of_the_store() {
    let place = Place::new();
    let server = place.serve(&["--no-worker", "--accept-unknown-kinds"]).await;
    let worker = Watched::start(&place, &["--queues", "http=3", "--webhook-allow", "127.0.0.1"], &[]).await;
    assert_eq!(worker.get("/health").await.0, 200);
    // It says that it is not while a write takes its disk more than two seconds.
    until(async || worker.get("/ready").await.0, |status| *status == 200).await;
    for (path, state) in [("/health", "completed"), ("/nothing", "failed")] {
        let args = json!({ "url": server.at(path) });
        let job = json!({ "kind": "http.request", "queue": "http", "args": args, "max_attempts": 1 });
        let job = client().post(server.at("/api/jobs")).json(&job).send().await.expect("an answer");
        let job: Value = job.json().await.expect("JSON");
        let job = server.at(&format!("/api/jobs/{}", job["id"].as_str().expect("an id")));
        let job = ended(client().get(job)).await;
        assert_eq!(job["state"], state, "{job}");
    }
    // The job has ended before the worker counts that, which it does in its own time.
    let lines = [
        r#"longhaul_process_slots{queue="http"} 3"#,
        r#"longhaul_process_slots_used{queue="http"} 0"#,
        r#"longhaul_process_runs_total{queue="http",outcome="completed"} 1"#,
        r#"longhaul_process_runs_total{queue="http",outcome="failed"} 1"#,
        r#"longhaul_process_runs_total{queue="http",outcome="lease_lost"} 0"#,
        r#"longhaul_attempts_total{queue="http",kind="http.request",outcome="completed"} 1"#,
        "longhaul_leases_lost_total 0",
        "longhaul_store_up 1",
    ];
    let counted = [
        r#"longhaul_store_operation_seconds_count{operation="claim_waiting",outcome="ok"}"#,
        "longhaul_commit_calls_count",
    ];
    let count = |told: &str, begin: &str| {
        let count = told.lines().find_map(|line| line.strip_prefix(begin))?;
        count.trim().parse::<u64>().ok()
    };
    let told = until(
        async || worker.metrics().await,
        |told| {
            lines.iter().all(|line| told.lines().any(|found| found == *line))
                && counted.iter().all(|begin| count(told, begin) > Some(0))
        },
    )
    .await;
    assert!(!told.contains("longhaul_queue_jobs"), "what a server tells is not asked for again:\n{told}");
}

#[tokio::test]
async fn a_worker_whose_server_is_away_says_so_and_goes_on_answering() {
    let place = Place::new();
    let token = [("LONGHAUL_WORKER_TOKEN", "a token of the test")];
    let server = place.serve_with(&["--no-worker"], &token).await;
    let store = [token[0], ("LONGHAUL_STORE", server.url.as_str())];
    let worker = Watched::start(&place, &["--queues", "http"], &store).await;
    let metrics = async || worker.metrics().await;
    until(metrics, |told| told.contains("\nlonghaul_store_up 1\n")).await;
    server.kill().await;
    until(metrics, |told| told.contains("\nlonghaul_store_up 0\n")).await;
    assert_eq!(worker.get("/health").await.0, 200, "no restart would mend it");
    assert_eq!(worker.get("/ready").await.0, 503);
}

#[tokio::test]
async fn a_worker_that_cannot_be_watched_does_not_start() {
    let place = Place::new();
    let server = place.serve(&["--no-worker"]).await;
    let taken = server.url.trim_start_matches("http://");
    let refused = output(&mut place.command(&["worker", "--metrics-listen", taken])).await;
    assert!(!refused.status.success());
    let said = stderr(&refused);
    assert!(said.contains("choose another with --metrics-listen"), "{said}");
}

/// A worker that tells its metrics. Killed when dropped.
struct Watched {
    _child: Child,
    url: String,
}

impl Watched {
    async fn start(place: &Place, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let log = std::fs::File::create(place.log().with_extension("worker")).expect("a log");
        let mut command = place.command(&[&["worker", "--metrics-listen", "127.0.0.1:0"], args].concat());
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the binary starts");
        let out = child.stdout.take().expect("its standard output");
        let line = timeout(PATIENCE, BufReader::new(out).lines().next_line()).await;
        let url = line.expect("it listens in time").expect("it can be read").expect("it goes on");
        Self { _child: child, url }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = client().get(format!("{}{path}", self.url)).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    async fn metrics(&self) -> String {
        let (status, told) = self.get("/metrics").await;
        assert_eq!(status, 200, "{told}");
        told
    }
}
