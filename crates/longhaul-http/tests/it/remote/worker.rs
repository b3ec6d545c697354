//! A worker without a database.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use longhaul::{Clock, Collect, Collected, JobError, JobId, Longhaul, MemoryStore, State};
use longhaul_http::{HttpConfig, RemoteStore};
use serde_json::json;

use super::proxy::Proxy;
use super::server::Server;
use crate::app::App;
use crate::fault::{Fault, switched};
use crate::kinds;
use crate::waits::{ask, with_secret};

const PATIENCE: Duration = Duration::from_secs(60);

/// An application whose jobs run elsewhere, the network in between, and the handle that a worker has there.
struct Elsewhere {
    app: App,
    proxy: Proxy,
    remote: Longhaul,
    _server: Server,
}

async fn elsewhere(longhaul: Longhaul) -> Elsewhere {
    let config = HttpConfig::default();
    let server = Server::over(Arc::clone(longhaul.store()), config.clone()).await;
    let proxy = Proxy::before(&server.url).await;
    let remote = Longhaul::new(RemoteStore::connect(&proxy.url, None).await.unwrap());
    Elsewhere { app: App::over(longhaul, config), proxy, remote, _server: server }
}

impl Elsewhere {
    fn worker(&self) -> longhaul::WorkerBuilder {
        kinds::register(self.remote.worker(), &Clock::manual(), &self.app.gate).queue("default", 2)
    }

    async fn ended(&self, id: &str) -> longhaul::JobRecord {
        let id = JobId::new(id).unwrap();
        let ended = tokio::time::timeout(PATIENCE, self.app.longhaul.wait(&id, PATIENCE)).await.unwrap();
        ended.unwrap().found().unwrap()
    }

    async fn state(&self, id: &str) -> State {
        self.app.longhaul.get(&JobId::new(id).unwrap()).await.unwrap().found().unwrap().state
    }

    /// Waits until a job has said so many things.
    async fn said(&self, id: &str, lines: usize) {
        let id = JobId::new(id).unwrap();
        let said = async {
            let mut after = 0;
            let mut chunks = 0;
            while chunks < lines {
                let events = self.app.longhaul.events(&id, after, 100, PATIENCE).await.unwrap().unwrap();
                after = events.last().map_or(after, |event| event.seq);
                let is_chunk =
                    |event: &&longhaul::Event| matches!(event.body, longhaul::EventBody::Chunk { .. });
                chunks += events.iter().filter(is_chunk).count();
            }
        };
        tokio::time::timeout(PATIENCE, said).await.expect("the job says it");
    }
}

fn declared() -> Longhaul {
    let longhaul = Longhaul::new(MemoryStore::new());
    kinds::declare(&longhaul);
    longhaul
}

