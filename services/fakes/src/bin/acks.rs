//! Measures how long the services take to answer "I have it" while jobs run and their outside systems keep them
//! waiting:
//!
//!     cargo run --release -p fakes --bin acks -- target/release/longhaul
//!
//! It starts the fakes and a server, lets 100 jobs run against fakes that do not answer, and then posts with 32
//! callers at a time to each of the four routes.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fakes::Double;
use longhaul::clock::Stopwatch;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Callers at a time.
const CALLERS: usize = 32;
/// Requests of each round, and rounds.
const REQUESTS: usize = 1_600;
const ROUNDS: usize = 5;
/// Analyses that a caller starts.
const ANALYSES_EACH: usize = 19;
/// Jobs that run meanwhile.
const RUNNING: usize = 100;

#[tokio::main]
async fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let binary = std::env::args().nth(1).ok_or("usage: acks PATH-OF-LONGHAUL")?;
    let double = Double::start().await;
    // The model keeps every lesson, module and dispatch waiting; GitHub says at the first call that its limit is reached,
    // which pauses all analyses. So nothing but the answers costs anything.
    double.hold();
    double.github_remaining(0, 600);
    let folder = tempfile::tempdir()?;
    let (mut child, url) = serve(&binary, folder.path(), &double).await?;
    // A caller may have twenty analyses in flight, so there are as many callers as that takes.
    let mut tokens = Vec::new();
    for caller in 0..(REQUESTS * ROUNDS).div_ceil(ANALYSES_EACH) + 1 {
        tokens.push(token(&binary, folder.path(), &format!("caller-{caller}")).await?);
    }
    let bench = Arc::new(Bench {
        client: Client::builder().no_proxy().pool_max_idle_per_host(CALLERS).build()?,
        url,
        tokens,
        number: AtomicUsize::new(0),
        analyses: AtomicUsize::new(0),
    });
    let workflows = bench.workflows(RUNNING).await?;
    for workflow in &workflows {
        bench.call(&Ack::Step10(workflow.clone())).await?;
    }
    println!("{} jobs run", bench.running(RUNNING).await?);
    let skill = bench.skill().await?;
    let more = bench.workflows(REQUESTS * ROUNDS).await?;
    let mut workflows = more.into_iter();
    println!("| POST | p50 ms | p99 ms | max ms |\n|---|--:|--:|--:|");
    for name in ["/sessions", "/lessons", "/api/v1/github/analyze", "step10"] {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let acks: Vec<Ack> = (0..REQUESTS)
                .map(|_| match name {
                    "/sessions" => Ack::Session(skill.clone()),
                    "/lessons" => Ack::Lesson,
                    "/api/v1/github/analyze" => Ack::Analysis,
                    _ => Ack::Step10(workflows.next().unwrap_or_default()),
                })
                .collect();
            rounds.push(bench.round(acks).await?);
        }
        let median = |pick: fn(&Round) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} |",
            median(|r| r.p50),
            median(|r| r.p99),
            median(|r| r.max)
        );
    }
    println!("{} jobs run", bench.running(RUNNING).await?);
    child.kill().await?;
    Ok(())
}

/// A request to be acknowledged.
enum Ack {
    Session(String),
    Lesson,
    Analysis,
    Step10(String),
}

struct Round {
    p50: f64,
    p99: f64,
    max: f64,
}

struct Bench {
    client: Client,
    url: String,
    tokens: Vec<String>,
    number: AtomicUsize,
    analyses: AtomicUsize,
}

impl Bench {
    async fn round(self: &Arc<Self>, acks: Vec<Ack>) -> Result<Round> {
        let acks = Arc::new(parking_lot::Mutex::new(acks));
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..CALLERS {
            let (bench, acks) = (Arc::clone(self), Arc::clone(&acks));
            callers.spawn(async move {
                let mut took = Vec::new();
                loop {
                    let Some(ack) = acks.lock().pop() else {
                        break Ok::<_, Box<dyn std::error::Error + Send + Sync>>(took);
                    };
                    let began = Stopwatch::start();
                    bench.call(&ack).await?;
                    took.push(began.elapsed().as_secs_f64() * 1_000.0);
                }
            });
        }
        let mut all = Vec::new();
        while let Some(took) = callers.join_next().await {
            all.extend(took??);
        }
        all.sort_by(f64::total_cmp);
        let at = |part: f64| all[((all.len() - 1) as f64 * part) as usize];
        Ok(Round { p50: at(0.5), p99: at(0.99), max: at(1.0) })
    }