#[tokio::test]
async fn jobs_run_where_there_is_no_database() {
    let elsewhere = elsewhere(declared()).await;
    let worker = elsewhere.worker().start();
    for (id, kind, args) in
        [("g", "greet", r#"{"name":"Ada"}"#), ("b", "greet", r#"{"name":""}"#), ("s", "stumble", "{}")]
    {
        elsewhere.app.run(id, kind, args).await;
    }
    assert_eq!(elsewhere.ended("g").await.output.unwrap().as_str(), "\"hello, Ada\"");
    assert_eq!(elsewhere.ended("b").await.state, State::Failed);
    let stumbled = elsewhere.ended("s").await;
    assert_eq!((stumbled.state, stumbled.attempt, stumbled.errors.len()), (State::Completed, 2, 1));
    assert_eq!(stumbled.progress.unwrap().percent, 50.0);
    tokio::time::timeout(PATIENCE, worker.shutdown(Duration::from_secs(5))).await.expect("it stops");
}

#[tokio::test]
async fn jobs_are_collected_where_there_is_no_database() {
    let elsewhere = elsewhere(declared()).await;
    let collect = Collect { max: 3, wait: Duration::from_secs(3_600), by: None };
    let greet = async |(), jobs: Vec<Collected<kinds::Greet>>| {
        let greeting = format!("hello, {} of you", jobs.len());
        for job in jobs {
            let is_nobody = job.args.name.is_empty();
            job.end(if is_nobody { Err(JobError::fatal("nobody")) } else { Ok(greeting.clone()) });
        }
        Ok(())
    };
    let worker = elsewhere.remote.worker().queue("default", 2).collect((), collect, greet).unwrap().start();
    for (id, name) in [("a", "Ada"), ("b", ""), ("c", "Bob")] {
        let body = json!({"kind": "greet", "id": id, "args": {"name": name}});
        let created = elsewhere.app.post("/api/jobs", &body.to_string()).await;
        assert_eq!(created.status, StatusCode::ACCEPTED, "{created:?}");
    }
    assert_eq!(elsewhere.ended("a").await.output.unwrap().as_str(), "\"hello, 3 of you\"");
    assert_eq!(elsewhere.ended("b").await.errors[0].message, "nobody");
    assert_eq!(elsewhere.ended("c").await.state, State::Completed);
    tokio::time::timeout(PATIENCE, worker.shutdown(Duration::from_secs(5))).await.expect("it stops");
}

#[tokio::test]
async fn a_worker_survives_its_network() {
    let elsewhere = elsewhere(declared()).await;
    let worker = elsewhere.worker().start();
    elsewhere.app.post("/api/jobs", r#"{"kind":"tell","args":{"lines":3},"id":"t"}"#).await;
    elsewhere.app.gate.add_permits(1);
    elsewhere.said("t", 1).await;

    elsewhere.proxy.cut();
    // The job goes on meanwhile, and ends; so what it said, and that it ended, wait with the worker.
    elsewhere.app.gate.add_permits(2);
    let before = elsewhere.proxy.connections();
    elsewhere.proxy.tried(before + 6).await;
    assert_eq!(elsewhere.state("t").await, State::Running);
    elsewhere.proxy.mend();

    let ended = elsewhere.ended("t").await;
    assert_eq!((ended.state, ended.attempt, ended.crashes), (State::Completed, 1, 0));
    elsewhere.said("t", 3).await;
    elsewhere.app.run("g", "greet", r#"{"name":"Ada"}"#).await;
    tokio::time::timeout(PATIENCE, worker.shutdown(Duration::from_secs(5))).await.expect("it stops");
}

#[tokio::test]
async fn a_worker_survives_its_servers_store() {
    let (longhaul, switch) = switched(Clock::system());
    let elsewhere = elsewhere(longhaul).await;
    let worker = elsewhere.worker().start();
    elsewhere.app.post("/api/jobs", r#"{"kind":"tell","args":{"lines":2},"id":"t"}"#).await;
    elsewhere.app.gate.add_permits(1);
    elsewhere.said("t", 1).await;
    switch.set(Some(Fault::Unavailable));
    elsewhere.app.gate.add_permits(1);
    switch.refused(5).await;
    switch.set(None);
    let ended = elsewhere.ended("t").await;
    assert_eq!((ended.state, ended.attempt, ended.crashes), (State::Completed, 1, 0));
    tokio::time::timeout(PATIENCE, worker.shutdown(Duration::from_secs(5))).await.expect("it stops");
}

#[tokio::test]
async fn a_job_is_cancelled_where_it_runs() {
    let elsewhere = elsewhere(declared()).await;
    // It hears of a cancel with a heartbeat, of which there are ten to a lease.
    let worker = elsewhere.worker().lease(Duration::from_secs(30)).start();
    elsewhere.app.post("/api/jobs", r#"{"kind":"tell","args":{"lines":2},"id":"t"}"#).await;
    elsewhere.app.gate.add_permits(1);
    elsewhere.said("t", 1).await;
    elsewhere.app.post("/api/jobs/t/cancel", "").await;
    assert_eq!(elsewhere.ended("t").await.state, State::Cancelled);
    tokio::time::timeout(PATIENCE, worker.shutdown(Duration::from_secs(5))).await.expect("it stops");
}

#[tokio::test]
async fn a_job_elsewhere_has_its_token_from_the_server() {
    let longhaul = declared();
    let server = Server::over(Arc::clone(longhaul.store()), with_secret()).await;
    let remote = RemoteStore::connect(&server.url, None).await.unwrap();
    let worker = Longhaul::new(remote.clone());
    worker.sign_wait_tokens(remote);
    ask(&App::over(longhaul, with_secret()), &worker).await;
}