    async fn call(&self, ack: &Ack) -> Result<Value> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        match ack {
            Ack::Session(skill) => {
                let body = json!({
                    "title": format!("Session {number}"), "teachSkillId": skill, "focusKeywords": ["a", "b"],
                    "date": "2026-01-15", "startTime": "14:00", "endTime": "16:00",
                    "skillCategory": "Programming", "isTeaching": true, "isPublic": true, "maxParticipants": 10,
                });
                self.ask(Method::POST, "/sessions", &body).await
            }
            Ack::Lesson => {
                let body =
                    json!({ "subject": "english", "topic": format!("topic {number}"), "user_id": "u" });
                self.ask(Method::POST, "/lessons", &body).await
            }
            Ack::Analysis => {
                let body = json!({ "username": format!("user-{number}") });
                let caller = self.analyses.fetch_add(1, Ordering::Relaxed) / ANALYSES_EACH;
                self.ask_as(caller, Method::POST, "/api/v1/github/analyze", &body).await
            }
            Ack::Step10(workflow) => {
                self.ask(Method::POST, &format!("/api/v3/workflow/{workflow}/step10"), &json!({})).await
            }
        }
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        self.ask_as(0, method, path, body).await
    }

    async fn ask_as(&self, caller: usize, method: Method, path: &str, body: &Value) -> Result<Value> {
        let request = self.client.request(method, format!("{}{path}", self.url)).json(body);
        let answer = request.bearer_auth(&self.tokens[caller]).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            return Err(format!("{path} answered {status}: {text}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    async fn skill(&self) -> Result<String> {
        let body =
            json!({ "name": "Rust", "category": "Programming", "type": "teaching", "proficiency": 90 });
        let skill = self.ask(Method::POST, "/skills", &body).await?;
        Ok(skill["_id"].as_str().ok_or("a skill without an id")?.to_owned())
    }

    async fn workflows(&self, count: usize) -> Result<Vec<String>> {
        let mut ids = Vec::with_capacity(count);
        for number in 0..count {
            let module = json!({ "code": "M1", "title": "A module", "contactHours": 3 });
            let body = json!({ "title": format!("Workflow {number}"), "modules": [module] });
            let made = self.ask(Method::POST, "/api/v3/workflow", &body).await?;
            ids.push(made["data"]["_id"].as_str().ok_or("a workflow without an id")?.to_owned());
        }
        Ok(ids)
    }

    /// Waits until so many jobs run, which the fakes then keep waiting.
    async fn running(&self, wanted: usize) -> Result<u64> {
        for _ in 0..600 {
            let queues: Value =
                self.client.get(format!("{}/api/queues", self.url)).send().await?.json().await?;
            let queues = queues["queues"].as_array().or(queues.as_array()).cloned().unwrap_or_default();
            let running = queues.iter().filter_map(|queue| queue["counts"]["active"].as_u64()).sum();
            if running >= wanted as u64 {
                return Ok(running);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(format!("there were never {wanted} jobs running").into())
    }
}

async fn serve(binary: &str, data: &std::path::Path, double: &Double) -> Result<(Child, String)> {
    let mut command = Command::new(binary);
    command.args(["serve", "--listen", "127.0.0.1:0", "--slots", "2", "--waiting-slots", "128"]);
    command.arg("--data").arg(data).kill_on_drop(true);
    command.envs(double.exports()).env("PYTHON_API_URL", double.python_api()).env("LLM_TIMEOUT", "3600");
    command.env("PYTHON_API_TIMEOUT", "3600");
    command.env("LONGHAUL_LOG", "error");
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().ok_or("no standard output")?;
    let url =
        BufReader::new(out).lines().next_line().await?.ok_or("the server ended instead of listening")?;
    Ok((child, url))
}

async fn token(binary: &str, data: &std::path::Path, sub: &str) -> Result<String> {
    let output = Command::new(binary).args(["token", "--sub", sub]).arg("--data").arg(data).output().await?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
